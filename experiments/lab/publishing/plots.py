"""Curves, and the style of every figure: Okabe-Ito colours, axes with units, PNG files that appear whole."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from data_prep.files import write_atomic
from data_prep.provenance import git_commit

# Okabe and Ito's colours, which people with any colour vision tell apart; yellow is too pale for lines.
BLACK, BLUE, VERMILLION, GREEN = "#000000", "#0072B2", "#D55E00", "#009E73"
COLORS = (BLUE, VERMILLION, GREEN, "#CC79A7", "#E69F00", "#56B4E9", BLACK)
MARKERS = "osD^vPX"
RESOLUTION_DPI = 150
LEAST_SPAN_POINTS = 5.0  # of an axis of percentages: a fifth of a point is not to look like a fall
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
    "text.parse_math": False,  # names of clips and of sets are shown as they are, dollars too
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


def stretches(marked: np.ndarray) -> np.ndarray:
    """Return where each run of marked entries, of 0 and 1 (n,), begins and ends, the end excluded, (m, 2)."""
    return np.flatnonzero(np.diff(np.concatenate([[0], marked, [0]]))).reshape(-1, 2)


def save_figure(figure: Figure, path: Path) -> Path:
    """Write the figure as PNG, atomically, with the commit among its metadata; return `path`."""
    content = io.BytesIO()
    metadata = {"Software": "srnn-ae", "Title": path.stem, "Commit": git_commit()}
    figure.savefig(content, format="png", dpi=RESOLUTION_DPI, metadata=metadata)
    write_atomic(path, content.getvalue())
    return path


def set_log_x(axes: Axes) -> None:
    """Make the x axis logarithmic, its ticks plain numbers: matplotlib's own are formulas."""
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())


def draw_lines(
    axes: Axes,
    x: Sequence[float],
    series: Mapping[str, Sequence[float]],
    std: Mapping[str, Sequence[float]] | None = None,
    published: Mapping[str, Mapping[float, float]] | None = None,
    log_x: bool = False,
) -> None:
    """Draw one line per series over the same x, with markers at the measured points.

    A series is NaN where it lacks an x. `std` adds error bars to the series it names, but where it is NaN;
    `published` adds the paper's points, x -> y, as hollow stars, in the colour of the series of the same
    name. `log_x` spaces the x values by their logarithm; up to 12 of them each have a tick. Raises
    ValueError for a series whose length is not that of x, or x <= 0 with `log_x`.
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
        set_log_x(axes)
    if len(x) <= 12:
        axes.set_xticks(x, [f"{value:g}" for value in x])
        axes.xaxis.set_minor_locator(NullLocator())
    if len(series) + len(published) > 1:
        axes.legend(handles=handles)


def widen(axes: Axes) -> None:
    """Widen a y axis of percentages to `LEAST_SPAN_POINTS`, around what is drawn, not beyond 100."""
    low, high = axes.get_ylim()
    if high - low < LEAST_SPAN_POINTS:
        top = min((low + high + LEAST_SPAN_POINTS) / 2, max(high, 100))
        axes.set_ylim(top - LEAST_SPAN_POINTS, top)


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
    n_columns = len(panels) if len(panels) <= 3 else 2
    n_rows = -(-len(panels) // n_columns)
    figure, axes = new_figure(n_rows, n_columns, size_inches=(1.5 + 5.0 * n_columns, 4.2 * n_rows))
    figure.suptitle(title, fontsize=11)
    for unused in axes.ravel()[len(panels) :]:
        unused.set_axis_off()
    for panel, (quantity, series) in zip(axes.ravel(), panels.items(), strict=False):
        stars = published.get(quantity, {})
        draw_lines(panel, x, series, std.get(quantity), stars, log_x=min(x) > 0)
        panel.set(xlabel=xlabel, ylabel=quantity)
        widen(panel)
        if len(ticks := sorted({*x, *(value for points in stars.values() for value in points)})) <= 12:
            panel.set_xticks(ticks, [f"{value:g}" for value in ticks])
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
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    lowest, highest = (pick(pick(losses) for _, losses in histories.values()) for pick in (min, max))
    if 0 < 10 * lowest < highest:
        panel.set(yscale="log", ylabel="training loss (log scale)")
        panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        panel.yaxis.set_minor_locator(NullLocator())
    panel.legend()
    return save_figure(figure, path)


def score_overview(
    path: Path,
    seconds: np.ndarray,
    lowest: np.ndarray,
    highest: np.ndarray,
    abnormal: np.ndarray,
    threshold: float,
    title: str,
    trained_seconds: float | None = None,
) -> Path:
    """Write how the score of a whole video runs, and where it is abnormal; return `path`.

    `seconds`, `lowest`, `highest` and `abnormal` are (n,): start of each stretch of frames, the range of its
    scores, whether a frame of it is abnormal. What was trained on, up to `trained_seconds`, is shaded.
    """
    figure, axes = new_figure(size_inches=(9.0, 3.2))
    panel = axes[0, 0]
    ends = np.append(seconds[1:], seconds[-1] + (seconds[-1] - seconds[0]) / max(1, len(seconds) - 1))
    panel.fill_between(seconds, lowest, highest, color=BLUE, alpha=0.3, linewidth=0)
    panel.plot(seconds, lowest, color=BLUE, linewidth=1.0, label="score s (the lowest of each stretch)")
    panel.axhline(threshold, color=BLACK, linestyle="--", linewidth=1.0, label="threshold")
    if trained_seconds is not None:
        panel.axvspan(seconds[0], trained_seconds, color=BLACK, alpha=0.12, linewidth=0, label="footage")
    for index, (start, stop) in enumerate(stretches(abnormal)):
        label = None if index else "below the threshold: abnormal"
        panel.axvspan(seconds[start], ends[stop - 1], color=VERMILLION, alpha=0.18, linewidth=0, label=label)
    panel.set(xlabel="time (s)", ylabel="score s(t), low is abnormal", title=title)
    panel.set_xlim(seconds[0], max(ends[-1], 1e-3))
    panel.legend(loc="upper center", bbox_to_anchor=(0.5, -0.22), ncols=4)
    return save_figure(figure, path)
