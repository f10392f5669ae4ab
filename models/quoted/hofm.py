"""HOFM and HOFME: histograms of the orientation, magnitude and entropy of flow, and the nearest one known.

HOFM: Colque, Caetano & Schwartz, "Histograms of Optical Flow Orientation and Magnitude to Detect Anomalous
Events in Videos", SIBGRAPI 2015. HOFME: Colque et al., "Histograms of Optical Flow Orientation and Magnitude
and Entropy to Detect Anomalous Events in Videos", IEEE TCSVT 2017; the paper's reference for it is another
article. A pixel that moves counts in its cell, of 30 x 30 px, at

    (floor(angle / 90 degrees), min(floor(length / 2.5 px), 6), floor(3 entropy))

the last for HOFME alone. A histogram holds the flow from frame t-4 to t-2 and from t-2 to t. The score of a
cell is the distance of its histogram to the nearest that the same cell had in training.

Source: the authors' release of HOFM (RenssoMora/DescriptorHOM): everything up to the histogram, with the
pixels that a saturating difference finds, those that got brighter. Recalled: the nearest neighbour, each cell
on its own, and the maximum over cells as the frame's score. Our inference: the entropy, of the four
orientations of the moving pixels in 5 x 5, over log 4, in three equal bins; that a histogram belongs to its
last frame; the Euclidean distance; the flow of pixels that Lucas-Kanade loses is left out.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import cv2
import numpy as np

from models.quoted.cell_maps import CellGrid
from models.quoted.reservoir import Reservoir

CELL_PX = 30
STEP_FRAMES = 2
LEAST_DIFFERENCE = 30
LEAST_LENGTH_PX = 0.1
ORIENTATIONS, LENGTHS, ENTROPIES = 4, 7, 3
LENGTH_BIN_PX = 2.5
ENTROPY_PX = 5
FLOW: dict[str, Any] = {
    "winSize": (31, 31),
    "maxLevel": 3,
    "criteria": (cv2.TERM_CRITERIA_COUNT + cv2.TERM_CRITERIA_EPS, 20, 0.3),
    "minEigThreshold": 0.001,
}
MOST_HISTOGRAMS = 5000
FRAMES_AT_ONCE = 64  # that a fit hands on together


def flow_histograms(frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield the histograms of each frame of a clip, uint16 (rows, columns, 4, 7, 3); HOFM's are the last sum.

    Args:
        frames: gray, uint8 (H, W), in order. The first ones have no flow behind them, and count nothing.
    """
    last: deque[np.ndarray] = deque(maxlen=STEP_FRAMES)
    parts: deque[np.ndarray] = deque(maxlen=STEP_FRAMES)
    for frame in frames:
        if len(last) < STEP_FRAMES:
            grid = CellGrid.of_cells(CELL_PX, frame.shape, whole=True)
            part = np.zeros((grid.rows, grid.columns, ORIENTATIONS, LENGTHS, ENTROPIES), np.uint16)
        else:
            part = pair_histograms(last[0], frame, grid)
        yield part + parts[0] if len(parts) == STEP_FRAMES else part
        last.append(frame)
        parts.append(part)


def pair_histograms(before: np.ndarray, after: np.ndarray, grid: CellGrid) -> np.ndarray:
    """Return the histograms of the flow between two gray frames, uint16 (rows, columns, 4, 7, 3)."""
    shape = (grid.rows, grid.columns, ORIENTATIONS, LENGTHS, ENTROPIES)
    points = np.argwhere(cv2.subtract(after, before) > LEAST_DIFFERENCE)
    if not len(points):
        return np.zeros(shape, np.uint16)
    starts = points[:, ::-1].astype(np.float32)  # x, y
    ends, found, _ = cv2.calcOpticalFlowPyrLK(before, after, starts[:, None], None, **FLOW)
    x, y = (ends[:, 0] - starts).T
    length = np.hypot(x, y)
    moves = (found[:, 0] > 0) & (length > LEAST_LENGTH_PX)
    points, x, y, length = points[moves], x[moves], y[moves], length[moves]
    orientation = (np.arctan2(y, x) % (2 * np.pi) / (2 * np.pi / ORIENTATIONS)).astype(int) % ORIENTATIONS
    bins = np.minimum(length / LENGTH_BIN_PX, LENGTHS - 1).astype(int)
    entropy = entropy_bins(points, orientation, before.shape)
    cells = grid.cell_of_pixel(before.shape)[points[:, 0], points[:, 1]]
    index = np.ravel_multi_index((cells, orientation, bins, entropy), (grid.rows * grid.columns, *shape[2:]))
    return np.bincount(index, minlength=np.prod(shape)).reshape(shape).astype(np.uint16)


