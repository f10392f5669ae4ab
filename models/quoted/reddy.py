"""Reddy et al. 2011: the speed, size and texture of the foreground in each cell, each with its own model.

Reddy, Sanderson & Lovell, "Improved anomaly detection in crowded scenes via cell-based analysis of foreground
speed, size and texture", CVPR Workshops 2011. A cell is 16 x 16 px. With p_speed and p_size the training
densities of what it shows and rho its correlation with known textures, a cell is abnormal if

    p_speed < T,   or   p_size < T and max |rho| <= 0.90

and the flag stays if some 3 x 3 cells around it, in this frame or a neighbour, hold two flags.

Source of steps and parameters: NICTA's release, as summed up in the project's notes. Our inferences: the
foreground, which the release estimates by a method of its own (here MOG2); speed is measured back from a
foreground pixel to the frame before; densities are of the samples that would be tested; and the threshold is
swept. For the sweep, each cell has the smallest p at which it is flagged, so that its score -log p* is

    p* = min(p_speed, p_size if max |rho| <= 0.90 else 1)

and the flags that stay at a threshold are those whose score and whose best second-largest neighbour both
reach it: min(score, max over three frames of the second largest of 3 x 3) is swept like any score.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from scipy import ndimage

from models.quoted.cell_maps import CellGrid, around

CELL_PX = 16
FLOW: dict[str, Any] = {"winSize": (15, 15), "maxLevel": 0, "criteria": (cv2.TERM_CRITERIA_EPS + 1, 20, 0.03)}
LEAST_SPEED, LEAST_SIZE, LEAST_TRAINED_SIZE = 0.5, 5, 8
SPEEDS, SPEED_BANDWIDTH = np.linspace(0, 15, 31), 0.25
SIZES, SIZE_BANDWIDTH = np.linspace(0, CELL_PX**2, 26), 3.0
JOINING, KNOWN = 0.8, 0.90
ANGLES = (0, 45, 90, 135)
# Densities of 0, beyond the grid or where training saw nothing, need a finite score: below that of every
# density that is a number. Our inference.
LEAST_DENSITY = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True)
class CellFeatures:
    """What the cells of one frame show.

    Attributes:
        speed: (rows, columns), px in three frames: mean |dx| + |dy| of the foreground of each, added.
        size: (rows, columns), foreground px of 0..256, smoothed over cells.
        texture: (rows, columns, 4), sums of |Gabor response| in four directions.
    """

    speed: np.ndarray
    size: np.ndarray
    texture: np.ndarray


def cell_features(frames: Iterable[tuple[np.ndarray, np.ndarray]]) -> Iterator[CellFeatures]:
    """Yield the features of each frame of a clip.

    Args:
        frames: (gray, foreground): uint8 (H, W) and bool (H, W), in order.
    """
    for before, frame, after in around(_frame_features(frames), 3):
        yield CellFeatures(before.speed + frame.speed + after.speed, frame.size, frame.texture)


def _frame_features(frames: Iterable[tuple[np.ndarray, np.ndarray]]) -> Iterator[CellFeatures]:
    last = None
    for gray, mask in frames:
        grid = CellGrid.of_cells(CELL_PX, gray.shape)
        speed = np.zeros((grid.rows, grid.columns)) if last is None else cell_speeds(last, gray, mask, grid)
        yield CellFeatures(speed, cell_sizes(mask, grid), cell_textures(gray, grid))
        last = gray


def cell_speeds(before: np.ndarray, gray: np.ndarray, mask: np.ndarray, grid: CellGrid) -> np.ndarray:
    """Return the mean |dx| + |dy| of the foreground pixels in each cell, (rows, columns), px a frame."""
    points = np.argwhere(mask)[:, ::-1].astype(np.float32)  # x, y
    if not len(points):
        return np.zeros((grid.rows, grid.columns))
    moved, found, _ = cv2.calcOpticalFlowPyrLK(gray, before, points[:, None], None, **FLOW)
    found = found[:, 0] > 0
    cells = grid.cell_of_pixel(gray.shape)[mask][found]
    lengths = np.abs(moved[:, 0] - points).sum(axis=1)[found]
    sums, counts = (np.bincount(cells, weights, grid.rows * grid.columns) for weights in (lengths, None))
    return (sums / np.maximum(counts, 1)).reshape(grid.rows, grid.columns)


def cell_sizes(mask: np.ndarray, grid: CellGrid) -> np.ndarray:
    """Return the foreground pixels of each cell, smoothed by [1 2 1] both ways over cells."""
    counts = np.bincount(grid.cell_of_pixel(mask.shape)[mask], minlength=grid.rows * grid.columns)
    kernel = np.outer([1, 2, 1], [1, 2, 1]) / 16
    return ndimage.correlate(counts.reshape(grid.rows, grid.columns).astype(float), kernel, mode="constant")


def cell_textures(gray: np.ndarray, grid: CellGrid) -> np.ndarray:
    """Return the sums of |Gabor response| in each cell, (rows, columns, 4)."""
    height_px, width_px = grid.rows * CELL_PX, grid.columns * CELL_PX
    textures = []
    for angle in ANGLES:
        response = np.zeros((height_px, width_px), np.float32)
        response[: gray.shape[0], : gray.shape[1]] = np.abs(cv2.filter2D(gray, cv2.CV_32F, gabor(angle)))
        textures.append(response.reshape(grid.rows, CELL_PX, grid.columns, CELL_PX).sum(axis=(1, 3)))
    return np.stack(textures, axis=-1)


def gabor(angle_degrees: float) -> np.ndarray:
    """Return the 9 x 9 kernel, float64: with (x', y') turned by the angle, omega = 2 pi / 3 and kappa = pi,

    omega / (sqrt(2 pi) kappa) exp(-omega^2 (4 x'^2 + y'^2) / (8 kappa^2)) (cos omega x' - exp(-kappa^2 / 2))
    within radius 4, 0 beyond.
    """
    omega, kappa, angle = 2 * np.pi / 3, np.pi, np.radians(angle_degrees)
    y, x = np.mgrid[-4:5, -4:5]
    along, across = x * np.cos(angle) + y * np.sin(angle), -x * np.sin(angle) + y * np.cos(angle)
    envelope = np.exp(-(omega**2) * (4 * along**2 + across**2) / (8 * kappa**2))
    wave = np.cos(omega * along) - np.exp(-(kappa**2) / 2)
    return omega / (np.sqrt(2 * np.pi) * kappa) * envelope * wave * (x**2 + y**2 <= 16)


class CellModels:
    """The densities of speed and size, and the textures, that each cell showed; make it with `fit`.

    Attributes:
        speed, size: (rows, columns, points) on `SPEEDS` and `SIZES`; each cell's sum to 1, or are 0.
        textures: of each cell, row by row, (n, 4).
        known: largest |rho| of a texture that is not known.
        both: whether speed and size must be improbable together, the variant for LV.
    """

    def __init__(
        self,
        speed: np.ndarray,
        size: np.ndarray,
        textures: list[np.ndarray],
        known: float = KNOWN,
        both: bool = False,
    ) -> None:
        self.speed, self.size, self.textures = speed, size, textures
        self.known, self.both = known, both
        most = max(map(len, textures), default=0)
        self._units = np.zeros((len(textures), most, len(ANGLES)))  # no texture correlates with zeros
        for units, of_cell in zip(self._units, textures, strict=True):
            units[: len(of_cell)] = unit(of_cell)

    @classmethod
    def fit(
        cls, clips: Iterable[Iterable[CellFeatures]], known: float = KNOWN, both: bool = False
    ) -> "CellModels":
        """Return the models of training clips, read once.

        Args:
            clips: the features of each clip, all of the same grid.
            known: largest |rho| of a texture that is not known; for LV 0.95 (source: geekep/ADCSF).
            both: p_speed < T and p_size < T in place of or. Source: geekep/ADCSF, for LV.

        Raises ValueError: no frames at all, frames of different sizes.
        """
        grid = None
        for frame in (frame for clip in clips for frame in clip):
            if grid is None:
                grid = frame.size.shape
                speed, size = np.zeros((*grid, len(SPEEDS))), np.zeros((*grid, len(SIZES)))
                learned: list[list[tuple[np.ndarray, int]]] = [[] for _ in range(frame.size.size)]
            if frame.size.shape != grid:
                raise ValueError(
                    f"clips: expected frames of one size, got {grid} and {frame.size.shape} cells"
                )
            moving, filled = frame.speed > LEAST_SPEED, frame.size > LEAST_SIZE
            speed[moving] += kernel(frame.speed[moving], SPEEDS, SPEED_BANDWIDTH)
            size[filled] += kernel(frame.size[filled], SIZES, SIZE_BANDWIDTH)
            for cell in np.flatnonzero(frame.size > LEAST_TRAINED_SIZE):
                learn_texture(learned[cell], frame.texture.reshape(-1, len(ANGLES))[cell])
        if grid is None:
            raise ValueError("clips: expected frames to learn from, got none")
        textures = [np.array([mean for mean, _ in cell]).reshape(-1, len(ANGLES)) for cell in learned]
        return cls(normalized(speed), normalized(size), textures, known, both)

    def densities(self, frame: CellFeatures) -> np.ndarray:
        """Return p* of each cell, (rows, columns): the smallest threshold T that flags it; 1 for none."""
        speed = np.where(frame.speed > LEAST_SPEED, density(self.speed, SPEEDS, frame.speed), 1)
        filled = frame.size > LEAST_SIZE
        size = np.where(filled, density(self.size, SIZES, frame.size), 1)
        textures = unit(frame.texture[filled])
        largest = np.abs(np.einsum("cnk,ck->cn", self._units[filled.ravel()], textures)).max(1, initial=0)
        size[filled] = np.where(largest > self.known, 1, size[filled])
        return np.maximum(speed, size) if self.both else np.minimum(speed, size)

    def maps(self, frames: Iterable[CellFeatures]) -> Iterator[np.ndarray]:
        """Yield the score of each cell, (rows, columns), one map a frame; see the equation above."""
        scores = (-np.log(np.maximum(self.densities(frame), LEAST_DENSITY)) for frame in frames)
        for window in around(scores, 3):
            yield np.minimum(window[1], np.max([second_largest(map_) for map_ in window], axis=0))


def second_largest(cells: np.ndarray) -> np.ndarray:
    """Return the second largest score of the 3 x 3 cells around each; beyond the picture they are 0."""
    return ndimage.rank_filter(cells, -2, size=3, mode="constant", cval=0)


def kernel(values: np.ndarray, grid: np.ndarray, bandwidth: float) -> np.ndarray:
    """Return the Gaussian kernel of values, (n,), at the points of a grid, (n, points)."""
    return np.exp(-((values[:, None] - grid) ** 2) / (2 * bandwidth**2))


def normalized(densities: np.ndarray) -> np.ndarray:
    """Return densities whose points sum to 1 in each cell; those of a cell that saw nothing stay 0."""
    sums = densities.sum(axis=-1, keepdims=True)
    return np.divide(densities, sums, out=np.zeros_like(densities), where=sums > 0)


def density(densities: np.ndarray, grid: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the mean of the two grid values around each cell's value, (rows, columns); 0 beyond the grid."""
    index = np.floor(values / (grid[1] - grid[0])).astype(int)[..., None]
    index = np.where(values[..., None] == grid[-1], len(grid) - 2, index)  # the grid's own end is no beyond
    within = (index >= 0) & (index < len(grid) - 1)
    index = np.where(within, index, 0)
    pair = [np.take_along_axis(densities, index + step, axis=-1) for step in (0, 1)]
    return np.where(within, (pair[0] + pair[1]) / 2, 0)[..., 0]


def learn_texture(known: list[tuple[np.ndarray, int]], texture: np.ndarray) -> None:
    """Let a texture, (4,), join the first of a cell's (mean, count) that it resembles, or add it."""
    direction = unit(texture)
    for index, (mean, count) in enumerate(known):
        if abs(unit(mean) @ direction) > JOINING:
            known[index] = mean + (texture - mean) / (count + 1), count + 1
            return
    known.append((texture, 1))


def unit(textures: np.ndarray) -> np.ndarray:
    """Return textures, (..., 4), less their mean and of length 1; zeros where one is constant.

    The Pearson correlation of two textures is the product of theirs.
    """
    centered = textures - textures.mean(axis=-1, keepdims=True)
    lengths = np.linalg.norm(centered, axis=-1, keepdims=True)
    return np.divide(centered, lengths, out=np.zeros(centered.shape), where=lengths > 0)
