"""Table 8: AUC of the spatial and of the temporal stream alone.

    python -m experiments.table_08_streams --data DIR

Paper: Table 8, Sec. 3.6 and 4.7. The paper's ShanghaiTech number for spatial features, 69.63 %, is the one
that its other tables give for both streams together.
"""

if __name__ == "__main__":  # before what runs is imported: --help does not wait for TensorFlow
    from experiments.lab import cli

    cli.main(__spec__.name, cli.runs_parser(__doc__))

from experiments.lab.context import Context
from experiments.lab.distributing.points import Point, flat, runs_of, seeded_points
from experiments.lab.publishing.publish import publish
from experiments.lab.publishing.results import Row
from experiments.lab.publishing.rows import auc_rows
from experiments.lab.systems.reads import Reads

EXHIBIT = "table_08"
READS = Reads(("sRNN-AE",), ("spatial", "temporal"), together=False)
ROWS = {"Spatial features": "spatial", "Temporal features": "temporal"}


def points(context: Context) -> list[Point]:
    """Return the runs that the table needs."""
    return flat(seeded_points(context, name, ROWS.values(), context.n_seeds) for name in context.datasets)


def run(context: Context) -> None:
    """Train and score the two streams on every dataset at hand and write the table."""
    command = context.command("experiments.table_08_streams")
    rows = [row for dataset in context.datasets for row in stream_rows(context, dataset, command)]
    publish(context, EXHIBIT, rows, command, context.differences("sRNN-AE"))


def stream_rows(context: Context, dataset: str, command: str) -> list[Row]:
    """Return each stream's AUC on one dataset under every protocol, the headline first."""
    rows = []
    for name, stream in ROWS.items():
        seeded = runs_of(seeded_points(context, dataset, (stream,), context.n_seeds))
        rows += auc_rows(context, EXHIBIT, name, dataset, seeded, command)
    return rows
