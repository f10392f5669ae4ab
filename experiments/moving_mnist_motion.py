"""What the paper's anomalies of motion can have been: readings of Sec. 4.2, each scored by linear codes.

    python -m experiments.moving_mnist_motion --data DIR

The text: two digits "move together in a straight direction" for 10 frames, then "in each one of the next 10
frames, they move separately in two random directions". It says nothing of how many directions there are, of
the training sequences, or of borders. Each reading below is drawn anew and scored by principal directions
of its training frames, as many as the size has: sRNN-AE and TSC start there, and cost too much for a table.

AUC per sequence, then the two controls of Table 1 (`lab.scoring.controls`). It selects nothing.

Writes results/<profile>/moving_mnist_motion.csv.
"""

if __name__ == "__main__":  # before what runs is imported: --help does not wait for TensorFlow
    from experiments.lab import cli

    cli.main(__spec__.name, cli.parser(__doc__))

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from data_prep.moving_mnist import (
    AXES,
    COMPASS,
    DIGIT_PX,
    SEQUENCE_FRAMES,
    SIZE_PX,
    TOGETHER_FRAMES,
    check_room,
    first_corners,
    intensities,
    painted,
)
from experiments.lab.context import Context
from experiments.lab.publishing.results import write_csv
from experiments.lab.scoring.controls import CONTROLS
from experiments.lab.scoring.protocol import Protocol
from experiments.lab.scoring.regularity import micro_auc
from experiments.lab.scoring.score import ClipScores
from experiments.lab.settings.schema import Settings
from experiments.lab.systems.reads import Reads
from experiments.lab.systems.sequences import digits
from models.principal import n_directions, principal_directions

READS = Reads(
    also=(
        "mnist_train_sequences", "mnist_test_sequences", "mnist_seed", "mnist_step_px", "mnist_n_atoms",
        "threshold",
    ),
    walkway="never",
)  # fmt: skip
ANGLES = 2 * np.pi * np.arange(360) / 360
DIRECTIONS = {  # (n, 2), (y, x)
    "four": AXES,
    "eight": COMPASS,
    "any": np.stack([np.sin(ANGLES), np.cos(ANGLES)], axis=1),
}
AT_ONCE, STREAM = 64, "pixels"


@dataclass(frozen=True)
class Reading:
    """One reading of the text.

    Attributes:
        name: in words.
        directions: that a digit can take, a name of `DIRECTIONS`.
        trained_on: "together", the first half's motion for all 20 frames; "random walks", each digit by
            itself in every frame; "both halves", as in testing.
        drawn: "each frame" or "once": how often the digits of the second half draw a direction.
        times: how many steps' length a step has; more than 1 needs borders.
        bounces: whether digits turn at the border of the image, as one while they move together.
    """

    name: str
    directions: str = "eight"
    trained_on: str = "together"
    drawn: str = "each frame"
    times: int = 1
    bounces: bool = False


READINGS = (
    Reading("eight directions, drawn in each frame (default)"),
    Reading("four directions", "four"),
    Reading("any angle", "any"),
    Reading("directions drawn once", drawn="once"),
    Reading("trained on random walks", trained_on="random walks"),
    Reading("trained on both halves", trained_on="both halves"),
    Reading("three times the step, bouncing at the borders", times=3, bounces=True),
)


def run(context: Context) -> None:
    """Score every reading; write and print the table."""
    lines = []
    for reading in READINGS:
        lines.append({"reading": reading.name, **scored(context, reading)})
        print(", ".join(f"{name} {value}" for name, value in lines[-1].items()), flush=True)
        write_csv(context.results_dir / "moving_mnist_motion.csv", lines)


