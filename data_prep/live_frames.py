"""Frames with their times, from a file or a folder, or from a source that is still growing.

Live are "-" (standard input), a FIFO, a camera of this machine (/dev/video0), and addresses such as
rtsp://camera/stream; an address of HTTP or FTP whose path ends as a video file's does is a file. A live
source has no declared length and loses packets: what cannot be decoded there is counted and passed over, and
in a file it is an error. Times are in seconds from the first frame, as the source stamps them, and never run
back.
"""

import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np

from data_prep.errors import InputError
from data_prep.folders import check_is_clip
from data_prep.frames import count_frames, iter_frames
from data_prep.redaction import redacted_address
from data_prep.videos import (
    METADATA_ERRORS,
    VIDEO_SUFFIXES,
    Reading,
    iter_video,
    opened,
    shown_frames,
    video_stream,
)

STANDARD_INPUT = "-"
FALLBACK_RATE = 25.0  # frames per second, where a source names none
RATES = (0.1, 480.0)  # what a source names beyond is the unit of its clock
# Without an answer for so long a camera is gone; a pipe may rest as long as it likes.
OPEN_SECONDS, READ_SECONDS = 15.0, 30.0
FILE_SCHEMES = ("ftp", "http", "https")  # that serve files as well as streams
CAMERA, CAMERA_FORMAT = re.compile(r"/dev/video\d+"), "v4l2"
# A clock that runs back by more, or ahead by more, jumps.
BACK_SECONDS, AHEAD_SECONDS = 0.5, 60.0


class FrameStream:
    """The frames of one source, once: iterate to get (seconds, frame), frame uint8 (H, W, 3) RGB.

    Args:
        source: path of a video file or of a folder of images, or a live source.
        folder_rate: frames per second of a folder of images, which has no clock.

    Attributes:
        name: the source for messages, an address without its secrets.
        is_address, is_live: whether it has "://" in it; whether it has no end yet.
        n_frames: as counted; None when live or an address.
        rate: frames per second, nominal; known from the first frame on.
        n_damaged: packets and pictures of a live source that could not be decoded.
        clock: of the source.

    Raises InputError as `frames.count_frames` does, for a folder of videos, and for a camera of this machine
    that is not there; nothing is opened before the first frame.
    """

    def __init__(self, source: str, folder_rate: float = FALLBACK_RATE):
        self.source = source
        self.is_address = "://" in source
        self.name = redacted_address(source) if self.is_address else source
        if source == STANDARD_INPUT:
            self.name = "standard input"
        path = Path(source)
        self._is_camera = bool(CAMERA.fullmatch(source)) and not path.is_file()
        self.is_live = source == STANDARD_INPUT or self._is_camera or _is_pipe(path)
        if self.is_address:
            self.is_live = not _is_file_address(source)
        if self._is_camera:
            _check_camera(path)
        elif not self.is_live and path.is_dir():
            check_is_clip(path)
        self.n_frames = None if self.is_live or self.is_address else count_frames(path)
        self.rate = folder_rate
        self.n_damaged = 0
        self.clock = Clock()

    def __iter__(self) -> Iterator[tuple[float, np.ndarray]]:
        """Yield (seconds, frame).

        Raises InputError: a source that cannot be opened, has no video or breaks off; in a file also a
        damaged frame, and more or fewer frames than counted.
        """
        if self.n_frames is None:
            yield from self._timed(self._from_outside())
        elif Path(self.source).is_dir():
            for index, frame in enumerate(iter_frames(Path(self.source))):
                yield index / self.rate, frame
        else:
            with opened(Path(self.source)) as container:
                self._take_rate(video_stream(container, self.name))
            yield from self._timed(iter_video(Path(self.source)))

    @property
    def may_drop(self) -> bool:
        """Whether frames that come faster than they are taken are to be dropped: of a camera far away."""
        return self.is_live and self.is_address

    def notes(self) -> list[str]:
        """Return what is to be said of the source besides its frames, a line each."""
        damaged = f"{self.n_damaged} damaged packets passed over"
        return [*([damaged] if self.n_damaged else []), *self.clock.notes()]

    def _timed(self, readings: Iterator[Reading]) -> Iterator[tuple[float, np.ndarray]]:
        """Yield the frames at times that never run back."""
        for stamp, frame in readings:
            yield self.clock.seconds(stamp, 1 / self.rate), frame

    def _from_outside(self) -> Iterator[Reading]:
        """Yield the frames of a source that is no file of this machine, as it stamps them."""
        n_decoded = 0
        try:
            with self._open() as container:
                self._take_rate(video_stream(container, self.name))
                for reading in shown_frames(container, self.name, passed_over=self._pass_over()):
                    n_decoded += 1
                    yield reading
        except (av.FFmpegError, OSError) as error:
            raise InputError(f"{self.name}: broken off after {n_decoded} frames, {error.strerror}") from error
        if n_decoded == 0:
            raise InputError(f"{self.name}: no frame in the video, expected at least 1")

    def _open(self) -> av.container.InputContainer:
        """Return the opened source; InputError where it is none."""
        options = {"rtsp_transport": "tcp"} if self.source.startswith("rtsp") else {}
        timeout = (OPEN_SECONDS, READ_SECONDS) if self.is_address else None
        place = "pipe:0" if self.source == STANDARD_INPUT else self.source
        if not self.is_address and self.source != STANDARD_INPUT:
            place = str(Path(self.source).absolute())  # in a relative one a colon would end a protocol
        kind = CAMERA_FORMAT if self._is_camera else None
        try:
            return av.open(
                place, format=kind, options=options, timeout=timeout, metadata_errors=METADATA_ERRORS
            )
        except (av.FFmpegError, OSError) as error:
            raise InputError(f"{self.name}: cannot be read as a video, {error.strerror}") from error

    def _take_rate(self, stream: av.VideoStream) -> None:
        """Take over the frames per second that a stream names."""
        rate = float(stream.average_rate or stream.guessed_rate or FALLBACK_RATE)
        self.rate = rate if RATES[0] <= rate <= RATES[1] else FALLBACK_RATE

    def _pass_over(self) -> Callable[[], None] | None:
        """Return what counts a damaged picture; None where it is to stop the source."""

        def count() -> None:
            self.n_damaged += 1

        return count if self.is_live else None


