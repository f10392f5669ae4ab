"""Unmasking: flat where nothing changes, a peak where it does, rounds and windows written out."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from models.quoted import unmasking
from models.quoted.unmasking import unmasking_scores

C = 120


def clip(n_frames, change=None, seed=0):
    """The same rows in every frame, in one bin another from frame `change` on."""
    rng = np.random.default_rng(seed)
    one, other = np.abs(rng.standard_normal((2, 4, C)))
    frames = np.repeat(one[None], n_frames, axis=0)
    if change is not None:
        frames[change:, 2] = other[2]
    return frames


def test_a_clip_without_change_scores_flat():
    np.testing.assert_allclose(unmasking_scores(clip(37)), 0.5, atol=1e-12)


def test_a_change_in_one_bin_peaks_where_it_comes():
    scores = unmasking_scores(clip(80, change=40))
    assert scores.shape == (80,)
    assert abs(int(scores.argmax()) - 44) <= 3
    assert scores[40:50].min() > scores[:25].max() + 0.02
    assert scores[70:].max() < scores[40:50].min()  # it has become usual
    assert (scores <= 1).all()


def test_what_both_halves_show_in_turn_is_not_told_apart():
    rng = np.random.default_rng(1)
    seen, new = np.abs(rng.standard_normal((2, 5, 4, C)))
    usual = np.tile(seen, (8, 1, 1))
    np.testing.assert_allclose(unmasking_scores(usual), 0.5, atol=0.02)
    change = np.concatenate([np.tile(seen, (4, 1, 1)), np.tile(new, (4, 1, 1))])
    assert unmasking_scores(change)[20:30].min() > 0.6


def test_rounds_are_those_written_out():
    rng = np.random.default_rng(2)
    x, y = np.abs(rng.standard_normal((30, C))), np.repeat([0, 1], 15)
    x[y == 1, :70] += 0.8
    expected, left = [], list(range(C))
    while left:
        rows = x[:, left]
        for index in range(len(rows)):  # scaled once a round: what earlier rounds did is only a factor
            rows[index] = rows[index] / np.sqrt((rows[index] ** 2).sum())
        fitted = LogisticRegression(C=0.5, solver="liblinear", fit_intercept=False).fit(rows, y)
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
    found = list(unmasking.windows(np.arange(n_frames)[:, None]))
    assert [start for start, _ in found] == starts
    for start, window in found:
        assert [frame[0] for frame in window] == list(range(start, min(start + 20, n_frames)))


def test_short_clips_tell_nothing_and_a_bin_that_begins_to_move_tells_all():
    assert unmasking_scores([]).shape == (0,)
    np.testing.assert_array_equal(unmasking_scores(clip(12, change=6)), 0.5)
    np.testing.assert_allclose(unmasking_scores(np.zeros((20, 4, C))), 0.5)  # nothing moves
    begins = clip(20) * (np.arange(20) >= 10)[:, None, None]
    np.testing.assert_allclose(unmasking_scores(begins)[10:].max(), 1, atol=0.2)


def test_smoothing_is_a_weighted_mean_of_what_is_there():
    scores = np.random.default_rng(3).random(40)
    found = unmasking.smoothed_in_time(scores)
    for t in (0, 5, 20, 39):
        near = np.arange(max(0, t - 12), min(40, t + 13))
        weights = np.exp(-((near - t) ** 2) / (2 * 13.0**2))
        np.testing.assert_allclose(found[t], np.average(scores[near], weights=weights))


def test_bins_of_gradients_and_of_a_networks_map():
    gradient = np.arange(120.0 * 160).reshape(120, 160)
    bins = unmasking.gradient_bins(gradient)
    assert bins.shape == (4, 4800)
    for index, (down, across) in enumerate(np.ndindex(2, 2)):
        expected = gradient[60 * down : 60 * down + 60, 80 * across : 80 * across + 80]
        np.testing.assert_array_equal(bins[index], expected.ravel())
    quarters = unmasking.map_bins(np.arange(98).reshape(7, 7, 2))
    assert quarters.shape == (4, 32)
    np.testing.assert_array_equal(quarters[3], np.arange(98).reshape(7, 7, 2)[3:, 3:].ravel())