def scored(context: Context, reading: Reading) -> dict[str, str]:
    """Return the AUC per sequence and its controls, in per cent."""
    options = context.settings.moving_mnist
    check_room(options.mnist_step_px)
    images = {split: digits(split, context.data_dir).images for split in ("train", "test")}

    def frames(split: str) -> Iterator[np.ndarray]:
        count = options.mnist_train_sequences if split == "train" else options.mnist_test_sequences
        of_split = images["train" if split == "train" else "test"]
        for first in range(0, count, AT_ONCE):
            places = range(first, min(first + AT_ONCE, count))
            yield np.stack([sequence(context.settings, reading, of_split, split, i) for i in places])

    lit = np.zeros((SIZE_PX, SIZE_PX), bool)
    for block in frames("train"):
        lit |= block.any(axis=(0, 1))
    pixels = np.flatnonzero(lit)

    def rows() -> Iterator[np.ndarray]:
        for block in tqdm(frames("train"), reading.name, unit="block", leave=False):
            yield intensities(block, pixels).reshape(-1, len(pixels))

    count = n_directions(options.mnist_n_atoms, context.settings.model.threshold)
    V = principal_directions(rows, count, options.mnist_seed)
    test, control = ([*clips(frames(split), V, pixels)] for split in ("test", "control"))
    protocol = Protocol((STREAM,))
    found = {"auc": micro_auc({STREAM: test}, protocol)}
    found |= {name: of(test, control, protocol, None) for name, of in CONTROLS.items()}
    return {name: f"{100 * value:.2f}" for name, value in found.items()}


def clips(blocks: Iterable[np.ndarray], V: np.ndarray, pixels: np.ndarray) -> Iterator[ClipScores]:
    """Yield the scores of sequences: the energy, of 1, that is outside the span of the directions."""
    labels = (np.arange(SEQUENCE_FRAMES) >= TOGETHER_FRAMES).astype(np.uint8)
    number = itertools.count()
    for block in blocks:
        errors = 1 - np.square(intensities(block, pixels) @ V).sum(axis=-1)
        yield from (ClipScores(f"{next(number):05d}", labels, error[:, None]) for error in errors)


def sequence(settings: Settings, reading: Reading, images: np.ndarray, split: str, index: int) -> np.ndarray:
    """Return frames uint8 (20, 225, 225) of sequence number `index`; "control" draws what "test" draws."""
    options = settings.moving_mnist
    rng = np.random.default_rng([options.mnist_seed, split == "train", index])
    pair = images[rng.choice(len(images), 2, replace=False)]
    steps = steps_of(reading, rng, split) * options.mnist_step_px * reading.times
    start = first_corners(DIGIT_PX)
    free = np.concatenate([start[None], start + np.cumsum(steps, axis=0)])
    corners = bounced(start, steps) if reading.bounces else free
    return painted(pair, corners.round().astype(int))


def bounced(start: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Return the corners (n + 1, 2, 2) of two digits that turn at the borders.

    As long as both make the same steps they are one body, 56 px wide; then each turns by itself.

    Args:
        start: corners (2, 2), side by side, (y, x).
        steps: (n, 2, 2): step, digit, (y, x).
    """
    room = SIZE_PX - DIGIT_PX
    apart = (steps[:, 0] != steps[:, 1]).any(axis=-1)
    n_together = int(apart.argmax()) if apart.any() else len(steps)
    body = start[0] + np.cumsum(steps[:n_together, 0], axis=0)
    together = reflected(body, np.array([room, room - DIGIT_PX]))[:, None] + (start - start[0])
    from_here = together[-1] if n_together else start
    alone = reflected(from_here + np.cumsum(steps[n_together:], axis=0), room)
    return np.concatenate([start[None], together, alone])


def reflected(places: np.ndarray, room: np.ndarray | int) -> np.ndarray:
    """Return places in [0, room], those beyond mirrored at the border that they cross."""
    return room - np.abs(places % (2 * room) - room)


def steps_of(reading: Reading, rng: np.random.Generator, split: str) -> np.ndarray:
    """Return the steps of both digits, float (19, 2, 2): step, digit, (y, x), in lengths of a step."""
    directions, n_steps = DIRECTIONS[reading.directions], SEQUENCE_FRAMES - 1
    together = np.tile(directions[rng.integers(len(directions))], (n_steps, 2, 1))
    draws = 1 if reading.drawn == "once" else n_steps
    pairs = np.stack([rng.choice(len(directions), 2, replace=False) for _ in range(draws)])
    apart = np.broadcast_to(directions[pairs], together.shape)
    how = "both halves" if split == "test" else "together" if split == "control" else reading.trained_on
    n_together = {"together": n_steps, "both halves": TOGETHER_FRAMES - 1, "random walks": 0}[how]
    return np.concatenate([together[:n_together], apart[n_together:]])
