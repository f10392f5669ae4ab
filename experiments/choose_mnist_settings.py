"""Choose what the paper leaves open on Moving-MNIST, by what models lose of normal sequences.

    python -m experiments.choose_mnist_settings --data DIR [--set mnist_n_atoms=512]

The energy lost is the median over frames of ||x - x^||^2, where ||x|| = 1, on N_HELD_OUT normal sequences
of the appearance kind, drawn with the next seed from the digits of training. Models are as they start:

- TSC's lambda2, then its lambda1, and sRNN-AE's initial lambda1: the largest of the grid that loses at most
  MOST_MORE more than the principal directions at which they start.
- sRNN-AE's weight decay: the largest power of ten that is at most a tenth of the energy that the weakest
  direction of the start holds of a frame, on average over the frames held out.
- With these, sRNN-AE's learning rate, where the profile has not the paper's: the largest of the grid after
  which N_STEPS steps lose no more than before, to a thousandth.

No test sequence and no label is read. Paper: Sec. 4.2; docs/moving_mnist.md has what was chosen.
Writes results/<profile>/mnist_settings.csv, a line a candidate, and prints each choice as a flag.
"""

if __name__ == "__main__":  # before what runs is imported: --help does not wait for TensorFlow
    from experiments.lab import cli

    cli.main(__spec__.name, cli.parser(__doc__))

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from tqdm import tqdm

from data_prep.errors import InputError
from data_prep.moving_mnist import MovingMNIST
from experiments.lab.context import Context
from experiments.lab.distributing.sequence_points import files_of
from experiments.lab.publishing.results import write_csv
from experiments.lab.scoring.score import DivergedError
from experiments.lab.settings.schema import PAPER, Settings
from experiments.lab.systems.moving_mnist import UNREAD, task_on_sequences
from experiments.lab.systems.principal import directions_of
from experiments.lab.systems.reads import Reads
from experiments.lab.systems.sequences import Files
from experiments.lab.training.freed_memory import freed_memory_kept

N_HELD_OUT, N_STEPS, MOST_MORE, A_THOUSANDTH = 100, 50, 0.02, 0.001
TSC_LAMBDA2, LAMBDA1, LEARNING_RATES = (2.0, 0.5, 0.1), (0.01, 0.003, 0.001), (3e-4, 1e-4, 3e-5)
READS = Reads(
    ("TSC", "sRNN-AE"),
    ("pixels",),
    scored=False,
    also=("moving_mnist",),
    without=(
        *UNREAD, "tsc_coding", "atom_norm", "log_every", "mnist_test_sequences",
        "mnist_held_out_sequences", "mnist_start", "mnist_iterations", "mnist_checkpoint_every",
        "mnist_tsc_alternations", "mnist_tsc_update_steps", "mnist_conv_ae_iterations",
        "mnist_tsc_lambda1", "mnist_tsc_lambda2", "mnist_lambda1", "mnist_weight_decay",
        "mnist_learning_rate",
    ),
    walkway="never",
)  # fmt: skip


def run(context: Context) -> None:
    """Choose; write and print every candidate as soon as it is tried."""
    files = held_out_files(context)
    settings = context.settings.override(mnist_start="principal")
    path, lines = context.results_dir / "mnist_settings.csv", []

    def tried(system: str, n_steps: int = 0, **candidate: float) -> float:
        lost = energy_lost(system, files, settings.override(**candidate), n_steps)
        lines.append({"system": system, "candidate": shown(candidate), "steps": n_steps, "energy_lost": lost})
        write_csv(path, lines)
        print(" ".join(filter(None, (system, shown(candidate)))) + f": {lost:.2%} lost after {n_steps} steps")
        return lost

    limit = tried("principal directions") + MOST_MORE
    pairs = [{"mnist_tsc_lambda2": b, "mnist_tsc_lambda1": a} for b in TSC_LAMBDA2 for a in LAMBDA1]
    of_tsc = chosen(pairs, [tried("TSC", **pair) for pair in pairs], limit)
    firsts = [{"mnist_lambda1": lambda1} for lambda1 in LAMBDA1]
    before = [tried("sRNN-AE", **first) for first in firsts]
    of_srnn_ae = chosen(firsts, before, limit)
    found = {**of_tsc, **of_srnn_ae, "mnist_weight_decay": weight_decay(weakest_energy(files, settings))}
    settings = settings.override(**found)
    told(found)
    if settings.moving_mnist.mnist_learning_rate != PAPER.moving_mnist.mnist_learning_rate:
        rates = [{"mnist_learning_rate": rate} for rate in LEARNING_RATES]
        after = [tried("sRNN-AE", N_STEPS, **rate) for rate in rates]
        told(chosen(rates, after, before[firsts.index(of_srnn_ae)] + A_THOUSANDTH))
    print(f"see {path}")


