"""Scores and metrics against answers counted by hand, and what must not change them."""

import itertools

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from experiments.lab.scoring import metrics


@pytest.fixture
def clips():
    """Return scores and labels of five clips, one wholly abnormal, one wholly normal, with ties."""
    rng = np.random.default_rng(0)
    lengths = (30, 41, 17, 25, 12)
    labels = [(rng.random(n) < 0.4).astype(np.uint8) for n in lengths]
    labels[2][:], labels[3][:] = 1, 0
    scores = [np.round(rng.normal(size=n) + 0.8 * truth, 1) for n, truth in zip(lengths, labels, strict=True)]
    return scores, labels


def auc_by_pairs(scores, labels):
    """Count the (abnormal, normal) pairs in which the abnormal frame scores higher; a tie counts half."""
    abnormal, normal = scores[labels == 1], scores[labels == 0]
    wins = sum(float(a > b) + 0.5 * float(a == b) for a in abnormal for b in normal)
    return wins / (len(abnormal) * len(normal))


def test_frame_auc_counts_pairs(clips):
    scores, labels = clips
    pooled = np.concatenate(scores), np.concatenate(labels)
    assert metrics.frame_auc(scores, labels) == pytest.approx(auc_by_pairs(*pooled), abs=1e-12)
    assert metrics.frame_auc(scores, labels) == pytest.approx(roc_auc_score(pooled[1], pooled[0]), abs=1e-12)
    assert metrics.frame_auc([np.array([3.0, 1.0, 2.0])], [np.array([1, 0, 0])]) == 1.0
    assert metrics.frame_auc([np.array([1.0, 3.0])], [np.array([1, 0])]) == 0.0


def test_frame_auc_is_invariant(clips):
    scores, labels = clips
    expected = metrics.frame_auc(scores, labels)
    monotone = [np.exp(0.7 * score) * 1e3 - 5 for score in scores]
    assert metrics.frame_auc(monotone, labels) == pytest.approx(expected, abs=1e-12)
    order = [3, 0, 4, 2, 1]
    permuted = metrics.frame_auc([scores[i] for i in order], [labels[i] for i in order])
    assert permuted == pytest.approx(expected, abs=1e-12)
    negated = metrics.frame_auc([-score for score in scores], labels)
    assert negated == pytest.approx(1 - expected, abs=1e-12)


def test_global_normalization_keeps_the_ranking_of_errors(clips):
    errors, labels = clips
    for regularity in (
        metrics.normalize_global(errors),
        metrics.normalize_train(errors, np.arange(1000) / 900),
    ):
        anomaly = [-score for score in regularity]
        assert metrics.frame_auc(anomaly, labels) == pytest.approx(
            metrics.frame_auc(errors, labels), abs=1e-12
        )


def test_macro_auc_leaves_out_clips_of_one_class(clips):
    scores, labels = clips
    by_hand = np.mean([auc_by_pairs(scores[i], labels[i]) for i in (0, 1, 4)])
    mean, left_out = metrics.macro_auc(scores, labels)
    assert mean == pytest.approx(by_hand, abs=1e-12)
    assert left_out == 2
    with pytest.raises(ValueError, match="expected a clip"):
        metrics.macro_auc(scores[2:4], labels[2:4])


@pytest.mark.parametrize("metric", ["frame_auc", "macro_auc", "average_precision", "equal_error_rate"])
@pytest.mark.parametrize(
    ("index", "score", "truth", "fault"),
    [
        (1, [0.1, np.nan], [0, 1], "clip 1.*finite"),
        (1, [0.1, np.inf], [0, 1], "clip 1.*finite"),
        (2, [0.1, 0.2], [0, 1, 1], "clip 2"),
        (0, [0.1, 0.2], [0, 2], "clip 0.*0 and 1"),
        (2, [], [], "clip 2"),
    ],
)
def test_bad_clips_are_named(metric, index, score, truth, fault):
    scores, labels = [np.array([0.3, 0.6])] * 3, [np.array([0, 1])] * 3
    scores[index], labels[index] = np.array(score), np.array(truth)
    with pytest.raises(ValueError, match=fault):
        getattr(metrics, metric)(scores, labels)


def test_micro_metrics_need_both_classes_and_equal_lists():
    score = [np.array([0.1, 0.2])]
    with pytest.raises(ValueError, match="0 throughout"):
        metrics.frame_auc(score, [np.array([0, 0])])
    with pytest.raises(ValueError, match="1 clips, got 2"):
        metrics.frame_auc(score, [np.array([0, 1])] * 2)
    with pytest.raises(ValueError, match="at least one clip"):
        metrics.frame_auc([], [])


def test_normalize_per_clip_is_equation_14():
    np.testing.assert_allclose(metrics.normalize_per_clip(np.array([2.0, 6.0, 3.0])), [1, 0, 0.75])


