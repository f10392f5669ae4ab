"""After Biswas & Babu 2013: how improbable the length of motion vectors is, on several scales.

Biswas & Babu, "Real time anomaly detection in H.264 compressed videos", NCVPRIPG 2013, find anomalies in the
magnitude of the motion vectors that a codec computes anyway, by their low probability of occurrence, in a
hierarchy of motion. That is all that is public: the abstract. The rest is our inference: lengths, smoothed by
a median of 3 x 3 blocks and 3 frames, are averaged over squares of 1, 2 and 4 blocks; at each place of each
level a histogram of 0.5 px bins up to 16 px, with the training counts of the places beside it added in, gives

    P(bin) = (count + 1) / (total + bins),

and the score of a block is the sum of -log P over the levels above it. A frame's score is the maximum.
"""

from collections.abc import Iterable, Iterator

import numpy as np
from scipy import ndimage

from models.quoted.cell_maps import CellGrid, smoothed

LEVELS = (1, 2, 4)
BIN_PX, BINS = 0.5, 33  # the last bin is 16 px and more
MEDIAN = (3, 3, 3)


class LengthHistograms:
    """How often each length came at each place of each level; make it with `fit`.

    Attributes:
        counts: of each level, (rows, columns, bins), those of the eight places around added in.
    """

    def __init__(self, counts: list[np.ndarray]):
        self.counts = counts

    @classmethod
    def fit(cls, clips: Iterable[Iterable[np.ndarray]]) -> "LengthHistograms":
        """Return the histograms of training clips, read once.

        Args:
            clips: of each clip's frames the mean length of the motion vectors in each block, (rows, columns),
                px a frame; all of the same grid.

        Raises ValueError: no frames at all, frames of different sizes.
        """
        counts: list[np.ndarray] = []
        for blocks in (blocks for clip in clips for blocks in smoothed(clip, MEDIAN, ndimage.median_filter)):
            bins = level_bins(blocks)
            if not counts:
                shape, counts = blocks.shape, [np.zeros((*level.shape, BINS)) for level in bins]
            if blocks.shape != shape:
                raise ValueError(f"clips: expected frames of one size, got {shape} and {blocks.shape} blocks")
            for level, of_level in zip(counts, bins, strict=True):
                level[(*np.indices(of_level.shape), of_level)] += 1
        if not counts:
            raise ValueError("clips: expected frames to learn from, got none")
        around = np.ones((3, 3, 1))
        return cls([ndimage.correlate(level, around, mode="constant") for level in counts])

    def maps(self, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Yield the score of each block, float64 (rows, columns), one map a frame.

        Args:
            frames: as those of a clip in `fit`.
        """
        for blocks in smoothed(frames, MEDIAN, ndimage.median_filter):
            scores = np.zeros(blocks.shape)
            for size, level, bins in zip(LEVELS, self.counts, level_bins(blocks), strict=True):
                seen = np.take_along_axis(level, bins[..., None], axis=-1)[..., 0]
                surprise = -np.log((seen + 1) / (level.sum(axis=-1) + BINS))
                scores += CellGrid.of_cells(size, blocks.shape).pixel_map(surprise, blocks.shape)
            yield scores


def level_bins(blocks: np.ndarray) -> list[np.ndarray]:
    """Return the bin of the mean length at each place of each level, int (rows, columns) each."""
    means = [CellGrid.of_cells(size, blocks.shape).means(blocks) for size in LEVELS]
    return [np.minimum(level / BIN_PX, BINS - 1).astype(int) for level in means]
