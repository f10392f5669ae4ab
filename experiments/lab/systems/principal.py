"""Principal directions: the linear control of TSC and sRNN-AE, and their start on Moving-MNIST. Ours."""

import itertools
from collections.abc import Iterator

import numpy as np

from experiments.lab.settings.schema import Settings
from experiments.lab.systems.features import FeatureSource
from experiments.lab.training.fitting import Fit
from experiments.lab.training.task import Task
from models.principal import Projection, n_directions, principal_directions

PRINCIPAL_BLOCKS = 32  # of training frames, from which directions are taken: 40,000 frames tell 1,024


def first_rows(source: FeatureSource, seed: int) -> Iterator[np.ndarray]:
    """Yield the rows, float32 (n, C), of the first blocks of training frames."""
    for x, _, _ in itertools.islice(source.blocks(0, seed), PRINCIPAL_BLOCKS):
        yield x.reshape(-1, x.shape[-1])


def principal_directions_task(source: FeatureSource, settings: Settings, seed: int) -> Task:
    """Return the task: as many directions as sRNN-AE starts at, each frame by itself."""
    count = n_directions(settings.model.n_atoms, settings.model.threshold)

    def fit() -> Projection:
        return Projection(principal_directions(lambda: first_rows(source, seed), count, seed))

    config = {"model": {"n_directions": count}}
    scorer = source.scorer(lambda fitted: fitted)
    return Task("principal directions", source.stream, seed, source.data, config, Fit(fit), scorer)
