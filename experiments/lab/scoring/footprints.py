"""Which entries of a map over the frame each region covers; `pixel_metrics` says how the map lies there."""

import functools
import math
from collections.abc import Mapping

import keras
import numpy as np

from data_prep.backbones import LAYERS
from data_prep.errors import InputError
from data_prep.pooling import PYRAMID_LEVELS, PYRAMIDS, level_regions, region_pyramid

MOST_INPUT_PX = 4096
WINDOWS_SIDE = 60  # entries of the map that windows are drawn on; the smallest windows hold one or two a side


def map_side(features: Mapping) -> int:
    """Return s, the side of the finest map behind a run's features: its `layer` and `input_size_px`.

    Raises InputError: a layer, or a size, that no network has.
    """
    finest, size_px = features["layer"].split("+")[0], features["input_size_px"]
    if finest not in LAYERS or not 0 < size_px <= MOST_INPUT_PX:
        raise InputError(f"features of layer {finest!r} and {size_px} px: expected those of a network")
    return math.ceil(size_px / (4 << LAYERS.index(finest)))


@functools.cache
def footprints(side: int = 7, level: int = PYRAMID_LEVELS[-1]) -> np.ndarray:
    """Return which entries of a map each cell of a pyramid level covers, bool (level ** 2, side ** 2)."""
    pyramid = next(name for name, levels in PYRAMIDS.items() if levels[-1] == level)
    one_entry_each = np.eye(side * side, dtype=np.float32).reshape(-1, side, side, 1)
    pooled = keras.ops.convert_to_numpy(region_pyramid(one_entry_each, pyramid=pyramid))
    return pooled[:, -(level**2) :, 0].T > 0


def finest_level(n_regions: int) -> int:
    """Return the cells a side of the finest level of a frame's regions: 4 of 21 regions."""
    return max(level_regions(n_regions))


def cell_errors(region_errors: Mapping[str, np.ndarray], level: int | None = None) -> dict[str, np.ndarray]:
    """Return the errors of one level's cells, the finest by default, of those of all regions.

    Both are clip -> (n_frames, regions).
    """
    cells = {}
    for clip, errors in region_errors.items():
        n_regions = errors.shape[1]
        cells[clip] = errors[:, level_regions(n_regions)[level or finest_level(n_regions)]]
    return cells


def box_footprints(boxes: np.ndarray, side: int = WINDOWS_SIDE) -> np.ndarray:
    """Return which entries of a map each box covers, bool (n, side ** 2): those whose middle it holds.

    Boxes are shares of the frame, left, top, right, bottom, (n, 4).
    """
    middle = (np.arange(side) + 0.5) / side
    left, top, right, bottom = boxes[:, :, None].swapaxes(0, 1)
    columns = (left <= middle) & (middle < right)
    rows = (top <= middle) & (middle < bottom)
    return (rows[:, :, None] & columns[:, None, :]).reshape(len(boxes), -1)
