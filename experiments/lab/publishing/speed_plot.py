"""Accuracy against speed: the frame-level AUC of Table 3 and the frames/s of Table 10, a point a system.

Ours: the paper has both tables and no such figure.
"""

from collections.abc import Container, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

from experiments.lab.publishing import plots
from experiments.lab.publishing.results import Row

MARKS = ((plots.BLUE, "o"), (plots.VERMILLION, "s"), (plots.GREEN, "^"))
Point = tuple[float, float]  # frames/s, AUC in per cent
MARK_PX = 7  # from a marker's middle to where the label of another may begin
# Of labels, in typographic points from their marker: near before far, beside before above and below.
DISTANCES = (6, 14, 24, 36, 50, 66)
SIDES = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1))


def points(
    accuracy: Sequence[Row], speed: Sequence[Row], dataset: str, speed_column: str
) -> dict[str, Point]:
    """Return the systems that have both numbers on one dataset, by name.

    Args:
        accuracy: rows of Table 3; those of the dataset's own column count, the headline of each cell.
        speed: rows of Table 10; those of `speed_column`, likewise.
        dataset: its title.
        speed_column: what was timed.
    """
    aucs = headlines(row for row in accuracy if (row.column, row.metric) == (dataset, "auc"))
    rates = headlines(row for row in speed if (row.column, row.dataset) == (speed_column, dataset))
    return {name: (rates[name], 100 * auc) for name, auc in aucs.items() if name in rates}


def headlines(rows: Iterator[Row]) -> dict[str, float]:
    """Return the first number of each row's name."""
    found: dict[str, float] = {}
    for row in rows:
        if row.measured:
            found.setdefault(row.row, float(row.ours))
    return found


def draw(path: Path, systems: Mapping[str, Point], groups: Mapping[str, Container[str]], title: str) -> Path:
    """Write the figure as PNG; return `path`.

    Args:
        path: of the file.
        systems: see `points`.
        groups: what the legend says of systems -> their names, at most as many groups as `MARKS`.
        title: of the figure.
    """
    figure, axes = plots.new_figure(size_inches=(9.0, 5.6))
    panel = axes[0, 0]
    for (label, names), (color, marker) in zip(groups.items(), MARKS, strict=False):
        found = [point for name, point in systems.items() if name in names]
        if found:
            panel.scatter(*np.transpose(found), color=color, marker=marker, s=28, zorder=3, label=label)
    plots.set_log_x(panel)
    panel.margins(x=0.15, y=0.1)
    panel.set(
        xlabel="frames/s, from frames to score, decoding included",
        ylabel="frame-level AUC (%), quoted systems: one threshold",
        title=title,
    )
    panel.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=len(MARKS))
    place_labels(panel, systems)
    return plots.save_figure(figure, path)


def place_labels(axes: Axes, systems: Mapping[str, Point]) -> list[Annotation]:
    """Return a label beside each point: the nearest place that no other label and no other point takes."""
    axes.figure.canvas.draw()  # so that data have their places in the picture
    places = axes.transData.transform(list(systems.values()))
    taken = [Bbox([place, place]).padded(MARK_PX) for place in places]
    labels = []
    for name, point in systems.items():
        label = best_label(axes, name, point, taken)
        taken.append(label.get_window_extent().padded(1))
        labels.append(label)
    return labels


def best_label(axes: Axes, name: str, point: Point, taken: Sequence[Bbox]) -> Annotation:
    """Return the label of a point at the first place that is free, with a line to it where it is far."""
    inside = axes.get_window_extent()
    for distance, (right, up) in product(DISTANCES, SIDES):
        label = axes.annotate(
            name,
            point,
            (distance * right, distance * up),
            textcoords="offset points",
            fontsize=8,
            ha={1: "left", 0: "center", -1: "right"}[right],
            va={1: "bottom", 0: "center", -1: "top"}[up],
            arrowprops={"arrowstyle": "-", "color": "#888888", "lw": 0.6}
            if distance > DISTANCES[0]
            else None,
        )
        box = label.get_window_extent()
        within = inside.x0 <= box.x0 and box.x1 <= inside.x1 and inside.y0 <= box.y0 and box.y1 <= inside.y1
        if within and not box.count_overlaps(taken):
            break
        if (distance, (right, up)) != (DISTANCES[-1], SIDES[-1]):
            label.remove()
    return label