def held_out_files(context: Context) -> Files:
    """Return the training sequences of the profile, and in place of its test sequences those held out."""
    drawn = {
        "mnist_seed": context.settings.moving_mnist.mnist_seed + 1,
        "mnist_train_sequences": N_HELD_OUT,
        "mnist_test_sequences": 1,
    }
    files, held_out = files_of(context, "spatial"), files_of(context.changed(**drawn), "spatial")
    return replace(files, test=held_out.train, control=held_out.train)


def energy_lost(system: str, files: Files, settings: Settings, n_steps: int) -> float:
    """Return the median over the held-out frames of ||x - x^||^2, where ||x|| = 1.

    Args:
        system: as the catalogue names it.
        files: as `held_out_files` gives them.
        settings: with the candidate; `mnist_start` is "principal".
        n_steps: how many gradient steps the model takes before, for sRNN-AE; infinite where it diverges.
    """
    task = task_on_sequences(system, files, settings, seed=0)
    trainer: Any = task.trainer  # each kind has a way of its own to its first model
    if system == "principal directions":
        model = trainer.fit()
    elif system == "TSC":
        model = trainer.build()
    else:
        model = trainer.build(trainer.batch(0))
        with freed_memory_kept():
            for step in tqdm(range(n_steps), "steps", leave=False):
                model.train_on_batch(trainer.batch(step))
    try:
        clips = task.scorer(model)("test")
    except DivergedError:
        return math.inf
    return float(np.median([clip.error for clip in clips]))


def chosen(candidates: Sequence[dict], lost: Sequence[float], most: float) -> dict:
    """Return the first candidate, largest first, that loses at most `most`.

    Raises InputError: none does.
    """
    keeping = [one for one, loss in zip(candidates, lost, strict=True) if loss <= most]
    if not keeping:
        told = f"every candidate loses more than {most:.2%} of the energy, the least {min(lost):.2%}"
        raise InputError(f"choose_mnist_settings: {', '.join(candidates[0])}: {told}")
    return keeping[0]


def weakest_energy(files: Files, settings: Settings) -> float:
    """Return what the last direction of the start holds of a held-out frame's energy, of 1, on average."""
    V = directions_of(files, settings.moving_mnist.mnist_n_atoms, settings.model.threshold, 0)
    with MovingMNIST(files.test) as reader:
        (x,) = reader.batches(N_HELD_OUT, files.pixels)
    return float(np.square(x @ V[:, -1]).mean())


def weight_decay(energy: float) -> float:
    """Return the largest power of ten that is at most a tenth of an energy, above 0."""
    return 10.0 ** math.floor(math.log10(energy / 10))


def told(found: dict[str, float]) -> None:
    """Print what is chosen, as flags."""
    print(f"chosen: {' '.join(f'--set {name}={value:g}' for name, value in found.items())}", flush=True)


def shown(candidate: dict[str, float]) -> str:
    """Return a candidate in words: "mnist_lambda1=0.003"."""
    return " ".join(f"{name}={value:g}" for name, value in candidate.items())
