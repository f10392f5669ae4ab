"""AUC, energy lost and seconds of training on Moving-MNIST against the number of atoms N.

    python -m experiments.moving_mnist_sizes --data DIR [--grid 256,512,1024,2048]
        [--jobs N | --cluster tcp://HOST:PORT]

Anomalies of appearance; one seed of the principal directions that N atoms start at, of TSC and of sRNN-AE,
and the AUC of the rule without a model, which has no size. AUC is as in Table 1. Energy lost is the median
error of frames, of energy 1 each, in the sequences without their anomaly. Seconds are comparable where runs
were made one after another, without --jobs. A sweep over test AUC: it selects
nothing. Sec. 4.2 and 4.4 give N = 2,048.

Writes results/<profile>/moving_mnist_sizes.csv and .png.
"""

if __name__ == "__main__":  # before what runs is imported: --help does not wait for TensorFlow
    from experiments.lab import cli

    flags = cli.with_where(cli.parser(__doc__))
    flags.add_argument("--grid", type=cli.listed, help="numbers of atoms (default: 256,512,1024)")
    cli.main(__spec__.name, flags)

from collections.abc import Sequence

import numpy as np

from experiments.lab.context import Context
from experiments.lab.distributing.points import Point
from experiments.lab.distributing.sequence_points import files_of, sequence_points
from experiments.lab.publishing.plots import sweep_curves
from experiments.lab.publishing.published import published
from experiments.lab.publishing.results import write_csv
from experiments.lab.scoring.measure import auc, held_by
from experiments.lab.scoring.protocol import Protocol
from experiments.lab.settings.schema import PAPER
from experiments.lab.sweeping.sweep import parse_grid
from experiments.lab.systems.moving_mnist import UNREAD, control_scores, task_on_sequences
from experiments.lab.systems.reads import Reads
from experiments.lab.systems.sequences import Files
from experiments.lab.training.train import make_run

GRID = ("256", "512", "1024")
SIZE, KIND = "mnist_n_atoms", "spatial"
RULE = "unlit pixels"
SYSTEMS = ("principal directions", "TSC", "sRNN-AE", RULE)
PANELS = {"auc": "AUC, %", "energy_lost": "energy lost, %", "seconds": "seconds of training"}
READS = Reads(
    SYSTEMS,
    ("pixels",),
    also=("moving_mnist",),
    without=(*UNREAD, SIZE, "mnist_conv_ae_iterations", "mnist_held_out_sequences"),
    walkway="never",
)


def sizes(context: Context, grid: Sequence[str] | None) -> dict[float, Context]:
    """Return the context of each number of atoms."""
    return {n: context.changed(**{SIZE: n}) for n in parse_grid(context, SIZE, grid or GRID).values()}


def points(context: Context, grid: Sequence[str] | None = None) -> list[Point]:
    """Return the runs that the figure needs."""
    several = sizes(context, grid).values()
    return [point for sized in several for one in SYSTEMS for point in sequence_points(sized, [KIND], one)]


def run(context: Context, grid: Sequence[str] | None = None) -> None:
    """Train what is not there; write the table and the figure after every size, print each line."""
    lines: list[dict] = []
    files = files_of(context, KIND)
    for n_atoms, sized in sizes(context, grid).items():
        for system in SYSTEMS:
            lines.append({"N": n_atoms, "system": system, **measured(sized, system, files)})
            print(", ".join(f"{name} {value}" for name, value in lines[-1].items()), flush=True)
        write_csv(context.results_dir / "moving_mnist_sizes.csv", lines)
        draw(context, lines)


def measured(context: Context, system: str, files: Files) -> dict[str, str]:
    """Return AUC and energy lost in per cent and seconds of training of a run; of the rule AUC alone."""
    task = task_on_sequences(system, files, context.settings, 0)
    trained = make_run(task, context.out)
    runs = {"pixels": trained}
    percent = f"{100 * auc(runs, held_by(runs, Protocol.of(context.settings.score))):.2f}"
    if system == RULE:
        return {"auc": percent, "energy_lost": "", "seconds": ""}
    errors = np.concatenate([clip.error.ravel() for clip in control_scores(task, trained)])
    return {
        "auc": percent,
        "energy_lost": f"{100 * np.median(errors):.2f}",
        "seconds": f"{trained.metrics['training_seconds']:.1f}",
    }


def draw(context: Context, lines: Sequence[dict]) -> None:
    """Write the figure: a panel a quantity, a curve a system, the paper's numbers as stars."""
    sizes = list(dict.fromkeys(line["N"] for line in lines))
    panels = {
        title: {
            system: [float(line[name]) for line in lines if line["system"] == system]
            for system in SYSTEMS
            if name == "auc" or system != RULE
        }
        for name, title in PANELS.items()
    }
    numbers = published("table_01")
    paper = {system: numbers.get((system, "Spatial Anomaly", "auc")) for system in SYSTEMS}
    stars = {system: {2048: 100 * value[0]} for system, value in paper.items() if value is not None}
    ours, papers = (of.moving_mnist.mnist_train_sequences for of in (context.settings, PAPER))
    title = (
        f"Moving-MNIST, anomalies of appearance, profile {context.profile_name}: "
        f"{ours:,} training sequences (paper: {papers:,})"
    )
    path = context.results_dir / "moving_mnist_sizes.png"
    sweep_curves(path, sizes, panels, "atoms N", title, published={PANELS["auc"]: stars})
    print(f"wrote {path}")