@pytest.mark.parametrize("value", [0.0, 7.25, 1e30])
def test_a_constant_clip_is_regular_throughout(value):
    constant = np.full(5, value, dtype=np.float32)
    np.testing.assert_array_equal(metrics.normalize_per_clip(constant), np.ones(5))
    np.testing.assert_array_equal(metrics.normalize_global([constant, constant])[1], np.ones(5))


def test_normalize_global_spans_all_clips():
    first, second = metrics.normalize_global([np.array([1.0, 2.0]), np.array([5.0])])
    np.testing.assert_allclose(first, [1, 0.75])
    np.testing.assert_allclose(second, [0])


def test_normalize_train_uses_training_limits_and_does_not_clip():
    train = np.arange(1001.0)  # minimum 0, 99.9th percentile 999
    (score,) = metrics.normalize_train([np.array([0.0, 999.0, 1998.0, -999.0])], train)
    np.testing.assert_allclose(score, [1, 0, -1, 2], atol=1e-12)
    (alone,) = metrics.normalize_train([np.array([1998.0])], train)
    assert alone[0] == score[2]  # no look ahead: other frames do not matter
    with pytest.raises(ValueError, match="train_errors"):
        metrics.normalize_train([train], np.ones(10))


def test_error_limits_are_those_of_the_normalizations():
    clips, train = [np.array([1.0, 3.0]), np.array([2.0, 9.0, 4.0])], np.arange(1001.0)
    assert metrics.error_limits(clips) == [(1, 3), (2, 9)]
    assert metrics.error_limits(clips, "global") == [(1, 9), (1, 9)]
    assert metrics.error_limits(clips, "train", train) == [(0, pytest.approx(999))] * 2
    with pytest.raises(ValueError, match="normalization"):
        metrics.error_limits(clips, "none")


def test_rescale_is_one_minus_equation_14_in_any_shape():
    errors = np.array([[2.0, 6.0], [3.0, 10.0]])
    np.testing.assert_allclose(metrics.rescale(errors, 2, 6), [[0, 1], [0.25, 2]])
    np.testing.assert_array_equal(metrics.rescale(errors, 3, 3), np.zeros((2, 2)))


def test_fuse():
    spatial, temporal = np.array([1.0, 0.5]), np.array([0.2, 1.0])
    np.testing.assert_allclose(metrics.fuse(spatial, temporal), [1.1, 1.0])
    np.testing.assert_allclose(metrics.fuse(spatial, temporal, 0.0), spatial)
    np.testing.assert_allclose(metrics.fuse(spatial, temporal, temporal_weight=1.0), [1.2, 1.5])
    with pytest.raises(ValueError, match="temporal_weight"):
        metrics.fuse(spatial, temporal, 1.5)
    with pytest.raises(ValueError, match="expected 2 scores"):
        metrics.fuse(spatial, temporal[:1])


def test_motion_has_the_temporal_weight_unless_alone():
    assert metrics.stream_weights(["flow", "spatial"], 0.3) == {"flow": 0.3, "spatial": 1}
    assert metrics.stream_weights(["temporal"], 0.3) == {"temporal": 1}


def test_smooth_is_the_mean_of_the_frames_that_are_there():
    scores = np.array([3.0, 0.0, 6.0, 9.0])
    np.testing.assert_array_equal(metrics.smooth(scores, 1), scores)
    np.testing.assert_allclose(metrics.smooth(scores, 3), [1.5, 3, 5, 7.5])
    np.testing.assert_allclose(metrics.smooth(scores, 5), [3, 4.5, 4.5, 5])
    np.testing.assert_allclose(metrics.smooth(scores, 99), np.full(4, 4.5))
    with pytest.raises(ValueError, match="odd number from 1, got 2"):
        metrics.smooth(scores, 2)


def test_frame_error_kinds():
    errors = np.zeros((2, 21))
    errors[0, 0], errors[0, 1:5], errors[0, 5:] = 1.0, [2, 8, 3, 4], np.arange(16)
    errors[1, 4], errors[1, 5] = 6.0, 9.0  # the last of 2x2, the first of 4x4
    np.testing.assert_allclose(metrics.frame_error(errors), [15, 9])
    np.testing.assert_allclose(metrics.frame_error(errors, "scale_mean"), [(1 + 8 + 15) / 3, (0 + 6 + 9) / 3])
    np.testing.assert_allclose(metrics.frame_error(errors, "frame"), [1, 0])
    with pytest.raises(ValueError, match="kind"):
        metrics.frame_error(errors, "mean")
    with pytest.raises(ValueError, match="expected those of a pyramid, 1 or 1,2 or 1,2,4 or 1,2,4,8, got 20"):
        metrics.frame_error(errors[:, :20])


