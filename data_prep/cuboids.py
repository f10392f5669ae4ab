"""Temporal gradients: Lu et al. and Del Giorno et al. see a clip in cuboids of them, Unmasking as they are.

Frames become gray, 120 x 160 in 0..1, smoothed by a 3 x 3 Gaussian of sigma 1 that is renormalized at the
borders: B_t. The gradient of frame t is G_t = |B_t - B_{t+1}|. A cuboid is 10 x 10 px of five gradients,
G_{t-2} .. G_{t+2}: 500 numbers, of length 1. It belongs to frame t. Where they sum to no more than
`LEAST_MOTION` nothing moves and there is no cuboid.

Source: the release of Lu, Shi & Jia, "Abnormal Event Detection at 150 FPS in MATLAB", ICCV 2013
(gongruya/abnormality-detection): sizes, smoothing, gradient, threshold, steps of the training cuboids. Our
inference: OpenCV's area interpolation to 120 x 160, since the release reads frames of that size; and at the
ends of a clip, where the release scores nothing for five frames, the first and last gradients repeat.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice, repeat, tee
from typing import TypeVar

import cv2
import numpy as np

HEIGHT_PX, WIDTH_PX, CELL_PX = 120, 160, 10
ROWS, COLUMNS = HEIGHT_PX // CELL_PX, WIDTH_PX // CELL_PX
WINDOW_GRADIENTS = 5
N_FEATURES = WINDOW_GRADIENTS * CELL_PX**2
LEAST_MOTION = 5.0
TRAINING_STEP_PX, TRAINING_STEP_FRAMES = 5, 2
Item = TypeVar("Item")
_SMOOTHING = cv2.getGaussianKernel(3, 1).astype(np.float32)


@dataclass(frozen=True)
class Cuboids:
    """The cuboids of one frame, n of them.

    Attributes:
        features: float32 (n, 500), each of length 1: five gradients of 10 rows of 10 px.
        rows, columns: int (n,): which steps down and to the right; the cells of the 12 x 16 grid.
    """

    features: np.ndarray
    rows: np.ndarray
    columns: np.ndarray


def cell_cuboids(frames: Iterable[np.ndarray]) -> Iterator[Cuboids]:
    """Yield the cuboids of the 12 x 16 cells that move, one `Cuboids` a frame.

    Args:
        frames: of one clip, uint8 (H, W, 3) RGB, in order.
    """
    return (cuboids_of(window, CELL_PX) for window in gradient_windows(frames))


def training_cuboids(frames: Iterable[np.ndarray]) -> Iterator[Cuboids]:
    """Yield cuboids that overlap, every 5 px of every second frame, as the release samples them to train."""
    windows = islice(gradient_windows(frames), 0, None, TRAINING_STEP_FRAMES)
    return (cuboids_of(window, TRAINING_STEP_PX) for window in windows)


def smoothed(frame: np.ndarray) -> np.ndarray:
    """Return B, float32 (120, 160) in 0..1, of a frame, uint8 (H, W, 3) RGB."""
    gray = cv2.resize(
        cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), (WIDTH_PX, HEIGHT_PX), interpolation=cv2.INTER_AREA
    )
    return _smooth(gray.astype(np.float32) / 255) / _smooth(np.ones((HEIGHT_PX, WIDTH_PX), np.float32))


def gradients(frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield G_t = |B_t - B_{t+1}|, float32 (120, 160), one a frame: the last frame takes the one before."""
    before, gradient = None, np.zeros((HEIGHT_PX, WIDTH_PX), np.float32)
    for after in map(smoothed, frames):
        if before is not None:
            gradient = np.abs(before - after)
            yield gradient
        before = after
    if before is not None:
        yield gradient


def moving_gradients(
    frames: Iterable[np.ndarray], least_motion: float = LEAST_MOTION
) -> Iterator[np.ndarray]:
    """Yield G_t, float32 (120, 160), one a frame, 0 in the cells that are in no cuboid that moves.

    Args:
        frames: of one clip, uint8 (H, W, 3) RGB, in order.
        least_motion: a cuboid moves where its five gradients sum to more.
    """
    whole, for_motion = tee(gradients(frames))
    moves = (sum(map(cell_sums, window)) > least_motion for window in windows(for_motion))
    for gradient, near in zip(whole, windows(moves), strict=True):
        cells = np.any(near, axis=0).repeat(CELL_PX, axis=0).repeat(CELL_PX, axis=1)
        yield gradient * cells


def cell_sums(gradient: np.ndarray) -> np.ndarray:
    """Return the sum over each cell of a gradient, (120, 160): float32 (12, 16)."""
    return gradient.reshape(ROWS, CELL_PX, COLUMNS, CELL_PX).sum(axis=(1, 3))


def gradient_windows(frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield G_{t-2} .. G_{t+2}, float32 (5, 120, 160), one a frame; at the ends of a clip G repeats."""
    return map(np.stack, windows(gradients(frames)))


def windows(items: Iterable[Item]) -> Iterator[tuple[Item, ...]]:
    """Yield the five items around each one; the first and the last one repeat."""
    half, window = WINDOW_GRADIENTS // 2, deque(maxlen=WINDOW_GRADIENTS)
    for item in items:
        window.extend(repeat(item, 1 if window else half + 1))
        if len(window) == WINDOW_GRADIENTS:
            yield tuple(window)
    for _ in range(half if window else 0):
        window.append(window[-1])
        if len(window) == WINDOW_GRADIENTS:
            yield tuple(window)


def cuboids_of(window: np.ndarray, step_px: int) -> Cuboids:
    """Return the cuboids of a window of gradients, float32 (5, 120, 160), that move, every `step_px`."""
    # (rows, columns, 5, 10, 10): a view, from which only what moves is copied.
    blocks = np.lib.stride_tricks.sliding_window_view(window, (CELL_PX, CELL_PX), axis=(1, 2))
    blocks = blocks[:, ::step_px, ::step_px].transpose(1, 2, 0, 3, 4)
    rows, columns = np.nonzero(_motion(window)[::step_px, ::step_px] > LEAST_MOTION)
    features = blocks[rows, columns].reshape(len(rows), N_FEATURES)
    return Cuboids(features / np.linalg.norm(features, axis=1, keepdims=True), rows, columns)


def _motion(window: np.ndarray) -> np.ndarray:
    """Return the sum over every cuboid of a window, by its upper left corner: (111, 151)."""
    size = (CELL_PX, CELL_PX)
    sums = cv2.boxFilter(window.sum(axis=0), cv2.CV_64F, size, anchor=(0, 0), normalize=False)
    return sums[: 1 - CELL_PX, : 1 - CELL_PX]


def _smooth(picture: np.ndarray) -> np.ndarray:
    """Return a picture smoothed as if zeros were around it."""
    return cv2.sepFilter2D(picture, -1, _SMOOTHING, _SMOOTHING, borderType=cv2.BORDER_CONSTANT)
