"""Small masks and errors of clips, and what reads them, for the tests of localization metrics."""

import numpy as np

from experiments.lab.scoring.pixel_metrics import stream_masks
from experiments.lab.scoring.score import ClipScores

SIDE, LEVEL, SIZE_PX = 4, 2, (16, 24)  # cells of 2 x 2 entries, entries of 4 x 6 px


def squares(*corners, size_px=SIZE_PX, height_px=5, width_px=5):
    """Return a mask with a rectangle at each upper left corner (row, column)."""
    mask = np.zeros(size_px, bool)
    for row, column in corners:
        mask[row : row + height_px, column : column + width_px] = True
    return mask


def random_clips(seed, n_clips=3, n_frames=12):
    """Return masks (n, H, W) and errors (n, 4) of clips; many errors are equal, some frames are normal."""
    rng = np.random.default_rng(seed)
    masks = [np.zeros((n_frames, *SIZE_PX), bool) for _ in range(n_clips)]
    for clip in masks:
        for frame in range(n_frames):
            for _ in range(rng.integers(0, 3)):
                corner = rng.integers(0, 14), rng.integers(0, 20)
                height_px, width_px = rng.integers(1, 9, 2)
                clip[frame] |= squares(corner, height_px=height_px, width_px=width_px)
    errors = [np.round(rng.normal(size=(n_frames, LEVEL**2)), 1) for _ in range(n_clips)]
    return masks, errors


def named(clips):
    """Name clips by their numbers; what has names already stays."""
    return clips if isinstance(clips, dict) else {str(index): clip for index, clip in enumerate(clips)}


def listen(masks, errors, *listeners, side=SIDE):
    """Feed all clips to the listeners and return them."""
    clip_masks = {name: lambda clip=clip: iter(clip) for name, clip in named(masks).items()}
    stream_masks(clip_masks, side, [(one, named(errors)) for one in listeners])
    return listeners


def pixel_map(cells, side=SIDE, level=LEVEL, size_px=SIZE_PX):
    """Return the error of each pixel, (H, W), straight from the definition of the pooling's cells."""
    result = np.full(size_px, -np.inf)
    for y in range(size_px[0]):
        for x in range(size_px[1]):
            row, column = int((y + 0.5) * side / size_px[0]), int((x + 0.5) * side / size_px[1])
            for i in range(level):
                for j in range(level):
                    inside_rows = i * side // level <= row < -(-(i + 1) * side // level)
                    inside_columns = j * side // level <= column < -(-(j + 1) * side // level)
                    if inside_rows and inside_columns:
                        result[y, x] = max(result[y, x], cells[i * level + j])
    return result


def clip_scores(seed, n_clips=3):
    rng = np.random.default_rng(seed)
    errors = [rng.gamma(2.0, size=(10 + 3 * index, 21)).astype(np.float32) for index in range(n_clips)]
    labels = [(np.arange(len(error)) % 3 == 0).astype(np.uint8) for error in errors]
    return [
        ClipScores(str(index), label, error)
        for index, (label, error) in enumerate(zip(labels, errors, strict=True))
    ]
