"""Choose lambda1 of TSC, which the paper does not give, by what its codes lose of the training features.

    python -m experiments.choose_tsc_lambda1 --data DIR [--datasets ped2] [--set backbone=resnet50]

TSC is trained at every candidate as the settings have it, on the spatial stream, seed 0. The energy lost is
the sum of ||x - A a||^2 over the training frames, as coded in the last alternation, in parts of that of
||x||^2. Chosen is the largest candidate, whose codes are the sparsest, that loses at most MOST_LOST. No test
clip and no label is read.

Paper: Eq. (2), Sec. 4.1. Writes results/<profile>/tsc_lambda1_<dataset>.csv, a line a candidate, and prints
the chosen one as a flag.
"""

if __name__ == "__main__":  # before what runs is imported: --help does not wait for TensorFlow
    from experiments.lab import cli

    cli.main(__spec__.name, cli.parser(__doc__))

from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from data_prep.errors import InputError
from experiments.lab.context import Context
from experiments.lab.publishing.results import write_csv
from experiments.lab.settings.schema import Settings
from experiments.lab.systems.features import ShardFeatures
from experiments.lab.systems.reads import Reads
from experiments.lab.systems.tsc import build_tsc, training_blocks
from models.tsc import alternate

MOST_LOST = 0.05
READS = Reads(("TSC",), ("spatial",), scored=False, without=("tsc_lambda1",))
CANDIDATES = (0.1, 0.5, 2.0, 5.0, 10.0, 30.0)


def run(context: Context) -> None:
    """Choose for every dataset at hand; write and print what was tried."""
    for dataset in context.datasets:
        shards, lines = context.shards(dataset), []
        path = context.results_dir / f"tsc_lambda1_{dataset}.csv"
        n_alternations = context.settings.tsc.tsc_alternations
        with tqdm(total=len(CANDIDATES) * n_alternations, desc=f"{dataset} TSC", unit="alternation") as bar:
            for lambda1 in CANDIDATES:
                bar.set_postfix(lambda1=lambda1)
                loss = loss_of(context.settings.override(tsc_lambda1=lambda1), shards, bar)
                lines.append({"backbone": context.backbone.name, **loss})
                write_csv(path, lines)
        for line in lines:
            print(
                f"{dataset}: lambda1 {line['lambda1']:g}: energy lost {line['energy_lost']:.1%}, "
                f"zero codes {line['zeros']:.0%}, gamma {line['gamma']:.0f}"
            )
        print(f"{dataset}: chosen --set tsc_lambda1={largest_that_keeps(lines):g}; see {path}", flush=True)


def loss_of(settings: Settings, shards: Path, bar: tqdm) -> dict:
    """Return what TSC's codes lose of the training features, as a line of the table.

    Args:
        settings: `tsc_lambda1` is the candidate.
        shards: folder of a dataset's features.
        bar: told of every alternation.
    """
    options = settings.tsc

    def blocks():
        return training_blocks(ShardFeatures(shards, "spatial", settings), settings, seed=0)

    model = build_tsc(blocks, settings, seed=0)
    alternations = alternate(
        model,
        blocks,
        options.tsc_alternations,
        options.tsc_update_steps,
        options.atom_norm,
        options.tsc_coding,
    )
    for alternation in alternations:
        last = alternation
        bar.update()
    return {
        "lambda1": options.tsc_lambda1,
        "energy_lost": 2 * last.reconstruction / last.energy,
        "zeros": last.zeros,
        "gamma": last.gamma,
        "mean_energy": last.energy,
    }


def largest_that_keeps(lines: Sequence[dict]) -> float:
    """Return the largest lambda1 that loses at most `MOST_LOST`; InputError where none does."""
    keeping = [line["lambda1"] for line in lines if line["energy_lost"] <= MOST_LOST]
    if not keeping:
        least = min(line["energy_lost"] for line in lines)
        raise InputError(
            f"choose_tsc_lambda1: every candidate loses more than {MOST_LOST:.0%} of the energy, "
            f"the least {least:.1%}"
        )
    return max(keeping)
