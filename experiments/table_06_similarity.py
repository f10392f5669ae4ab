"""Table 6: AUC with the Gaussian kernel and a fixed lambda2 against the trainable similarity.

    python -m experiments.table_06_similarity --data DIR

Paper: Table 6, Sec. 3.5 and 4.6. The spatial stream alone: the paper's trainable row is the spatial row of
its Table 8. The Gaussian's lambda2 stays at its initial value; lambda1 is learned in both.
"""

if __name__ == "__main__":  # before what runs is imported: --help does not wait for TensorFlow
    from experiments.lab import cli

    cli.main(__spec__.name, cli.runs_parser(__doc__))

from experiments.lab.context import Context
from experiments.lab.distributing.points import Point, Seeded, flat, runs_of, seeded_points
from experiments.lab.publishing.publish import publish
from experiments.lab.publishing.results import Row
from experiments.lab.publishing.rows import auc_rows
from experiments.lab.systems.reads import Reads

EXHIBIT = "table_06"
READS = Reads(("sRNN-AE",), ("spatial",), without=("similarity", "trainable_lambda2"))
SIMILARITIES = {
    "Gaussian kernel": {"similarity": "gaussian", "trainable_lambda2": False},
    "Trainable similarity": {"similarity": "learned", "trainable_lambda2": True},
}


def points(context: Context) -> list[Point]:
    """Return the runs that the table needs."""
    return flat(row_points(context, dataset, name) for dataset in context.datasets for name in SIMILARITIES)


def row_points(context: Context, dataset: str, similarity: str) -> Seeded:
    """Return the runs of one row on one dataset."""
    own = context.changed(**SIMILARITIES[similarity])
    return seeded_points(own, dataset, ("spatial",), context.n_ablation_seeds)


def run(context: Context) -> None:
    """Train and score both similarities on every dataset at hand and write the table."""
    command = context.command("experiments.table_06_similarity")
    rows = [row for dataset in context.datasets for row in similarity_rows(context, dataset, command)]
    fixed = f"The Gaussian kernel has lambda2 fixed at {context.settings.model.lambda2:g}. "
    publish(context, EXHIBIT, rows, command, fixed + context.differences("sRNN-AE"))


def similarity_rows(context: Context, dataset: str, command: str) -> list[Row]:
    """Return both similarities' AUC on one dataset under every protocol, the headline first."""
    rows = []
    for name in SIMILARITIES:
        seeded = runs_of(row_points(context, dataset, name))
        rows += auc_rows(context, EXHIBIT, name, dataset, seeded, command)
    return rows
