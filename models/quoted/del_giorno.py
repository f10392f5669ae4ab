"""Del Giorno et al. 2016: how well a classifier tells frames from those before them, in many orders.

Del Giorno, Bagnell & Hebert, "A discriminative framework for anomaly detection in large videos", ECCV 2016.
Nothing is trained: a test clip is compared with itself. In an order of its frames, for u = 20, 30, ..: the
last 10 frames of the first u are labelled 1, those before them 0, and logistic regression on their cuboids
gives a cuboid of the last 10 the probability P(1): near 1/2 if the like was seen before. Averaged over 10
random orders and the clip's own, as a, the score of a cuboid is a / (1 - a).

Source: the authors' release (alliedel/anomalyframework_ECCV2016): whitened cuboids, windows of 10 frames and
as many between them, lambda = 10 with C = 1 / lambda, a bias that is penalized as a weight is, class weights
(u - 10) / u for 1 and 10 / u for 0, so that both classes weigh the same; 10 shuffles; the score, a box of
5 x 5 x 5 over its map, and the mean over the map as a frame's score. Our inferences: the window that ends
with the order where frames are left over; 0.5 for cuboids that were in no window; clips over 1,500 frames
fall into pieces, since time grows with the square of their length and memory with it.
"""

from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
from sklearn.linear_model import LogisticRegression

from models.quoted.cell_maps import smoothed

WINDOW_FRAMES = 10
STEP_FRAMES = 10
LAMBDA = 10.0
ORDERS = 10
N_COMPONENTS = 100
MOST_FRAMES = 1500
GRID = (12, 16)
SMOOTHING = (5, 5, 5)
LEAST_VARIANCE = 1e-9  # of the largest
EDGE = 1e-6  # of a, which a clear case can round to 0 or 1

Frame = tuple[np.ndarray, np.ndarray, np.ndarray]  # cuboids (n, C) of a frame, and row and column of each


def change_maps(frames: Iterable[Frame], seed: int = 0) -> Iterator[np.ndarray]:
    """Yield the score of each cell, float64 (12, 16), smoothed, one map a frame; 0 where nothing moves.

    Args:
        frames: of one clip: the cuboids (n, 500) of each frame with their rows and columns (n,).
        seed: of the orders.
    """
    return smoothed(_raw_maps(frames, seed), SMOOTHING)


def _raw_maps(frames: Iterable[Frame], seed: int) -> Iterator[np.ndarray]:
    for piece in pieces(frames, MOST_FRAMES):
        counts = [len(cuboids) for cuboids, _, _ in piece]
        x = whitened(np.concatenate([cuboids for cuboids, _, _ in piece]), N_COMPONENTS)
        a = probabilities(x, np.repeat(np.arange(len(piece)), counts), len(piece), seed)
        a = a.clip(EDGE, 1 - EDGE)
        by_frame = np.split(a / (1 - a), np.cumsum(counts)[:-1])
        for (_, rows, columns), scores in zip(piece, by_frame, strict=True):
            cells = np.zeros(GRID)
            cells[rows, columns] = scores
            yield cells


def pieces(frames: Iterable[Frame], most_frames: int) -> Iterator[list[Frame]]:
    """Yield the frames in lists of `most_frames`, the last one shorter."""
    frames = iter(frames)
    while piece := list(islice(frames, most_frames)):
        yield piece


def whitened(x: np.ndarray, n_components: int) -> np.ndarray:
    """Return the leading principal components of rows, (n, C), each of variance 1: float64 (n, k).

    Directions in which the rows do not differ are left out.
    """
    if len(x) < 2:
        return np.zeros((len(x), 1))
    centered = x - x.mean(axis=0, dtype=np.float64)
    variances, directions = np.linalg.eigh(centered.T @ centered / len(x))
    variances, directions = variances[::-1][:n_components], directions[:, ::-1][:, :n_components]
    kept = variances > LEAST_VARIANCE * variances[0]
    return centered @ directions[:, kept] / np.sqrt(variances[kept]) if kept.any() else np.zeros((len(x), 1))


def probabilities(x: np.ndarray, frame_of: np.ndarray, n_frames: int, seed: int) -> np.ndarray:
    """Return the mean P(1) of each cuboid over the windows that it was in, float64 (n,).

    Args:
        x: features of the cuboids, (n, C).
        frame_of: the frame of each, int (n,), ascending.
        n_frames: of the clip.
        seed: of the orders.
    """
    rng = np.random.default_rng(seed)
    orders = [np.arange(n_frames), *(rng.permutation(n_frames) for _ in range(ORDERS))]
    sums, counts = np.zeros((2, len(x)))
    for order in orders:
        place = np.argsort(order)[frame_of]  # of each cuboid's frame in the order
        for end in window_ends(n_frames):
            now = (place >= end - WINDOW_FRAMES) & (place < end)
            earlier = place < end - WINDOW_FRAMES
            if now.any() and earlier.any():
                sums[now] += window_probabilities(x[earlier], x[now], end)
                counts[now] += 1
    return np.where(counts > 0, sums / np.maximum(counts, 1), 0.5)


def window_ends(n_frames: int) -> list[int]:
    """Return u of each window: 20, 30, .., and the number of frames where some are left over."""
    ends = list(range(2 * WINDOW_FRAMES, n_frames + 1, STEP_FRAMES))
    return ends if not ends or ends[-1] == n_frames else [*ends, n_frames]


def window_probabilities(earlier: np.ndarray, now: np.ndarray, end: int) -> np.ndarray:
    """Return P(1) of the rows `now`, (n,), after fitting 1 to them and 0 to the rows `earlier`."""
    model = LogisticRegression(
        C=1 / LAMBDA,
        solver="liblinear",
        class_weight={0: WINDOW_FRAMES / end, 1: (end - WINDOW_FRAMES) / end},
    )
    model.fit(np.concatenate([earlier, now]), np.repeat([0, 1], [len(earlier), len(now)]))
    return model.predict_proba(now)[:, 1]
