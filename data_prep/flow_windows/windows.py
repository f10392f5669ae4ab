"""Windows of about one person's size: squares in the picture of flow that grow with the unit of speed.

What is twice as near looks twice as fast and twice as large, so that one unit serves both. Windows overlap by
half a side in both directions and are clipped to the picture.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse


@dataclass(frozen=True, eq=False)
class Windows:
    """Overlapping squares over a picture of flow (h, w).

    Attributes:
        boxes: left, top, right, bottom in px of the picture, clipped to it, float32 (R, 4).
        means: sparse float32 (R, h w): row r times the picture's pixels, row by row, is their mean over
            window r; pixels that it covers in part count in part.
    """

    boxes: np.ndarray
    means: sparse.csc_array

    @classmethod
    def over(cls, sides: np.ndarray, width: int) -> "Windows":
        """Return the windows of a picture (h, w) whose row y asks for squares of `sides[y]` px, (h,)."""
        height = len(sides)
        boxes, means = [], []
        y = 0.0
        while y < height:
            side = float(sides[int(y)])
            top, bottom = _clipped(np.array([y]), side, height)
            left, right = _clipped(np.arange(0, width + side / 4, side / 2), side, width)
            above, below = np.broadcast_to(top, left.shape), np.broadcast_to(bottom, left.shape)
            boxes.append(np.stack([left, above, right, below], axis=1))
            means.append(sparse.kron(_mean(top, bottom, height), _mean(left, right, width)))
            y += side / 2
        return cls(
            np.concatenate(boxes).astype(np.float32),
            sparse.vstack(means).astype(np.float32).tocsc(),
        )


def _clipped(centres: np.ndarray, side: float, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Return where intervals of `side` px around `centres` begin and end, clipped to 0..length."""
    return np.maximum(centres - side / 2, 0), np.minimum(centres + side / 2, length)


def _mean(start: np.ndarray, stop: np.ndarray, length: int) -> sparse.csr_array:
    """Return the matrix (n, length) that takes the mean of pixels 0..length-1 over each interval, (n,)."""
    pixel = np.arange(length)
    covered = np.minimum(stop[:, None], pixel + 1) - np.maximum(start[:, None], pixel)
    return sparse.csr_array(covered.clip(min=0) / (stop - start)[:, None])
