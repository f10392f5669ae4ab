"""Figure 7a: AUC of TSC against lambda1, the weight of sparsity.

    python -m experiments.figure_07a_lambda1 --data DIR [--grid 0.5,2,8] [--jobs N | --cluster tcp://HOST:PORT]

Paper: Fig. 7(a), Sec. 4.4 (lambda2 = 2; the values of lambda1 are not in the text).
"""

from experiments.lab.context import Context
from experiments.lab.sweeping.sweep import sweep_main
from experiments.lab.sweeping.sweep_exhibit import Sweep, run_sweep

EXHIBIT = "figure_07a"
SWEEP = Sweep(
    EXHIBIT,
    "experiments.figure_07a_lambda1",
    {"TSC": "tsc_lambda1"},
    {"smoke": (0.5, 2), "quick": (0.5, 2, 8), "paper": (0.1, 0.5, 1, 2, 5, 10, 20, 50)},
    "lambda1",
)


def run(context: Context, grid=None, jobs: int = 1, cluster: str | None = None) -> None:
    """Run the points, `jobs` at a time or on a Dask cluster; write rows and figure. `grid`: texts."""
    run_sweep(context, SWEEP, grid, jobs, cluster)


if __name__ == "__main__":
    sweep_main(__doc__, run)
