"""Pictures of frames: strips, grids and pairs with captions, the abnormal ones framed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from experiments.lab.publishing.plots import BLACK, COLORS, VERMILLION, save_figure, stretches

CURVE_INCHES = 1.8


def clip_curves(
    path: Path,
    frames: np.ndarray | None,
    frame_numbers: Sequence[int],
    curves: Mapping[str, np.ndarray],
    labels: np.ndarray,
    title: str,
) -> Path:
    """Write how one clip runs: sample frames, then a panel a curve over the frame axis; return `path`.

    `frames` is uint8 (k, H, W, 3) RGB or None, `frame_numbers` their k places in the clip, counted from 1.
    `curves` has the label of an axis -> float (n_frames,), nan where nothing is drawn; `labels`
    (1 = abnormal) are (n_frames,). Abnormal frames are shaded.
    Raises ValueError for a curve of another length.

    Paper: Fig. 6
    """
    labels = np.asarray(labels)
    for name, curve in curves.items():
        if curve.shape != labels.shape:
            raise ValueError(f"{name.splitlines()[0]}: expected shape {labels.shape}, got {curve.shape}")
    shown = np.asarray(frame_numbers)
    strip_inches = 0.2 + 0.2 * len(title.splitlines())
    if frames is not None:
        strip_inches += 9.0 / len(frames) * frames.shape[1] / frames.shape[2]
    curves_inches = CURVE_INCHES * len(curves)
    figure = Figure(figsize=(9.0, strip_inches + curves_inches), layout="constrained")
    FigureCanvasAgg(figure)
    strip, plots = figure.subfigures(2, 1, height_ratios=(strip_inches, curves_inches))
    strip.suptitle(title, fontsize=9)
    if frames is not None:
        captions = [f"frame {number}" for number in shown]
        _draw_images(strip, [frames], [captions], [labels[shown - 1]])
    axes = plots.subplots(len(curves), 1, sharex=True)
    numbers = np.arange(1, labels.size + 1)
    for panel, color, (name, curve) in zip(axes, COLORS, curves.items(), strict=False):
        _shade_abnormal(panel, labels)
        panel.plot(numbers, curve, color=color)
        if frames is not None:
            panel.plot(shown, curve[shown - 1], "o", color=color, clip_on=False)
        panel.set_ylabel(name)
    xlabel = "frame" if frames is None else "frame (dots: the frames above)"
    axes[-1].set(xlabel=xlabel, xlim=(1, max(labels.size, 2)))
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


@dataclass(frozen=True)
class SequenceSample:
    """One sequence of T frames as Fig. 4 shows it.

    Attributes:
        frames: uint8 (T, H, W).
        errors: of each pixel, float (T, H, W).
        score: s(t), float (T,).
        labels: (T,), 1 = abnormal.
        box: top, left and side in pixels of a small box in the abnormal frames; top < 0 for none.
    """

    frames: np.ndarray
    errors: np.ndarray
    score: np.ndarray
    labels: np.ndarray
    box: tuple[int, int, int]


def sequence_samples(
    path: Path, samples: Mapping[str, SequenceSample], shown: np.ndarray, title: str
) -> Path:
    """Write sequences below each other: frames, maps of absolute errors, s(t); return `path`.

    Maps of a sequence share a scale: white is the root of the mean of its frames' largest squared errors.

    `samples` maps a caption to a sequence; `shown` are the places of the k frames to show, from 0.

    Paper: Fig. 4, which has the frames; error maps and s(t) are ours.
    """
    figure = Figure(figsize=(1.3 * len(shown), 4.2 * len(samples) + 0.4), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=11)
    captions = [f"frame {place + 1}" for place in shown]
    parts = np.atleast_1d(figure.subfigures(len(samples), 1))
    for part, (caption, sample) in zip(parts, samples.items(), strict=True):
        part.supylabel(caption, fontsize=9)
        strips, curve = part.subfigures(2, 1, height_ratios=(3.0, 1.2))
        maps = 255 * np.minimum(np.sqrt(sample.errors[shown] / sample.errors.max(axis=(1, 2)).mean()), 1)
        thick = [
            cv2.dilate(one, np.ones((3, 3))) for one in maps
        ]  # else a line is lost where it is drawn small
        abnormal = sample.labels[shown]
        _draw_images(strips, [sample.frames[shown], thick], [captions, [""] * len(shown)], [abnormal] * 2)
        _outline(strips.axes, np.tile(abnormal, 2), sample.box)
        for row, name in zip((0, len(shown)), ("frames", "errors"), strict=True):
            strips.axes[row].set_ylabel(name, fontsize=9)
        panel = curve.subplots()
        _shade_abnormal(panel, sample.labels)
        panel.plot(np.arange(1, sample.labels.size + 1), sample.score, color=COLORS[0])
        panel.set(xlabel="frame", ylabel="s(t)", xlim=(0.5, sample.labels.size + 0.5), ylim=(-0.05, 1.05))
        panel.set_xticks(np.asarray(shown) + 1)
    return save_figure(figure, path)


def _outline(panels: Sequence[Axes], abnormal: np.ndarray, box: tuple[int, int, int]) -> None:
    top, left, side = box
    margin = 3 * side  # around a box of 3 pixels a tight outline would hide it
    for panel, is_abnormal in zip(panels, abnormal, strict=True):
        if is_abnormal and top >= 0:
            corner, width = (left - margin, top - margin), side + 2 * margin
            panel.add_patch(Rectangle(corner, width, width, fill=False, edgecolor=COLORS[5], linewidth=1.5))


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
    for index, (start, stop) in enumerate(stretches(labels != 0)):
        label = "abnormal frames" if index == 0 else None
        axes.axvspan(start + 0.5, stop + 0.5, color=VERMILLION, alpha=0.18, linewidth=0, label=label)