def test_frame_error_of_other_pyramids():
    errors = np.random.default_rng(0).random((3, 85))
    for n_regions, levels in ((5, [(0, 1), (1, 5)]), (85, [(0, 1), (1, 5), (5, 21), (21, 85)])):
        some = errors[:, :n_regions]
        np.testing.assert_array_equal(metrics.frame_error(some), some.max(1))
        maxima = [some[:, start:stop].max(1) for start, stop in levels]
        np.testing.assert_allclose(metrics.frame_error(some, "scale_mean"), np.mean(maxima, 0))
        np.testing.assert_array_equal(metrics.frame_error(some, "frame"), some[:, 0])


def test_equal_error_rate():
    # Alarms above 0.5: one of the four normal frames, and one of the four abnormal is missed.
    scores = np.array([0.1, 0.2, 0.3, 0.8, 0.4, 0.6, 0.7, 0.9])
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    assert metrics.equal_error_rate([scores], [labels]) == pytest.approx(0.25)
    assert metrics.equal_error_rate([labels * 1.0], [labels]) == pytest.approx(0.0)
    assert metrics.equal_error_rate([1.0 - labels], [labels]) == pytest.approx(1.0)
    assert metrics.equal_error_rate([np.zeros(8)], [labels]) == pytest.approx(0.5)


def test_average_precision_by_hand():
    scores, labels = np.array([4.0, 3.0, 2.0, 1.0]), np.array([1, 0, 1, 0])
    assert metrics.average_precision([scores[:1], scores[1:]], [labels[:1], labels[1:]]) == pytest.approx(
        0.5 * 1 + 0.5 * 2 / 3
    )


def test_bootstrap_draws_whole_clips():
    """Of three clips all 27 draws can be written down: the interval is that of their distribution."""
    clips = [np.array([1.0]), np.array([2.0, 6.0]), np.array([9.0, 9.0, 9.0])]
    labels = [np.array([0]), np.array([0, 1]), np.array([1, 0, 1])]

    def mean(scores, truth):
        assert [len(score) for score in scores] == [len(one) for one in truth]
        return float(np.concatenate(scores).mean())

    # A draw of the first clip alone is of one class and is replaced by another.
    draws = [draw for draw in itertools.product(range(3), repeat=3) if set(draw) != {0}]
    exact = [np.concatenate([clips[i] for i in draw]).mean() for draw in draws]
    for confidence in (0.95, 0.5):
        interval = metrics.bootstrap_interval(mean, clips, labels, 0, 20_000, confidence)
        ends = np.quantile(exact, [(1 - confidence) / 2, (1 + confidence) / 2], method="inverted_cdf")
        assert interval == pytest.approx(tuple(ends))
        assert interval == metrics.bootstrap_interval(mean, clips, labels, 0, 20_000, confidence)


def test_bootstrap_interval_of_the_auc(clips):
    scores, labels = clips
    low, high = metrics.bootstrap_interval(metrics.frame_auc, scores, labels, seed=3, n_resamples=200)
    assert 0 < low < metrics.frame_auc(scores, labels) < high < 1
    assert (low, high) != metrics.bootstrap_interval(metrics.frame_auc, scores, labels, 4, 200)
    certain = [truth.astype(float) for truth in labels]
    assert metrics.bootstrap_interval(metrics.frame_auc, certain, labels, 0, 50) == (1.0, 1.0)
    with pytest.raises(ValueError, match="two clips"):
        metrics.bootstrap_interval(metrics.frame_auc, scores[:1], labels[:1], 0)
    with pytest.raises(ValueError, match="0 throughout"):
        metrics.bootstrap_interval(metrics.frame_auc, [scores[3]] * 2, [labels[3]] * 2, 0)


def test_chance_and_constant_scores():
    rng = np.random.default_rng(0)
    labels = [rng.integers(0, 2, 4000) for _ in range(2)]
    chance, constant = [rng.random(4000) for _ in labels], [np.zeros(4000)] * 2
    share = np.concatenate(labels).mean()
    for metric, expected in (
        (metrics.frame_auc, 0.5),
        (lambda *clips: metrics.macro_auc(*clips)[0], 0.5),
        (metrics.equal_error_rate, 0.5),
        (metrics.average_precision, share),
    ):
        assert metric(chance, labels) == pytest.approx(expected, abs=0.03)
        assert metric(constant, labels) == pytest.approx(expected, abs=1e-12)


def test_sparsity_counts_exact_zeros():
    codes = np.array([[0.0, -0.0, 1e-30], [1.0, 0.0, -2.0]], dtype=np.float32)
    assert metrics.sparsity(codes) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="codes"):
        metrics.sparsity(np.array([0.0, np.nan]))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_bad_numbers_are_refused_everywhere(bad):
    vector = np.array([1.0, bad, 2.0])
    calls = [
        lambda: metrics.normalize_per_clip(vector),
        lambda: metrics.normalize_global([np.ones(2), vector]),
        lambda: metrics.normalize_train([vector], np.arange(5.0)),
        lambda: metrics.normalize_train([np.ones(2)], vector),
        lambda: metrics.fuse(vector, np.ones(3)),
        lambda: metrics.frame_error(np.full((2, 21), bad)),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="finite"):
            call()
