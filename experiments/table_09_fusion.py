"""Table 9: AUC of early fusion (one sRNN-AE on stacked features) and of late fusion (one for each stream).

    python -m experiments.table_09_fusion --data DIR

Paper: Table 9, Sec. 3.6 and 4.7. Early fusion stacks the spatial and the temporal features of a region, 2 C
channels, in front of as many atoms as each stream has alone; late fusion adds the two streams' scores.
"""

if __name__ == "__main__":  # before what runs is imported: --help does not wait for TensorFlow
    from experiments.lab import cli

    cli.main(__spec__.name, cli.runs_parser(__doc__))

from data_prep.errors import InputError
from experiments.lab.context import Context
from experiments.lab.distributing.points import (
    Point,
    Seeded,
    flat,
    late_fusion_points,
    runs_of,
    seeded_points,
)
from experiments.lab.publishing.publish import publish
from experiments.lab.publishing.results import Row
from experiments.lab.publishing.rows import auc_rows
from experiments.lab.systems.catalogue import ROLLING_MAXIMUM
from experiments.lab.systems.reads import Reads

EXHIBIT = "table_09"
# Early fusion stacks the rolling maximum, and is scored at every checkpoint, whatever the streams are.
READS = Reads(("sRNN-AE",), also=(*ROLLING_MAXIMUM, "checkpoint"))


def points(context: Context) -> list[Point]:
    """Return the runs that the table needs."""
    several = [row_points(context, dataset) for dataset in context.datasets]
    return flat(seeded for rows in several for seeded in rows.values())


def row_points(context: Context, dataset: str) -> dict[str, Seeded]:
    """Return the runs of each row on one dataset.

    Raises InputError: settings with one stream, which leave nothing to fuse.
    """
    if len(streams := context.settings.score.streams) < 2:
        raise InputError(
            f"Table 9 compares two fusions: expected two streams or more, got {streams[0]} alone"
        )
    n_seeds = context.n_ablation_seeds
    return {
        "Early fusion": seeded_points(context, dataset, ("early",), n_seeds),
        "Late Fusion": late_fusion_points(context, dataset, n_seeds=n_seeds),
    }


def run(context: Context) -> None:
    """Train and score both fusions on every dataset at hand and write the table."""
    command = context.command("experiments.table_09_fusion")
    rows = [row for dataset in context.datasets for row in fusion_rows(context, dataset, command)]
    publish(context, EXHIBIT, rows, command, context.differences("sRNN-AE"))


def fusion_rows(context: Context, dataset: str, command: str) -> list[Row]:
    """Return both fusions' AUC on one dataset under every protocol, the headline first."""
    return [
        row
        for name, seeded in row_points(context, dataset).items()
        for row in auc_rows(context, EXHIBIT, name, dataset, runs_of(seeded), command)
    ]
