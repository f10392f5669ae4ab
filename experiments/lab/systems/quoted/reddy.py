"""Reddy et al.: speed, size and texture of the foreground in each cell (`models.quoted.reddy`)."""

from collections.abc import Iterable, Iterator

import numpy as np

from data_prep.foreground import foreground
from experiments.lab.settings.schema import Settings
from experiments.lab.systems.quoted.sizes import on_frame, shrunk, shrunk_shape
from experiments.lab.systems.quoted.sources import CellRecipe, CellShards, Shape
from experiments.lab.systems.quoted.tasks import Clips, Method, Stream, map_task
from experiments.lab.training.task import Task
from models.quoted import reddy
from models.quoted.cell_maps import CellGrid
from models.quoted.reddy import CellFeatures, CellModels


def grid(frame_shape: Shape) -> CellGrid:
    """Return the cells of a frame."""
    return on_frame(CellGrid.of_cells(reddy.CELL_PX, shrunk_shape(frame_shape)), frame_shape)


def recipe(settings: Settings) -> CellRecipe:
    """Return the recipe of speed, size and four numbers of texture."""
    return CellRecipe("foreground_cells", "mog2", cells, grid)


def cells(frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield speed, size and texture of each cell, (R, 6), of every frame, uint8 (H, W, 3) RGB."""
    for frame in reddy.cell_features(foreground(shrunk(frames))):
        numbers = np.concatenate([frame.speed[..., None], frame.size[..., None], frame.texture], axis=-1)
        yield numbers.reshape(-1, numbers.shape[-1])


def task(source: CellShards, settings: Settings, seed: int) -> Task:
    """Return the task of the system: speed looks a frame ahead, the filter one more."""
    own = {"reddy_known": settings.quoted.reddy_known, "reddy_rule": settings.quoted.reddy_rule}
    cells_of_frame = grid(source.frame_shape)

    def features(stream: Stream) -> Iterator[CellFeatures]:
        for numbers in stream:
            by_cell = numbers.reshape(cells_of_frame.rows, cells_of_frame.columns, -1)
            yield CellFeatures(by_cell[..., 0], by_cell[..., 1], by_cell[..., 2:])

    def fit(clips: Clips) -> CellModels:
        both = own["reddy_rule"] == "both"
        return CellModels.fit(map(features, clips()), own["reddy_known"], both)

    def maps(model: CellModels, stream: Stream) -> Iterator[np.ndarray]:
        return model.maps(features(stream))

    method = Method(fit, maps, cells_of_frame, own, ahead_frames=2, most=-np.log(reddy.LEAST_DENSITY))
    return map_task("Reddy et al.", source, method, seed)
