"""Figure 11: AUC of the fused score against the weight of the temporal stream, one line a dataset.

    python -m experiments.figure_11_temporal_weight --data DIR

Paper: Fig. 11, Sec. 3.7 and 4.7, where the weight is called beta. Where Table 3 was made,
its runs are taken up. The sweep runs over the AUC of the test set: no weight is chosen by it. A second
panel, ours, has the weight of the spatial stream beside flow windows with the chosen settings, fusion "log".
"""

if __name__ == "__main__":  # before what runs is imported: --help does not wait for TensorFlow
    from experiments.lab import cli

    cli.main(__spec__.name, cli.runs_parser(__doc__))

from collections.abc import Mapping, Sequence
from dataclasses import replace

from data_prep.errors import NotApplicableError
from experiments.lab.context import Context
from experiments.lab.distributing.points import Point, Seeded, flat, late_fusion_points, runs_of
from experiments.lab.publishing import plots
from experiments.lab.publishing.publish import publish
from experiments.lab.publishing.results import Row
from experiments.lab.publishing.rows import identity_of, late_fusion_runs, measured_row
from experiments.lab.scoring.measure import auc, held_by
from experiments.lab.scoring.protocol import Protocol
from experiments.lab.settings.schema import PAPER
from experiments.lab.systems.reads import Reads
from experiments.lab.training.runs import Run

EXHIBIT = "figure_11"
READS = Reads(("sRNN-AE",), without=("fusion", "temporal_weight", "spatial_weight"))
WEIGHTS = tuple(step / 10 for step in range(11))
WINDOWS_ROW = "sRNN-AE, flow windows and appearance"  # ours
REMARK = "weight swept over the test set"


def points(context: Context) -> list[Point]:
    """Return the runs that the figure needs."""
    protocols(context)  # refused before anything is made
    usual = flat(late_fusion_points(context, dataset) for dataset in context.datasets)
    return usual + flat(beside_windows(context, dataset) for dataset in context.datasets)


def run(context: Context) -> None:
    """Score both streams of every dataset under every weight; draw the lines and write the rows."""
    rows: list[Row] = []
    swept = protocols(context)
    for dataset in context.datasets:
        seeded = late_fusion_runs(context, dataset)
        rows += weight_rows(context, dataset, seeded, "sRNN-AE", swept)
        seeded = runs_of(beside_windows(context, dataset))
        rows += weight_rows(context, dataset, seeded, WINDOWS_ROW, of_appearance())
    label = "A sweep over the AUC of the test set: it shows how much the weight matters and chooses none. "
    draw(context, publish(context, EXHIBIT, rows, rows[0].command, label + context.differences("sRNN-AE")))


def protocols(context: Context) -> list[Protocol]:
    """Return the protocol of each weight of the temporal stream. NotApplicableError: a fusion without it."""
    headline = Protocol.of(context.settings.score)
    if len(headline.streams) < 2:
        raise NotApplicableError(
            f"Figure 11 weighs one stream beside another: expected two, got {headline.streams[0]} alone"
        )
    if headline.fusion != "paper":
        raise NotApplicableError(
            f"setting fusion: expected paper, whose weight is swept, got {headline.fusion}"
        )
    return [replace(headline, temporal_weight=weight, remark=REMARK) for weight in WEIGHTS]


def of_appearance() -> list[Protocol]:
    """Return the protocol of each weight of the spatial stream beside flow windows."""
    fused = Protocol(streams=("spatial", "flow"), fusion="log", remark=REMARK)
    return [replace(fused, spatial_weight=weight) for weight in WEIGHTS]


def beside_windows(context: Context, dataset: str) -> Seeded:
    """Return, for each seed, the spatial stream of the table and the flow windows of the chosen settings."""
    chosen = context.beside or context
    return [
        {"spatial": Point(context, dataset, "spatial", seed), "flow": Point(chosen, dataset, "flow", seed)}
        for seed in range(context.n_seeds)
    ]


def weight_rows(
    context: Context,
    dataset: str,
    seeded: Sequence[Mapping[str, Run]],
    row: str,
    swept: Sequence[Protocol],
) -> list[Row]:
    """Return one row a weight; `swept` has the protocol of each of `WEIGHTS`."""
    return [
        measured_row(
            context,
            [auc(runs, protocol) for runs in seeded],
            exhibit=EXHIBIT,
            row=row,
            column=f"{weight:g}",
            metric="auc",
            protocol=str(held_by(seeded[0], protocol)),
            dataset=context.heading(dataset),
            command=context.command("experiments.figure_11_temporal_weight"),
            **identity_of(seeded),
        )
        for weight, protocol in zip(WEIGHTS, swept, strict=True)
    ]


def draw(context: Context, rows: Sequence[Row]) -> None:
    """Draw the mean over seeds of each dataset's curve in per cent, with the deviation where there is one."""
    figure, axes = plots.new_figure(1, 2, size_inches=(11.5, 4.2))
    figure.suptitle(
        "AUC against the weight of a stream, a sweep on the test set\n"
        f"({context.backbone.name}, profile {context.profile_name})",
        fontsize=11,
    )
    labels = {
        "sRNN-AE": "weight of the temporal score",
        WINDOWS_ROW: "weight of appearance beside flow windows",
    }
    for panel, (row, label) in zip(axes[0], labels.items(), strict=True):
        curves: dict[str, list[Row]] = {}
        for one in rows:
            if one.row == row:
                curves.setdefault(one.dataset, []).append(one)
        mean = {name: [100 * one.ours for one in curve] for name, curve in curves.items()}
        std = {name: [100 * one.std for one in curve] for name, curve in curves.items() if curve[0].seeds > 1}
        plots.draw_lines(panel, WEIGHTS, mean, std)
        panel.set(xlabel=label, ylabel="AUC (%)")
        plots.widen(panel)
    axes[0, 0].axvline(
        PAPER.score.temporal_weight, color=plots.BLACK, linestyle=":", label="the paper's weight"
    )
    axes[0, 0].legend()
    plots.save_figure(figure, context.results_dir / f"{EXHIBIT}.png")
