"""HOFM and HOFME: the nearest histogram of flow that a cell had in training (`models.quoted.hofm`)."""

from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from experiments.lab.settings.schema import Settings
from experiments.lab.systems.quoted.sizes import on_frame, shrunk, shrunk_shape
from experiments.lab.systems.quoted.sources import CellRecipe, CellShards, Shape
from experiments.lab.systems.quoted.tasks import Clips, Method, Stream, map_task
from experiments.lab.training.task import Task
from models.quoted import hofm
from models.quoted.cell_maps import CellGrid
from models.quoted.hofm import NearestHistogram, flow_histograms

BINS = hofm.ORIENTATIONS, hofm.LENGTHS, hofm.ENTROPIES


def grid(frame_shape: Shape) -> CellGrid:
    """Return the cells of a frame."""
    return on_frame(CellGrid.of_cells(hofm.CELL_PX, shrunk_shape(frame_shape), whole=True), frame_shape)


def recipe(settings: Settings) -> CellRecipe:
    """Return the recipe of the histograms with entropy, from which HOFM's follow."""
    return CellRecipe("flow_histograms", "lucas_kanade", cells, grid)


def cells(frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield the histograms of the cells, (R, 84), of every frame, uint8 (H, W, 3) RGB."""
    grays = (cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in shrunk(frames))
    for histograms in flow_histograms(grays):
        yield histograms.reshape(-1, np.prod(BINS)).astype(np.float32)


def hofm_task(source: CellShards, settings: Settings, seed: int) -> Task:
    """Return the task of HOFM, which looks at no later frame."""
    return map_task("HOFM", source, method(source, seed, with_entropy=False), seed)


def hofme_task(source: CellShards, settings: Settings, seed: int) -> Task:
    """Return the task of HOFME, likewise."""
    return map_task("HOFME", source, method(source, seed, with_entropy=True), seed)


def method(source: CellShards, seed: int, with_entropy: bool) -> Method:
    """Return how either is fitted and what it says of a clip."""
    cells_of_frame = grid(source.frame_shape)

    def histograms(stream: Stream) -> Iterator[np.ndarray]:
        shape = cells_of_frame.rows, cells_of_frame.columns, *BINS
        return (numbers.reshape(shape).astype(np.uint16) for numbers in stream)

    def fit(clips: Clips) -> NearestHistogram:
        return NearestHistogram.fit(map(histograms, clips()), with_entropy, seed)

    def maps(model: NearestHistogram, stream: Stream) -> Iterator[np.ndarray]:
        return model.maps(histograms(stream))

    return Method(fit, maps, cells_of_frame, {}, ahead_frames=0, knows_training=True)
