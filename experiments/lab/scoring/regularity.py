"""From region errors to a frame's regularity score, and to the AUC (Sec. 3.7)."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from data_prep.errors import InputError
from experiments.lab.scoring import fusion, metrics
from experiments.lab.scoring.protocol import Protocol
from experiments.lab.scoring.score import ClipScores


def in_order(clips: Sequence[ClipScores], names: Sequence[str], source: object) -> list[ClipScores]:
    """Return the clips in the order of `names`: whatever is joined is joined by name.

    Args:
        clips: in any order.
        names: of the same clips.
        source: what the clips are from, for the error.

    Raises InputError: other clips than those, naming them.
    """
    by_name = {clip.clip: clip for clip in clips}
    faults = {
        "without": [name for name in names if name not in by_name],
        "besides": [name for name in by_name if name not in set(names)],
        "repeated": [name for name, count in Counter(clip.clip for clip in clips).items() if count > 1],
    }
    if any(faults.values()):
        told = "; ".join(f"{word} {', '.join(found)}" for word, found in faults.items() if found)
        raise InputError(f"{source}: other clips than those it is joined with: {told}")
    return [by_name[name] for name in names]


def joined(streams: Mapping[str, Sequence[ClipScores]]) -> dict[str, list[ClipScores]]:
    """Return the streams with their clips in the order of the first. InputError: other clips or labels."""
    first, *_ = streams.values()
    names = [clip.clip for clip in first]
    found = {stream: in_order(clips, names, f"{stream} stream") for stream, clips in streams.items()}
    for stream, clips in found.items():
        for one, other in zip(first, clips, strict=True):
            if not np.array_equal(one.labels, other.labels):
                raise InputError(f"{stream} stream, clip {one.clip}: labels differ from the first stream's")
    return found


def regularity(
    streams: Mapping[str, Sequence[ClipScores]],
    protocol: Protocol | None = None,
    train_errors: Mapping[str, np.ndarray] | None = None,
) -> list[np.ndarray]:
    """Return the regularity score s(t) of each clip of the first stream, (n_frames,); low is abnormal.

    Paper: Eq. (14) and Sec. 3.7, see `scoring.fusion`.

    Args:
        streams: stream -> scores, clips in any order; those that the protocol names.
        protocol: None for the paper's on these streams.
        train_errors: stream -> frame errors of the training clips, (n,), see `fusion.regularity`.
    """
    protocol = protocol or Protocol(tuple(streams))
    errors = {
        stream: [metrics.frame_error(clip.error, protocol.frame_error) for clip in clips]
        for stream, clips in joined({stream: streams[stream] for stream in protocol.streams}).items()
    }
    return fusion.regularity(errors, protocol, train_errors)


def micro_auc(
    streams: Mapping[str, Sequence[ClipScores]],
    protocol: Protocol | None = None,
    train_errors: Mapping[str, np.ndarray] | None = None,
) -> float:
    """Return the frame-level AUC over all frames of all clips; arguments as of `regularity`."""
    protocol = protocol or Protocol(tuple(streams))
    labels = [clip.labels for clip in streams[protocol.streams[0]]]
    return metrics.frame_auc([-s for s in regularity(streams, protocol, train_errors)], labels)
