"""HOFM and HOFME: bins of known motion, entropy by counting, distances against scikit-learn."""

import cv2
import numpy as np
import pytest
from scipy import stats
from sklearn.neighbors import NearestNeighbors

from models.quoted import hofm
from models.quoted.hofm import NearestHistogram, flow_histograms

SIZE = (60, 90)


def moving(n_frames, dx, dy=0, seed=0):
    """A bright patch of smooth noise that moves by (dx, dy) px a frame over a dark background."""
    noise = np.random.default_rng(seed).uniform(60, 255, (24, 24)).astype(np.float32)
    patch = cv2.GaussianBlur(noise, (0, 0), 1.2) * 1.3
    frames = np.full((n_frames, *SIZE), 20, np.uint8)
    for t in range(n_frames):
        top, left = 18 + dy * t, 10 + dx * t
        frames[t, top : top + 24, left : left + 24] = patch.clip(0, 255)
    return frames


@pytest.mark.parametrize(
    ("dx", "dy", "orientation", "length"), [(2, 1, 0, 1), (3, 1, 0, 2), (-1, 1, 1, 1), (1, -1, 3, 1)]
)
def test_known_motion_falls_into_its_bin(dx, dy, orientation, length):
    """Two frames apart, (3, 1) px a frame are 6.3 px: the third bin of 2.5 px. Down is the second quarter."""
    frames = moving(5, dx, dy)
    if dx < 0:
        frames = np.roll(frames, 30, axis=2)
    *_, last = flow_histograms(frames)
    assert last.shape == (2, 3, 4, 7, 3)
    by_bin = last.sum(axis=(0, 1, 4))
    assert by_bin[orientation, length] > 0.6 * by_bin.sum() > 0


def test_histograms_are_the_flow_of_two_pairs_in_the_cells():
    """Every moving pixel counted by itself, from the same flow."""
    frames = moving(5, 2, 1)
    expected = np.zeros((2, 3, 4, 7))
    for before, after in ((frames[0], frames[2]), (frames[2], frames[4])):
        brighter = np.argwhere(after.astype(int) - before > 30)
        starts = brighter[:, ::-1].astype(np.float32)[:, None]
        ends, found, _ = cv2.calcOpticalFlowPyrLK(before, after, starts, None, **hofm.FLOW)
        for (row, column), start, end, ok in zip(
            brighter, starts[:, 0], ends[:, 0], found[:, 0], strict=True
        ):
            x, y = end - start
            length, angle = np.hypot(x, y), np.degrees(np.arctan2(y, x)) % 360
            if ok and length > 0.1:
                expected[row // 30, column // 30, int(angle // 90), min(int(length // 2.5), 6)] += 1
    *_, last = flow_histograms(frames)
    np.testing.assert_array_equal(last.sum(axis=-1), expected)
    assert expected.sum() > 50


def test_entropy_is_that_of_the_orientations_around():
    rng = np.random.default_rng(3)
    points = np.argwhere(rng.random((20, 24)) < 0.3)
    orientation = rng.integers(0, 4, len(points))
    found = hofm.entropy_bins(points, orientation, (20, 24))
    for point, one in zip(points, found, strict=True):
        near = orientation[(np.abs(points - point) <= 2).all(axis=1)]
        entropy = stats.entropy(np.bincount(near, minlength=4), base=4)
        assert one == min(int(3 * entropy), 2)
    assert set(found) == {0, 1, 2}


def test_rest_and_the_first_frames_count_nothing():
    frames = moving(6, 2)
    assert not any(histogram.any() for histogram in flow_histograms(frames[:1].repeat(6, axis=0)))
    first, second, third, *_ = flow_histograms(frames)
    assert not first.any()
    assert not second.any()
    assert third.any()
    assert list(flow_histograms([])) == []


@pytest.mark.parametrize("with_entropy", [False, True])
def test_score_is_the_distance_to_the_nearest_of_the_cell(with_entropy):
    rng = np.random.default_rng(4)
    shape = (2, 3, 4, 7, 3)
    train = rng.poisson(0.3, (2, 30, *shape)).astype(np.uint16)
    test = rng.poisson(0.5, (5, *shape)).astype(np.uint16)
    model = NearestHistogram.fit(train, with_entropy)
    maps = np.stack(list(model.maps(test)))
    axis = () if with_entropy else (-1,)
    for row, column in np.ndindex(2, 3):
        known, seen = (
            x[..., row, column, :, :, :].sum(axis=axis).reshape(-1, 84 if axis == () else 28)
            for x in (train, test)
        )
        distances, _ = NearestNeighbors(n_neighbors=1).fit(known).kneighbors(seen)
        np.testing.assert_allclose(maps[:, row, column], distances[:, 0], atol=1e-6)


def test_planted_speed_scores_highest_where_it_is():
    model = NearestHistogram.fit([flow_histograms(moving(8, 1, seed=seed)) for seed in range(3)])
    slow, fast = (np.stack(list(model.maps(flow_histograms(moving(8, dx, seed=7))))) for dx in (1, 5))
    assert fast.max() > 2 * slow.max()
    place = np.unravel_index(fast[4].argmax(), fast[4].shape)
    assert place[1] == 1  # it has moved from column 10..34 to 30..54
    still = model.maps(flow_histograms(moving(1, 0).repeat(4, axis=0)))
    assert (np.stack(list(still)) == 0).all()


def test_refuses_no_frames_and_frames_of_two_sizes():
    with pytest.raises(ValueError, match="got none"):
        NearestHistogram.fit([])
    clips = [flow_histograms(moving(3, 1)), flow_histograms(moving(3, 1)[:, :, :60])]
    with pytest.raises(ValueError, match="one size"):
        NearestHistogram.fit(clips)
