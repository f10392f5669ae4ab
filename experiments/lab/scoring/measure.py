"""What trained runs score on their test clips under a protocol."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from data_prep.errors import InputError
from data_prep.pooling import PYRAMIDS, region_count
from experiments.lab.scoring import metrics
from experiments.lab.scoring.protocol import ONE_ERROR, Protocol
from experiments.lab.scoring.regularity import micro_auc, regularity
from experiments.lab.scoring.score import ClipScores
from experiments.lab.training.runs import Run

Runs = Mapping[str, Run]  # stream -> run, of one seed


def held_by(runs: Runs, protocol: Protocol) -> Protocol:
    """Return the protocol as these runs can hold it, so that its text says what is computed.

    Its streams are theirs; frames with one region have one error, those with other cells than a pyramid's the
    largest; what was scored at one checkpoint alone leaves no choice.
    """
    own: dict[str, Any] = {
        "streams": tuple(runs),
        "ahead_frames": max(run.ahead_frames for run in runs.values()),
    }
    regions = {run.scores()[0].error.shape[1] for run in runs.values()}
    if regions == {1}:
        own["frame_error"] = ONE_ERROR
    elif not regions <= set(map(region_count, PYRAMIDS)):
        own["frame_error"] = "max"  # the one kind that any cells have
    if len(common_steps(runs)) < 2:
        own["checkpoint"] = "last"
    return replace(protocol, **own)


def protocols_of(runs: Runs, headline: Protocol) -> list[Protocol]:
    """Return the protocols of all rows of these runs: the headline first, then those that stand beside it."""
    headline = held_by(runs, headline)
    one_checkpoint = len(common_steps(runs)) < 2
    return [
        headline,
        *(p for p in beside(runs, headline) if p.checkpoint == headline.checkpoint or not one_checkpoint),
    ]


def beside(runs: Runs, protocol: Protocol) -> list[Protocol]:
    """Return the protocols beside one, those of a stream alone as its run can hold them: how far it looks."""
    return [held_by({stream: runs[stream] for stream in p.streams}, p) for p in protocol.beside()]


def common_steps(runs: Runs) -> list[int]:
    """Return the steps at which all streams were scored, ascending; flow windows have steps of their own."""
    return sorted(set.intersection(*(set(run.steps) for run in runs.values())))


def step_of(runs: Runs, protocol: Protocol) -> int | None:
    """Return the step of the protocol's checkpoint: of equally good ones on the test set the first.

    None: the last of each stream, where these differ.
    """
    if protocol.checkpoint == "last":
        last = {run.steps[-1] for run in runs.values()}
        return last.pop() if len(last) == 1 else None
    return max(common_steps(runs), key=lambda step: auc(runs, protocol, step))


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
    of_seeds = [[-s for s in regularity_of(runs, protocol)] for runs in seeded]
    return metrics.bootstrap_interval(of_seeds, labels_of(seeded[0], protocol))


def zero_share(runs: Runs, protocol: Protocol) -> float:
    """Return the share of zero codes over the test frames of the protocol's streams.

    Of flow windows those at rest do not count, see `ClipScores.of_regions`; InputError where all are.
    """
    scored = scores_of(runs, protocol).values()
    return mean_of_regions([clip for clips in scored for clip in clips], "sparsity")


def mean_of_regions(clips: Sequence[ClipScores], name: str) -> float:
    """Return the mean of `ClipScores.of_regions` over clips. InputError: all are flow windows at rest."""
    values = np.concatenate([clip.of_regions(name) for clip in clips])
    if not values.size:
        raise InputError(f"no window of the test clips moves: there are no codes that have a {name}")
    return float(values.mean())
