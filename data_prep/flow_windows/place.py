"""A place: what flow windows know of a camera, learned from its normal video and kept with the features.

It is the unit of speed by height and the one factor of all rows. Both come from some SAMPLE_FRAMES frames of
the training clips, never twice as many, in runs of RUN_FRAMES consecutive ones spread evenly over them, so
that the memory, and the time for flow, do not grow with the footage. `flow_windows.json` in a folder of
shards, and in that of a run trained on them, holds the place and the options: live frames need nothing else.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import numpy as np

from data_prep.errors import InputError
from data_prep.files import write_atomic
from data_prep.flow_windows.options import FlowWindowOptions
from data_prep.flow_windows.rows import (
    clip_flows,
    gray_frame,
    halved_flow,
    pairs_of,
    window_boxes,
    window_rows,
)
from data_prep.flow_windows.speed_unit import SpeedUnit, fit_speed_unit
from data_prep.frames import Source, count_frames, iter_frames, source_digest
from data_prep.json_files import Maybe, read_json
from data_prep.read_ahead import Map, stack_batches

FILE = "flow_windows.json"
SAMPLE_FRAMES = 1024
RUN_FRAMES = 16
SHAPE = {  # of the file
    "options": {field.name: Maybe(field.type) for field in fields(FlowWindowOptions)},
    "unit": {"at_top": float, "at_bottom": float, "reason": Maybe(str)},
    "factor": float,
    "source": Maybe(str),
}


@dataclass(frozen=True)
class Place:
    """How a camera's frames become rows.

    Attributes:
        options: see `FlowWindowOptions`.
        unit: of speed.
        factor: of all rows.
        source: digest of what it was learned from.
    """

    options: FlowWindowOptions
    unit: SpeedUnit
    factor: float
    source: str = ""

    def rows(self, frames: Iterable[np.ndarray], each: Map = map) -> Iterator[np.ndarray]:
        """Yield the rows of each frame, float32 (R, 40); frames uint8 (H, W, 3) RGB, at least one.

        They come `options.delay_frames` frames late, and all the same whether the clip is there or still
        going on. `each` computes flow and windows, in order; the builtin `map` in turn, when they are asked
        for.
        """
        grays = (gray_frame(frame, self.options) for frame in frames)
        yield from self.rows_of_pairs(pairs_of(grays), each)

    def rows_of_pairs(
        self, pairs: Iterable[tuple[np.ndarray, np.ndarray]], each: Map = map
    ) -> Iterator[np.ndarray]:
        """Yield the same from what flow is computed between: of each frame, the one before it and itself.

        Both uint8 (h, w), gray, see `rows.gray_frame`; `rows.pairs_of` says what the first frame has.
        """
        flows = each(halved_flow, pairs)
        yield from window_rows(flows, self.unit, self.options, self.factor, each)

    def boxes(self, frame_shape: tuple[int, int]) -> np.ndarray:
        """Return left, top, right, bottom of each window in px of frames (H, W), float32 (R, 4)."""
        return window_boxes(frame_shape, self.unit, self.options)

    def __str__(self) -> str:
        """Return the place in words."""
        return f"{self.options}; {self.unit}; factor {self.factor:.4g}; learned from {self.source[:16]}"


def learn_place(clips: Sequence[Source], options: FlowWindowOptions, each: Map = map) -> Place:
    """Return the place that normal clips show.

    Raises InputError: a frame that cannot be read, clips in which nothing moves.
    """
    flows = [np.stack(run).astype(np.float16) for run in sampled_flows(clips, options, each)]
    try:
        unit = fit_speed_unit(flows)
    except InputError as fault:
        raise InputError(f"{clips[0]} and the other training clips: {fault}") from None
    n_active, squares = 0, 0.0
    for run in flows:
        for rows in window_rows(run.astype(np.float32), unit, options, 1.0, each):
            n_active += np.count_nonzero(rows[:, 0])
            squares += float(np.sum(np.square(rows)))
    if not n_active:
        raise InputError(
            f"{clips[0]} and the other training clips: expected normal video in which something moves, got "
            "no window with motion in it"
        )
    return Place(options, unit, (n_active / squares) ** 0.5, training_digest(clips))


def sampled_flows(
    clips: Sequence[Source], options: FlowWindowOptions, each: Map = map
) -> Iterator[list[np.ndarray]]:
    """Yield the flows, as `rows.clip_flows` has them, of runs of consecutive frames of the clips."""
    n_frames = sum(map(count_frames, clips))
    every = -(-n_frames // SAMPLE_FRAMES)
    n_passed = 0
    for clip in clips:
        for run in stack_batches(iter_frames(clip), RUN_FRAMES):
            if n_passed % every == 0:
                yield list(clip_flows(run, options, each))
            n_passed += 1


def training_digest(clips: Sequence[Source]) -> str:
    """Return a SHA-256 that changes with the files of the training clips, see `frames.source_digest`."""
    return hashlib.sha256("\n".join(map(source_digest, clips)).encode()).hexdigest()


def learned_place(
    folder: Path, clips: Sequence[Source], options: FlowWindowOptions, each: Map = map
) -> Place:
    """Return the place kept in a folder of shards, learned first where it is not there or of other clips."""
    if (folder / FILE).exists():
        kept = load_place(folder)
        if kept.options == options and kept.source == training_digest(clips):
            return kept
    place = learn_place(clips, options, each)
    write_atomic(folder / FILE, (json.dumps(asdict(place), indent=1) + "\n").encode())
    return place


def load_place(folder: Path) -> Place:
    """Return the place kept in a folder of shards, or of a run. InputError: none there, or damaged."""
    path = folder / FILE
    if not path.exists():
        raise InputError(f"{path}: no such file, expected a folder of flow windows or of a run on them")
    stored = read_json(path, SHAPE, "delete it")
    try:
        options = FlowWindowOptions(**stored["options"])
    except InputError as fault:
        raise InputError(f"{path}: damaged, {fault}; delete it") from None
    return replace(Place(**stored), options=options, unit=SpeedUnit(**stored["unit"]))
