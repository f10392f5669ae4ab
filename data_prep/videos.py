"""Frames of video files and streams, as a player shows them: upright, within the file's edit list, whole.

What a player would not show is no frame: what lies ahead of the first key frame, and what an edit list cuts
off. A picture that the decoder had to make up in part stops a file; a live source counts it.
"""

import functools
import itertools
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np

from data_prep.errors import InputError
from data_prep.files import check_file, one_line
from data_prep.images import size_of
from data_prep.memory import check_fits
from data_prep.terminal import say_once

VIDEO_SUFFIXES = frozenset(
    ".3g2 .3gp .asf .avi .dav .divx .dv .f4v .flv .gif .h264 .h265 .hevc .ivf .m2ts .m4v .mjpeg .mjpg .mkv "
    ".mov .mp4 .mpeg .mpg .mts .mxf .ogv .ts .vob .webm .wmv .y4m".split()
)
# Titles are in any encoding, and nothing here reads them.
METADATA_ERRORS = "replace"
_DECODED_FRAMES = 8  # that a decoder holds at once
# Its decoder marks no picture that it made up in part, and says so only where errors are to stop it.
_STOPPED_BY_ERRORS = ("mjpeg",)
AS_STORED = (False, 1, 1)  # see `_turn`
_CUT_OFF_SHARE = 0.1  # of the declared duration that may lack without a word
_FRESH_SECONDS = 60  # a file that changed since is perhaps not finished

Reading = tuple[float | None, np.ndarray]  # seconds as the source stamps them, uint8 (H, W, 3) RGB


def iter_video(path: Path) -> Iterator[Reading]:
    """Yield the frames of a video file, all of one size, with their times; None where it has no such.

    A file that grows meanwhile is read as far as it reached at the beginning.
    Raises InputError: what `count_video_frames` raises, damage, other than the counted number of frames.
    """
    n_bytes = check_video_file(path).st_size  # ahead of the count: it may grow while that is made
    n_expected, begins_off_key = _looked_at(path)
    shape, n_read = None, 0
    with opened(path) as container:
        readings = shown_frames(container, str(path), begins_off_key)
        for seconds, frame in itertools.islice(readings, n_expected):
            shape = shape or frame.shape
            if frame.shape != shape:
                raise InputError(
                    f"{path}: frame {n_read + 1} of another size, expected {size_of(shape)} as the first, "
                    f"got {size_of(frame.shape)}; a file for each size can be read"
                )
            n_read += 1
            yield seconds, frame
        if n_read < n_expected:
            raise InputError(
                f"{path}: truncated or damaged video, expected {n_expected} frames, got {n_read}"
            )
        if path.stat().st_size > n_bytes:
            say_once(f"{path}: the file is still growing, read as far as it was: {n_read} frames")
        elif next(readings, None) is not None:
            raise InputError(f"{path}: damaged video, expected {n_expected} frames as declared, got more")


def count_video_frames(path: Path) -> int:
    """Return the number of frames of a video file that can be shown, without decoding them.

    It is the file's own count, or that of its packets, without what an edit list cuts off, and without what
    is ahead of the first key frame or needs what was.
    Raises InputError: missing, not a video, no frame, more frames than bytes.
    """
    return _looked_at(path)[0]


def is_turned(path: Path) -> bool:
    """Tell whether the first frame of a video file is shown otherwise than it is stored."""
    try:
        with opened(path) as container:
            first = next(container.decode(video_stream(container, str(path))), None)
            return first is not None and _turn(first, str(path)) != AS_STORED
    except InputError:  # what cannot be read is told when it is
        return False


@contextmanager
def opened(path: Path) -> Iterator[av.container.InputContainer]:
    """Give a video file, opened; InputError where it is none, and for what fails while it is read."""
    try:
        container = av.open(str(path.absolute()), metadata_errors=METADATA_ERRORS)
    except (av.FFmpegError, OSError, ValueError, MemoryError) as error:
        age_seconds = time.time() - path.stat().st_mtime
        fresh = "; if it is still being written, wait until it is finished" * (age_seconds < _FRESH_SECONDS)
        raise InputError(f"{path}: not a readable video file ({type(error).__name__}){fresh}") from error
    try:
        with container:
            yield container
    except (av.FFmpegError, OSError, ValueError, MemoryError) as error:
        raise InputError(f"{path}: damaged video, {one_line(error)}") from error


