"""Scores from a run's own frames alone: limits, threshold and false alarms, no other test frame needed."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from data_prep.errors import InputError
from data_prep.pooling import PYRAMID_LEVELS, level_regions, region_count
from experiments.lab.scoring import fusion, metrics
from experiments.lab.scoring.footprints import footprints
from experiments.lab.scoring.protocol import Protocol
from experiments.lab.scoring.regularity import joined, regularity
from experiments.lab.scoring.score import ClipScores
from experiments.lab.scoring.score_files import load_scores
from experiments.lab.training.runs import Run

CELLS_PER_SIDE = PYRAMID_LEVELS[-1]
CELLS = level_regions(region_count())[CELLS_PER_SIDE]  # among the regions
# For the score that all but p per cent of frames reach, 100 / p frames are one beyond it, on average.
ENOUGH, MOST_CERTAIN = 100, 99.5
# Features are stored with 11 bits, live ones have more: an error that is larger by so much is the same.
ROUNDING = 2.0**-11


# Of a stream: which of its regions say where in the frame something is, and what each covers as shares of the
# frame, left, top, right, bottom, (n, 4). Coarser regions contain finer ones, and would say less.
Places = tuple[slice, np.ndarray]


@dataclass(frozen=True)
class Calibration:
    """What the training frames say about the errors of others.

    Attributes:
        protocol: how errors become a score.
        limits: stream -> the ends of its line, see `scoring.fusion`.
        percentile: of the training frames, those beyond it are 100 - percentile per cent.
        threshold: the score below which a frame is abnormal: that of the frame at `percentile`, of those
            trained on or of those held out, whichever is lower, its errors larger by `ROUNDING`. Of footage
            in which nothing moves, no frame differs from another by more.
        highest: the highest score of a training frame.
        n_train_frames: how many frames that rests on.
        n_held_out, n_false_alarms: normal frames that were scored but not trained on, and how many of them
            are below what the training frames alone would make the threshold.
    """

    protocol: Protocol
    limits: Mapping[str, tuple[float, float]]
    percentile: float
    threshold: float
    highest: float
    n_train_frames: int
    n_held_out: int
    n_false_alarms: int

    def __str__(self) -> str:
        """Return in words what the threshold is and how often normal frames cross it."""
        text = (
            f"threshold: score {self.threshold:.3f}, which {self.percentile:g} % of {self.n_train_frames} "
            "training frames reach"
        )
        if self.n_held_out:
            share = 100 * self.n_false_alarms / self.n_held_out
            text += (
                f" and as many of {self.n_held_out} held-out normal ones (by the training frames alone "
                f"{share:.1f} % of these would be abnormal)"
            )
        if self.n_held_out < (enough := round(ENOUGH / (100 - min(self.percentile, MOST_CERTAIN)))):
            text += (
                f"\nWARNING: {self.n_held_out} held-out normal frames are few, expected {enough} or more for "
                "a threshold that holds for others: train on more footage"
            )
        return text

    def score(self, errors: Mapping[str, np.ndarray]) -> float:
        """Return s(t) of one frame, not smoothed, from its region errors, (R,) a stream; low is abnormal."""
        frame = {
            stream: metrics.frame_error(errors[stream][None], self.protocol.frame_error)
            for stream in self.limits
        }
        return float(fusion.score(frame, self.protocol, self.limits)[0])

    def worst_box(self, errors: Mapping[str, np.ndarray], places: Mapping[str, Places]) -> np.ndarray:
        """Return the region whose errors take most from the score: its box as shares of the frame, (4,).

        Streams that have the same boxes take from the score together.

        Args:
            errors: stream -> region errors, (R,).
            places: stream -> which of its regions are looked at, and their boxes, see `Places`.
        """
        taken: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        for stream, limits in self.limits.items():
            regions, boxes = places[stream]
            anomaly = fusion.anomaly(errors[stream][regions], limits, self.protocol.fusion)
            _, others = taken.get(id(boxes), (boxes, 0.0))
            taken[id(boxes)] = boxes, others + self.protocol.weights[stream] * anomaly
        boxes, most = max(taken.values(), key=lambda item: item[1].max())
        return boxes[np.argmax(most)]


def calibrate(runs: Mapping[str, Run], protocol: Protocol, percentile: float) -> Calibration:
    """Return the calibration of one run, or of those of several streams, on their training frames.

    Args:
        runs: stream -> run.
        protocol: its limits are taken from the training errors, whatever its normalization.
        percentile: of the training frames, those that the threshold leaves normal.

    Raises InputError: training errors that are all alike, or of other frames in the two runs.
    """
    protocol = replace(protocol, streams=tuple(runs), normalization="train")
    train = {stream: load_scores(run.folder / "train_errors.npz") for stream, run in runs.items()}
    try:
        train = joined(train)
    except InputError as fault:
        folders = " and ".join(str(run.folder) for run in runs.values())
        raise InputError(f"{folders}: expected runs trained on the same clips; {fault}") from None
    errors = {
        stream: np.concatenate([metrics.frame_error(clip.error, protocol.frame_error) for clip in clips])
        for stream, clips in train.items()
    }
    try:
        limits = {stream: fusion.train_limits(values, protocol.fusion) for stream, values in errors.items()}
    except InputError as fault:
        folder = next(iter(runs.values())).folder
        raise InputError(f"{folder}: no threshold can be taken from its training frames, {fault}") from None
    scores = np.concatenate(regularity(train, protocol, errors))
    known = np.percentile(_rounded(train, protocol, errors), 100 - percentile)
    held_out = joined({stream: run.scores() for stream, run in runs.items()})
    labels = np.concatenate([clip.labels for clip in next(iter(held_out.values()))])
    normal = _rounded(held_out, protocol, errors)[labels == 0]
    # The lower of the two frames that it lies between: of few frames, none of those held out is abnormal.
    unknown = np.percentile(normal, 100 - percentile, method="lower") if normal.size else known
    return Calibration(
        protocol=protocol,
        limits=limits,
        percentile=percentile,
        threshold=float(min(known, unknown)),
        highest=float(scores.max()),
        n_train_frames=scores.size,
        n_held_out=normal.size,
        n_false_alarms=int((normal < known).sum()),
    )


def _rounded(
    clips: Mapping[str, list[ClipScores]], protocol: Protocol, errors: Mapping[str, np.ndarray]
) -> np.ndarray:
    """Return the scores of clips, (n_frames,), their errors larger by `ROUNDING`."""
    larger = {
        stream: [
            replace(clip, error=clip.error + ROUNDING * np.abs(clip.error.astype(float)))
            for clip in of_stream
        ]
        for stream, of_stream in clips.items()
    }
    return np.concatenate(regularity(larger, protocol, errors))


def cell_boxes(map_side: int, level: int = CELLS_PER_SIDE) -> np.ndarray:
    """Return left, top, right, bottom of a level's cells as shares of the frame, (n, 4): what they pool."""
    covers = footprints(map_side, level).reshape(-1, map_side, map_side)
    rows, columns = covers.any(axis=2), covers.any(axis=1)
    edges = [
        (c.argmax(), r.argmax(), map_side - c[::-1].argmax(), map_side - r[::-1].argmax())
        for r, c in zip(rows, columns, strict=True)
    ]
    return np.array(edges) / map_side
