"""What the regions of runs cover of the frame: a pyramid's finest cells, cells of px, or flow windows."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from data_prep.datasets import Dataset
from data_prep.errors import InputError
from data_prep.flow_windows.place import FILE, load_place
from data_prep.frames import read_frames
from experiments.lab.scoring.footprints import (
    WINDOWS_SIDE,
    box_footprints,
    cell_errors,
    finest_level,
    footprints,
    map_side,
)
from experiments.lab.scoring.frame_truth import Entries, map_shape
from experiments.lab.scoring.measure import Runs
from experiments.lab.scoring.pixel_metrics import MAX_THRESHOLDS
from models.quoted.cell_maps import CellGrid

CELLS, CELLS_OF_PX = "cells", "cells of equal size"
WINDOWS_THRESHOLDS = 2000  # at most: a frame has windows by the dozen, each with an error of its own


@dataclass(frozen=True)
class Geometry:
    """How errors land in the image, see `pixel_metrics`.

    Attributes:
        entries: of the map.
        covers: which entries each region covers, bool (n, E).
        most_thresholds: of curves, see `pixel_metrics.curve_thresholds`.
        name: of the regions, in words.
    """

    entries: Entries
    covers: np.ndarray
    most_thresholds: int
    name: str

    @property
    def map_shape(self) -> tuple[int, int]:
        """Return the rows and columns of the map."""
        return map_shape(self.entries)

    def regions(self, anomaly: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return clip -> (n_frames, n) of these regions, given that of all regions of a frame."""
        return cell_errors(anomaly) if self.name == CELLS else dict(anomaly)


def geometry_of(runs: Runs, dataset: Dataset) -> Geometry:
    """Return what the regions of runs cover. InputError: several kinds of regions or sizes of frames."""
    on_windows = [(run.folder / FILE).exists() for run in runs.values()]
    numbers = {clip.error.shape[1] for run in runs.values() for clip in run.scores()}
    if len(numbers) > 1:
        raise InputError(f"regions of one kind say where, got {' and '.join(map(str, sorted(numbers)))}")
    (n_regions,) = numbers
    first = next(iter(runs.values()))
    if "cells" in first.config:
        grid = CellGrid(**first.config["cells"])
        if grid.rows * grid.columns != n_regions or min(grid.cell_height_px, grid.cell_width_px) <= 0:
            raise InputError(f"{first.folder}: errors of {n_regions} cells, expected those of {grid}")
        return Geometry(grid, np.eye(n_regions, dtype=bool), MAX_THRESHOLDS, CELLS_OF_PX)
    if not all(on_windows):
        sides = {map_side(run.config["features"]) for run in runs.values()}
        if len(sides) > 1:
            told = " and ".join(f"{side}x{side}" for side in sorted(sides))
            raise InputError(f"cells of maps of one size say where, got maps of {told}")
        (side,) = sides
        try:
            covers = footprints(side, finest_level(n_regions))
        except ValueError as fault:
            raise InputError(f"{first.folder}: {fault}") from None
        return Geometry(side, covers, MAX_THRESHOLDS, CELLS)
    shapes = {read_frames(clip.source, [0]).shape[1:3] for clip in dataset.split("test")}
    if len(shapes) > 1:
        raise InputError(f"windows of frames of one size say where, got {len(shapes)} sizes")
    height, width = shapes.pop()
    boxes = load_place(first.folder).boxes((height, width)) / (width, height, width, height)
    return Geometry(WINDOWS_SIDE, box_footprints(boxes), WINDOWS_THRESHOLDS, "windows")
