"""From reconstruction errors to scores, and from scores to the numbers of the tables.

Two directions occur. An *error* or *anomaly score* is high for abnormal frames; a *regularity score* s
(Eq. 14) is low for them. The AUC functions take anomaly scores: negate s before passing it. Anything that is
not finite is refused with a ValueError, never skipped.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from data_prep.pooling import level_regions

TRAIN_PERCENTILE = 99.9


def frame_error(region_errors: np.ndarray, kind: str = "max") -> np.ndarray:
    """Return the error of each frame, (n,), from those of its regions, (n, R): 21, or 1 for whole frames.

    max        : l(t) = max_i l(t, i)                                        Paper: Sec. 3.7
    scale_mean : mean of (l of 1x1, max over 2x2, max over 4x4), for any pyramid
    frame      : l of the 1x1 region alone

    Raises ValueError: another number of regions than a pyramid has, another kind.
    """
    errors = _finite(region_errors, "region_errors")
    if errors.ndim != 2:
        raise ValueError(f"region_errors: expected shape (n, R), got {errors.shape}")
    scales = level_regions(errors.shape[1]).values()
    if len(scales) == 1:
        return errors[:, 0]
    if kind == "max":
        return errors.max(axis=1)
    if kind == "scale_mean":
        return np.mean([errors[:, scale].max(axis=1) for scale in scales], axis=0)
    if kind == "frame":
        return errors[:, 0]
    raise ValueError(f"kind: expected max, scale_mean or frame, got {kind!r}")


def normalize_per_clip(errors: np.ndarray) -> np.ndarray:
    """Return the regularity scores of one clip, (n,) in [0, 1], from its frame errors, (n,).

    s(t) = 1 - (l(t) - min_k l(k)) / (max_k l(k) - min_k l(k)); a constant clip is 1 throughout.

    Paper: Eq. (14), Sec. 3.7
    """
    return _regularity([errors], "per_clip")[0]


def normalize_global(clip_errors: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return the scores of each clip by Eq. (14) with minimum and maximum over the frames of all clips."""
    return _regularity(clip_errors, "global")


def normalize_train(clip_errors: Sequence[np.ndarray], train_errors: np.ndarray) -> list[np.ndarray]:
    """Return the scores of each clip by Eq. (14) with limits from the training errors: no look ahead.

    The limits are the minimum and the 99.9th percentile. Scores are not clipped to [0, 1], so that frames
    beyond the limits keep their order.
    """
    return _regularity(clip_errors, "train", train_errors)


def error_limits(
    clip_errors: Sequence[np.ndarray], normalization="per_clip", train_errors: np.ndarray | None = None
) -> list[tuple[float, float]]:
    """Return what stands for minimum and maximum in Eq. (14), one (low, high) a clip.

    per_clip : of the clip's frame errors
    global   : of the frame errors of all clips
    train    : the minimum and the 99.9th percentile of `train_errors`, (n,)
    """
    clips = _finite_clips(clip_errors, "clip_errors")
    if normalization == "per_clip":
        return [(float(errors.min()), float(errors.max())) for errors in clips]
    if normalization == "global":
        limits = min(errors.min() for errors in clips), max(errors.max() for errors in clips)
    elif normalization == "train":
        train_errors = _finite_vector(train_errors, "train_errors")
        limits = train_errors.min(), np.percentile(train_errors, TRAIN_PERCENTILE)
        if limits[0] == limits[1]:
            raise ValueError(f"train_errors: expected errors that differ, got {limits[0]} throughout")
    else:
        raise ValueError(f"normalization: expected per_clip, global or train, got {normalization!r}")
    return [(float(limits[0]), float(limits[1]))] * len(clips)


