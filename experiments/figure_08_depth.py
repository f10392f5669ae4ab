"""Figure 8: AUC and sparsity of sRNN-AE against its number of layers K.

    python -m experiments.figure_08_depth --data DIR [--grid 1,3,10] [--jobs N | --cluster tcp://HOST:PORT]

Paper: Fig. 8, Sec. 4.4 (K = 1, 2, 3, 5, 10, 20, 30). Sparsity is the share of zero codes of the test frames.
The chosen settings, swept beside, have panels of their own.
"""

if __name__ == "__main__":  # before what runs is imported: --help does not wait for TensorFlow
    from experiments.lab import cli

    cli.main(__spec__.name, cli.sweep_parser(__doc__))

from functools import partial

from experiments.lab.sweeping.sweep import Sweep, swept_points
from experiments.lab.sweeping.sweep_exhibit import run_sweep

EXHIBIT = "figure_08"
SWEEP = Sweep(
    EXHIBIT,
    "experiments.figure_08_depth",
    {"sRNN-AE": "depth"},
    {"smoke": (1, 3), "quick": (1, 3, 10), "paper": (1, 2, 3, 5, 10, 20, 30)},
    "number of layers K",
    ("auc", "sparsity"),
    with_chosen=True,
)
READS = SWEEP.reads
points, run = partial(swept_points, sweep=SWEEP), partial(run_sweep, sweep=SWEEP)