def video_stream(container: av.container.InputContainer, name: str) -> av.VideoStream:
    """Return the first video stream, ready to be decoded; InputError, which has `name`, for none."""
    if not container.streams.video:
        raise InputError(f"{name}: no video stream in it, expected one")
    stream = container.streams.video[0]
    if stream.codec_context is None:
        raise InputError(f"{name}: unreadable codec, expected one that FFmpeg decodes")
    if stream.codec_context.name in _STOPPED_BY_ERRORS:
        stream.codec_context.options = {"err_detect": "explode"}
    return stream


def shown_frames(
    container: av.container.InputContainer,
    name: str,
    begins_off_key: bool = False,
    passed_over: Callable[[], None] | None = None,
) -> Iterator[Reading]:
    """Yield the frames of the first video stream, upright, with their times.

    Args:
        container: as opened.
        name: for messages.
        begins_off_key: whether to leave out what is ahead of the first key frame.
        passed_over: is called for each damaged picture of a live source, which is left out.

    Raises InputError: no video stream; damage, unless `passed_over` is given.
    """
    stream = video_stream(container, name)
    has_times = not _is_out_of_order(container, stream)
    n_shown = 0

    def damaged(seconds: float | None, reason: str) -> None:
        if passed_over is not None:
            passed_over()
            return
        at = "" if seconds is None else f" at {seconds - _start_seconds(stream):.2f} s"
        raise InputError(f"{name}: truncated or damaged video{at}, frame {n_shown + 1} {reason}")

    packets = container.demux(stream)
    for packet in _from_first_key(packets) if begins_off_key else packets:
        try:
            frames = packet.decode()
        except av.InvalidDataError as error:
            seconds = None if packet.pts is None else float(packet.pts * packet.time_base)
            damaged(seconds, f"cannot be decoded, {one_line(error)}")
            continue
        for frame in frames:
            if frame.is_corrupt:
                damaged(frame.time, "could be decoded in part alone")
                continue
            n_shown += 1
            yield frame.time if has_times else None, upright(frame, name)


def upright(frame: av.VideoFrame, name: str = "") -> np.ndarray:
    """Return the picture of a frame as it is to be shown, uint8 (H, W, 3) RGB."""
    picture = frame.to_ndarray(format="rgb24")
    transposed, across, down = _turn(frame, name)
    if transposed:
        picture = picture.swapaxes(0, 1)
    return np.ascontiguousarray(picture[::down, ::across])


def _turn(frame: av.VideoFrame, name: str) -> tuple[bool, int, int]:
    """Return whether to transpose a frame, then which way it runs across and down: 1, or -1 where mirrored.

    Its display matrix shows the stored (x, y) at (a x + c y, b x + d y): quarter turns and mirrors. Of
    another angle the nearest of these is taken, and a line says so. Source: FFmpeg, libavutil/display.h.
    """
    stored = frame.side_data.get("DISPLAYMATRIX")
    if stored is None:
        return AS_STORED
    a, b, _, c, d = np.frombuffer(bytes(stored), np.int32)[:5].tolist()
    if any((a, d)) and any((b, c)):
        say_once(f"{name}: to be shown turned by {frame.rotation:g} degrees, turned to the nearest quarter")
    transposed = abs(b) + abs(c) > abs(a) + abs(d)
    across, down = (c, b) if transposed else (a, d)
    return transposed, -1 if across < 0 else 1, -1 if down < 0 else 1


def check_video_file(path: Path) -> os.stat_result:
    """Return the state of a file; InputError as `check_file` raises, and where there is none."""
    if not path.exists() and not path.is_symlink():
        raise InputError(f"{path}: no such file or folder, expected a video file or a folder of images")
    return check_file(path)


def _looked_at(path: Path) -> tuple[int, bool]:
    """Return `count_video_frames`, and whether the file begins off a key frame."""
    state = check_video_file(path)
    return _counted(path, (state.st_ino, state.st_size, state.st_mtime_ns))


