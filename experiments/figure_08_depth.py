"""Figure 8: AUC and sparsity of sRNN-AE against its number of layers K.

    python -m experiments.figure_08_depth --data DIR [--grid 1,3,10] [--jobs N | --cluster tcp://HOST:PORT]

Paper: Fig. 8, Sec. 4.4 (K = 1, 2, 3, 5, 10, 20, 30). Sparsity is the share of zero codes of the test frames.
"""

from experiments.lab.context import Context
from experiments.lab.sweeping.sweep import sweep_main
from experiments.lab.sweeping.sweep_exhibit import Sweep, run_sweep

EXHIBIT = "figure_08"
SWEEP = Sweep(
    EXHIBIT,
    "experiments.figure_08_depth",
    {"sRNN-AE": "depth"},
    {"smoke": (1, 3), "quick": (1, 3, 10), "paper": (1, 2, 3, 5, 10, 20, 30)},
    "number of layers K",
    ("auc", "sparsity"),
)


def run(context: Context, grid=None, jobs: int = 1, cluster: str | None = None) -> None:
    """Run the points, `jobs` at a time or on a Dask cluster; write rows and figure. `grid`: texts."""
    run_sweep(context, SWEEP, grid, jobs, cluster)


if __name__ == "__main__":
    sweep_main(__doc__, run)
