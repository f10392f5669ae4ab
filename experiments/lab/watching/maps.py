"""The systems that the paper quotes, on frames as they come: maps of cells become scores.

A frame has its map once those that it depends on have come, `Method.ahead_frames` later. Where an address
sends frames too fast and some are dropped, what moves has moved further in the frames that are left.
"""

import threading
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import tee
from pathlib import Path
from typing import Any, cast

import numpy as np

from data_prep.datasets import frames_of
from data_prep.errors import InputError
from data_prep.live_frames import FrameStream
from experiments.lab.context import Context
from experiments.lab.scoring.calibration import Calibration
from experiments.lab.scoring.score import DivergedError
from experiments.lab.systems.catalogue import SYSTEMS, run_system, task_of
from experiments.lab.systems.quoted.inputs import QuotedInput
from experiments.lab.systems.quoted.sources import Shape
from experiments.lab.systems.quoted.tasks import STREAM, MapTask
from experiments.lab.training.fitting import Fit
from experiments.lab.training.runs import Run
from experiments.lab.watching.footage import footage_dataset
from experiments.lab.watching.live import AHEAD_FRAMES, FrameScore, Reading, readings_of, smoothed
from experiments.lab.watching.queues import ahead

LIVE = tuple(name for name, entry in SYSTEMS.items() if entry.quoted and entry.fitted)


@dataclass(frozen=True)
class FittedSystem:
    """A system fitted on footage.

    Attributes:
        run: its scores of the footage.
        task: what it does.
        fitted: what `task.method.fit` returned.
        frame_shape: (H, W) of the footage.
    """

    run: Run
    task: MapTask
    fitted: Any
    frame_shape: Shape

    @property
    def runs(self) -> Mapping[str, Run]:
        """Return its one run by its stream."""
        return {STREAM: self.run}

    @property
    def boxes(self) -> np.ndarray:
        """Return left, top, right, bottom of each cell as shares of the frame, (R, 4)."""
        height, width = self.frame_shape
        boxes = self.task.method.grid.boxes(self.frame_shape)
        return boxes / np.float32([width, height, width, height])

    def maps(self, frames: Iterable[np.ndarray], context: Context) -> Iterator[np.ndarray]:
        """Yield the map of every frame, uint8 (H, W, 3) RGB, as errors of cells, float32 (R,)."""
        reads = cast(QuotedInput, SYSTEMS[self.task.system].reads)
        for cells in self.task.method.maps(self.fitted, reads.of_frames(frames, context.settings)):
            yield np.asarray(cells, np.float32).ravel()


def check_live(system: str) -> None:
    """Raise InputError unless a system can score frames as they come."""
    if system in LIVE:
        return
    reason = ": unknown system" if system not in SYSTEMS else ", which runs in tables only"
    if system in SYSTEMS and SYSTEMS[system].quoted:
        reason = " compares a clip with itself, when the clip has ended: it cannot run live"
    raise InputError(f"--system {system}{reason}; expected sRNN-AE, {', '.join(LIVE)}")


def fit_on_footage(context: Context, footage: Path, until: float, system: str) -> FittedSystem:
    """Return a system fitted on normal footage; its scores there are kept as a run.

    Args:
        context: its settings and folders.
        footage, until: see `footage.footage_dataset`.
        system: one of `LIVE`.
    """
    dataset = footage_dataset(footage, until, context.settings.train.window_frames)
    reads = cast(QuotedInput, SYSTEMS[system].reads)
    folder = reads.folder_of(context, dataset, context.out)
    run = run_system(system, folder, STREAM, context.settings, 0, context.out, frames_of(dataset))
    source = reads.source(folder, STREAM, context.settings)
    task = task_of(system, source, context.settings, 0)
    return FittedSystem(run, task, cast(Fit, task.trainer).fit(), source.frame_shape)


def check_footage(system: FittedSystem, percentile: float) -> None:
    """Raise InputError where the error that `percentile` of the training frames keep to is the largest one.

    No frame could then be told from these.
    """
    errors, most = system.run.train_errors(), np.float32(system.task.method.most)
    if np.percentile(errors, percentile) < most:
        return
    raise InputError(
        f"--system {system.task.system}: {100 * np.mean(errors >= most):.1f} % of the training frames are "
        "beyond what it covers, so that none would be found; what moves is too fast or large: take a lower "
        "--threshold, or another system"
    )


def live_map_scores(
    stream: FrameStream,
    system: FittedSystem,
    context: Context,
    calibration: Calibration,
    stop: threading.Event,
) -> Generator[tuple[np.ndarray, FrameScore]]:
    """Yield each frame as it is shown and what is in it, see `live.live_scores`."""
    readings = ahead(_checked(stream, system, stop), AHEAD_FRAMES, stop, newest=stream.may_drop)
    return ahead(_score(readings, system, context, calibration), AHEAD_FRAMES)


def _checked(
    stream: FrameStream, system: FittedSystem, stop: threading.Event
) -> Iterator[tuple[Reading, np.ndarray]]:
    """Yield each frame as it is shown, and as it came. InputError: another size than the footage's."""
    expected = tuple(system.frame_shape)
    for reading, frame in readings_of(stream, stop):
        if frame.shape[:2] != expected:
            got, wanted = (f"{width}x{height}" for height, width in (frame.shape[:2], expected))
            raise InputError(f"{stream.name}: expected frames of {wanted}, as the footage has, got {got}")
        yield reading, frame


def _score(
    readings: Iterator[tuple[Reading, np.ndarray]],
    system: FittedSystem,
    context: Context,
    calibration: Calibration,
) -> Iterator[tuple[np.ndarray, FrameScore]]:
    """Yield each frame with what was found in it. DivergedError: a cell whose error is not finite."""
    places = {STREAM: (slice(None), system.boxes)}
    shown, for_maps = tee(readings)  # the frames between the two are those that a map looks ahead

    def scored() -> Iterator[tuple[tuple, float]]:
        maps = system.maps((frame for _, frame in for_maps), context)
        for (reading, _), cells in zip(shown, maps, strict=True):
            if not np.isfinite(cells).all():
                raise DivergedError(f"{system.task.system} diverges: an error is not finite")
            errors = {STREAM: cells}
            yield (*reading, calibration.worst_box(errors, places)), calibration.score(errors)

    for (number, seconds, picture, box), score in smoothed(scored(), calibration.protocol):
        yield picture, FrameScore(number, seconds, score, score < calibration.threshold, tuple(box.tolist()))
