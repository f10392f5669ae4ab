"""From the errors of regions to those of frames, and from scores to the numbers of the tables.

Two directions occur. An *error* or *anomaly score* is high for abnormal frames; a *regularity score* s
(Eq. 14, `scoring.fusion`) is low for them. The AUC functions take anomaly scores: negate s before passing it.
Anything that is not finite is refused with a ValueError, never skipped.
"""

from collections.abc import Sequence

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from data_prep.pooling import level_regions


def frame_error(region_errors: np.ndarray, kind: str = "max") -> np.ndarray:
    """Return the error of each frame, (n,), from those of its regions, (n, R): 21, or 1 for whole frames.

    max        : l(t) = max_i l(t, i), for any regions                       Paper: Sec. 3.7
    scale_mean : mean of (l of 1x1, max over 2x2, max over 4x4), for any pyramid
    frame      : l of the 1x1 region alone, for any pyramid

    Raises ValueError: another number of regions than a pyramid has, another kind.
    """
    errors = finite(region_errors, "region_errors")
    if errors.ndim != 2:
        raise ValueError(f"region_errors: expected shape (n, R), got {errors.shape}")
    if kind == "max" or errors.shape[1] == 1:
        return errors.max(axis=1)
    scales = level_regions(errors.shape[1]).values()
    if kind == "scale_mean":
        return np.mean([errors[:, scale].max(axis=1) for scale in scales], axis=0)
    if kind == "frame":
        return errors[:, 0]
    raise ValueError(f"kind: expected max, scale_mean or frame, got {kind!r}")


def frame_auc(anomaly_scores: Sequence[np.ndarray], labels: Sequence[np.ndarray]) -> float:
    """Return the micro AUC, in [0, 1]: one ROC curve over all frames of all clips, concatenated.

    `anomaly_scores` and `labels` hold one (n_frames,) array per clip; high scores and 1 mean abnormal.
    Raises ValueError naming the clip for scores that are not finite, lengths that differ or labels other than
    0 and 1, and when all frames are of one class.

    Paper: Sec. 4.1
    """
    return float(roc_auc_score(*_pooled(anomaly_scores, labels)))


def macro_auc(anomaly_scores: Sequence[np.ndarray], labels: Sequence[np.ndarray]) -> float | None:
    """Return the mean of the AUCs of the clips that have both classes; None where none has."""
    clips = _checked_clips(anomaly_scores, labels)
    aucs = [roc_auc_score(truth, scores) for truth, scores in clips if 0 < truth.sum() < truth.size]
    return float(np.mean(aucs)) if aucs else None


def average_precision(anomaly_scores: Sequence[np.ndarray], labels: Sequence[np.ndarray]) -> float:
    """Return the average precision of the abnormal frames over all clips, concatenated."""
    return float(average_precision_score(*_pooled(anomaly_scores, labels)))


def equal_error_rate(anomaly_scores: Sequence[np.ndarray], labels: Sequence[np.ndarray]) -> float:
    """Return where the false positive rate equals the miss rate on the ROC curve over all clips.

    Between two points of the curve both rates are interpolated linearly.
    """
    false_positive_rate, true_positive_rate, _ = roc_curve(*_pooled(anomaly_scores, labels))
    # False positive rate minus miss rate: it rises from -1 to 1 and never stays level.
    balance = false_positive_rate - (1 - true_positive_rate)
    return float(np.interp(0.0, balance, false_positive_rate))


def bootstrap_interval(
    of_seeds: Sequence[Sequence[np.ndarray]],
    labels: Sequence[np.ndarray],
    seed: int = 0,
    n_resamples: int = 1000,
    confidence: float = 0.95,
) -> tuple[float, float] | None:
    """Return the ends of a percentile bootstrap interval over clips of the AUC, its mean over seeds.

    None for one clip, of which there is nothing to draw.

    Frames of a clip are not independent, so whole clips are drawn, with replacement, as many as there are;
    all seeds share a draw. A draw whose frames are all of one class has no ROC curve and another replaces it.

    Args:
        of_seeds: the anomaly scores of each seed, (n_frames,) a clip.
        labels: (n_frames,) a clip.
        seed: of the draws.
        n_resamples: how many draws.
        confidence: share of the draws' AUCs that lie within the interval.

    Raises ValueError: what `frame_auc` refuses.
    """
    if len(labels) == 1:
        return None
    wins = np.mean([clip_wins(scores, labels) for scores in of_seeds], axis=0)
    n_abnormal = np.array([np.sum(truth == 1) for truth in labels])
    n_normal = np.array([np.sum(truth == 0) for truth in labels])
    rng, values = np.random.default_rng(seed), []
    while len(values) < n_resamples:
        times = np.bincount(rng.integers(len(labels), size=len(labels)), minlength=len(labels))
        if pairs := (times @ n_abnormal) * (times @ n_normal):
            values.append(times @ wins @ times / pairs)
    low, high = np.percentile(values, [50 * (1 - confidence), 50 * (1 + confidence)])
    return float(low), float(high)