def entropy_bins(points: np.ndarray, orientation: np.ndarray, frame_shape: tuple[int, int]) -> np.ndarray:
    """Return the bin of each point's entropy, int (n,): that of the orientations in the 5 x 5 px around it.

    Args:
        points: int (n, 2), rows and columns of the moving pixels.
        orientation: int (n,), the bin of each.
        frame_shape: (H, W).
    """
    counts = []
    for one in range(ORIENTATIONS):
        moving = np.zeros(frame_shape, np.float32)
        moving[tuple(points[orientation == one].T)] = 1
        box = cv2.boxFilter(
            moving, -1, (ENTROPY_PX, ENTROPY_PX), normalize=False, borderType=cv2.BORDER_CONSTANT
        )
        counts.append(box[tuple(points.T)])
    share = np.array(counts) / np.sum(counts, axis=0)
    entropy = -(share * np.log(np.where(share > 0, share, 1))).sum(axis=0) / np.log(ORIENTATIONS)
    return np.minimum(ENTROPIES * entropy, ENTROPIES - 1).astype(int)


class NearestHistogram:
    """The histograms that each cell had in training; make it with `fit`.

    Attributes:
        known: of each cell, row by row, float64 (n, 28) or (n, 84), no two alike.
        shape: (rows, columns).
        with_entropy: HOFME, else HOFM.
    """

    def __init__(self, known: list[np.ndarray], shape: tuple[int, int], with_entropy: bool):
        self.known, self.shape, self.with_entropy = known, shape, with_entropy
        self._squares = [(of_cell**2).sum(axis=1) for of_cell in known]

    @classmethod
    def fit(
        cls, clips: Iterable[Iterable[np.ndarray]], with_entropy: bool = True, seed: int = 0
    ) -> "NearestHistogram":
        """Return the histograms of training clips, read once.

        Args:
            clips: the `flow_histograms` of each clip, all of the same grid.
            with_entropy: HOFME, else HOFM.
            seed: of the draw of 5,000 histograms a cell, where there are more. Our inference, so that memory
                is bounded.

        Raises ValueError: no frames at all, frames of different sizes.
        """
        reservoirs: list[Reservoir] = []
        frames = (frame for clip in clips for frame in clip)
        while block := list(islice(frames, FRAMES_AT_ONCE)):
            if not reservoirs:
                shape = block[0].shape[:2]
                reservoirs = [Reservoir(MOST_HISTOGRAMS, seed + cell) for cell in range(shape[0] * shape[1])]
            if others := [frame.shape[:2] for frame in block if frame.shape[:2] != shape]:
                raise ValueError(f"clips: expected frames of one size, got {shape} and {others[0]} cells")
            histograms = np.stack([flat(frame, with_entropy) for frame in block], axis=1)
            for reservoir, of_cell in zip(reservoirs, histograms, strict=True):
                reservoir.add(of_cell)
        if not reservoirs:
            raise ValueError("clips: expected frames to learn from, got none")
        known = [distinct(reservoir.rows()).astype(np.float64) for reservoir in reservoirs]
        return cls(known, shape, with_entropy)

    def maps(self, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Yield the score of each cell, float64 (rows, columns), one map a frame.

        Args:
            frames: the `flow_histograms` of a clip.
        """
        for frame in frames:
            histograms = flat(frame, self.with_entropy).astype(np.float64)
            # ||k - h||^2 = ||k||^2 - 2 k h + ||h||^2; of counts, which are whole, each term is exact.
            squares = [
                (squares - 2 * known @ one).min()
                for known, squares, one in zip(self.known, self._squares, histograms, strict=True)
            ]
            yield np.sqrt(squares + (histograms**2).sum(axis=1)).reshape(self.shape)


def flat(frame: np.ndarray, with_entropy: bool) -> np.ndarray:
    """Return the histograms of a frame as rows, one a cell: (n, 84), or (n, 28) without the entropy."""
    if not with_entropy:
        frame = frame.sum(axis=-1, dtype=frame.dtype)
    return frame.reshape(frame.shape[0] * frame.shape[1], -1)


def distinct(rows: np.ndarray) -> np.ndarray:
    """Return rows, (n, C), each once; `np.unique` sorts them, which takes most of the fit."""
    return np.array(list({row.tobytes(): row for row in rows}.values()))
