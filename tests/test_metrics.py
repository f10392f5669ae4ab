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


def test_macro_auc_leaves_out_clips_of_one_class(clips):
    scores, labels = clips
    by_hand = np.mean([auc_by_pairs(scores[i], labels[i]) for i in (0, 1, 4)])
    assert metrics.macro_auc(scores, labels) == pytest.approx(by_hand, abs=1e-12)
    assert metrics.macro_auc(scores[2:4], labels[2:4]) is None


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
        metrics.frame_error(errors[:, :20], "frame")
    np.testing.assert_array_equal(metrics.frame_error(errors[:, :20]), errors[:, :20].max(axis=1))


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


def test_wins_are_counted_pair_by_pair(clips):
    scores, labels = clips
    wins = metrics.clip_wins(scores, labels)
    for i, j in itertools.product(range(5), repeat=2):
        pairs = itertools.product(scores[i][labels[i] == 1], scores[j][labels[j] == 0])
        assert wins[i, j] == sum(float(a > b) + 0.5 * float(a == b) for a, b in pairs)


@pytest.mark.parametrize("confidence", [0.95, 0.5])
def test_bootstrap_draws_whole_clips(confidence):
    """Of three clips all 27 draws can be written down: the interval is that of their distribution."""
    labels = [np.array([0, 1, 0]), np.array([0, 1, 1, 0]), np.array([1, 1, 1])]
    rng = np.random.default_rng(1)
    of_seeds = [[np.round(rng.normal(size=len(truth)) + truth, 1) for truth in labels] for _ in range(2)]
    # A draw of the last clip alone is of one class and is replaced by another.
    draws = [draw for draw in itertools.product(range(3), repeat=3) if set(draw) != {2}]
    exact = [
        np.mean([metrics.frame_auc([s[i] for i in draw], [labels[i] for i in draw]) for s in of_seeds])
        for draw in draws
    ]
    interval = metrics.bootstrap_interval(of_seeds, labels, 0, 20_000, confidence)
    ends = np.quantile(exact, [(1 - confidence) / 2, (1 + confidence) / 2], method="inverted_cdf")
    assert interval == pytest.approx(tuple(ends))
    assert interval == metrics.bootstrap_interval(of_seeds, labels, 0, 20_000, confidence)


def test_bootstrap_interval_of_the_auc(clips):
    scores, labels = clips
    low, high = metrics.bootstrap_interval([scores], labels, seed=3, n_resamples=200)
    assert 0 < low < metrics.frame_auc(scores, labels) < high < 1
    assert (low, high) != metrics.bootstrap_interval([scores], labels, 4, 200)
    certain = [truth.astype(float) for truth in labels]
    assert metrics.bootstrap_interval([certain], labels, 0, 50) == (1.0, 1.0)
    assert metrics.bootstrap_interval([scores[:1]], labels[:1], 0) is None
    with pytest.raises(ValueError, match="0 throughout"):
        metrics.bootstrap_interval([[scores[3]] * 2], [labels[3]] * 2, 0)


def test_chance_and_constant_scores():
    rng = np.random.default_rng(0)
    labels = [rng.integers(0, 2, 4000) for _ in range(2)]
    chance, constant = [rng.random(4000) for _ in labels], [np.zeros(4000)] * 2
    share = np.concatenate(labels).mean()
    for metric, expected in (
        (metrics.frame_auc, 0.5),
        (metrics.macro_auc, 0.5),
        (metrics.equal_error_rate, 0.5),
        (metrics.average_precision, share),
    ):
        assert metric(chance, labels) == pytest.approx(expected, abs=0.03)
        assert metric(constant, labels) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_bad_errors_are_refused(bad):
    with pytest.raises(ValueError, match="finite"):
        metrics.frame_error(np.full((2, 21), bad))
