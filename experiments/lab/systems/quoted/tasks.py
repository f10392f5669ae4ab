"""The task of a system that the paper quotes: a fit on the training clips, and maps of cells of every clip.

Table 3 and Table 4 print ten systems that the authors did not run. Their equations are in `models.quoted`;
here each has a module that says what it reads and how it is fitted.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import chain, islice
from typing import Any

import numpy as np

from experiments.lab.scoring.score import ClipScores
from experiments.lab.systems.quoted.sources import CellShards, Footage, Frames
from experiments.lab.training.fitting import Fit
from experiments.lab.training.task import Score, Task
from models.quoted.cell_maps import CellGrid

STREAM = "cells"
WHOLE_CLIP = -1  # frames ahead
N_PARTS = 4  # of the training clips, each left out in turn, see `Method.knows_training`
Stream = Iterable[np.ndarray]  # the frames of one clip, as the source gives them
Clips = Callable[[], Iterator[Stream]]  # begins to read the training clips, at every call anew


@dataclass(frozen=True)
class Method:
    """How one system is fitted, and what it says of a clip.

    Attributes:
        fit: training clips -> what is fitted, the same at every call; None where nothing is trained.
        maps: (what is fitted, a clip's frames) -> a map (rows, columns) of every frame.
        grid: of the maps; None where a map is one number.
        own: settings by name, whatever else the numbers depend on beside the code.
        ahead_frames: up to how many frames after t the map of t depends on, or `WHOLE_CLIP`.
        knows_training: whether it finds every training frame as it was, so that all errors there are 0; the
            training errors are then those of quarters of the clips, each after a fit on the other three.
        most: the largest that an error can be, if there is one.
    """

    fit: Callable[[Clips], Any] | None
    maps: Callable[[Any, Stream], Iterator[np.ndarray]]
    grid: CellGrid | None
    own: dict
    ahead_frames: int
    knows_training: bool = False
    most: float = math.inf


@dataclass(frozen=True)
class MapTask(Task):
    """A task that says how: what times the system, or runs it live, reads `method`."""

    method: Method


def map_task(system: str, source: CellShards | Frames, method: Method, seed: int) -> MapTask:
    """Return the task of a system; its errors are those of all cells, row by row."""

    def clips() -> Iterator[Stream]:
        return (footage.frames() for footage in source.split("train"))

    def fit() -> Any:
        return method.fit(clips) if method.fit else None

    def scorer(fitted: Any) -> Score:
        def score(split: str) -> list[ClipScores]:
            if split == "train" and method.knows_training:
                return left_out_scores(source, method)
            # What nothing was trained on gives no errors to measure others by: one clip stands for all.
            n_clips = 1 if split == "train" and method.fit is None else None
            return [scores_of(footage, method, fitted) for footage in islice(source.split(split), n_clips)]

        return score

    config = {"model": method.own, "ahead_frames": method.ahead_frames}
    if method.grid:
        config["cells"] = asdict(method.grid)
    return MapTask(system, STREAM, seed, source.data, config, Fit(fit), scorer, method)


def scores_of(footage: Footage, method: Method, fitted: Any) -> ClipScores:
    """Return the scores of one clip."""
    return ClipScores(footage.clip, footage.labels, np.stack(flat_maps(method, fitted, footage.frames())))


def flat_maps(method: Method, fitted: Any, stream: Stream) -> list[np.ndarray]:
    """Return the map of every frame as one row, float32 (rows * columns,)."""
    return [np.asarray(cells, np.float32).ravel() for cells in method.maps(fitted, stream)]


def left_out_scores(source: CellShards | Frames, method: Method) -> list[ClipScores]:
    """Return the scores of the training clips, each quarter of them after a fit on the other quarters."""
    clips = list(source.split("train"))
    maps: list[list[np.ndarray]] = [[] for _ in clips]
    for index in range(N_PARTS):
        fitted = method.fit(lambda index=index: (without(clip, index) for clip in clips))
        for clip, of_clip in zip(clips, maps, strict=True):
            of_clip += flat_maps(method, fitted, islice(clip.frames(), *part(clip, index)))
    return [ClipScores(c.clip, c.labels, np.stack(of_clip)) for c, of_clip in zip(clips, maps, strict=True)]


def part(clip: Footage, index: int) -> tuple[int, int]:
    """Return where a quarter of a clip begins and where it ends."""
    n_frames = len(clip.labels)
    return n_frames * index // N_PARTS, n_frames * (index + 1) // N_PARTS


def without(clip: Footage, index: int) -> Stream:
    """Return the frames of a clip but for one quarter."""
    start, stop = part(clip, index)
    return chain(islice(clip.frames(), start), islice(clip.frames(), stop, None))
