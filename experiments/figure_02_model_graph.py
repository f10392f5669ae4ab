"""Figure 2: sRNN-AE unrolled over two frames, with the shapes and parameters of a trained model.

    python -m experiments.figure_02_model_graph --data DIR

Paper: Figs. 1 and 2, Eqs. (5) to (9), (11). Drawn from the model of the first dataset's spatial run: each
shape is that of a tensor or a weight in it. TensorBoard shows the traced graph of every run.
"""

if __name__ == "__main__":  # before what runs is imported: --help does not wait for TensorFlow
    from experiments.lab import cli

    cli.main(__spec__.name, cli.runs_parser(__doc__))

import math
from itertools import pairwise
from pathlib import Path

import keras
import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle, Rectangle

from data_prep.pooling import region_count
from experiments.lab.context import Context
from experiments.lab.distributing.points import Point
from experiments.lab.publishing import plots
from experiments.lab.publishing.publish import publish
from experiments.lab.publishing.rows import identity_of, measured_row
from experiments.lab.systems.reads import Reads
from models.srnn_ae import SRNNAE

EXHIBIT = "figure_02"
READS = Reads(("sRNN-AE",), ("spatial",), scored=False, walkway="first")
SYMBOLS = {  # weights by the end of their path
    "dictionary": r"$A$",
    "decoder": r"$Z^T$",
    "initial_codes": r"$\alpha_0$",
    "gamma": r"$\gamma$",
    "lambda1": r"$\lambda_1$",
    "lambda2": r"$\lambda_2$",
    "phi/kernel": r"$\phi$, weights",
    "phi/bias": r"$\phi$, bias",
}
MOST_STEPS = 4  # that are drawn one by one; of more, the first two and the last
X_COLOR, S_COLOR, CODES_COLOR = plots.BLUE, plots.GREEN, plots.VERMILLION

# Places in the drawing. A frame's column has x_t at the bottom, the steps, the decoder and x^_t at the top;
# left of it stand S and the lines by which S and the codes of the frame before enter every step.
CENTERS = {"t-1": 3.6, "t": 10.2}
HALF_WIDTH, HALF_HEIGHT = 1.3, 0.3
S_LEFT, CODES_LEFT, X_RIGHT = 3.3, 2.2, 1.8
S_LEVEL, S_RADIUS, FIRST_STEP_LEVEL = 1.0, 0.55, 2.4
LIST_LEFT, PANEL_WIDTH = 14.6, 21.0


def points(context: Context) -> list[Point]:
    """Return the run that the figure needs."""
    return [Point(context, next(iter(context.datasets)), "spatial")]


def run(context: Context) -> None:
    """Draw the model and write the number of its parameters."""
    dataset = next(iter(context.datasets))
    trained = context.run(dataset, "spatial")
    model = trained.model()
    title = f"sRNN-AE, unrolled; shapes of the run on {context.heading(dataset)}, spatial stream "
    draw_network(
        model,
        f"{title}({context.backbone.name}, profile {context.profile_name})",
        context.results_dir / f"{EXHIBIT}.png",
        region_count(context.settings.features.pyramid),
    )
    counts = {name: math.prod(shape) for name, shape in weight_shapes(model).items()}
    rows = [
        measured_row(
            context,
            [count],
            exhibit=EXHIBIT,
            row=name,
            column="parameters",
            metric="parameters",
            protocol="counted in the trained model, spatial stream",
            dataset=context.heading(dataset),
            command=context.command("experiments.figure_02_model_graph"),
            **identity_of([{"spatial": trained}]),
        )
        for name, count in {**counts, "all": sum(counts.values())}.items()
    ]
    graph = (
        f"The traced graph: tensorboard --logdir {context.out / 'logs'}, tab Graphs, run "
        f"{trained.folder.parent.name}/{trained.folder.name}. "
    )
    publish(context, EXHIBIT, rows, rows[0].command, graph + context.differences("sRNN-AE"))


def weight_shapes(model: SRNNAE) -> dict[str, tuple[int, ...]]:
    """Return the shape of every weight under the end of its path, a key of `SYMBOLS`, in their order."""
    shapes = {weight.path: tuple(weight.shape) for weight in model.weights}
    found = {name: shape for name in SYMBOLS for path, shape in shapes.items() if path.endswith(f"/{name}")}
    if len(found) != len(shapes):
        raise ValueError(f"weights: expected one for each of {list(found)}, got {list(shapes)}")
    return found


