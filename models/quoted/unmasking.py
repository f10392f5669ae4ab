"""Unmasking: how well frames can be told from those before them while what tells them apart is removed.

Ionescu et al., "Unmasking the abnormal events in video", ICCV 2017. Nothing is trained: a test clip is
compared with itself. A window holds 10 frames and the 10 that follow. A linear classifier learns to tell the
two halves apart; its training accuracy is noted, its strongest features are removed, and it learns anew, 10
times. Where both halves show the same it soon fails; the score is the mean accuracy. A picture is 2 x 2 bins,
each with classifiers of its own, and the largest of their scores counts. A frame has the mean over the
windows that it is in the second half of, and the scores of a clip are smoothed.

It finds change: a clip that is abnormal from its first frame to its last looks normal.

Source: the re-implementation by the authors of a later paper (MYusha/Video-Anomaly-Detection): 10 frames, a
window every 5, 10 rounds, 50 features, rows of length 1, bins, C = 0.5, no bias, a sigma of 13 frames, and
0.5 for the first frames; the motion features are the 60 x 80 gradients of each bin, one row a frame, 0 in
cells whose five gradients sum to no more than 15. Recalled of the paper itself: rows are cuboids of 500
gradients; on development scenes these score below chance (docs/quoted_systems.md), so that the source's stand
here. Our inferences: both halves have 10 frames (the first has 11 in the source); the last window ends with
the clip; at the ends of a clip the smoothing is over the frames that there are.
"""

from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np
from scipy import ndimage
from sklearn.linear_model import LogisticRegression

HALF_FRAMES = 10
STEP_FRAMES = 5
ROUNDS = 10
REMOVED = 50
REGULARIZATION = 0.5  # liblinear's C
CHANCE = 0.5
SMOOTHING_FRAMES, SMOOTHING_SIGMA_FRAMES = 25, 13.0
BINS = 2

LEAST_MOTION = 15.0


def gradient_bins(gradient: np.ndarray) -> np.ndarray:
    """Return the gradient of a frame, (H, W), by quarters: float (4, H / 2 * W / 2), the motion features."""
    height, width = (side // BINS for side in gradient.shape)
    return gradient.reshape(BINS, height, BINS, width).swapaxes(1, 2).reshape(BINS**2, height * width)


def map_bins(features: np.ndarray) -> np.ndarray:
    """Return a network's last map, (H, W, C), by overlapping quarters: (4, h * w * C), the appearance.

    The paper takes 7 x 7 of the 13 x 13 entries of VGG-f's conv5; ours, of a 7 x 7 map: 4 x 4.
    """
    height, width = -(-features.shape[0] // 2), -(-features.shape[1] // 2)
    halves = [(slice(None, n), slice(-n, None)) for n in (height, width)]
    return np.stack([features[down, across].ravel() for down in halves[0] for across in halves[1]])


def unmasking_scores(frames: Iterable[np.ndarray], regularization: float = REGULARIZATION) -> np.ndarray:
    """Return the score of each frame of a clip, float64 (n_frames,), in [0, 1]; high where it changes.

    Args:
        frames: the row of each frame in each bin, (bins, C).
        regularization: liblinear's C. Source: a re-implementation.
    """
    sums: list[float] = []
    counts: list[int] = []
    for start, window in windows(frames):
        n_frames = start + len(window)
        for values in (sums, counts):
            values += [0] * (n_frames - len(values))
        if len(window) < 2 * HALF_FRAMES:
            break  # a clip shorter than a window
        score = max(bin_score(rows, regularization) for rows in np.stack(window, axis=1))
        for frame in range(start + HALF_FRAMES, n_frames):
            sums[frame] += score
            counts[frame] += 1
    covered = np.array(counts) > 0
    scores = np.where(covered, np.array(sums) / np.maximum(counts, 1), CHANCE)
    return smoothed_in_time(scores) if len(scores) else scores


def windows(frames: Iterable[np.ndarray]) -> Iterator[tuple[int, list[np.ndarray]]]:
    """Yield (first frame, the 20 frames) every 5 frames, the last one ending with the clip.

    A shorter clip is one shorter window.
    """
    recent: deque[np.ndarray] = deque(maxlen=2 * HALF_FRAMES)
    last, n_frames = None, 0
    for n_frames, frame in enumerate(frames, start=1):
        recent.append(frame)
        start = n_frames - 2 * HALF_FRAMES
        if start >= 0 and start % STEP_FRAMES == 0:
            last = start
            yield start, list(recent)
    start = max(0, n_frames - 2 * HALF_FRAMES)
    if n_frames and start != last:
        yield start, list(recent)


def bin_score(rows: np.ndarray, regularization: float) -> float:
    """Return the mean accuracy of one bin, from its rows in the 20 frames of a window, (20, C)."""
    halves = np.repeat([0, 1], HALF_FRAMES)
    return float(np.mean(accuracies(rows, halves, regularization)))


def accuracies(x: np.ndarray, y: np.ndarray, regularization: float = REGULARIZATION) -> list[float]:
    """Return the training accuracy of each round, at most 10: fewer where no features are left.

    A round scales rows to length 1, fits logistic regression, and drops the 25 features of the largest
    weights and the 25 of the smallest.

    Args:
        x: float (n, C).
        y: int (n,), 0 or 1.
        regularization: liblinear's C.
    """
    found: list[float] = []
    while len(found) < ROUNDS and x.shape[1]:
        lengths = np.linalg.norm(x, axis=1, keepdims=True)
        x = np.divide(x, lengths, out=np.zeros_like(x), where=lengths > 0)
        model = LogisticRegression(C=regularization, solver="liblinear", fit_intercept=False).fit(x, y)
        found.append(model.score(x, y))
        order = np.argsort(model.coef_[0], kind="stable")
        x = x[:, np.sort(order[REMOVED // 2 : max(REMOVED // 2, len(order) - REMOVED // 2)])]
    return found


def smoothed_in_time(scores: np.ndarray) -> np.ndarray:
    """Return scores, (n,), averaged by a Gaussian over the 25 frames around each that there are."""
    offsets = np.arange(SMOOTHING_FRAMES) - SMOOTHING_FRAMES // 2
    weights = np.exp(-(offsets**2) / (2 * SMOOTHING_SIGMA_FRAMES**2))
    sums, total = (
        ndimage.correlate1d(values, weights, mode="constant") for values in (scores, np.ones(len(scores)))
    )
    return sums / total
