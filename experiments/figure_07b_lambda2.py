"""Figure 7b: AUC of TSC against lambda2, the weight of temporal coherence.

    python -m experiments.figure_07b_lambda2 --data DIR [--grid 0,2,20] [--jobs N | --cluster tcp://HOST:PORT]

Paper: Fig. 7(b), Sec. 4.4 (the values of lambda2 are not in the text; Fig. 7(a) has it at 2).
"""

if __name__ == "__main__":  # before what runs is imported: --help does not wait for TensorFlow
    from experiments.lab import cli

    cli.main(__spec__.name, cli.sweep_parser(__doc__))

from functools import partial

from experiments.lab.sweeping.sweep import Sweep, swept_points
from experiments.lab.sweeping.sweep_exhibit import run_sweep

EXHIBIT = "figure_07b"
SWEEP = Sweep(
    EXHIBIT,
    "experiments.figure_07b_lambda2",
    {"TSC": "tsc_lambda2"},
    {"smoke": (0.5, 2), "quick": (0.02, 2, 200), "paper": (0.02, 0.2, 0.5, 1, 2, 5, 20, 200)},
    "lambda2",
)
READS = SWEEP.reads
points, run = partial(swept_points, sweep=SWEEP), partial(run_sweep, sweep=SWEEP)
