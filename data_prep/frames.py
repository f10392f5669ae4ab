"""Frames of a clip, from a folder of images, a video file or a range of frames of either.

A frame is uint8 (H, W, 3), RGB, 0..255; every frame of a clip has the same size. Whatever is damaged stops
with one InputError: decoders that guess at the missing part of a picture would feed the networks grey blocks.
"""

import functools
import hashlib
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import av
import cv2
import imageio.v3 as iio
import numpy as np

from data_prep.errors import InputError
from data_prep.files import check_file, file_content, one_line
from data_prep.memory import check_fits

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp"})
VIDEO_SUFFIXES = frozenset({".avi", ".mp4", ".mov", ".mkv", ".mpg", ".mpeg", ".wmv", ".flv"})

# Frames that are damaged as published, and what is read in their place: the frame before.
STAND_INS = {("UCSDped1", "Test", "Test017", "142.tif"): "141.tif"}

# OpenCV fills what is missing of a truncated JPG with grey and reports success. The marker that ends every
# JPG cannot occur inside its compressed data, and a few bytes of padding after it do no harm.
_JPEG_START, _JPEG_END, _JPEG_TAIL_BYTES = b"\xff\xd8", b"\xff\xd9", 1024
_DIGEST_BLOCK_BYTES, _N_DIGEST_BLOCKS = 2**20, 64

_DECODED_FRAMES = 8  # that a decoder holds at once
# Titles are in any encoding, and nothing here reads them.
METADATA_ERRORS = "replace"

RESIZING = "OpenCV INTER_AREA where both sides shrink, else INTER_LINEAR"

cv2.utils.logging.setLogLevel(
    cv2.utils.logging.LOG_LEVEL_SILENT
)  # a damaged file is reported once, by our InputError


@dataclass(frozen=True)
class Segment:
    """The frames start .. stop - 1 of a longer clip, as a clip of its own.

    Attributes:
        path: the longer clip: a video file or a folder of images.
        start, stop: 0-based frame indices, 0 <= start < stop.
    """

    path: Path
    start: int
    stop: int

    def __str__(self) -> str:
        """Return the file and the 1-based numbers of the frames, for messages."""
        return f"{self.path}, frames {self.start + 1}..{self.stop}"


Source = Path | Segment


