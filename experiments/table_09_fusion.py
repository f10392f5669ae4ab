"""Table 9: AUC of early fusion (one sRNN-AE on stacked features) and of late fusion (one for each stream).

    python -m experiments.table_09_fusion --data DIR

Paper: Table 9, Sec. 3.6 and 4.7. Early fusion stacks the spatial and the temporal features of a region, 2 C
channels, in front of as many atoms as both streams have together: so late fusion, which adds the scores of
the paper's two streams, has half the parameters, as Sec. 4.7 says.
"""

if __name__ == "__main__":  # before what runs is imported: --help does not wait for TensorFlow
    from experiments.lab import cli

    cli.main(__spec__.name, cli.runs_parser(__doc__))

from data_prep.errors import NotApplicableError
from experiments.lab.context import Context
from experiments.lab.distributing.points import (
    Point,
    Seeded,
    late_fusion_points,
    points_of_rows,
    seeded_points,
)
from experiments.lab.publishing.publish import publish
from experiments.lab.publishing.rows import table_rows
from experiments.lab.settings.memory import refuse_beyond_memory
from experiments.lab.systems.catalogue import ROLLING_MAXIMUM
from experiments.lab.systems.reads import Reads

EXHIBIT = "table_09"
# Early fusion stacks the rolling maximum, and is scored at every checkpoint, whatever the streams are.
READS = Reads(("sRNN-AE",), also=(*ROLLING_MAXIMUM, "checkpoint"))


def points(context: Context) -> list[Point]:
    """Return the runs that the table needs."""
    return points_of_rows(context, row_points)


def row_points(context: Context, dataset: str) -> dict[str, Seeded]:
    """Return the runs of each row on one dataset.

    Raises NotApplicableError: settings with one stream, which leave nothing to fuse.
    """
    if len(streams := context.settings.score.streams) < 2:
        raise NotApplicableError(
            f"Table 9 compares two fusions: expected two streams or more, got {streams[0]} alone"
        )
    n_seeds = context.n_ablation_seeds
    wide = context.changed(n_atoms=2 * context.settings.model.n_atoms)
    refuse_beyond_memory(wide.settings)
    return {
        "Early fusion": seeded_points(wide, dataset, ("early",), n_seeds),
        "Late Fusion": late_fusion_points(context, dataset, n_seeds=n_seeds),
    }


def run(context: Context) -> None:
    """Train and score both fusions on every dataset at hand and write the table."""
    command = context.command("experiments.table_09_fusion")
    rows = table_rows(context, EXHIBIT, row_points, command)
    wide = f"Early fusion has {2 * context.settings.model.n_atoms} atoms. "
    publish(context, EXHIBIT, rows, command, wide + context.differences("sRNN-AE"))
