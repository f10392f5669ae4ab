"""Figure 7a: AUC of TSC against lambda1, the weight of sparsity.

    python -m experiments.figure_07a_lambda1 --data DIR [--grid 0.5,2,8] [--jobs N | --cluster tcp://HOST:PORT]

Paper: Fig. 7(a), Sec. 4.4 (lambda2 = 2; the values of lambda1 are not in the text).
"""

if __name__ == "__main__":  # before what runs is imported: --help does not wait for TensorFlow
    from experiments.lab import cli

    cli.main(__spec__.name, cli.sweep_parser(__doc__))

from functools import partial

from experiments.lab.sweeping.sweep import Sweep, swept_points
from experiments.lab.sweeping.sweep_exhibit import run_sweep

EXHIBIT = "figure_07a"
SWEEP = Sweep(
    EXHIBIT,
    "experiments.figure_07a_lambda1",
    {"TSC": "tsc_lambda1"},
    {"smoke": (0.5, 2), "quick": (0.5, 2, 8), "paper": (0.1, 0.5, 1, 2, 5, 10, 20, 50)},
    "lambda1",
)
READS = SWEEP.reads
points, run = partial(swept_points, sweep=SWEEP), partial(run_sweep, sweep=SWEEP)
