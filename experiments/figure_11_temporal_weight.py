"""Figure 11: AUC of the fused score against the weight of the temporal stream, one line a dataset.

    python -m experiments.figure_11_temporal_weight --data DIR

Paper: Fig. 11, Sec. 3.7 and 4.7, where the weight is called beta. The scores of the two streams are on disk,
so that the sweep costs nothing. It runs over the AUC of the test set: no weight is chosen by it.
"""

if __name__ == "__main__":  # before what runs is imported: --help does not wait for TensorFlow
    from experiments.lab import cli

    cli.main(__spec__.name, cli.parser(__doc__))

from collections.abc import Mapping, Sequence
from dataclasses import replace

from data_prep.errors import InputError
from experiments.lab.context import COLUMNS, Context
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


def run(context: Context) -> None:
    """Score both streams of every dataset under every weight; draw the lines and write the rows."""
    rows: list[Row] = []
    for dataset in context.datasets:
        seeded = late_fusion_runs(context, dataset)
        rows += weight_rows(context, dataset, seeded, [sweep(context, runs) for runs in seeded])
    label = "A sweep over the AUC of the test set: it shows how much the weight matters and chooses none. "
    draw(context, publish(context, EXHIBIT, rows, rows[0].command, label + context.differences("sRNN-AE")))


def protocol_at(context: Context, weight: float) -> Protocol:
    """Return the protocol of one weight of the temporal stream. InputError: a fusion without that weight."""
    headline = Protocol.of(context.settings.score)
    if headline.fusion != "paper":
        raise InputError(f"setting fusion: expected paper, whose weight is swept, got {headline.fusion}")
    return replace(headline, temporal_weight=weight, remark="weight swept over the test set")


def sweep(context: Context, runs: Mapping[str, Run]) -> list[float]:
    """Return the AUC of one seed's fused score under each of `WEIGHTS`."""
    return [auc(runs, protocol_at(context, weight)) for weight in WEIGHTS]


def weight_rows(context: Context, dataset: str, seeded, curves: list[list[float]]) -> list[Row]:
    """Return one row a weight; `curves` holds the AUC of each seed under each weight."""
    return [
        measured_row(
            context,
            [curve[index] for curve in curves],
            exhibit=EXHIBIT,
            row="sRNN-AE",
            column=f"{weight:g}",
            metric="auc",
            protocol=str(held_by(seeded[0], protocol_at(context, weight))),
            dataset=COLUMNS[dataset],
            command=context.command("experiments.figure_11_temporal_weight"),
            **identity_of(seeded),
        )
        for index, weight in enumerate(WEIGHTS)
    ]


def draw(context: Context, rows: Sequence[Row]) -> None:
    """Draw the mean over seeds of each dataset's curve in per cent, with the deviation where there is one."""
    curves: dict[str, list[Row]] = {}
    for row in rows:
        curves.setdefault(row.dataset, []).append(row)
    mean = {name: [100 * row.ours for row in curve] for name, curve in curves.items()}
    std = {name: [100 * row.std for row in curve] for name, curve in curves.items() if curve[0].seeds > 1}
    figure, axes = plots.new_figure()
    panel = axes[0, 0]
    title = (
        "AUC against the temporal weight, a sweep on the test set\n"
        f"({context.backbone.name}, profile {context.profile_name})"
    )
    plots.draw_lines(panel, WEIGHTS, mean, std)
    panel.set(xlabel="weight of the temporal score", ylabel="AUC (%)", title=title)
    plots.widen(panel)
    panel.axvline(PAPER.score.temporal_weight, color=plots.BLACK, linestyle=":", label="the paper's weight")
    panel.legend()
    plots.save_figure(figure, context.results_dir / f"{EXHIBIT}.png")
