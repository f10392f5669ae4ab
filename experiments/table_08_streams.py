"""Table 8: AUC of the spatial and of the temporal stream alone.

    python -m experiments.table_08_streams --data DIR

Paper: Table 8, Sec. 3.6 and 4.7. The paper's ShanghaiTech number for spatial features, 69.63 %, is the one
that its other tables give for both streams together.
"""

if __name__ == "__main__":  # before what runs is imported: --help does not wait for TensorFlow
    from experiments.lab import cli

    cli.main(__spec__.name, cli.runs_parser(__doc__))

from experiments.lab.context import Context
from experiments.lab.distributing.points import Point, Seeded, points_of_rows, seeded_points
from experiments.lab.publishing.publish import publish
from experiments.lab.publishing.rows import table_rows
from experiments.lab.systems.reads import Reads

EXHIBIT = "table_08"
READS = Reads(("sRNN-AE",), ("spatial", "temporal"), together=False)
ROWS = {"Spatial features": "spatial", "Temporal features": "temporal"}


def points(context: Context) -> list[Point]:
    """Return the runs that the table needs."""
    return points_of_rows(context, row_points)


def row_points(context: Context, dataset: str) -> dict[str, Seeded]:
    """Return the runs of each row on one dataset."""
    return {
        name: seeded_points(context, dataset, (stream,), context.n_seeds) for name, stream in ROWS.items()
    }


def run(context: Context) -> None:
    """Train and score the two streams on every dataset at hand and write the table."""
    command = context.command("experiments.table_08_streams")
    rows = table_rows(context, EXHIBIT, row_points, command)
    publish(context, EXHIBIT, rows, command, context.differences("sRNN-AE"))
