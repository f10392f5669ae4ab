"""Motion vectors: known motion comes back, means by area, any size and length of clip."""

import cv2
import numpy as np
import pytest

from data_prep.motion_vectors import block_means, motion_magnitudes


def moving(n_frames, speed, height=96, width=160):
    """A patch of smooth noise that moves to the right over a flat background."""
    noise = np.random.default_rng(0).uniform(0, 255, (48, 48)).astype(np.float32)
    patch = (cv2.GaussianBlur(noise, (0, 0), 1.5) - 127) * 2 + 127
    for t in range(n_frames):
        frame = np.full((height, width), 90, np.float32)
        frame[24:72, 16 + speed * t : 64 + speed * t] = patch
        yield np.repeat(frame.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)


@pytest.mark.parametrize("speed", [2, 5])
def test_known_motion_comes_back_where_it_is(speed):
    found = list(motion_magnitudes(moving(6, speed)))
    assert len(found) == 6
    assert not found[0].any()  # the first frame has none before it
    for blocks in found[1:]:
        assert blocks.shape == (6, 10)
        assert blocks.dtype == np.float32
        np.testing.assert_allclose(np.median(blocks[2:4, 1:4]), speed, atol=0.1)
        assert not blocks[:, 8:].any()


def test_rest_has_no_vectors():
    frame = next(moving(1, 0))
    assert not np.any(list(motion_magnitudes([frame] * 4)))


@pytest.mark.parametrize(
    ("height", "width", "grid"), [(97, 161, (6, 10)), (100, 130, (7, 9)), (80, 98, (5, 7))]
)
def test_any_size(height, width, grid):
    found = list(motion_magnitudes(moving(3, 1, height, width)))
    assert [blocks.shape for blocks in found] == [grid] * 3


def test_clips_of_no_frame_and_of_one():
    assert list(motion_magnitudes([])) == []
    (blocks,) = motion_magnitudes(moving(1, 0))
    assert not blocks.any()


def test_long_clips_have_vectors_throughout():
    """No intra frame after the first one, where a decoder would have nothing to tell."""
    still = list(moving(40, 1))
    found = list(motion_magnitudes(frame for _ in range(8) for frame in still))
    assert len(found) == 320
    assert all(blocks.any() for blocks in found[1:40] + found[241:280])


def test_means_are_by_area_and_scaled():
    vectors = np.zeros(
        3, [(name, "i4") for name in ("w", "h", "dst_x", "dst_y", "motion_x", "motion_y", "motion_scale")]
    )
    vectors[0] = 16, 8, 8, 4, 12, 16, 4  # the upper half of the first block: 20 / 4 px
    vectors[1] = 16, 8, 8, 12, 4, 0, 4  # its lower half: 1 px
    vectors[2] = 8, 8, 28, 20, 0, 8, 4  # a quarter of block (1, 1): 2 px, the rest has none
    np.testing.assert_allclose(block_means(vectors, (32, 32)), [[3, 0], [0, 0.5]])
    assert not block_means(None, (32, 32)).any()