def tensor_shapes(model: SRNNAE) -> dict[str, str]:
    """Return the shape of each tensor of one frame, taken from a forward pass of two; n stands for rows."""
    x = np.zeros((1, 2, model.n_features), "float32")
    tensors = {"x": x, "embedding": model.srnn.similarity(x), **model(x)}
    return {name: f"n x {keras.ops.shape(tensor)[-1]}" for name, tensor in tensors.items()}


def step_labels(depth: int) -> list[str]:
    """Return the labels of the steps that are drawn, from the bottom; "..." stands for those left out."""
    numbers = range(1, depth + 1) if depth <= MOST_STEPS else (1, 2, None, depth)
    return ["..." if number is None else f"step {number}" for number in numbers]


def draw_network(model: SRNNAE, title: str, path: Path, n_regions: int) -> Path:
    """Draw frames t - 1 and t side by side, equations and weights on the right; return `path`.

    `n_regions` are those of a frame.
    """
    steps = step_labels(model.options.depth)
    levels = [FIRST_STEP_LEVEL + index for index in range(len(steps))]
    shapes = tensor_shapes(model)
    figure, axes = plots.new_figure(size_inches=(12.0, 0.62 * (levels[-1] + 3.6)))
    panel = axes[0, 0]
    panel.set(xlim=(-0.9, PANEL_WIDTH), ylim=(-0.6, levels[-1] + 2.7), title=title)
    panel.axis("off")
    with matplotlib.rc_context({"text.parse_math": True}):
        for frame, center in CENTERS.items():
            draw_frame(panel, center, frame, steps, levels, shapes)
            draw_similarity(panel, center, frame, steps, levels)
            draw_codes_before(panel, center, frame, steps, levels)
        last = CENTERS["t"]
        arrow(panel, [(last, levels[-1] + 0.62), (last + 2.4, levels[-1] + 0.62)], CODES_COLOR)
        panel.text(last + 2.4, levels[-1] + 0.62, " to t+1", va="center", color=CODES_COLOR)
        write_legend(panel, model, shapes, levels[-1] + 2.4, n_regions)
    return plots.save_figure(figure, path)


def draw_frame(panel: Axes, center: float, frame: str, steps, levels, shapes) -> None:
    """Draw one frame's column: x_t, which enters every step, the steps, the decoder and x^_t."""
    top = levels[-1]
    box(panel, center, 0, rf"$x_{{{frame}}}$   {shapes['x']}", X_COLOR)
    for label, level in zip(steps, levels, strict=True):
        if label == "...":
            panel.text(center, level, "...", ha="center", va="center")
        else:
            box(panel, center, level, label)
            arrow(panel, [(center + X_RIGHT, level), (center + HALF_WIDTH, level)], X_COLOR)
    for below, above in pairwise(levels):
        arrow(panel, [(center, below + HALF_HEIGHT), (center, above - HALF_HEIGHT)])
    side = center + X_RIGHT
    panel.plot([center, center, side, side], [HALF_HEIGHT, S_LEVEL, S_LEVEL, top], color=X_COLOR)
    arrow(panel, [(center, top + HALF_HEIGHT), (center, top + 1.25 - HALF_HEIGHT)], CODES_COLOR)
    panel.text(
        center - 0.1, top + 0.62, rf"$\alpha_{{{frame}}}$   {shapes['codes']}", ha="right", color=CODES_COLOR
    )
    box(panel, center, top + 1.25, "decoder Z")
    arrow(panel, [(center, top + 1.25 + HALF_HEIGHT), (center, top + 2.25 - HALF_HEIGHT)])
    box(panel, center, top + 2.25, rf"$\hat{{x}}_{{{frame}}}$   {shapes['reconstruction']}", X_COLOR)


def draw_similarity(panel: Axes, center: float, frame: str, steps, levels) -> None:
    """Draw S between a frame and the one before, entering every step."""
    middle = center - S_LEFT
    before, start = ("t-1", CENTERS["t-1"] + HALF_WIDTH) if frame == "t" else ("t-2", middle - 1.0)
    if frame == "t-1":
        panel.text(start, 0, r"$x_{t-2}$", ha="center", va="top", color=X_COLOR)
    arrow(panel, [(start, 0), (middle - 0.3, S_LEVEL - 0.45)], X_COLOR)
    arrow(panel, [(center - HALF_WIDTH, 0), (middle + 0.3, S_LEVEL - 0.45)], X_COLOR)
    look = {"facecolor": "white", "edgecolor": S_COLOR, "linewidth": 1.6}
    panel.add_patch(Circle((middle, S_LEVEL), S_RADIUS, **look))
    panel.text(middle, S_LEVEL, rf"$S_{{{before},{frame}}}$", ha="center", va="center", fontsize=8)
    panel.plot([middle, middle], [S_LEVEL + S_RADIUS, levels[-1] - 0.13], color=S_COLOR)
    enter(panel, middle, center, steps, levels, -0.13, S_COLOR)


