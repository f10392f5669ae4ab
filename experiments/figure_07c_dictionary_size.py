"""Figure 7c: AUC of TSC and of sRNN-AE against the dictionary size N.

    python -m experiments.figure_07c_dictionary_size --data DIR [--grid 512,1024,2048]
        [--jobs N | --cluster tcp://HOST:PORT]

Paper: Fig. 7(c), Sec. 4.4 (the sizes are not in the text; 2048 is what all else uses).
"""

if __name__ == "__main__":  # before what runs is imported: --help does not wait for TensorFlow
    from experiments.lab import cli

    cli.main(__spec__.name, cli.sweep_parser(__doc__))

from functools import partial

from experiments.lab.sweeping.sweep import Sweep, swept_points
from experiments.lab.sweeping.sweep_exhibit import run_sweep

EXHIBIT = "figure_07c"
SWEEP = Sweep(
    EXHIBIT,
    "experiments.figure_07c_dictionary_size",
    {"TSC": "tsc_n_atoms", "sRNN-AE": "n_atoms"},
    {"smoke": (32, 64), "quick": (256, 512, 1024), "paper": (256, 512, 1024, 2048, 4096)},
    "dictionary size N, atoms",
)
READS = SWEEP.reads
points, run = partial(swept_points, sweep=SWEEP), partial(run_sweep, sweep=SWEEP)
