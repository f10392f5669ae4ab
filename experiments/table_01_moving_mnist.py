"""Table 1: frame-level AUC on Moving-MNIST, anomalies of appearance and of motion.

    python -m experiments.table_01_moving_mnist --data DIR

Paper: Table 1, Sec. 4.2. Over the frames of all test sequences, scores normalized per sequence (Eq. 14), and
over all sequences at once beside it. DIR may hold `mnist.npz`; else the digits are downloaded, or those that
come with a package stand in.
"""

if __name__ == "__main__":  # before what runs is imported: --help does not wait for TensorFlow
    from experiments.lab import cli

    cli.main(__spec__.name, cli.parser(__doc__))

import math
from collections.abc import Sequence
from dataclasses import replace

from experiments.lab.context import Context
from experiments.lab.publishing.publish import publish
from experiments.lab.publishing.results import Row
from experiments.lab.publishing.rows import identity_of, measured_row
from experiments.lab.scoring.measure import auc, protocols_of
from experiments.lab.scoring.protocol import Protocol
from experiments.lab.settings.changes import differences as settings_differences
from experiments.lab.settings.changes import names_of
from experiments.lab.settings.schema import PAPER
from experiments.lab.systems.moving_mnist import SYSTEMS, Files, run_on_sequences, sequence_files

EXHIBIT = "table_01"
COLUMNS = {"Spatial Anomaly": "spatial", "Temporal Anomaly": "temporal"}


def run(context: Context) -> None:
    """Generate the sequences, train and score the systems on both kinds, write the table."""
    folder, rows, notes = context.generated_dir / "moving_mnist", [], []
    for column, kind in COLUMNS.items():
        files = sequence_files(kind, context.settings, folder, context.data_dir)
        for system in SYSTEMS:
            rows += auc_rows(context, system, column, files)
        notes += [order_note(column, rows), pixels_note(column, files)]
    command = rows[0].command
    publish(context, EXHIBIT, rows, command, " ".join([*notes, differences(context, files)]))


def auc_rows(context: Context, system: str, column: str, files: Files) -> list[Row]:
    """Return the rows of one system on one kind of anomaly, the headline normalization first."""
    seeds = range(context.n_seeds)
    seeded = [
        {"pixels": run_on_sequences(system, files, context.settings, seed, context.out)} for seed in seeds
    ]
    data = files.settings["test"]
    remark = f"{data['n_sequences']} test sequences"
    headline, *beside = protocols_of(seeded[0], replace(Protocol.of(context.settings.score), remark=remark))
    return [
        measured_row(
            context,
            [auc(runs, protocol) for runs in seeded],
            exhibit=EXHIBIT,
            row=system,
            column=column,
            metric="auc",
            protocol=str(protocol),
            dataset=f"Moving-MNIST (digits of {data['digits']}, steps of {data['step_px']} px)",
            backbone="",
            command=context.command("experiments.table_01_moving_mnist"),
            **identity_of(seeded),
        )
        for protocol in (headline, *beside)
        if protocol is headline
        or (protocol.checkpoint == headline.checkpoint and not protocol.needs_train_errors)
    ]


def order_note(column: str, rows: Sequence[Row]) -> str:
    """Return a sentence on how the systems rank on a column, and whether the paper's rank so."""
    first = {row.row: row for row in reversed(rows) if row.column == column}
    ours, paper = (
        sorted(first, key=lambda name: -getattr(first[name], value)) for value in ("ours", "paper")
    )
    said = "as in the paper" if ours == paper else f"in the paper {' > '.join(paper)}"
    return f"{column}: {' > '.join(ours)}, {said}."


def pixels_note(column: str, files: Files) -> str:
    """Return a sentence on how many of a frame's pixels TSC and sRNN-AE hold."""
    return (
        f"Of the C = 50,625 pixels, {len(files.pixels):,} are ever lit in training and enter TSC and sRNN-AE."
    )


def differences(context: Context, files: Files) -> str:
    """Return sentences on the data, on TSC's similarity, and on every setting that is not the paper's."""
    settings, data, usual = context.settings, files.settings, PAPER.model
    options = settings.moving_mnist
    least = math.exp(-2 / settings.tsc.tsc_delta_squared)
    sentences = [
        f"{data['train']['n_sequences']} training and {data['test']['n_sequences']} test sequences of each "
        f"kind, digits of {data['test']['digits']}, steps of {data['test']['step_px']} px (the paper gives "
        "no step).",
        f"S of TSC is never below {least:.2f}: frames of length 1 lie within sqrt(2) of each other, and "
        f"delta^2 = {settings.tsc.tsc_delta_squared:g}.",
        f"sRNN-AE starts at lambda1 = {options.mnist_lambda1:g} (elsewhere {usual.lambda1:g}, with which "
        f"every code of a frame of length 1 stays zero); its weight decay is {options.mnist_weight_decay:g} "
        f"(paper: {usual.weight_decay:g}, with which it reconstructs such frames less well).",
    ]
    names = [name for name in names_of("moving_mnist", "frames") if "lstm" not in name]
    return " ".join([*sentences, settings_differences(settings, names)])
