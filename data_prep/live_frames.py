"""Frames with their times, from a file or a folder, or from a source that is still growing.

Live are "-" (standard input), a FIFO, and whatever has "://" in it, such as rtsp://camera/stream.
A live source has no declared length and loses packets: what cannot be decoded there is counted and passed
over, where in a file it is an error. Times are in seconds from the first frame, as the source stamps them.
"""

import stat
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

from data_prep.errors import InputError
from data_prep.frames import METADATA_ERRORS, count_frames, iter_frames
from data_prep.redaction import redacted_address

STANDARD_INPUT = "-"
FALLBACK_RATE = 25.0  # frames per second, where a source names none
RATES = (0.1, 480.0)  # what a source names beyond is the unit of its clock
# Without an answer for so long a camera is gone; a pipe may rest as long as it likes.
OPEN_SECONDS, READ_SECONDS = 15.0, 30.0


class FrameStream:
    """The frames of one source, once: iterate to get (seconds, frame), frame uint8 (H, W, 3) RGB.

    Args:
        source: path of a video file or of a folder of images, or a live source.
        folder_rate: frames per second of a folder of images, which has no clock.

    Attributes:
        name: the source for messages, an address without its secrets.
        is_address, is_live: whether it has "://" in it; whether it has no end yet.
        n_frames: as declared; None when live.
        rate: frames per second, nominal; known from the first frame on.
        n_damaged: packets of a live source that could not be decoded.

    Raises InputError as `frames.count_frames` does, unless live; nothing is opened before the first frame.
    """

    def __init__(self, source: str, folder_rate: float = FALLBACK_RATE):
        self.source = source
        self.is_address = "://" in source
        self.name = redacted_address(source) if self.is_address else source
        if source == STANDARD_INPUT:
            self.name = "standard input"
        self.is_live = self.is_address or source == STANDARD_INPUT or _is_pipe(Path(source))
        self.n_frames = None if self.is_live else count_frames(Path(source))
        self.rate = folder_rate
        self.n_damaged = 0

    def __iter__(self) -> Iterator[tuple[float, np.ndarray]]:
        """Yield (seconds, frame).

        Raises InputError: a source that cannot be opened, has no video or breaks off; in a file also a
        damaged frame, and more or fewer frames than declared.
        """
        if not self.is_live and Path(self.source).is_dir():
            for index, frame in enumerate(iter_frames(Path(self.source))):
                yield index / self.rate, frame
            return
        n_decoded = 0
        try:
            with self._open() as container:
                for moment in self._decode(container):
                    n_decoded += 1
                    yield moment
        except (av.FFmpegError, OSError) as error:
            raise InputError(f"{self.name}: broken off after {n_decoded} frames, {error.strerror}") from error
        if self.n_frames not in (None, n_decoded):
            raise InputError(
                f"{self.name}: truncated or damaged video, expected {self.n_frames} frames, got {n_decoded}"
            )
        if n_decoded == 0:
            raise InputError(f"{self.name}: no frame in the video, expected at least 1")

    def _open(self) -> av.container.InputContainer:
        """Return the opened source; InputError where it is none."""
        options = {"rtsp_transport": "tcp"} if self.source.startswith("rtsp") else {}
        timeout = (OPEN_SECONDS, READ_SECONDS) if self.is_address else None
        place = "pipe:0" if self.source == STANDARD_INPUT else self.source
        try:
            container = av.open(place, options=options, timeout=timeout, metadata_errors=METADATA_ERRORS)
        except (av.FFmpegError, OSError) as error:
            raise InputError(f"{self.name}: cannot be read as a video, {error.strerror}") from error
        if not container.streams.video:
            raise InputError(f"{self.name}: no video stream in it, expected one")
        return container

    def _decode(self, container: av.container.InputContainer) -> Iterator[tuple[float, np.ndarray]]:
        """Yield (seconds, frame) of the first video stream."""
        stream = container.streams.video[0]
        if stream.codec_context is None:
            raise InputError(f"{self.name}: unreadable codec, expected one that FFmpeg decodes")
        rate = float(stream.average_rate or stream.guessed_rate or FALLBACK_RATE)
        self.rate = rate if RATES[0] <= rate <= RATES[1] else FALLBACK_RATE
        first = seconds = None
        for packet in container.demux(stream):
            for frame in self._frames_of(packet):
                before, seconds = seconds, frame.time
                if seconds is None:  # not stamped
                    seconds = 0.0 if before is None else before + 1 / self.rate
                first = seconds if first is None else first
                yield seconds - first, frame.to_ndarray(format="rgb24")

    def _frames_of(self, packet: av.Packet) -> list[av.VideoFrame]:
        """Return the frames that a packet completes; none of a damaged one where live."""
        try:
            return packet.decode()
        except av.InvalidDataError:
            if not self.is_live:
                raise
            self.n_damaged += 1
            return []


def _is_pipe(path: Path) -> bool:
    """Tell whether a path is a FIFO, such as a shell makes for `<(command)`."""
    try:
        return stat.S_ISFIFO(path.stat().st_mode)
    except OSError:
        return False
