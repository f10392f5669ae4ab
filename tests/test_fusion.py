"""From frame errors to s(t), against Eq. (14), Sec. 3.7 and the other two fusions written out in NumPy."""

from dataclasses import replace

import numpy as np
import pytest

from data_prep.errors import InputError
from experiments.lab.scoring import fusion, metrics
from experiments.lab.scoring.protocol import Protocol

ALONE = Protocol(("spatial",))
TRAIN = np.arange(1001.0)  # minimum 0, median 500, 0.9 quantile 900, 99.9th percentile 999


def alone(clips, train=None, **changed):
    """Score one stream's clips."""
    errors = [np.asarray(clip, float) for clip in clips]
    return fusion.regularity({"spatial": errors}, replace(ALONE, **changed), {"spatial": train})


def test_per_clip_is_equation_14():
    (score,) = alone([[2.0, 6.0, 3.0]])
    np.testing.assert_allclose(score, [1, 0, 0.75])


@pytest.mark.parametrize("normalization", ["per_clip", "global"])
@pytest.mark.parametrize("value", [0.0, 7.25, 1e30])
def test_a_constant_clip_is_regular_throughout(value, normalization):
    constant = np.full(5, value, dtype=np.float32)
    for score in alone([constant, constant], normalization=normalization):
        np.testing.assert_array_equal(score, np.ones(5))


def test_global_limits_span_all_clips():
    first, second = alone([[1.0, 2.0], [5.0]], normalization="global")
    np.testing.assert_allclose(first, [1, 0.75])
    np.testing.assert_allclose(second, [0])


def test_train_limits_are_those_of_the_training_errors_and_scores_are_not_clipped():
    (score,) = alone([[0.0, 999.0, 1998.0, -999.0]], TRAIN, normalization="train")
    np.testing.assert_allclose(score, [1, 0, -1, 2], atol=1e-12)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"fusion": "calibrated"}, [0, -1, -2.5, 1.25]),
        ({"fusion": "log"}, [0, -np.log(2), -np.log(3.5), np.log(2.25)]),
    ],
)
def test_calibrated_scores_count_from_the_median_in_units_of_the_upper_tail(changed, expected):
    (score,) = alone([[500.0, 900.0, 1500.0, 0.0]], TRAIN, **changed)
    np.testing.assert_allclose(score, expected, atol=1e-12)


@pytest.mark.parametrize("changed", [{"normalization": "train"}, {"fusion": "calibrated"}, {"fusion": "log"}])
def test_what_counts_against_training_errors_looks_at_no_other_frame(changed):
    """Neither later frames nor other clips matter; training errors that say nothing are refused."""
    clips = np.random.default_rng(0).uniform(0, 2000, (2, 9))
    first, _ = alone(clips, TRAIN, **changed)
    (begun,) = alone(clips[:1, :4], TRAIN, **changed)
    np.testing.assert_array_equal(begun, first[:4])
    with pytest.raises(InputError, match="errors of training frames: expected some that differ"):
        alone(clips, np.ones(10), **changed)


@pytest.mark.parametrize("normalization", ["global", "train"])
def test_limits_that_all_clips_share_keep_the_ranking(normalization):
    rng = np.random.default_rng(0)
    labels = [rng.integers(0, 2, n) for n in (30, 41, 17)]
    errors = [rng.normal(size=len(truth)) + truth for truth in labels]
    scores = alone(errors, np.arange(1000) / 900, normalization=normalization)
    expected = metrics.frame_auc(errors, labels)
    assert metrics.frame_auc([-score for score in scores], labels) == pytest.approx(expected, abs=1e-12)


def streams_and_training(*names):
    """Two clips of each stream and its training errors."""
    rng = np.random.default_rng(3)
    errors = {name: [rng.gamma(2.0, size=n) * 10**k for n in (7, 4)] for k, name in enumerate(names)}
    return errors, {name: rng.gamma(2.0, size=50) * 10**k for k, name in enumerate(names)}


def test_the_papers_fusion_weighs_motion():
    errors, _ = streams_and_training("spatial", "temporal", "flow")

    def part(clip):
        return 1 - (clip - clip.min()) / np.ptp(clip)

    for names in (("spatial", "temporal"), ("spatial", "temporal", "flow")):
        scores = fusion.regularity(errors, Protocol(names, temporal_weight=0.3))
        for index, score in enumerate(scores):
            spatial, *motion = (part(errors[name][index]) for name in names)
            np.testing.assert_allclose(score, spatial + 0.3 * sum(motion))


def test_calibrated_errors_are_added_and_logs_weigh_the_spatial_stream():
    errors, train = streams_and_training("spatial", "temporal", "flow")

    def z(stream, index):
        ordered = np.sort(train[stream])  # 50 errors: their quantiles lie between the 25th and the 26th, ..
        median, q90 = (ordered[24] + ordered[25]) / 2, 0.9 * ordered[44] + 0.1 * ordered[45]
        return (errors[stream][index] - median) / (q90 - median)

    def log(value):
        return np.where(value < 0, -np.log(1 - value), np.log(1 + np.abs(value)))

    names = ("spatial", "temporal", "flow")
    added = fusion.regularity(errors, Protocol(names, fusion="calibrated"), train)
    logs = fusion.regularity(errors, Protocol(names, fusion="log", spatial_weight=0.4), train)
    for index in range(2):
        np.testing.assert_allclose(added[index], -sum(z(name, index) for name in names))
        of_motion = log(z("temporal", index)) + log(z("flow", index))
        np.testing.assert_allclose(logs[index], -(of_motion + 0.4 * log(z("spatial", index))))


