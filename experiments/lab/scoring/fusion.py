"""From the frame errors of one or several streams to one regularity score s(t): low is abnormal.

A stream's errors e go through a line, (e - low) / (high - low), whose ends are

    per_clip, global   minimum and maximum of the clip's errors, of all test clips'       Paper: Eq. (14)
    train              minimum and 99.9th percentile of the training errors
    calibrated, log    median and 0.9 quantile of the training errors

An upper end that comes of the training errors is at least the median of those above the lower one: in a scene
where nothing moves most of the time, that is of the frames in which something does. The streams are added by
the weights of the protocol:

    paper        s = (1 - r_spatial) + temporal_weight (1 - r_motion)       Paper: Sec. 3.7
    calibrated   s = -(z_spatial + z_motion)
    log          s = -(g(z_motion) + spatial_weight g(z_spatial)),  g(z) = sign(z) log(1 + |z|)

where r and z are what the line gives; further streams of motion are added as the first. "calibrated" and
"log" weigh each stream by what its errors are on normal frames, so that a weak stream cannot drown a strong
one, and a frame's score depends on no other frame of the test clips. Scores are then smoothed.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from data_prep.errors import InputError
from experiments.lab.scoring.metrics import finite, finite_clips, finite_vector
from experiments.lab.scoring.protocol import Protocol

TRAIN_PERCENTILE = 99.9
CALIBRATION_PERCENTILES = (50, 90)


def regularity(
    errors: Mapping[str, Sequence[np.ndarray]],
    protocol: Protocol,
    train_errors: Mapping[str, np.ndarray] | None = None,
) -> list[np.ndarray]:
    """Return the regularity score s(t) of each clip, float64 (n_frames,).

    Args:
        errors: stream -> the frame errors of each clip, (n_frames,), the clips in one order.
        protocol: which streams, and how.
        train_errors: stream -> the frame errors of the training clips, (n,); read where the protocol
            `needs_train_errors`.

    Raises:
        ValueError: numbers that are not finite, streams of other lengths.
        InputError: training errors all alike.
    """
    limits = {
        stream: error_limits(errors[stream], protocol, (train_errors or {}).get(stream))
        for stream in protocol.streams
    }
    clips = []
    for index in range(len(errors[protocol.streams[0]])):
        of_clip, ends = ({stream: values[stream][index] for stream in limits} for values in (errors, limits))
        clips.append(smooth(score(of_clip, protocol, ends), protocol))
    return clips


def score(
    errors: Mapping[str, np.ndarray], protocol: Protocol, limits: Mapping[str, tuple[float, float]]
) -> np.ndarray:
    """Return s(t) of the frames of one clip, (n_frames,), not smoothed. Paper: Eq. (14), Sec. 3.7.

    Args:
        errors: stream -> frame errors, (n_frames,).
        protocol: which streams, and how.
        limits: stream -> the ends of its line.

    Raises ValueError: streams of other lengths.
    """
    if len(shapes := {np.shape(errors[stream]) for stream in protocol.streams}) > 1:
        raise ValueError(f"streams: expected equally many frames of each, got {sorted(shapes)}")
    offset = 1 if protocol.fusion == "paper" else 0
    return sum(
        weight * (offset - anomaly(errors[stream], limits[stream], protocol.fusion))
        for stream, weight in protocol.weights.items()
    )


def error_limits(
    clip_errors: Sequence[np.ndarray], protocol: Protocol, train_errors: np.ndarray | None = None
) -> list[tuple[float, float]]:
    """Return the ends of the line of one stream, one (low, high) a clip. Paper: min and max of Eq. (14).

    Args:
        clip_errors: the stream's frame errors, (n_frames,) a clip.
        protocol: its fusion and its normalization say which ends.
        train_errors: frame errors of the training clips, (n,).
    """
    clips = finite_clips(clip_errors, "clip_errors")
    if protocol.needs_train_errors:
        return [train_limits(train_errors, protocol.fusion)] * len(clips)
    if protocol.normalization == "per_clip":
        return [(float(errors.min()), float(errors.max())) for errors in clips]
    limits = min(errors.min() for errors in clips), max(errors.max() for errors in clips)
    return [(float(limits[0]), float(limits[1]))] * len(clips)


def train_limits(train_errors: np.ndarray, fusion: str) -> tuple[float, float]:
    """Return (low, high) from training errors, (n,). InputError: they are all alike."""
    errors = finite_vector(train_errors, "train_errors")
    if fusion == "paper":
        low, high = errors.min(), np.percentile(errors, TRAIN_PERCENTILE)
    else:
        low, high = np.percentile(errors, CALIBRATION_PERCENTILES)
    if (above := errors[errors > low]).size:
        high = max(high, np.median(above))
    if low == high:
        raise InputError(f"errors of training frames: expected some that differ, got {low} throughout")
    return float(low), float(high)


def anomaly(errors: np.ndarray, limits: tuple[float, float], fusion: str) -> np.ndarray:
    """Return r of Eq. (14), z or g(z), see above, in the shape given; zeros where the limits are equal.

    It rises with the error, so that of a frame's regions the one of the largest error has the largest value.
    """
    errors, (low, high) = finite(errors, "errors"), limits
    z = (errors - low) / (high - low) if high > low else np.zeros_like(errors)
    return np.sign(z) * np.log1p(np.abs(z)) if fusion == "log" else z


def smooth(scores: np.ndarray, protocol: Protocol) -> np.ndarray:
    """Return the mean of each score of a clip, (n,), and those around it, or of the last ones.

    `protocol` says how many frames and which; fewer are taken at the ends of the clip. The mean of equal
    scores is that score to the last digit, so that ties stay ties.
    Raises ValueError: less than one frame, or an even number of them around each.
    """
    n_frames, centered = protocol.smoothing_frames, protocol.smoothing == "centered"
    if n_frames < 1 or (centered and n_frames % 2 == 0):
        raise ValueError(f"smoothing_frames: expected an odd number from 1, got {n_frames}")
    scores = finite_vector(scores, "scores")
    if n_frames == 1:
        return scores
    n_after = n_frames // 2 if centered else 0
    sums, t = np.concatenate([[0.0], np.cumsum(scores, dtype=np.float64)]), np.arange(len(scores))
    first, end = np.maximum(t + n_after - n_frames + 1, 0), np.minimum(t + n_after + 1, len(scores))
    means = (sums[end] - sums[first]) / (end - first)
    padded = np.pad(scores, (n_frames - 1 - n_after, n_after), mode="edge")
    around = np.lib.stride_tricks.sliding_window_view(padded, n_frames)
    return np.clip(means, around.min(axis=1), around.max(axis=1))
