"""Unmasking: flat where nothing changes, a peak where it does, rounds and windows written out."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from models.quoted import unmasking
from models.quoted.unmasking import unmasking_scores

C = 120


def clip(n_frames, change=None, per_bin=3, seed=0):
    """The same rows in every frame, in one bin others from frame `change` on."""
    rng = np.random.default_rng(seed)
    one, other = np.abs(rng.standard_normal((2, 4, per_bin, C)))
    return [
        [other[b] if b == 2 and change is not None and t >= change else one[b] for b in range(4)]
        for t in range(n_frames)
    ]


def test_a_clip_without_change_scores_flat():
    np.testing.assert_allclose(unmasking_scores(clip(37)), 0.5, atol=1e-12)


def test_a_change_in_one_bin_peaks_where_it_comes():
    scores = unmasking_scores(clip(80, change=40))
    assert scores.shape == (80,)
    assert abs(int(scores.argmax()) - 44) <= 3
    assert scores[40:50].min() > scores[:25].max() + 0.02
    assert scores[70:].max() < scores[40:50].min()  # it has become usual
    assert (scores <= 1).all()


def test_noise_that_is_the_same_on_both_sides_scores_below_a_change():
    rng = np.random.default_rng(1)
    same = [[np.abs(rng.standard_normal((8, C))) for _ in range(4)] for _ in range(40)]
    change = [[rows + (t >= 20) for rows in frame] for t, frame in enumerate(same)]
    assert unmasking_scores(same).max() < unmasking_scores(change).max()


def test_rounds_are_those_written_out():
    rng = np.random.default_rng(2)
    x, y = np.abs(rng.standard_normal((30, C))), np.repeat([0, 1], 15)
    x[y == 1, :70] += 0.8
    expected, left = [], list(range(C))
    while left:
        rows = x[:, left]
        for index in range(len(rows)):  # scaled once a round: what earlier rounds did is only a factor
            rows[index] = rows[index] / np.sqrt((rows[index] ** 2).sum())
        fitted = LogisticRegression(C=0.5, solver="liblinear").fit(rows, y)
        expected.append(np.mean(fitted.predict(rows) == y))
        by_weight = [left[i] for i in np.argsort(fitted.coef_[0], kind="stable")]
        gone = set(by_weight[:25]) | set(by_weight[-25:])
        left = [feature for feature in left if feature not in gone]
    found = unmasking.accuracies(x, y)
    assert len(found) == len(expected) == 3
    np.testing.assert_allclose(found, expected)
    assert found[0] == 1
    assert len(unmasking.accuracies(np.abs(rng.standard_normal((10, 700))), np.repeat([0, 1], 5))) == 10


@pytest.mark.parametrize(
    ("n_frames", "starts"), [(0, []), (7, [0]), (20, [0]), (24, [0, 4]), (25, [0, 5]), (33, [0, 5, 10, 13])]
)
def test_windows_end_with_the_clip(n_frames, starts):
    found = list(unmasking.windows([[index] for index in range(n_frames)]))
    assert [start for start, _ in found] == starts
    for start, window in found:
        assert [frame[0] for frame in window] == list(range(start, min(start + 20, n_frames)))


def test_short_clips_and_empty_bins_tell_nothing():
    assert unmasking_scores([]).shape == (0,)
    np.testing.assert_array_equal(unmasking_scores(clip(12, change=6)), 0.5)
    nothing = np.zeros((0, C))
    one_sided = [[rows if t >= 10 else nothing for rows in frame] for t, frame in enumerate(clip(20))]
    np.testing.assert_allclose(unmasking_scores(one_sided), 0.5)


def test_smoothing_is_a_weighted_mean_of_what_is_there():
    scores = np.random.default_rng(3).random(40)
    found = unmasking.smoothed_in_time(scores)
    for t in (0, 5, 20, 39):
        near = np.arange(max(0, t - 12), min(40, t + 13))
        weights = np.exp(-((near - t) ** 2) / (2 * 13.0**2))
        np.testing.assert_allclose(found[t], np.average(scores[near], weights=weights))


def test_bins_of_cuboids_and_of_a_networks_map():
    rows, columns = np.divmod(np.arange(192), 16)
    bins = unmasking.cuboid_bins(np.arange(192.0)[:, None], rows, columns)
    for index, (down, across) in enumerate(np.ndindex(2, 2)):
        expected = np.arange(192).reshape(12, 16)[6 * down : 6 * down + 6, 8 * across : 8 * across + 8]
        np.testing.assert_array_equal(bins[index][:, 0], expected.ravel())
    quarters = unmasking.map_bins(np.arange(98).reshape(7, 7, 2))
    assert [quarter.shape for quarter in quarters] == [(1, 32)] * 4
    np.testing.assert_array_equal(quarters[3][0], np.arange(98).reshape(7, 7, 2)[3:, 3:].ravel())
