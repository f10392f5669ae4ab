"""After Lu et al.: sparse combinations of cuboids of gradients (`models.quoted.lu`)."""

from collections.abc import Iterable, Iterator

import numpy as np

from data_prep.cuboids import cell_cuboids, training_cuboids
from experiments.lab.settings.schema import Settings
from experiments.lab.systems.quoted.sources import Frames
from experiments.lab.systems.quoted.tasks import Clips, Method, map_task
from experiments.lab.training.task import Task
from models.quoted.cell_maps import CellGrid
from models.quoted.lu import GRID, SparseCombinations


def task(source: Frames, settings: Settings, seed: int) -> Task:
    """Return the task of the system: cuboids look 3 frames ahead, the smoothed map 2 more."""
    threshold = settings.quoted.lu_threshold

    def fit(clips: Clips) -> SparseCombinations:
        cuboids = ((moment.features for moment in training_cuboids(frames)) for frames in clips())
        return SparseCombinations.fit(cuboids, threshold=threshold, seed=seed)

    grid = CellGrid.dividing(*GRID, source.frame_shape)
    method = Method(fit, maps, grid, {"lu_threshold": threshold}, ahead_frames=5)
    return map_task("after Lu et al.", source, method, seed)


def maps(model: SparseCombinations, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield the map of every frame, uint8 (H, W, 3) RGB."""
    return model.maps((moment.features, moment.rows, moment.columns) for moment in cell_cuboids(frames))