@functools.lru_cache(maxsize=4096)  # videos
def _counted(path: Path, state: tuple) -> tuple[int, bool]:
    """Return `_looked_at`; `state` changes with the file."""
    with opened(path) as container:
        stream = video_stream(container, str(path))
        check_fits(path, _DECODED_FRAMES * 3 * stream.width * stream.height)
        n_frames, n_ahead = _count(container, stream)
    n_needing = _n_needing_what_was_ahead(path, n_ahead > 0)
    n_frames, n_left_out = n_frames - n_needing, n_ahead + n_needing
    if n_left_out and n_frames > 0:
        say_once(f"{path}: begins off a key frame, {n_left_out} frames that cannot be shown are left out")
    if n_frames <= 0:
        raise InputError(f"{path}: no frame in the video, expected at least 1")
    if n_frames > (n_bytes := path.stat().st_size):  # the list of a file's frames alone takes more
        raise InputError(f"{path}: damaged video, it declares {n_frames} frames in {n_bytes} bytes")
    return n_frames, n_ahead > 0


def _count(container: av.container.InputContainer, stream: av.VideoStream) -> tuple[int, int]:
    """Return the number of frames from the first key frame on, and of those ahead of it."""
    declared, index = stream.frames, stream.index_entries
    is_avi = container.format.name == "avi"  # which declares, besides its frames, the pauses between them
    n_reached = index[-1].timestamp + 1 if is_avi and len(index) else len(index)
    if n_reached < declared:  # a file that is not whole, or of a kind without index
        return declared, 0
    packets = index if declared else _told_if_cut_off(container, stream)
    kept = [(packet.is_keyframe, packet.is_discard) for packet in packets if packet.size]
    n_ahead = next((i for i, (is_key, _) in enumerate(kept) if is_key), 0)
    return sum(not is_discard for _, is_discard in kept[n_ahead:]), n_ahead


def _told_if_cut_off(container: av.container.InputContainer, stream: av.VideoStream) -> Iterator[av.Packet]:
    """Yield the packets; say so where they end long before the duration that the header declares.

    Matroska has no count of frames. What else the file holds, such as sound, may last longer.
    """
    last = 0
    for packet in container.demux(stream):
        if packet.pts is not None:
            last = max(last, packet.pts + (packet.duration or 0))
        yield packet
    end, declared = float(last * stream.time_base), (container.duration or 0) / av.time_base
    if len(container.streams) == 1 and declared - end > max(1.0, _CUT_OFF_SHARE * declared):
        say_once(f"{container.name}: cut off? its pictures end at {end:.1f} s of {declared:.1f} s declared")


def _n_needing_what_was_ahead(path: Path, begins_off_key: bool) -> int:
    """Return how many frames behind the first key frame are to be shown before it, and cannot be decoded.

    They follow it in the file, and need the group of frames before, which is missing.
    """
    with opened(path) as container:
        stream = video_stream(container, str(path))
        packets = (packet for packet in container.demux(stream) if packet.size)
        packets = _from_first_key(packets) if begins_off_key else packets
        key = next(packets, None)
        if key is None or key.pts is None:
            return 0
        leading = itertools.takewhile(lambda p: p.pts is not None and p.pts < key.pts, packets)
        times = [packet.pts for packet in leading if not packet.is_discard]
    if not times:
        return 0
    with opened(path) as container:
        first = next(container.decode(video=0), None)
        return sum(first is None or pts < first.pts for pts in times)


def _from_first_key(packets: Iterable[av.Packet]) -> Iterator[av.Packet]:
    """Return packets from the first key frame on: a decoder that begins before it may make up pictures."""
    return itertools.dropwhile(lambda packet: not packet.is_keyframe, packets)


def _is_out_of_order(container: av.container.InputContainer, stream: av.VideoStream) -> bool:
    """Tell whether times are those of decoding: AVI has no others, and B-frames are decoded out of order."""
    return container.format.name == "avi" and stream.codec_context.has_b_frames


def _start_seconds(stream: av.VideoStream) -> float:
    """Return the time at which a stream begins."""
    return float((stream.start_time or 0) * stream.time_base)