def draw_codes_before(panel: Axes, center: float, frame: str, steps, levels) -> None:
    """Draw the codes of the frame before: out of its last step, into every step of this one."""
    level = levels[-1] + 0.62
    start = CENTERS["t-1"] if frame == "t" else center - 3.6
    if frame == "t-1":
        panel.text(start, level, r"$\alpha_{t-2}$ ", ha="right", va="center", color=CODES_COLOR)
    corner = center - CODES_LEFT
    panel.plot([start, corner, corner], [level, level, levels[0] + 0.13], color=CODES_COLOR)
    enter(panel, corner, center, steps, levels, 0.13, CODES_COLOR)


def enter(panel: Axes, left: float, center: float, steps, levels, offset: float, color: str) -> None:
    """Draw an arrow from a line at `left` into the left side of every step that is drawn."""
    for label, level in zip(steps, levels, strict=True):
        if label != "...":
            arrow(panel, [(left, level + offset), (center - HALF_WIDTH, level + offset)], color)


def write_legend(panel: Axes, model: SRNNAE, shapes: dict[str, str], top: float, n_regions: int) -> None:
    """Write the equations of the drawing and the list of the model's weights."""
    options = model.options
    similarity = {
        "learned": rf"$S = \phi(x_{{t-1}})^T \phi(x_t)$, $\phi$: {shapes['embedding']}, length 1 (Eq. 11)",
        "gaussian": r"$S = \exp(-\|x_t - x_{t-1}\|^2 / \delta^2)$ (Eq. 10)",
    }[options.similarity]
    lines = [
        (f"n rows: clips x {n_regions} regions; K = {options.depth} steps a frame", plots.BLACK),
        ("each step (Algorithm 1):", plots.BLACK),
        (r"$\alpha \leftarrow \mathrm{soft}(\alpha - g / \gamma,\ \lambda_1 / \gamma)$", plots.BLACK),
        (r"$g = A^T(A\alpha - x_t) + \lambda_2 S_{t-1,t} (\alpha - \alpha_{t-1})$", plots.BLACK),
        (f"first step: {options.first_layer}; threshold: {options.threshold}", plots.BLACK),
        (r"$x_t$ enters every step", X_COLOR),
        (similarity, S_COLOR),
        (r"$\alpha_{t-1}$ starts step 1 and pulls in every step", CODES_COLOR),
        (r"error: $l(t) = \|x_t - \hat{x}_t\|^2$ (Eq. 13)", plots.BLACK),
        ("", plots.BLACK),
    ]
    weights = weight_shapes(model)
    trainable = {weight.path for weight in model.trainable_variables}
    for name, shape in weights.items():
        fixed = "" if any(path.endswith(f"/{name}") for path in trainable) else ", fixed"
        size = " x ".join(map(str, shape)) or "scalar"
        lines.append((f"{SYMBOLS[name]}: {size}{fixed}", plots.BLACK))
    lines.append((f"in all {sum(map(math.prod, weights.values())):,} parameters", plots.BLACK))
    spacing = (top + 0.4) / (len(lines) - 1)
    for index, (text, color) in enumerate(lines):
        panel.text(LIST_LEFT, top - index * spacing, text, va="center", fontsize=9, color=color)


def box(panel: Axes, center: float, level: float, text: str, color: str = plots.BLACK) -> None:
    """Draw a box with its text."""
    corner, size = (center - HALF_WIDTH, level - HALF_HEIGHT), (2 * HALF_WIDTH, 2 * HALF_HEIGHT)
    panel.add_patch(Rectangle(corner, *size, facecolor="white", edgecolor=color, linewidth=1.6))
    panel.text(center, level, text, ha="center", va="center", fontsize=9)


def arrow(panel: Axes, points: list[tuple[float, float]], color: str = plots.BLACK) -> None:
    """Draw an arrow from the first point to the last."""
    look = {"arrowstyle": "-|>", "color": color, "linewidth": 1.4, "shrinkA": 0, "shrinkB": 0}
    panel.annotate("", points[-1], points[0], arrowprops=look)
