"""Social force as Mahadevan et al. 2010 ran it, without LDA, and its sum with MPPCA.

Mehran, Oyama & Shah, "Abnormal crowd behavior detection using social force model", CVPR 2009, let particles
move with the flow and call the force that turns them from where they want to go an interaction:

    F = (v_q - v) / tau - dv/dt,    v_q = (1 - p) O + p v

with the flow O of the frame and v, its average in space and time, with which a particle is carried along.
They describe |F| by words of an LDA model. The 61.3 % of the paper's table is from Mahadevan et al., "Anomaly
detection in crowded scenes", CVPR 2010, who left LDA out, averaged |F| in space and time, and added it,
normalized, to the score of MPPCA.

Source: 1/tau = 0.5 and p = 0 from a re-implementation (not the authors'). Our inferences: v is a Gaussian
average, of sigma 5 px and 1 frame; |F| is averaged over the nodes of MPPCA, then over 3 x 3 nodes and 5
frames as there; "normalized" is by mean and standard deviation over nodes and frames of the training clips; a
frame's score is the maximum.
"""

from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from models.quoted.cell_maps import CellGrid, around, smoothed
from models.quoted.mppca import NODE_SIDE, SMOOTHING

RELAXATION = 0.5  # 1 / tau, per frame
PANIC = 0.0  # p
SIGMA, SIGMA_FRAMES, WINDOW_FRAMES = 2.5, 1.0, 5  # sigma in entries of the flow: 5 px


def forces(flows: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield |F| of each frame of a clip, float32 (h, w), in px a frame squared.

    Args:
        flows: O of each frame, float32 (h, w, 2), in px a frame.
    """
    before = None
    for flow, average in average_flows(flows):
        wanted = (1 - PANIC) * flow + PANIC * average
        change = 0 if before is None else average - before
        yield np.linalg.norm(RELAXATION * (wanted - average) - change, axis=-1)
        before = average


def average_flows(flows: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (O, v) of each frame, (h, w, 2) each: the flow and its Gaussian average in space and time."""
    blurred = ((flow, cv2.GaussianBlur(flow, (0, 0), SIGMA)) for flow in flows)
    weights = np.exp(-((np.arange(WINDOW_FRAMES) - WINDOW_FRAMES // 2) ** 2) / (2 * SIGMA_FRAMES**2))
    weights = (weights / weights.sum()).astype(np.float32)
    for window in around(blurred, WINDOW_FRAMES):
        average = sum(weight * blur for weight, (_, blur) in zip(weights, window, strict=True))
        yield window[WINDOW_FRAMES // 2][0], average


def node_forces(flows: Iterable[np.ndarray], node_side: int = NODE_SIDE) -> Iterator[np.ndarray]:
    """Yield the mean |F| of each node, float64 (rows, columns), one map a frame of a clip."""
    for force in forces(flows):
        yield CellGrid.of_cells(node_side, force.shape).means(force)


def force_maps(node_forces: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield the forces at the nodes, float64 (rows, columns), smoothed, one map a frame of a clip."""
    return smoothed(node_forces, SMOOTHING)


class Standardized:
    """The sum of several maps, each by its mean and standard deviation over training; make it with `fit`.

    Attributes:
        means, deviations: of each kind of map, (K,).
    """

    def __init__(self, means: np.ndarray, deviations: np.ndarray):
        self.means, self.deviations = means, deviations

    @classmethod
    def fit(cls, clips: Iterable[Iterable[tuple[np.ndarray, ...]]]) -> "Standardized":
        """Return the sum's scales, of the maps of all training frames, read once.

        Args:
            clips: for each clip, of each frame a map of each kind, (rows, columns).

        Raises ValueError: no frames at all, a kind whose maps are constant.
        """
        count, total, squares = 0, 0.0, 0.0
        for maps in (maps for clip in clips for maps in clip):
            values = np.array(maps, np.float64).reshape(len(maps), -1)
            if not count:  # differences from near the mean keep their digits
                offset = values.mean(axis=1, keepdims=True)
            values -= offset
            count += values.shape[1]
            total = total + values.sum(axis=1)
            squares = squares + (values**2).sum(axis=1)
        if not count:
            raise ValueError("clips: expected maps of frames, got none")
        deviations = np.sqrt(squares / count - (total / count) ** 2)
        if not (deviations > 0).all():
            raise ValueError("clips: expected maps that differ, got constant ones")
        return cls(total / count + offset[:, 0], deviations)

    def maps(self, frames: Iterable[tuple[np.ndarray, ...]]) -> Iterator[np.ndarray]:
        """Yield sum_k (map_k - mean_k) / deviation_k, (rows, columns), one map a frame."""
        for maps in frames:
            yield sum(
                (cells - mean) / deviation
                for cells, mean, deviation in zip(maps, self.means, self.deviations, strict=True)
            )
