"""Maps of cells: what the quoted systems give of a frame, however many rows and columns they divide it into.

A map is float (rows, columns), high where it is abnormal. Maps stream: one a frame of a clip, in order.
"""

import functools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import repeat
from typing import TypeVar

import numpy as np
from scipy import ndimage

Item = TypeVar("Item")


@dataclass(frozen=True)
class CellGrid:
    """How cells lie in a picture: row r begins at r * `cell_height_px`, column c at c * `cell_width_px`.

    A border that is left beyond the last whole cell belongs to the cell beside it.
    """

    rows: int
    columns: int
    cell_height_px: float
    cell_width_px: float

    @classmethod
    def dividing(cls, rows: int, columns: int, frame_shape: tuple[int, ...]) -> "CellGrid":
        """Return the grid that divides a frame, (H, W[, 3]), evenly."""
        return cls(rows, columns, frame_shape[0] / rows, frame_shape[1] / columns)

    @classmethod
    def of_cells(cls, cell_px: int, frame_shape: tuple[int, ...], whole: bool = False) -> "CellGrid":
        """Return the grid of square cells; the last row and column are cut, or left out if `whole`."""
        counts = [side // cell_px if whole else -(-side // cell_px) for side in frame_shape[:2]]
        return cls(max(1, counts[0]), max(1, counts[1]), cell_px, cell_px)

    def cell_of_pixel(self, frame_shape: tuple[int, ...]) -> np.ndarray:
        """Return the cell of each pixel of a frame, row * columns + column, int (H, W); not to be changed."""
        return _cell_of_pixel(self, tuple(frame_shape[:2]))

    def means(self, values: np.ndarray) -> np.ndarray:
        """Return the mean of the pixels of each cell, float64 (rows, columns), of a picture, (H, W)."""
        cells, n_cells = self.cell_of_pixel(values.shape).ravel(), self.rows * self.columns
        sums, n_px = (np.bincount(cells, weights, n_cells) for weights in (values.ravel(), None))
        return (sums / np.maximum(n_px, 1)).reshape(self.rows, self.columns)

    def boxes(self, frame_shape: tuple[int, ...]) -> np.ndarray:
        """Return left, top, right, bottom of each cell in a frame, row by row, px, float32 (cells, 4)."""
        (top, bottom), (left, right) = (
            _edges(n_cells, cell_px, n_px)
            for n_cells, cell_px, n_px in (
                (self.rows, self.cell_height_px, frame_shape[0]),
                (self.columns, self.cell_width_px, frame_shape[1]),
            )
        )
        boxes = np.empty((self.rows, self.columns, 4), np.float32)
        boxes[..., 0], boxes[..., 2] = left, right
        boxes[..., 1], boxes[..., 3] = top[:, None], bottom[:, None]
        return boxes.reshape(-1, 4)

    def pixel_map(self, cells: np.ndarray, frame_shape: tuple[int, ...]) -> np.ndarray:
        """Return the map at the frame's size, (H, W): each pixel has the value of its cell.

        Values are not interpolated: a system that finds a cell abnormal says so of all of it, and under a
        pixel-level criterion the map then has as many thresholds as it has cells.
        """
        return np.asarray(cells).reshape(-1)[self.cell_of_pixel(frame_shape)]


def _edges(n_cells: int, cell_px: float, n_px: int) -> tuple[np.ndarray, np.ndarray]:
    """Return where cells begin and end along one axis of a frame; the last one ends with the frame."""
    begin = np.minimum(np.arange(n_cells) * cell_px, n_px)
    return begin, np.append(begin[1:], n_px)


@functools.lru_cache(maxsize=16)
def _cell_of_pixel(grid: CellGrid, frame_shape: tuple[int, int]) -> np.ndarray:
    rows, columns = (
        np.minimum(((np.arange(n_px) + 0.5) / cell_px).astype(int), n_cells - 1)
        for n_px, cell_px, n_cells in (
            (frame_shape[0], grid.cell_height_px, grid.rows),
            (frame_shape[1], grid.cell_width_px, grid.columns),
        )
    )
    cells = rows[:, None] * grid.columns + columns
    cells.flags.writeable = False
    return cells


def frame_scores(maps: np.ndarray, how: str = "max") -> np.ndarray:
    """Return the score of each frame, (n,), from the maps of a clip, (n, rows, columns).

    Args:
        maps: see above.
        how: "max" or "mean" over cells.
    """
    if how not in ("max", "mean"):
        raise ValueError(f"how: expected max or mean, got {how!r}")
    return getattr(np.asarray(maps), how)(axis=(1, 2))


def around(items: Iterable[Item], n_items: int) -> Iterator[tuple[Item, ...]]:
    """Yield, for each item, the `n_items` around it, an odd number; the first and the last one repeat."""
    half = n_items // 2
    window: deque[Item] = deque(maxlen=n_items)
    for item in items:
        window.extend(repeat(item, 1 if window else half + 1))
        if len(window) == n_items:
            yield tuple(window)
    for _ in range(half if window else 0):
        window.append(window[-1])
        if len(window) == n_items:
            yield tuple(window)


def smoothed(
    maps: Iterable[np.ndarray],
    size: tuple[int, int, int],
    reduce: Callable[..., np.ndarray] = ndimage.uniform_filter,
) -> Iterator[np.ndarray]:
    """Yield maps smoothed over `size` = (frames, rows, columns), odd numbers; edges repeat, in time as well.

    Args:
        maps: one a frame.
        size: of the box.
        reduce: `scipy.ndimage.uniform_filter`, or `median_filter`.
    """
    half = size[0] // 2
    for window in around(maps, size[0]):
        yield reduce(np.stack(window), size, mode="nearest")[half]
