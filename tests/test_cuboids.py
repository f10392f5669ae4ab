"""Cuboids against a direct computation, and what stands still, at the ends of clips, in short clips."""

import numpy as np
import pytest
from scipy.ndimage import correlate

from data_prep import cuboids

H, W = 120, 160


def moving_square(n_frames=9, speed=3):
    frames = np.full((n_frames, H, W, 3), 40, np.uint8)
    for t in range(n_frames):
        frames[t, 50:80, 20 + speed * t : 60 + speed * t] = 220
    return frames


def gradient_by_hand(frames):
    """G with the 3x3 kernel written out, averaged over the pixels that are inside."""
    x = np.exp(-(np.array([-1, 0, 1]) ** 2) / 2)
    kernel = np.outer(x, x) / np.outer(x, x).sum()
    gray = frames[..., 0] / 255  # the three colors are alike
    inside = correlate(np.ones((H, W)), kernel, mode="constant")
    blurred = np.stack([correlate(g, kernel, mode="constant") / inside for g in gray])
    steps = np.abs(np.diff(blurred, axis=0))
    return np.concatenate([steps, steps[-1:]])


def test_gradients_are_those_written_out():
    frames = moving_square()
    found = np.stack(list(cuboids.gradients(frames)))
    assert found.shape == (9, H, W)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, gradient_by_hand(frames), atol=1e-6)


def test_cells_are_blocks_of_the_gradients_around_a_frame():
    frames = moving_square()
    G = gradient_by_hand(frames)
    found = list(cuboids.cell_cuboids(frames))
    assert len(found) == len(frames)
    for t, frame in enumerate(found):
        window = G[np.clip(np.arange(t - 2, t + 3), 0, len(G) - 1)]
        expected = {}
        for row in range(12):
            for column in range(16):
                block = window[:, 10 * row : 10 * row + 10, 10 * column : 10 * column + 10]
                if block.sum() > cuboids.LEAST_MOTION:
                    expected[row, column] = block.ravel() / np.linalg.norm(block)
        assert list(zip(frame.rows, frame.columns, strict=True)) == list(expected)
        assert expected
        np.testing.assert_allclose(frame.features, np.stack(list(expected.values())), atol=1e-5)


def test_training_cuboids_overlap_and_contain_those_of_the_cells():
    frames = moving_square()
    cells, training = list(cuboids.cell_cuboids(frames)), list(cuboids.training_cuboids(frames))
    assert len(training) == 5  # every second of nine
    for sparse, dense in zip(cells[::2], training, strict=True):
        places = list(zip(dense.rows, dense.columns, strict=True))
        assert len(places) > 2 * len(sparse.rows)
        for feature, row, column in zip(sparse.features, sparse.rows, sparse.columns, strict=True):
            np.testing.assert_array_equal(dense.features[places.index((2 * row, 2 * column))], feature)


def test_what_is_in_no_cuboid_that_moves_is_left_out():
    frames = moving_square(n_frames=14)
    G, least = gradient_by_hand(frames), 60.0
    found = np.stack(list(cuboids.moving_gradients(frames, least)))
    padded = G[np.clip(np.arange(-2, len(G) + 2), 0, len(G) - 1)]
    sums = padded.reshape(len(padded), 12, 10, 16, 10).sum(axis=(2, 4))
    moves = np.array([sums[t : t + 5].sum(axis=0) > least for t in range(len(G))])
    expected = np.zeros_like(G)
    for t, row, column in np.ndindex(len(G), 12, 16):
        if moves[max(0, t - 2) : t + 3, row, column].any():
            cell = slice(10 * row, 10 * row + 10), slice(10 * column, 10 * column + 10)
            expected[(t, *cell)] = G[(t, *cell)]
    in_the_middle = moves.repeat(10, axis=1).repeat(10, axis=2) * G
    assert 0 < (in_the_middle > 0).sum() < (expected > 0).sum() < (G > 0).sum()
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_border_is_as_bright_as_the_middle():
    white = np.full((H, W, 3), 255, np.uint8)
    np.testing.assert_allclose(cuboids.smoothed(white), 1, atol=1e-6)


def test_any_size_comes_to_the_same_grid():
    frames = np.repeat(np.repeat(moving_square(), 3, axis=1), 2, axis=2)
    for small, large in zip(cuboids.gradients(moving_square()), cuboids.gradients(frames), strict=True):
        np.testing.assert_allclose(small, large, atol=1e-6)


@pytest.mark.parametrize("n_frames", [1, 2, 3, 5])
def test_short_and_still_clips(n_frames):
    still = np.repeat(moving_square(1), n_frames, axis=0)
    found = list(cuboids.cell_cuboids(still))
    assert [frame.features.shape for frame in found] == [(0, 500)] * n_frames
    assert len(list(cuboids.cell_cuboids(moving_square(n_frames)))) == n_frames


def test_frames_are_taken_as_they_come():
    """The cuboids of frame t need frames up to t + 3 and no more."""
    taken = []

    def frames():
        for frame in moving_square(12):
            taken.append(frame)
            yield frame

    stream = cuboids.cell_cuboids(frames())
    next(stream)
    assert len(taken) == 4
    next(stream)
    assert len(taken) == 5