def clip_wins(anomaly_scores: Sequence[np.ndarray], labels: Sequence[np.ndarray]) -> np.ndarray:
    """Return float (n_clips, n_clips): in how many pairs of an abnormal frame of clip i and a normal one of
    clip j the abnormal frame has the higher score, ties counted half.

    The AUC of any selection of clips is a sum of these by the number of its pairs, so that a thousand draws
    take no longer than one ROC curve.
    """
    truth, scores = _pooled(anomaly_scores, labels)
    clip = np.repeat(np.arange(len(labels)), [len(one) for one in labels])
    abnormal, clip_of_abnormal = scores[truth == 1], clip[truth == 1]
    wins = np.empty((len(labels), len(labels)))
    for index in range(len(labels)):
        normal = np.sort(scores[(truth == 0) & (clip == index)])
        below = sum(np.searchsorted(normal, abnormal, side) for side in ("left", "right")) / 2
        wins[:, index] = np.bincount(clip_of_abnormal, below, len(labels))
    return wins


def _pooled(
    anomaly_scores: Sequence[np.ndarray], labels: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    clips = _checked_clips(anomaly_scores, labels)
    truth = np.concatenate([truth for truth, _ in clips])
    if truth.min() == truth.max():
        raise ValueError(f"labels: expected normal and abnormal frames, got {truth[0]} throughout")
    return truth, np.concatenate([scores for _, scores in clips])


def _checked_clips(scores: Sequence[np.ndarray], labels: Sequence[np.ndarray]) -> list[tuple]:
    if len(scores) != len(labels):
        raise ValueError(f"labels: expected those of {len(scores)} clips, got {len(labels)}")
    clips = finite_clips(scores, "anomaly_scores")
    for index, (clip, truth) in enumerate(zip(clips, labels, strict=True)):
        if np.shape(truth) != clip.shape:
            raise ValueError(f"labels of clip {index}: expected shape {clip.shape}, got {np.shape(truth)}")
        if not np.isin(truth, (0, 1)).all():
            raise ValueError(f"labels of clip {index}: expected 0 and 1 only, got {np.unique(truth)[:5]}")
    return [(np.asarray(truth, dtype=np.uint8), clip) for truth, clip in zip(labels, clips, strict=True)]


def finite_clips(clips: Sequence[np.ndarray], name: str) -> list[np.ndarray]:
    """Return the clips' vectors as float64; ValueError naming the first that is bad, or for no clip."""
    if not len(clips):
        raise ValueError(f"{name}: expected at least one clip, got none")
    return [finite_vector(clip, f"{name} of clip {index}") for index, clip in enumerate(clips)]


def finite_vector(values: np.ndarray, name: str) -> np.ndarray:
    """Return a vector (n,) as float64; ValueError for another shape, no number or one that is not finite."""
    values = finite(values, name)
    if values.ndim != 1:
        raise ValueError(f"{name}: expected one number per frame, got shape {values.shape}")
    return values


def finite(values: np.ndarray, name: str) -> np.ndarray:
    """Return an array of any shape as float64; ValueError for no number or one that is not finite."""
    # Differences of large float32 errors would lose the digits that rank the frames.
    values = np.asarray(values, dtype=np.float64)
    if not values.size:
        raise ValueError(f"{name}: expected numbers, got none")
    if bad := np.count_nonzero(~np.isfinite(values)):
        raise ValueError(f"{name}: expected finite numbers, got {bad} that are not")
    return values