class Clock:
    """Times of frames, from the first one's on, that never run back, whatever the source's clock does.

    Where that jumps, as between two recordings in one file, they go on at the rate of the frames.
    """

    def __init__(self):
        self._zero = self._last = None
        self.n_jumps, self.first_jump = 0, ""

    def seconds(self, stamp: float | None, period_seconds: float) -> float:
        """Return the time of the next frame, given what the source stamps it with, None for nothing."""
        if self._last is None:
            self._zero, self._last = stamp, 0.0
            return 0.0
        expected = self._last + period_seconds
        if stamp is None:
            self._last = expected
            return expected
        if self._zero is None:
            self._zero = stamp - expected
        seconds = stamp - self._zero
        if not -BACK_SECONDS <= seconds - self._last <= max(AHEAD_SECONDS, 10 * period_seconds):
            self.n_jumps += 1
            self.first_jump = self.first_jump or f"by {seconds - expected:+.1f} s at {expected:.1f} s"
            self._zero, seconds = stamp - expected, expected
        self._last = max(seconds, self._last)
        return self._last

    def notes(self) -> list[str]:
        """Return a line that tells of jumps, if there were any."""
        if not self.n_jumps:
            return []
        how_often = "once" if self.n_jumps == 1 else f"{self.n_jumps} times, first"
        return [f"the source's clock jumps {how_often} {self.first_jump}: times go on at its rate of frames"]


def _is_file_address(address: str) -> bool:
    """Tell whether an address is that of a video file, by its scheme and the end of its path."""
    scheme, _, path = re.split("[?#]", address)[0].partition("://")
    return scheme.lower() in FILE_SCHEMES and Path(path).suffix.lower() in VIDEO_SUFFIXES


def _check_camera(path: Path) -> None:
    """Raise InputError where a camera of this machine is not there."""
    if not path.exists():
        there = ", ".join(sorted(map(str, path.parent.glob("video[0-9]*"))))
        raise InputError(f"{path}: no such camera, expected one of this machine, which has {there or 'none'}")


def _is_pipe(path: Path) -> bool:
    """Tell whether a path is a FIFO, such as a shell makes for `<(command)`."""
    try:
        return stat.S_ISFIFO(path.stat().st_mode)
    except OSError:
        return False
