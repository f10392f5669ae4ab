"""What TSC and sRNN-AE are held against on Moving-MNIST: principal directions, their start; no model."""

import functools
import itertools
from collections.abc import Iterator
from typing import Protocol

import numpy as np

from data_prep.moving_mnist import SIZE_PX, MovingMNIST, intensities
from experiments.lab.scoring.score import ClipScores
from experiments.lab.settings.schema import Settings
from experiments.lab.systems.features import FeatureSource
from experiments.lab.systems.sequences import SEQUENCES_AT_ONCE, Files, score_sequences
from experiments.lab.training.fitting import Fit
from experiments.lab.training.task import Score, Task
from models.principal import Projection, n_directions, principal_directions

PRINCIPAL_BLOCKS = 32  # of training frames, from which directions are taken: 40,000 frames tell 1,024


class SequenceSource(FeatureSource, Protocol):
    """The sequences of Moving-MNIST as a `FeatureSource`."""

    files: Files


@functools.lru_cache(maxsize=1)
def directions_of(files: Files, n_atoms: int, threshold: str, seed: int) -> np.ndarray:
    """Return the directions that N atoms start at, float32 (lit pixels, n); once for all that start there."""

    def rows() -> Iterator[np.ndarray]:
        with MovingMNIST(files.train) as reader:
            blocks = reader.batches(SEQUENCES_AT_ONCE, files.pixels)
            for x in itertools.islice(blocks, PRINCIPAL_BLOCKS):
                yield x.reshape(-1, x.shape[-1])

    return principal_directions(rows, n_directions(n_atoms, threshold), seed)


def principal_directions_task(source: SequenceSource, settings: Settings, seed: int) -> Task:
    """Return the task: as many directions as sRNN-AE starts at, each frame by itself."""
    count, threshold = settings.model.n_atoms, settings.model.threshold

    def fit() -> Projection:
        return Projection(directions_of(source.files, count, threshold, seed))

    config = {"model": {"n_directions": n_directions(count, threshold)}}
    scorer = source.scorer(lambda fitted: fitted)
    return Task("principal directions", source.stream, seed, source.data, config, Fit(fit), scorer)


def unlit_pixels_task(source: SequenceSource, settings: Settings, seed: int) -> Task:
    """Return the task without a model: the energy of a frame at pixels that no training frame lights.

    This is a part of the error of every system that reads the lit pixels, and the same for each.
    """
    files = source.files

    def scorer(_: None) -> Score:
        def score(split: str) -> list[ClipScores]:
            unlit = np.setdiff1d(np.arange(SIZE_PX**2), files.pixels)
            # Not what the lit pixels lack of 1: rounded, it ranks frames that have nothing elsewhere.
            return score_sequences(
                getattr(files, split),
                lambda frames: {"error": np.square(intensities(frames, unlit)).sum(-1)},
                files.n_scored,
            )

        return score

    return Task("unlit pixels", source.stream, seed, source.data, {}, Fit(lambda: None), scorer)