def rescale(errors: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return (errors - low) / (high - low) in the shape given: 1 - s of Eq. (14); zeros where low == high."""
    errors = _finite(errors, "errors")
    return (errors - low) / (high - low) if high > low else np.zeros_like(errors)


def fuse(spatial: np.ndarray, temporal: np.ndarray, temporal_weight: float = 0.5) -> np.ndarray:
    """Return s = s_spatial + temporal_weight * s_temporal, (n,), of one clip.

    Paper: Sec. 3.7 (the paper's beta in [0, 1]; 0.5 in Sec. 4.1)
    """
    if not 0 <= temporal_weight <= 1:
        raise ValueError(f"temporal_weight: expected a number in [0, 1], got {temporal_weight}")
    spatial, temporal = _finite_vector(spatial, "spatial"), _finite_vector(temporal, "temporal")
    if spatial.shape != temporal.shape:
        raise ValueError(f"temporal: expected {spatial.size} scores like spatial, got {temporal.size}")
    return spatial + temporal_weight * temporal


def smooth(scores: np.ndarray, n_frames: int) -> np.ndarray:
    """Return the mean of each score of a clip, (n,), and those around it: `n_frames`, fewer at the ends.

    Raises ValueError: an even number of frames.
    """
    if n_frames < 1 or n_frames % 2 == 0:
        raise ValueError(f"n_frames: expected an odd number from 1, got {n_frames}")
    scores = _finite_vector(scores, "scores")
    if n_frames == 1:
        return scores
    sums, t = np.concatenate([[0.0], np.cumsum(scores, dtype=np.float64)]), np.arange(len(scores))
    first, end = np.maximum(t - n_frames // 2, 0), np.minimum(t + n_frames // 2 + 1, len(scores))
    return (sums[end] - sums[first]) / (end - first)


def stream_weights(streams: Iterable[str], temporal_weight: float) -> dict[str, float]:
    """Return the weight of each stream in the fused score: 1 for the spatial one, or for one alone."""
    names = list(streams)
    return {name: 1.0 if name == "spatial" or len(names) == 1 else temporal_weight for name in names}


def frame_auc(anomaly_scores: Sequence[np.ndarray], labels: Sequence[np.ndarray]) -> float:
    """Return the micro AUC, in [0, 1]: one ROC curve over all frames of all clips, concatenated.

    `anomaly_scores` and `labels` hold one (n_frames,) array per clip; high scores and 1 mean abnormal.
    Raises ValueError naming the clip for scores that are not finite, lengths that differ or labels other than
    0 and 1, and when all frames are of one class.

    Paper: Sec. 4.1
    """
    return float(roc_auc_score(*_pooled(anomaly_scores, labels)))


def macro_auc(anomaly_scores: Sequence[np.ndarray], labels: Sequence[np.ndarray]) -> tuple[float, int]:
    """Return the mean of the clips' own AUCs and the number of clips left out, having one class only."""
    clips = _checked_clips(anomaly_scores, labels)
    aucs = [roc_auc_score(truth, scores) for truth, scores in clips if 0 < truth.sum() < truth.size]
    if not aucs:
        raise ValueError("labels: expected a clip with normal and abnormal frames, got none")
    return float(np.mean(aucs)), len(clips) - len(aucs)


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
    metric: Callable[[Sequence[np.ndarray], Sequence[np.ndarray]], float],
    anomaly_scores: Sequence[np.ndarray],
    labels: Sequence[np.ndarray],
    seed: int,
    n_resamples: int = 1000,
    confidence: float = 0.95,
) -> tuple[float, float]:
    """Return the ends of a percentile bootstrap interval of `metric(anomaly_scores, labels)`.

    Frames of a clip are not independent, so whole clips are drawn, with replacement, as many as there are. A
    draw whose frames are all of one class has no ROC curve and is replaced by another. Raises ValueError for
    fewer than two clips.
    """
    if len(anomaly_scores) < 2:
        raise ValueError(f"anomaly_scores: expected two clips or more, got {len(anomaly_scores)}")
    clips = [(scores, truth) for truth, scores in _checked_clips(anomaly_scores, labels)]
    _pooled(anomaly_scores, labels)  # some draw has both classes
    classes = np.array([(truth.min(), truth.max()) for _, truth in clips])
    rng = np.random.default_rng(seed)
    values: list[float] = []
    while len(values) < n_resamples:
        drawn = rng.integers(len(clips), size=len(clips))
        if classes[drawn, 0].min() < classes[drawn, 1].max():
            values.append(metric(*zip(*(clips[index] for index in drawn), strict=True)))
    low, high = np.percentile(values, [50 * (1 - confidence), 50 * (1 + confidence)])
    return float(low), float(high)


def sparsity(codes: np.ndarray) -> float:
    """Return the fraction of codes that are exactly zero; `codes` has any shape.

    Paper: Sec. 4.4, "percentage of zero entries"
    """
    codes = _finite(codes, "codes", dtype=None)
    return float(np.mean(codes == 0))


def _regularity(clip_errors: Sequence[np.ndarray], *normalization) -> list[np.ndarray]:
    limits = error_limits(clip_errors, *normalization)
    return [1 - rescale(errors, *ends) for errors, ends in zip(clip_errors, limits, strict=True)]


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
    clips = _finite_clips(scores, "anomaly_scores")
    for index, (clip, truth) in enumerate(zip(clips, labels, strict=True)):
        if np.shape(truth) != clip.shape:
            raise ValueError(f"labels of clip {index}: expected shape {clip.shape}, got {np.shape(truth)}")
        if not np.isin(truth, (0, 1)).all():
            raise ValueError(f"labels of clip {index}: expected 0 and 1 only, got {np.unique(truth)[:5]}")
    return [(np.asarray(truth, dtype=np.uint8), clip) for truth, clip in zip(labels, clips, strict=True)]


def _finite_clips(clips: Sequence[np.ndarray], name: str) -> list[np.ndarray]:
    if not len(clips):
        raise ValueError(f"{name}: expected at least one clip, got none")
    return [_finite_vector(clip, f"{name} of clip {index}") for index, clip in enumerate(clips)]


def _finite_vector(values: np.ndarray, name: str) -> np.ndarray:
    values = _finite(values, name)
    if values.ndim != 1:
        raise ValueError(f"{name}: expected one number per frame, got shape {values.shape}")
    return values


def _finite(values: np.ndarray, name: str, dtype: type | None = np.float64) -> np.ndarray:
    # float64 by default: differences of large float32 errors lose the digits that rank the frames.
    values = np.asarray(values, dtype=dtype)
    if not values.size:
        raise ValueError(f"{name}: expected numbers, got none")
    if bad := np.count_nonzero(~np.isfinite(values)):
        raise ValueError(f"{name}: expected finite numbers, got {bad} that are not")
    return values
