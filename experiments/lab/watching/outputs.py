"""What is written while a video is watched: tables that grow by whole lines, a video, and its overview.

Frames are counted from 1, times are seconds from the first frame. A score is low where a frame is abnormal.
An interval ends where its last frame does. Frames that were trained on have scores and are never abnormal.
"""

import errno
import functools
import itertools
import os
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from data_prep.files import Lock, naming, write_atomic
from data_prep.live_frames import FrameStream
from experiments.lab.publishing import plots
from experiments.lab.scoring.calibration import Calibration
from experiments.lab.watching.annotated_video import AnnotatedVideo, Annotator, abandoned
from experiments.lab.watching.live import FrameScore

SCORES, INTERVALS, VIDEO, OVERVIEW = "scores.csv", "intervals.csv", "annotated.mp4", "overview.png"
SOURCE = "source.txt"  # what was watched, on one line
LOCK = ".lock"  # held by the command that writes here
FILES = (SOURCE, LOCK, SCORES, INTERVALS, VIDEO, OVERVIEW)
LONGEST_NAME_BYTES = 100
SCORE_COLUMNS = ("time_seconds", "frame", "score", "abnormal", "region_row", "region_column", "trained_on")
INTERVAL_COLUMNS = (
    "start_seconds",
    "end_seconds",
    "first_frame",
    "last_frame",
    "abnormal_frames",
    "lowest_score",
    "region_row",
    "region_column",
)
# Crossings closer than this belong to one interval: a person behind a lamp post.
JOIN_SECONDS = 1.0
N_BINS = 1024  # of the overview; its memory does not depend on the video's length


@contextmanager
def folder_for(parent: Path, stream: FrameStream, footage: Path | None = None) -> Iterator[Path]:
    """Hold a folder in `parent` for the results of a source: that of its last watching, or a new one.

    What an address or a live source has shown may never come again: it gets a new folder each time. A folder
    that holds what is to be read, the source or the footage to train on, is left alone, and so is one that
    another command holds.
    """
    is_own = not (stream.is_live or stream.is_address)
    source = os.path.realpath(stream.name) if is_own else stream.name
    read = [Path(os.path.realpath(path)) for path in (stream.source, footage) if path]
    name = folder_name(stream)
    names = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))

    def is_free(folder: Path) -> bool:
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            holds_input = any(path.is_relative_to(os.path.realpath(folder)) for path in read)
            if not is_own or holds_input or source_of(folder) != source:
                return False
        return lock_of(folder).acquire(wait=False)

    @functools.cache
    def lock_of(folder: Path) -> Lock:
        return Lock(folder, folder / LOCK)

    folder = next(filter(is_free, (parent / name for name in names)))
    # Not the source: the folder stays that of this one, whenever the command is killed.
    results = [folder / file for file in FILES if file not in (SOURCE, LOCK)]
    for path in (*results, *abandoned(folder / VIDEO)):
        path.unlink(missing_ok=True)
    write_atomic(folder / SOURCE, f"{source}\n".encode())
    try:
        yield folder
    finally:
        lock_of(folder).release()


def folder_name(stream: FrameStream) -> str:
    """Return how the folder of a source's results is named, as far as it is free."""
    name = stream.name if stream.is_address else Path(stream.name).resolve().stem
    name = re.sub(r"[^\w.-]+", "_", name).encode()[:LONGEST_NAME_BYTES].decode(errors="ignore")
    return name.strip("_.") or "video"


def source_of(folder: Path) -> str | None:
    """Return what was watched into a folder; None where it does not say."""
    try:
        return (folder / SOURCE).read_text(encoding="utf-8").rstrip("\n")
    except (OSError, UnicodeDecodeError):
        return None


