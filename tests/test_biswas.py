"""After Biswas & Babu: probabilities by counting, and a planted length that was never seen."""

import numpy as np
import pytest
from scipy import ndimage

from models.quoted.biswas import LengthHistograms, level_bins

SHAPE = (6, 9)


def clip(n_frames, seed=0):
    return np.random.default_rng(seed).gamma(2.0, 0.6, (n_frames, *SHAPE)).astype(np.float32)


def test_levels_are_means_of_squares():
    blocks = clip(1)[0]
    for size, bins in zip((1, 2, 4), level_bins(blocks), strict=True):
        for row, column in np.ndindex(bins.shape):
            square = blocks[size * row : size * row + size, size * column : size * column + size]
            assert bins[row, column] == int(square.mean(dtype=float) // 0.5)
    assert level_bins(np.full(SHAPE, 400.0))[0].max() == 32


def test_score_is_the_surprise_counted_out():
    train, test = [clip(20, seed) for seed in (1, 2)], clip(5, seed=3)
    maps = np.stack(list(LengthHistograms.fit(train).maps(test)))
    smooth = [ndimage.median_filter(frames, 3, mode="nearest") for frames in (*train, test)]
    *seen, tested = [[level_bins(blocks) for blocks in frames] for frames in smooth]
    seen = [frame for frames in seen for frame in frames]
    for t, row, column in [(0, 0, 0), (2, 3, 4), (4, 5, 8), (3, 2, 8)]:
        expected = 0.0
        for level, size in enumerate((1, 2, 4)):
            r, c = row // size, column // size
            near = [
                bins[level][y, x]
                for bins in seen
                for y in range(max(0, r - 1), min(bins[level].shape[0], r + 2))
                for x in range(max(0, c - 1), min(bins[level].shape[1], c + 2))
            ]
            count = near.count(tested[t][level][r, c])
            expected -= np.log((count + 1) / (len(near) + 33))
        np.testing.assert_allclose(maps[t, row, column], expected)


def test_planted_speed_scores_highest_while_it_is_there():
    model = LengthHistograms.fit([clip(60, seed) for seed in range(3)])
    test = clip(30, seed=9)
    test[12:18, 2:5, 3:6] = 9.0
    scores = np.stack(list(model.maps(test))).max(axis=(1, 2))
    assert scores[13:17].min() > np.delete(scores, np.s_[11:19]).max()


def test_refuses_no_frames_and_frames_of_two_sizes():
    with pytest.raises(ValueError, match="got none"):
        LengthHistograms.fit([])
    with pytest.raises(ValueError, match="one size"):
        LengthHistograms.fit([clip(3), clip(3)[:, :4]])
