"""How many atoms a model of footage has: as many as do not learn it by heart.

A model of many atoms knows little footage by heart. Its errors on the frames that it was trained on then say
too little about other normal ones, and it calls these abnormal. The gap tells:

    gap = mean error of held-out frames / mean error of training frames, averaged over the streams

Models of more and more atoms are trained, from a sixteenth of the profile's number on. Where a gap is above
`MOST_GAP`, larger models are not trained, and the last one before is kept, or the first. Held-out normal
frames alone decide.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from experiments.lab.scoring import metrics
from experiments.lab.training.runs import Run

SHARES = (16, 8, 4, 2, 1)  # of the profile's number of atoms
MOST_GAP = 1.05


@dataclass(frozen=True)
class Choice:
    """Which size was chosen.

    Attributes:
        n_atoms: of the models.
        runs: stream -> run.
        gaps: number of atoms -> gap, of all models that were trained, ascending.
    """

    n_atoms: int
    runs: dict[str, Run]
    gaps: Mapping[int, float]

    def __str__(self) -> str:
        """Return in words what was chosen, of what, and why."""
        gaps = ", ".join(f"{gap:.3f} with {n_atoms}" for n_atoms, gap in self.gaps.items())
        text = (
            f"n_atoms {self.n_atoms}, chosen by held-out frames: their error as a multiple of the training "
            f"frames' is {gaps} atoms, and {MOST_GAP:g} is the most that is taken; --set n_atoms=N trains "
            "one size alone"
        )
        if self.gaps[self.n_atoms] > MOST_GAP:
            text += (
                "\nWARNING: even models of the fewest atoms reconstruct held-out frames worse than those "
                "that they were trained on: train on more footage"
            )
        return text


def choose_size(train: Callable[[int], dict[str, Run]], n_atoms: int, frame_error: str) -> Choice:
    """Return the largest models that do not know their footage by heart.

    Args:
        train: number of atoms -> stream -> run.
        n_atoms: the most that there may be.
        frame_error: from errors of regions to that of a frame, see `metrics.frame_error`.
    """
    sizes = sorted({max(1, n_atoms // share) for share in SHARES})
    gaps: dict[int, float] = {}
    for size in sizes:
        runs = train(size)
        # Models on flow windows have a number of atoms of their own.
        sized = [run for run in runs.values() if run.config["model"]["n_atoms"] == size]
        gaps[size] = gap_of(sized, frame_error)
        fits = gaps[size] <= MOST_GAP
        if fits or size == sizes[0]:
            chosen = size, runs
        if not fits:
            break
    return Choice(*chosen, gaps)


def gap_of(runs: Sequence[Run], frame_error: str) -> float:
    """Return how many times as large errors are on held-out frames as on training frames, on average."""

    def of_stream(run: Run) -> float:
        held_out = [metrics.frame_error(clip.error, frame_error) for clip in run.scores()]
        return np.concatenate(held_out).mean() / run.train_errors(frame_error).mean()

    return float(np.mean([of_stream(run) for run in runs]))