class Table:
    """A CSV file of numbers that is valid at any moment: each line is one write.

    Args:
        path: the file; it appears with its header.
        columns: of the header.
    """

    def __init__(self, path: Path, columns: tuple[str, ...]):
        write_atomic(path, (",".join(columns) + "\n").encode())
        self._path, self._file = path, open(path, "ab", buffering=0)

    def add(self, *values: object) -> None:
        """Add a line; OSError, and nothing added, where the disk is full."""
        line = (",".join(map(str, values)) + "\n").encode()
        size = self._file.tell()
        with naming(self._path):
            if self._file.write(line) != len(line):
                self._file.truncate(size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def close(self) -> None:
        """Bring it to the disk."""
        os.fsync(self._file)
        self._file.close()


class Outputs:
    """All that is written about one video; a context manager.

    The tables grow while it is open; video and overview appear when it is closed, unless by an exception.

    Args:
        folder: of the outputs, see `folder_for`.
        title: of the overview.
        calibration: for threshold and range.
        rate: frames per second, nominal.
        live: whether the video may never end.
        n_trained: how many frames, the first ones, are of what the models were trained on.
    """

    def __init__(
        self, folder: Path, title: str, calibration: Calibration, rate: float, live: bool, n_trained: int = 0
    ):
        self.folder, self._title, self._calibration = folder, title, calibration
        self._last_trained = n_trained
        self._trained_seconds: float | None = None
        self._annotator = Annotator(calibration)
        self._overview = Overview()
        self._closing = ExitStack()
        self._video = self._closing.enter_context(AnnotatedVideo(folder / VIDEO, rate, live))
        self._scores, table = (
            Table(folder / SCORES, SCORE_COLUMNS),
            Table(folder / INTERVALS, INTERVAL_COLUMNS),
        )
        self._closing.callback(self._scores.close)
        self._closing.callback(table.close)
        self._intervals = Intervals(table.add, 1 / rate)
        self._closing.callback(self._intervals.close)
        self.n_frames = self.n_trained = self.n_abnormal = 0

    @property
    def n_intervals(self) -> int:
        """How many intervals began so far."""
        return self._intervals.n_intervals

    def add(self, picture: np.ndarray, frame: FrameScore) -> bool:
        """Take the next frame, uint8 (h, w, 3) RGB with even sides; return whether an interval begins."""
        if frame.number <= self._last_trained:
            frame = replace(frame, abnormal=False, trained_on=True)
            self._trained_seconds = frame.seconds
        flags = (int(frame.abnormal), *frame.place, int(frame.trained_on))
        self._scores.add(f"{frame.seconds:.3f}", frame.number, f"{frame.score:.4f}", *flags)
        self._video.write(self._annotator.draw(picture, frame), frame.seconds)
        self._overview.add(frame)
        self.n_frames += 1
        self.n_trained += frame.trained_on
        self.n_abnormal += frame.abnormal
        return self._intervals.add(frame)

    def __enter__(self) -> "Outputs":
        """Return the outputs themselves."""
        return self

    def __exit__(self, kind, *fault) -> None:
        """Close everything; draw the overview unless an exception is on its way."""
        self._closing.__exit__(kind, *fault)
        if kind is None and self.n_frames:
            plots.score_overview(
                self.folder / OVERVIEW,
                *self._overview.curves(),
                self._calibration.threshold,
                self._title,
                self._trained_seconds,
            )


class Intervals:
    """The intervals below the threshold, each handed on once it is over.

    Args:
        emit: takes the values of `INTERVAL_COLUMNS`.
        frame_seconds: how long a frame is shown, so that an interval of one frame has a length.
    """

    def __init__(self, emit: Callable[..., None], frame_seconds: float):
        self._emit, self._frame_seconds = emit, frame_seconds
        self._first: FrameScore | None = None
        self.n_intervals = 0

    def add(self, frame: FrameScore) -> bool:
        """Take the next frame; return whether an interval begins with it."""
        if self._first is not None and frame.seconds - self._last.seconds > JOIN_SECONDS:
            self.close()
        if not frame.abnormal:
            return False
        begins = self._first is None
        if begins:
            self._first = self._lowest = frame
            self._n_frames = 0
            self.n_intervals += 1
        self._last = frame
        self._n_frames += 1
        self._lowest = min(self._lowest, frame, key=lambda f: f.score)
        return begins

    def close(self) -> None:
        """Hand on the interval that is open, if any."""
        if self._first is None:
            return
        first, last, lowest = self._first, self._last, self._lowest
        self._emit(
            f"{first.seconds:.3f}",
            f"{last.seconds + self._frame_seconds:.3f}",
            first.number,
            last.number,
            self._n_frames,
            f"{lowest.score:.4f}",
            *lowest.place,
        )
        self._first = None


class Overview:
    """Scores over equal numbers of frames: a curve of any length in `N_BINS` bins or so."""

    def __init__(self):
        self._frames_a_bin, self._n_in_last = 1, 0
        self._bins: list[tuple[float, float, float, bool]] = []

    def add(self, frame: FrameScore) -> None:
        """Take the next frame."""
        if self._n_in_last % self._frames_a_bin == 0:
            if len(self._bins) == 2 * N_BINS:
                pairs = zip(self._bins[::2], self._bins[1::2], strict=True)
                self._bins = [(a[0], min(a[1], b[1]), max(a[2], b[2]), a[3] or b[3]) for a, b in pairs]
                self._frames_a_bin *= 2
            self._bins.append((frame.seconds, frame.score, frame.score, False))
            self._n_in_last = 0
        start, low, high, abnormal = self._bins[-1]
        self._bins[-1] = start, min(low, frame.score), max(high, frame.score), abnormal or frame.abnormal
        self._n_in_last += 1

    def curves(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return start in seconds, lowest and highest score, whether one is abnormal, of each bin, (n,)."""
        start, low, high, abnormal = np.array(self._bins).T
        return start, low, high, abnormal.astype(bool)
