"""Controls of Table 1: what a detector scores that tells frames by their place in a sequence alone.

The labels of a Moving-MNIST test sequence are the same in every sequence of the temporal kind: frame 10 and
later. A score that rises along a sequence, whatever happens in it, is rewarded. The control sequences are the
test sequences without their anomalies (`data_prep.moving_mnist`).
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from experiments.lab.scoring import metrics
from experiments.lab.scoring.protocol import Protocol
from experiments.lab.scoring.regularity import micro_auc, regularity
from experiments.lab.scoring.score import ClipScores

TrainErrors = dict[str, np.ndarray] | None


def no_anomaly(
    test: Sequence[ClipScores], control: Sequence[ClipScores], protocol: Protocol, train_errors: TrainErrors
) -> float:
    """Return the AUC of the control sequences under the labels of the test sequences.

    0.5 for scores that do not depend on a frame's place.
    """
    relabeled = [replace(clip, labels=truth.labels) for clip, truth in zip(control, test, strict=True)]
    return micro_auc({protocol.streams[0]: relabeled}, protocol, train_errors)


def equal_times(
    test: Sequence[ClipScores], control: Sequence[ClipScores], protocol: Protocol, train_errors: TrainErrors
) -> float:
    """Return the AUC of the abnormal frames against the same frames of the control sequences.

    0.5 for scores that depend on a frame's place alone. All sequences share one scale: frames of different
    sequences are compared, which the limits of each sequence (Eq. 14) would undo.
    """
    shared = replace(protocol, normalization="global")
    apart = [replace(clip, clip=f"{clip.clip}, control") for clip in control]
    scores = regularity({protocol.streams[0]: [*test, *apart]}, shared, train_errors)
    places = 2 * [clip.labels == 1 for clip in test]
    labels = [np.full(place.sum(), index < len(test)) for index, place in enumerate(places)]
    return metrics.frame_auc([-score[place] for score, place in zip(scores, places, strict=True)], labels)


CONTROLS: dict[str, Callable[..., float]] = {"no anomaly": no_anomaly, "equal times": equal_times}