def image_paths(folder: Path) -> list[Path]:
    """Return the images of a folder in the order of their frame numbers (the last digits of each name).

    Hidden files and files that are no images are left out. Nothing is decoded.
    Raises InputError: no such folder, no image, a name without number, a gap or a repeat in the numbers.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder, expected a folder of images")
    names = [name for name in os.listdir(folder) if _is_image(name)]
    if not names:
        raise InputError(f"{folder}: no image in the folder, expected {', '.join(sorted(IMAGE_SUFFIXES))}")
    numbered = sorted((_frame_number(folder, name), name) for name in names)
    first = numbered[0][0]
    for expected, (number, name) in enumerate(numbered, start=first):
        if number != expected:
            fault = "gap in" if number > expected else "repeat of"
            raise InputError(f"{folder / name}: {fault} frame numbers, expected {expected}, got {number}")
    return [folder / name for _, name in numbered]


def read_image(path: Path, gray: bool = False) -> np.ndarray:
    """Return one image: uint8 (H, W, 3) RGB, or uint8 (H, W) when `gray`.

    Raises InputError when the file cannot be decoded or is a truncated JPG.
    """
    content = file_content(path)
    if content.startswith(_JPEG_START) and _JPEG_END not in content[-_JPEG_TAIL_BYTES:]:
        raise InputError(f"{path}: truncated image, expected the JPG end marker FFD9, got none")
    mode = cv2.IMREAD_GRAYSCALE if gray else cv2.IMREAD_COLOR_RGB
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), mode) if content else None
    except cv2.error as error:  # a header of more pixels than OpenCV takes, or than there is memory for
        raise InputError(f"{path}: damaged image, or one too large, {one_line(error.err)}") from error
    if image is None:
        raise InputError(f"{path}: damaged image, expected a readable one, got {len(content)} bytes")
    return image


def count_frames(source: Source) -> int:
    """Return the number of frames of a clip, without decoding: images of a folder, or a video's own count.

    Raises InputError as `image_paths` does, or when `source` is missing, not a video, or a segment that ends
    behind its clip.
    """
    if isinstance(source, Segment):
        n_frames = count_frames(source.path)
        if not 0 <= source.start < source.stop <= n_frames:
            raise InputError(f"{source}: no such frames, expected some of 1..{n_frames}")
        return source.stop - source.start
    source = Path(source)
    return len(image_paths(source)) if source.is_dir() else _count_video_frames(source)


def iter_frames(source: Source) -> Iterator[np.ndarray]:
    """Yield the frames of a clip in order, each uint8 (H, W, 3) RGB, all the same size.

    A segment of a video is decoded from the video's start: where a seek lands is not certain to the frame.
    Raises InputError: what `count_frames` raises, a damaged frame, one of another size, a truncated video.
    """
    if isinstance(source, Segment):
        count_frames(source)
        if source.path.is_dir():
            return _iter_images(image_paths(source.path)[source.start : source.stop])
        return islice(_iter_video(source.path), source.start, source.stop)
    source = Path(source)
    return _iter_images(image_paths(source)) if source.is_dir() else _iter_video(source)


def read_frames(source: Source, indices: Sequence[int]) -> np.ndarray:
    """Return the frames at the 0-based `indices`, in that order: uint8 (len(indices), H, W, 3) RGB.

    A folder decodes these images alone; a video is decoded up to the last index.
    Raises InputError as `iter_frames` does, IndexError for an index outside the clip, ValueError for none.
    """
    wanted = [int(index) for index in indices]
    if not wanted:
        raise ValueError("indices: expected at least one frame index, got none")
    n_frames = count_frames(source)
    if min(wanted) < 0 or max(wanted) >= n_frames:
        raise IndexError(f"{source}: frame indices must be in 0..{n_frames - 1}, got {wanted}")
    if isinstance(source, Segment):
        return read_frames(source.path, [index + source.start for index in wanted])
    source = Path(source)
    if source.is_dir():
        paths = image_paths(source)
        return np.stack(list(_iter_images(paths[index] for index in wanted)))
    chosen = set(wanted)
    decoded = enumerate(islice(_iter_video(source), max(wanted) + 1))
    frames = {index: frame for index, frame in decoded if index in chosen}
    return np.stack([frames[index] for index in wanted])


def resize(frame: np.ndarray, size_px: int) -> np.ndarray:
    """Return a frame (H, W[, 3]) as a square (s, s[, 3]), its aspect ratio not kept; see `RESIZING`."""
    shrinks = max(size_px / side for side in frame.shape[:2]) <= 1
    return cv2.resize(
        frame, (size_px, size_px), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )


def source_digest(source: Source) -> str:
    """Return a SHA-256 of a clip's content: names and bytes of its images, or the bytes of its video.

    Of a file over 64 MB, its size and 64 blocks of 1 MB spread over it. Times of files do not count, so a
    copy has the digest of its original. Within a process, what has not been touched is not read again.
    """
    stats = [(path.name, check_file(path)) for path in _files(source)]
    seen = [(name, stat.st_ino, stat.st_size, stat.st_ctime_ns) for name, stat in stats]
    return _content_digest(source, hashlib.sha256(repr(seen).encode()).hexdigest())


@functools.lru_cache(maxsize=4096)  # clips
def _content_digest(source: Source, seen: str) -> str:
    """Return `source_digest`; `seen` changes with the files' state on disk."""
    digest = hashlib.sha256()
    if isinstance(source, Segment):
        digest.update(f"frames {source.start} {source.stop}\n".encode())
    for path in _files(source):
        size = path.stat().st_size
        digest.update(os.fsencode(path.name) + f" {size}\n".encode())
        with open(path, "rb") as file:
            if size <= _N_DIGEST_BLOCKS * _DIGEST_BLOCK_BYTES:
                digest.update(file.read())
                continue
            for start in np.linspace(0, size - _DIGEST_BLOCK_BYTES, _N_DIGEST_BLOCKS).astype(int):
                file.seek(start)
                digest.update(file.read(_DIGEST_BLOCK_BYTES))
    return digest.hexdigest()


