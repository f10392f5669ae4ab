"""What trained runs score on their test clips under a protocol."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from experiments.lab.scoring import metrics
from experiments.lab.scoring.protocol import ONE_ERROR, Protocol
from experiments.lab.scoring.regularity import micro_auc, regularity
from experiments.lab.scoring.score import ClipScores
from experiments.lab.training.runs import Run

Runs = Mapping[str, Run]  # stream -> run, of one seed


def held_by(runs: Runs, protocol: Protocol) -> Protocol:
    """Return the protocol as these runs can hold it, so that its text says what is computed.

    Its streams are theirs; frames with one region have one error; what was scored at one checkpoint alone
    leaves no choice.
    """
    first = next(iter(runs.values()))
    own = {"streams": tuple(runs), "ahead_frames": max(run.ahead_frames for run in runs.values())}
    if all(run.scores()[0].error.shape[1] == 1 for run in runs.values()):
        own["frame_error"] = ONE_ERROR
    if len(first.steps) == 1:
        own["checkpoint"] = "last"
    return replace(protocol, **own)


def protocols_of(runs: Runs, headline: Protocol) -> list[Protocol]:
    """Return the protocols of all rows of these runs: the headline first, then those that stand beside it."""
    headline = held_by(runs, headline)
    one_checkpoint = len(next(iter(runs.values())).steps) == 1
    beside = (p for p in headline.beside() if p.checkpoint == headline.checkpoint or not one_checkpoint)
    return [headline, *beside]


def step_of(runs: Runs, protocol: Protocol) -> int:
    """Return the step of the protocol's checkpoint: of equally good ones on the test set the first."""
    steps = next(iter(runs.values())).steps
    if protocol.checkpoint == "last":
        return steps[-1]
    return max(steps, key=lambda step: auc(runs, protocol, step))


def scores_of(runs: Runs, protocol: Protocol, step: int | None = None) -> dict[str, list[ClipScores]]:
    """Return the test clips' scores of each of the protocol's streams, at its checkpoint or at `step`."""
    step = step_of(runs, protocol) if step is None else step
    return {stream: runs[stream].scores(step) for stream in protocol.streams}


def train_errors_of(runs: Runs, protocol: Protocol) -> dict[str, np.ndarray] | None:
    """Return stream -> frame errors of the training clips, (n,), None where the protocol reads none."""
    if not protocol.needs_train_errors:
        return None
    return {stream: runs[stream].train_errors(protocol.frame_error) for stream in protocol.streams}


def regularity_of(runs: Runs, protocol: Protocol, step: int | None = None) -> list[np.ndarray]:
    """Return s(t) of each test clip, (n_frames,), in the order of the first stream's clips."""
    return regularity(scores_of(runs, protocol, step), protocol, train_errors_of(runs, protocol))


def labels_of(runs: Runs, protocol: Protocol) -> list[np.ndarray]:
    """Return the labels of each test clip, uint8 (n_frames,), in the order of the first stream's clips."""
    return [clip.labels for clip in runs[protocol.streams[0]].scores()]


def auc(runs: Runs, protocol: Protocol, step: int | None = None) -> float:
    """Return the frame-level micro AUC of one seed's runs, at the protocol's checkpoint or at `step`."""
    return micro_auc(scores_of(runs, protocol, step), protocol, train_errors_of(runs, protocol))


def auc_interval(seeded: Sequence[Runs], protocol: Protocol) -> tuple[float, float] | None:
    """Return the 95 % bootstrap interval over test clips of the mean AUC over seeds; None for one clip."""
    labels = labels_of(seeded[0], protocol)
    if len(labels) < 2:
        return None
    of_seeds = [[-s for s in regularity_of(runs, protocol)] for runs in seeded]
    return metrics.bootstrap_interval(of_seeds, labels)
