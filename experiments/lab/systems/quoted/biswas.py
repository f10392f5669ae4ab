"""After Biswas & Babu: lengths of motion vectors (`models.quoted.biswas`)."""

from collections.abc import Iterable, Iterator

import numpy as np

from data_prep.motion_vectors import BLOCK_PX, motion_magnitudes
from experiments.lab.settings.schema import Settings
from experiments.lab.systems.quoted.sources import CellRecipe, CellShards, Shape
from experiments.lab.systems.quoted.tasks import Clips, Method, Stream, map_task
from experiments.lab.training.task import Task
from models.quoted.biswas import LengthHistograms
from models.quoted.cell_maps import CellGrid


def grid(frame_shape: Shape) -> CellGrid:
    """Return the blocks of a frame."""
    return CellGrid.of_cells(BLOCK_PX, [side // 2 * 2 for side in frame_shape[:2]])


def recipe(settings: Settings) -> CellRecipe:
    """Return the recipe of the mean length of the vectors in each block."""
    return CellRecipe("motion_vectors", "x264-crf20", cells, grid)


def cells(frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield the length in each block, (R, 1), of every frame, uint8 (H, W, 3) RGB."""
    return (blocks.reshape(-1, 1) for blocks in motion_magnitudes(frames))


def task(source: CellShards, settings: Settings, seed: int) -> Task:
    """Return the task of the system: the median looks a frame ahead."""
    blocks = grid(source.frame_shape)

    def lengths(stream: Stream) -> Iterator[np.ndarray]:
        return (numbers.reshape(blocks.rows, blocks.columns) for numbers in stream)

    def fit(clips: Clips) -> LengthHistograms:
        return LengthHistograms.fit(map(lengths, clips()))

    def maps(model: LengthHistograms, stream: Stream) -> Iterator[np.ndarray]:
        return model.maps(lengths(stream))

    return map_task("after Biswas et al.", source, Method(fit, maps, blocks, {}, ahead_frames=1), seed)