@pytest.mark.parametrize("share", [0.0, 0.4, 0.7, 0.85, 0.9, 0.95, 0.995])
def test_a_scene_at_rest_most_of_the_time_has_a_scale(share):
    """Windows at rest have errors of 0, so that median and upper quantile may both be 0, or next to it."""
    moving = 1 + np.random.default_rng(1).gamma(2.0, size=round(1000 * (1 - share)))
    train = np.r_[np.zeros(1000 - moving.size), moving]
    low, high = fusion.train_limits(train, "calibrated")
    assert (low == 0) == (share > 0.5)
    assert low < high <= moving.max()
    if share > 0.8:
        assert high == np.median(moving)
    (score,) = alone([[0.0, high, 3 * high]], train, fusion="calibrated")
    assert np.all(np.diff(score) < 0)


def test_the_scale_has_no_cliff():
    """Errors that spread over decades: a frame in motion more or less changes the scale by little."""
    moving = np.random.default_rng(1).lognormal(sigma=2, size=1000)
    ends = [fusion.train_limits(np.r_[np.zeros(n), moving[n:]], "calibrated")[1] for n in range(500, 996)]
    assert np.abs(np.diff(np.log(ends))).max() < 0.5


def test_limits_of_the_paper_are_told_apart_where_hardly_anything_moves():
    assert fusion.train_limits(np.r_[np.zeros(99_995), 1, 2, 3, 4, 5], "paper") == (0, 3)
    with pytest.raises(InputError, match=r"some that differ, got 2\.0 throughout"):
        fusion.train_limits(np.full(10, 2.0), "paper")


def test_a_weak_stream_of_large_errors_drowns_no_other():
    """What SPEC.md measures: after a min-max per clip noise weighs as much as the stream that sees."""
    rng = np.random.default_rng(0)
    labels = [np.r_[np.zeros(40), np.ones(10)].astype(int) for _ in range(8)]
    seen = [0.1 * rng.random(50) + truth for truth in labels]
    noise = [100 * rng.random(50) for _ in labels]
    errors = {"spatial": noise, "flow": seen}
    train = {"spatial": 100 * rng.random(200), "flow": 0.1 * rng.random(200)}
    auc = {
        kind: metrics.frame_auc(
            [-s for s in fusion.regularity(errors, Protocol(("spatial", "flow"), fusion=kind), train)], labels
        )
        for kind in ("paper", "calibrated", "log")
    }
    assert auc["paper"] < 0.9 < min(auc["calibrated"], auc["log"])


def test_scores_are_smoothed_after_fusion():
    errors, _ = streams_and_training("spatial", "temporal")
    plain = fusion.regularity(errors, Protocol())
    for smoothing, kernel in (("centered", slice(-1, 2)), ("causal", slice(-2, 1))):
        found = fusion.regularity(errors, Protocol(smoothing_frames=3, smoothing=smoothing))
        for score, expected in zip(found, plain, strict=True):
            by_hand = [
                expected[max(0, t + kernel.start) : t + kernel.stop].mean() for t in range(len(expected))
            ]
            np.testing.assert_allclose(score, by_hand)


def test_smooth_is_the_mean_of_the_frames_that_are_there():
    scores = np.array([3.0, 0.0, 6.0, 9.0])

    def smooth(n_frames, smoothing="centered"):
        return fusion.smooth(scores, Protocol(smoothing_frames=n_frames, smoothing=smoothing))

    np.testing.assert_array_equal(smooth(1), scores)
    np.testing.assert_allclose(smooth(3), [1.5, 3, 5, 7.5])
    np.testing.assert_allclose(smooth(5), [3, 4.5, 4.5, 5])
    np.testing.assert_allclose(smooth(99), np.full(4, 4.5))
    np.testing.assert_array_equal(smooth(1, "causal"), scores)
    np.testing.assert_allclose(smooth(2, "causal"), [3, 1.5, 3, 7.5])
    np.testing.assert_allclose(smooth(3, "causal"), [3, 1.5, 3, 5])
    np.testing.assert_allclose(smooth(99, "causal"), [3, 1.5, 3, 4.5])
    with pytest.raises(ValueError, match="odd number from 1, got 2"):
        smooth(2)


@pytest.mark.parametrize("smoothing", ["centered", "causal"])
def test_smoothed_ties_stay_ties(smoothing):
    scores = np.concatenate([np.full(20, 0.1), np.full(20, 0.7)])
    found = fusion.smooth(scores, Protocol(smoothing_frames=3, smoothing=smoothing))
    np.testing.assert_array_equal(found[:19], 0.1)
    np.testing.assert_array_equal(found[22:], 0.7)


def test_bad_numbers_and_lengths_are_refused():
    for bad in (np.nan, np.inf):
        for changed in ({}, {"normalization": "global"}, {"normalization": "train"}, {"fusion": "log"}):
            with pytest.raises(ValueError, match=r"clip_errors of clip 1: .*finite"):
                alone([[1.0, 2.0], [1.0, bad]], TRAIN, **changed)
        with pytest.raises(ValueError, match=r"train_errors: .*finite"):
            alone([[1.0, 2.0]], np.array([1.0, bad]), fusion="calibrated")
    with pytest.raises(ValueError, match="equally many frames"):
        fusion.regularity({"spatial": [np.arange(3.0)], "temporal": [np.arange(4.0)]}, Protocol())
