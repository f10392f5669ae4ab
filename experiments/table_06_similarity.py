"""Table 6: AUC with the Gaussian kernel and a fixed lambda2 against the trainable similarity.

    python -m experiments.table_06_similarity --data DIR

Paper: Table 6, Sec. 3.5 and 4.6. The spatial stream alone: the paper's trainable row is the spatial row of
its Table 8. The Gaussian's lambda2 stays at its initial value; lambda1 is learned in both.
"""

if __name__ == "__main__":  # before what runs is imported: --help does not wait for TensorFlow
    from experiments.lab import cli

    cli.main(__spec__.name, cli.runs_parser(__doc__))

from experiments.lab.context import Context
from experiments.lab.distributing.points import Point, Seeded, points_of_rows, seeded_points
from experiments.lab.publishing.publish import publish
from experiments.lab.publishing.rows import table_rows
from experiments.lab.systems.reads import Reads

EXHIBIT = "table_06"
READS = Reads(("sRNN-AE",), ("spatial",), without=("similarity", "trainable_lambda2"))
SIMILARITIES = {
    "Gaussian kernel": {"similarity": "gaussian", "trainable_lambda2": False},
    "Trainable similarity": {"similarity": "learned", "trainable_lambda2": True},
}


def points(context: Context) -> list[Point]:
    """Return the runs that the table needs."""
    return points_of_rows(context, row_points)


def row_points(context: Context, dataset: str) -> dict[str, Seeded]:
    """Return the runs of each row on one dataset."""
    return {
        name: seeded_points(context.changed(**own), dataset, ("spatial",), context.n_ablation_seeds)
        for name, own in SIMILARITIES.items()
    }


def run(context: Context) -> None:
    """Train and score both similarities on every dataset at hand and write the table."""
    command = context.command("experiments.table_06_similarity")
    rows = table_rows(context, EXHIBIT, row_points, command)
    fixed = f"The Gaussian kernel has lambda2 fixed at {context.settings.model.lambda2:g}. "
    publish(context, EXHIBIT, rows, command, fixed + context.differences("sRNN-AE"))
