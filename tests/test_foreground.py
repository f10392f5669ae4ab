"""Foreground: a square that moves is found, what rests is not, and clips do not know of each other."""

import numpy as np

from data_prep.foreground import foreground


def clip(n_frames=40, first=20):
    """A noisy scene into which a bright square moves after `first` frames."""
    rng = np.random.default_rng(0)
    frames = rng.normal(90, 2, (n_frames, 48, 64, 3)).clip(0, 255).astype(np.uint8)
    for t in range(first, n_frames):
        frames[t, 16:32, 2 * (t - first) : 2 * (t - first) + 16] = 220
    return frames


def test_a_moving_square_is_found():
    frames = clip()
    found = list(foreground(frames))
    assert len(found) == len(frames)
    gray, mask = found[24]
    assert (gray.shape, gray.dtype, mask.dtype) == ((48, 64), np.uint8, bool)
    square = frames[24, :, :, 0] == 220
    assert mask[square].mean() > 0.95
    assert mask[~square].mean() < 0.02
    assert found[10][1].mean() < 0.02


def test_the_first_frame_is_the_background():
    (_, mask), *_ = foreground(clip())
    assert not mask.any()
    assert list(foreground([])) == []


def test_clips_start_anew():
    frames = clip()
    for (_, once), (_, again) in zip(foreground(frames), foreground(frames), strict=True):
        np.testing.assert_array_equal(once, again)
