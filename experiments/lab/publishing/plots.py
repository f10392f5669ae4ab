"""Every figure in one style: Okabe-Ito colours, axes with units, PNG files that appear whole or never."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from data_prep.files import write_atomic
from data_prep.provenance import git_commit

# Okabe and Ito's colours, which people with any colour vision tell apart; yellow is too pale for lines.
BLACK, BLUE, VERMILLION, GREEN = "#000000", "#0072B2", "#D55E00", "#009E73"
COLORS = (BLUE, VERMILLION, GREEN, "#CC79A7", "#E69F00", "#56B4E9", BLACK)
MARKERS = "osD^vPX"
RESOLUTION_DPI = 150
STYLE = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
    "legend.frameon": False,
    "legend.fontsize": 9,
}
matplotlib.rcParams.update(STYLE)


def new_figure(
    n_rows: int = 1,
    n_columns: int = 1,
    size_inches: tuple[float, float] = (7.0, 4.0),
    height_ratios: Sequence[float] | None = None,
    share_x: bool = False,
) -> tuple[Figure, np.ndarray]:
    """Return a figure and its axes, an (n_rows, n_columns) array of Axes."""
    figure = Figure(figsize=size_inches, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(n_rows, n_columns, squeeze=False, height_ratios=height_ratios, sharex=share_x)
    return figure, axes


def save_figure(figure: Figure, path: Path) -> Path:
    """Write the figure as PNG, atomically, with the commit among its metadata; return `path`."""
    content = io.BytesIO()
    metadata = {"Software": "srnn-ae", "Title": path.stem, "Commit": git_commit()}
    figure.savefig(content, format="png", dpi=RESOLUTION_DPI, metadata=metadata)
    write_atomic(path, content.getvalue())
    return path


def draw_lines(
    axes: Axes,
    x: Sequence[float],
    series: Mapping[str, Sequence[float]],
    xlabel: str,
    ylabel: str,
    title: str = "",
    std: Mapping[str, Sequence[float]] | None = None,
    published: Mapping[str, Mapping[float, float]] | None = None,
    log_x: bool = False,
) -> None:
    """Draw one line per series over the same x, with markers at the measured points.

    A series is NaN where it lacks an x. `std` adds error bars to the series it names; `published` adds the
    paper's points, x -> y, as hollow stars, in the colour of the series of the same name. `log_x` spaces the
    x values by their logarithm; up to 12 of them each have a tick. Raises ValueError for a series whose
    length is not that of x, or x <= 0 with `log_x`.
    """
    std, published = std or {}, published or {}
    if log_x and min(x) <= 0:
        raise ValueError(f"x: expected values > 0 for a logarithmic axis, got {min(x)}")
    for name, y in series.items():
        if len(y) != len(x):
            raise ValueError(f"series {name!r}: expected {len(x)} values like x, got {len(y)}")
    handles = []
    for index, (name, y) in enumerate(series.items()):
        look = {"color": COLORS[index % len(COLORS)], "marker": MARKERS[index % len(MARKERS)]}
        there = np.isfinite(y)  # a series may lack some of x
        bars = None if name not in std else np.asarray(std[name])[there]
        points = np.asarray(x)[there], np.asarray(y)[there]
        handles.append(axes.errorbar(*points, yerr=bars, label=name, capsize=3, **look))
    for name, values in published.items():
        color = COLORS[list(series).index(name) % len(COLORS)] if name in series else BLACK
        look = {"marker": "*", "markersize": 12, "linestyle": "none", "markerfacecolor": "none"}
        label = f"{name}, paper"
        handles += axes.plot(list(values), list(values.values()), color=color, label=label, **look)
    if log_x:
        axes.set_xscale("log")
    if len(x) <= 12:
        axes.set_xticks(x, [f"{value:g}" for value in x])
        axes.xaxis.set_minor_locator(NullLocator())
    axes.set(xlabel=xlabel, ylabel=ylabel, title=title)
    if len(series) + len(published) > 1:
        axes.legend(handles=handles)


def line_plot(
    path: Path,
    x: Sequence[float],
    series: Mapping[str, Sequence[float]],
    xlabel: str,
    ylabel: str,
    title: str,
    **options,
) -> Path:
    """Write a figure of one panel drawn by `draw_lines`, which names the options; return `path`."""
    figure, axes = new_figure()
    draw_lines(axes[0, 0], x, series, xlabel, ylabel, title, **options)
    return save_figure(figure, path)


def training_loss(
    path: Path, histories: Mapping[str, tuple[Sequence[int], Sequence[float]]], title: str = "Training loss"
) -> Path:
    """Write the training loss against the iteration, on a log scale where it spans a decade; return `path`.

    `histories` maps a run's name to its iterations and losses. Paper: Fig. 9
    """
    figure, axes = new_figure()
    panel = axes[0, 0]
    for index, (name, (iterations, losses)) in enumerate(histories.items()):
        panel.plot(iterations, losses, color=COLORS[index % len(COLORS)], label=name)
    panel.set(xlabel="iteration", ylabel="training loss", title=title)
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    lowest, highest = (pick(pick(losses) for _, losses in histories.values()) for pick in (min, max))
    if 0 < 10 * lowest < highest:
        panel.set(yscale="log", ylabel="training loss (log scale)")
        panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        panel.yaxis.set_minor_locator(NullLocator())
    panel.legend()
    return save_figure(figure, path)


def clip_curves(
    path: Path,
    frames: np.ndarray,
    frame_numbers: Sequence[int],
    score: np.ndarray,
    similarity: np.ndarray,
    code_distance: np.ndarray,
    labels: np.ndarray,
    title: str,
) -> Path:
    """Write how one clip runs: sample frames, then three curves over the frame axis; return `path`.

    `frames` is uint8 (k, H, W, 3) RGB, `frame_numbers` their k places in the clip, counted from 1. `score`
    s(t), `similarity` S(t-1, t), `code_distance` ||a_t - a_{t-1}|| and `labels` (1 = abnormal) are
    (n_frames,). The first similarity and distance have no previous frame and are not drawn. Abnormal frames
    are shaded. Raises ValueError for a curve of another length.

    Paper: Fig. 6
    """
    labels = np.asarray(labels)
    curves = {
        "regularity score\ns(t)": np.asarray(score, dtype=float),
        "similarity\nS(t-1, t)": _without_first(similarity),
        "code distance\n||a(t) - a(t-1)||": _without_first(code_distance),
    }
    for name, curve in curves.items():
        if curve.shape != labels.shape:
            raise ValueError(f"{name.splitlines()[0]}: expected shape {labels.shape}, got {curve.shape}")
    shown = np.asarray(frame_numbers)
    strip_inches = 9.0 / len(frames) * frames.shape[1] / frames.shape[2] + 0.6
    figure = Figure(figsize=(9.0, strip_inches + 5.4), layout="constrained")
    FigureCanvasAgg(figure)
    strip, plots = figure.subfigures(2, 1, height_ratios=(strip_inches, 5.4))
    strip.suptitle(title, fontsize=11)
    captions = [f"frame {number}" for number in shown]
    _draw_images(strip, [frames], [captions], [labels[shown - 1]])
    axes = plots.subplots(3, 1, sharex=True)
    numbers = np.arange(1, labels.size + 1)
    for panel, color, (name, curve) in zip(axes, COLORS, curves.items(), strict=False):
        _shade_abnormal(panel, labels)
        panel.plot(numbers, curve, color=color)
        panel.plot(shown, curve[shown - 1], "o", color=color, clip_on=False)
        panel.set_ylabel(name)
    axes[-1].set(xlabel="frame (dots: the frames above)", xlim=(1, max(labels.size, 2)))
    plots.align_ylabels(axes)
    if labels.any():
        axes[0].legend(loc="lower left", bbox_to_anchor=(0, 1.0), borderaxespad=0)
    return save_figure(figure, path)


def image_grid(
    path: Path,
    images: Sequence[Sequence[np.ndarray]],
    captions: Sequence[Sequence[str]],
    title: str,
    abnormal: Sequence[Sequence[bool]] | None = None,
) -> Path:
    """Write rows of images with a caption over each; return `path`.

    `images` holds rows of uint8 (H, W, 3) RGB or (H, W) grey images, the rows of equal length; images that
    `abnormal` marks get a vermillion frame.
    """
    aspect = images[0][0].shape[0] / images[0][0].shape[1]
    size_inches = (1.9 * len(images[0]), (1.9 * aspect + 0.35) * len(images) + 0.35)
    figure = Figure(figsize=size_inches, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=11)
    _draw_images(figure, images, captions, abnormal or [[False] * len(row) for row in images])
    return save_figure(figure, path)


def figure_strip_image(
    frames: np.ndarray, scores: Sequence[float], labels: Sequence[int] | None = None
) -> np.ndarray:
    """Return a strip of frames with their scores as an image, uint8 (H', W', 3) RGB, for TensorBoard.

    `frames` is uint8 (k, H, W, 3) RGB; frames labelled 1 get a vermillion frame. Every checkpoint has one:
    matplotlib took forty times as long for it as OpenCV.
    """
    height, gap = 150, 6
    width = round(height * frames.shape[2] / frames.shape[1])
    labels, tiles = np.zeros(len(frames)) if labels is None else labels, []
    for frame, score, label in zip(frames, scores, labels, strict=True):
        color = [round(255 * channel) for channel in to_rgb(VERMILLION if label else BLACK)]
        tile = np.full((height + 30, width + gap, 3), 255, np.uint8)
        picture = tile[-height:, gap // 2 :][:, :width]
        picture[:] = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
        if label:
            picture[:3] = picture[-3:] = picture[:, :3] = picture[:, -3:] = color
        font = (cv2.FONT_HERSHEY_SIMPLEX, 0.55, color, 1, cv2.LINE_AA)
        cv2.putText(tile, f"s = {score:.2f}", (gap, 20), *font)
        tiles.append(tile)
    return np.concatenate(tiles, axis=1)


def _draw_images(figure, images, captions, abnormal) -> None:
    axes = figure.subplots(len(images), len(images[0]), squeeze=False)
    for panels, *row in zip(axes, images, captions, abnormal, strict=True):
        for panel, image, caption, is_abnormal in zip(panels, *row, strict=True):
            panel.imshow(image, cmap="gray", vmin=0, vmax=255, aspect="equal")
            panel.set_title(caption, fontsize=9, pad=3, color=VERMILLION if is_abnormal else BLACK)
            panel.set(xticks=[], yticks=[])
            panel.grid(False)
            for spine in panel.spines.values():
                color, width = (VERMILLION, 3) if is_abnormal else ("#999999", 0.8)
                spine.set(visible=True, edgecolor=color, linewidth=width)


def _shade_abnormal(axes: Axes, labels: np.ndarray) -> None:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], labels != 0, [0]])))
    for index, (start, stop) in enumerate(edges.reshape(-1, 2)):
        label = "abnormal frames" if index == 0 else None
        axes.axvspan(start + 0.5, stop + 0.5, color=VERMILLION, alpha=0.18, linewidth=0, label=label)


def _without_first(curve: np.ndarray) -> np.ndarray:
    curve = np.array(curve, dtype=float)
    curve[:1] = np.nan
    return curve


def frame_pairs(
    path: Path,
    pairs: Sequence[np.ndarray],
    captions: Sequence[str],
    boxes: Sequence[tuple[float, float, float, float]],
    abnormal: Sequence[bool],
    title: str,
) -> Path:
    """Write pairs of consecutive frames side by side, each with its caption below; return `path`.

    `pairs` holds uint8 (2, H, W, 3) RGB; `boxes` the region to outline in each pair as left, top, width and
    height in shares of the frame. Pairs that `abnormal` marks get a vermillion frame.

    Paper: Fig. 10
    """
    height_px, width_px = pairs[0].shape[1:3]
    figure = Figure(figsize=(4.6 * len(pairs), 2.2 * height_px / width_px + 1.1), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=11)
    parts = np.atleast_1d(figure.subfigures(1, len(pairs), wspace=0.04))
    for part, frames, caption, box, is_abnormal in zip(parts, pairs, captions, boxes, abnormal, strict=True):
        _draw_images(part, [frames], [["t - 1", "t"]], [[is_abnormal] * 2])
        part.supxlabel(caption, fontsize=9)
        left, top, width, height = box
        size_px = (width * width_px - 1, height * height_px - 1)
        for panel in part.axes:
            corner = (left * width_px, top * height_px)
            panel.add_patch(Rectangle(corner, *size_px, fill=False, edgecolor=COLORS[5], linewidth=2))
    return save_figure(figure, path)


def sweep_curves(
    path: Path,
    x: Sequence[float],
    panels: Mapping[str, Mapping[str, Sequence[float]]],
    xlabel: str,
    title: str,
    std: Mapping[str, Mapping[str, Sequence[float]]] | None = None,
    published: Mapping[str, Mapping[str, Mapping[float, float]]] | None = None,
) -> Path:
    """Write one panel for each quantity against the same swept values; return `path`.

    `panels` maps a quantity, with its unit, to series of values over x; `std` and `published` do so to what
    `draw_lines` takes under these names. The x axis is logarithmic where all of x is positive.

    Paper: Figs. 7 and 8
    """
    std, published = std or {}, published or {}
    figure, axes = new_figure(1, len(panels), size_inches=(1.5 + 5.0 * len(panels), 4.2))
    figure.suptitle(title, fontsize=11)
    for panel, (quantity, series) in zip(axes[0], panels.items(), strict=True):
        stars = published.get(quantity, {})
        options = {"std": std.get(quantity), "published": stars, "log_x": min(x) > 0}
        draw_lines(panel, x, series, xlabel, quantity, **options)
        if len(ticks := sorted({*x, *(value for points in stars.values() for value in points)})) <= 12:
            panel.set_xticks(ticks, [f"{value:g}" for value in ticks])
    return save_figure(figure, path)


def sequence_samples(
    path: Path,
    samples: Mapping[str, tuple[np.ndarray, Sequence[int], tuple[int, int, int]]],
    frame_numbers: Sequence[int],
    title: str,
) -> Path:
    """Write one row of frames a sequence, the small box in its abnormal frames outlined; return `path`.

    `samples` maps a caption to frames uint8 (k, H, W), labels (k,), and the box's top, left and side in
    pixels, top < 0 for none; `frame_numbers` are the k places in the sequence, counted from 1.

    Paper: Fig. 4
    """
    figure = Figure(figsize=(1.3 * len(frame_numbers), 1.75 * len(samples) + 0.35), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=11)
    captions = [f"frame {number}" for number in frame_numbers]
    parts = np.atleast_1d(figure.subfigures(len(samples), 1))
    for part, (caption, (frames, labels, (top, left, side))) in zip(parts, samples.items(), strict=True):
        _draw_images(part, [frames], [captions], [labels])
        part.supylabel(caption, fontsize=9)
        margin = 3 * side  # around a box of 3 pixels a tight outline would hide it
        for panel, is_abnormal in zip(part.axes, labels, strict=True):
            if is_abnormal and top >= 0:
                corner, width = (left - margin, top - margin), side + 2 * margin
                panel.add_patch(
                    Rectangle(corner, width, width, fill=False, edgecolor=COLORS[5], linewidth=1.5)
                )
    return save_figure(figure, path)


def score_overview(
    path: Path, seconds: np.ndarray, lowest: np.ndarray, highest: np.ndarray, threshold: float, title: str
) -> Path:
    """Write how the score of a whole video runs, and where it is below the threshold; return `path`.

    `seconds`, `lowest` and `highest` are (n,): start of each stretch of frames, and the range of its scores.
    """
    figure, axes = new_figure(size_inches=(9.0, 3.2))
    panel = axes[0, 0]
    ends = np.append(seconds[1:], seconds[-1] + (seconds[-1] - seconds[0]) / max(1, len(seconds) - 1))
    panel.fill_between(seconds, lowest, highest, color=BLUE, alpha=0.3, linewidth=0)
    panel.plot(seconds, lowest, color=BLUE, linewidth=1.0, label="score s (the lowest of each stretch)")
    panel.axhline(threshold, color=BLACK, linestyle="--", linewidth=1.0, label="threshold")
    edges = np.flatnonzero(np.diff(np.concatenate([[0], lowest < threshold, [0]])))
    for index, (start, stop) in enumerate(edges.reshape(-1, 2)):
        label = None if index else "below the threshold: abnormal"
        panel.axvspan(seconds[start], ends[stop - 1], color=VERMILLION, alpha=0.18, linewidth=0, label=label)
    panel.set(xlabel="time (s)", ylabel="score s(t), low is abnormal", title=title)
    panel.set_xlim(seconds[0], max(ends[-1], 1e-3))
    panel.legend(loc="upper center", bbox_to_anchor=(0.5, -0.22), ncols=3)
    return save_figure(figure, path)
