"""Pooling over space and over time. Paper: Sec. 3.6.

A map's spatial pyramid has 1x1 + 2x2 + 4x4 = 21 regions. Along an axis of h pixels, cell i of g covers the
pixels floor(i h / g) .. ceil((i + 1) h / g) - 1, so that a 7x7 map has overlapping cells and none is empty.
"""

import math

import numpy as np

# Cells per axis of each level, by the name of the pyramid. The 1x1 region comes first in all of them.
PYRAMIDS = {"1": (1,), "1,2": (1, 2), "1,2,4": (1, 2, 4), "1,2,4,8": (1, 2, 4, 8)}
PAPER_PYRAMID = "1,2,4"  # Sec. 3.6
PYRAMID_LEVELS = PYRAMIDS[PAPER_PYRAMID]
POOLING_MODES = ("max", "mean", "none")


def region_count(pyramid: str = PAPER_PYRAMID) -> int:
    """Return how many regions a pyramid has, 21 for the paper's."""
    return sum(level**2 for level in PYRAMIDS[pyramid])


def level_regions(n_regions: int) -> dict[int, slice]:
    """Return where the regions of each level stand among all `n_regions` of a frame: level -> slice.

    Raises ValueError: no pyramid has so many regions.
    """
    for levels in PYRAMIDS.values():
        ends = np.cumsum([level**2 for level in levels]).tolist()
        if ends[-1] == n_regions:
            return {level: slice(end - level**2, end) for level, end in zip(levels, ends, strict=True)}
    raise ValueError(f"regions: expected those of a pyramid, {' or '.join(PYRAMIDS)}, got {n_regions}")


def region_pyramid(feature_map, mode: str = "max", pyramid: str = PAPER_PYRAMID):
    """Return the pooled regions of a batch of maps.

    Args:
        feature_map: float (n, h, w, C), array or tensor; h, w and C static.
        mode: "max" (paper, Sec. 3.6), "mean" (the released code), or "none": the map itself is one region.
        pyramid: key in `PYRAMIDS`.

    Returns:
        Tensor of the Keras backend, (n, R, C), R = 21 for the paper's pyramid: 1x1, then 2x2 row by row, then
        4x4 row by row; with "none" (n, 1, h * w * C).

    Raises ValueError: another mode or pyramid.
    """
    from keras import ops  # here: who reads shards or frame errors needs the regions' names, and no Keras

    if mode not in POOLING_MODES:
        raise ValueError(f"mode: expected one of {POOLING_MODES}, got {mode!r}")
    if pyramid not in PYRAMIDS:
        raise ValueError(f"pyramid: expected one of {tuple(PYRAMIDS)}, got {pyramid!r}")
    if mode == "none":
        return ops.reshape(feature_map, (-1, 1, math.prod(feature_map.shape[1:])))
    pool = ops.max if mode == "max" else ops.mean
    height, width = feature_map.shape[1:3]
    regions = [
        pool(feature_map[:, rows, columns], axis=(1, 2))
        for level in PYRAMIDS[pyramid]
        for rows in _cells(height, level)
        for columns in _cells(width, level)
    ]
    return ops.stack(regions, axis=1)


def rolling_temporal(features: np.ndarray, window_frames: int = 4, alignment: str = "causal") -> np.ndarray:
    """Return the element-wise maximum over `window_frames` consecutive frames, in the shape and dtype given.

    Max over space and max over time commute: on pooled regions this is the pyramid of the maps' maximum.

    Args:
        features: (n, R, C), frames first.
        window_frames: length of the window; shorter at the ends of the clip.
        alignment: "causal": frames t - window_frames + 1 .. t, which can run live;
            "centered": frames t - window_frames // 2 .. t + (window_frames - 1) // 2.

    Raises ValueError: a window below one frame, another alignment.
    """
    if window_frames < 1:
        raise ValueError(f"window_frames: expected at least 1, got {window_frames}")
    if alignment not in ("causal", "centered"):
        raise ValueError(f"alignment: expected 'causal' or 'centered', got {alignment!r}")
    n_after = 0 if alignment == "causal" else (window_frames - 1) // 2
    n_before = window_frames - 1 - n_after
    pooled = features.copy()
    for lag in range(1, n_before + 1):
        np.maximum(pooled[lag:], features[:-lag], out=pooled[lag:])
    for lead in range(1, n_after + 1):
        np.maximum(pooled[:-lead], features[lead:], out=pooled[:-lead])
    return pooled


def _cells(n_pixels: int, n_cells: int) -> list[slice]:
    """Return the pixels of each cell along one axis."""
    return [slice(i * n_pixels // n_cells, -(-(i + 1) * n_pixels // n_cells)) for i in range(n_cells)]