def _files(source: Source) -> list[Path]:
    """Return the files that hold the frames of a clip."""
    if isinstance(source, Segment):
        files = _files(source.path)
        return files[source.start : source.stop] if source.path.is_dir() else files
    return image_paths(source) if source.is_dir() else [source]


def _is_image(name: str) -> bool:
    """Tell whether a file name is an image's; archives made on a Mac add hidden `._001.tif` files."""
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES


def _frame_number(folder: Path, name: str) -> int:
    """Return the last run of digits in the name, so that frame 10 follows frame 9 and not frame 1."""
    numbers = re.findall(r"\d+", os.path.splitext(name)[0])
    if not numbers:
        raise InputError(f"{folder / name}: no frame number in the name, expected one such as 001.jpg")
    return int(numbers[-1])


def _iter_images(paths: Iterable[Path]) -> Iterator[np.ndarray]:
    """Yield the decoded images, uint8 (H, W, 3) RGB; InputError at one that is not the first one's size."""
    first_shape = None
    for path in paths:
        frame = _read_frame(path)
        first_shape = first_shape or frame.shape
        if frame.shape != first_shape:
            raise InputError(
                f"{path}: frame of another size, expected {_size(first_shape)} as the clip's first frame, "
                f"got {_size(frame.shape)}"
            )
        yield frame


def _read_frame(path: Path) -> np.ndarray:
    """Return an image, or its stand-in where it is known to be damaged as published; that is said aloud."""
    stand_in = STAND_INS.get(path.parts[-4:])
    try:
        return read_image(path)
    except InputError as error:
        if stand_in is None:
            raise
        print(f"{error}; known of the published archive, {stand_in} is read in its place", file=sys.stderr)
        return read_image(path.with_name(stand_in))


def _iter_video(path: Path) -> Iterator[np.ndarray]:
    """Yield the decoded frames of a video file; InputError when other than the declared number come."""
    n_declared = _count_video_frames(path)
    n_decoded = 0
    try:
        with iio.imopen(path.absolute(), "r", plugin="pyav", metadata_errors=METADATA_ERRORS) as video:
            for frame in video.iter():
                n_decoded += 1
                if n_decoded > n_declared:
                    raise InputError(
                        f"{path}: damaged video, expected {n_declared} frames as declared, got more"
                    )
                yield frame
    except (av.FFmpegError, OSError, ValueError, MemoryError) as error:
        raise InputError(f"{path}: damaged video, got {n_decoded} frames, then {one_line(error)}") from error
    if n_decoded < n_declared:
        raise InputError(f"{path}: truncated or damaged video, expected {n_declared} frames, got {n_decoded}")


def _count_video_frames(path: Path) -> int:
    """Return the frame count that the file's header declares, else the number of its packets."""
    if not path.is_file():
        raise InputError(f"{path}: no such file or folder, expected a video file or a folder of images")
    try:
        with av.open(str(path.absolute()), metadata_errors=METADATA_ERRORS) as container:
            if not container.streams.video:
                raise InputError(f"{path}: no video stream in the file, expected one")
            stream = container.streams.video[0]
            if stream.codec_context is None:
                raise InputError(f"{path}: unreadable codec, expected one that FFmpeg decodes")
            check_fits(path, _DECODED_FRAMES * 3 * stream.width * stream.height)
            n_frames = stream.frames or sum(1 for packet in container.demux(stream) if packet.size)
    except (av.FFmpegError, OSError, ValueError, MemoryError) as error:
        raise InputError(f"{path}: not a readable video file ({type(error).__name__})") from error
    if n_frames == 0:
        raise InputError(f"{path}: no frame in the video, expected at least 1")
    if not 0 < n_frames <= (n_bytes := path.stat().st_size):  # the list of a file's frames alone takes more
        raise InputError(f"{path}: damaged video, it declares {n_frames} frames in {n_bytes} bytes")
    return n_frames


def _size(shape: tuple[int, ...]) -> str:
    """Return an array shape (H, W, ...) as `WxH px`, the way cameras and players print it."""
    return f"{shape[1]}x{shape[0]} px"
