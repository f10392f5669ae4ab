"""Frames of a clip, from a folder of images, a video file or a range of frames of either.

A frame is uint8 (H, W, 3), RGB, 0..255; every frame of a clip has the same size. Whatever is damaged stops
with one InputError: decoders that guess at the missing part of a picture would feed the networks grey blocks.
How images and videos are read is in `images` and `videos`.
"""

import functools
import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from data_prep.errors import InputError
from data_prep.files import check_file
from data_prep.images import frame_paths, iter_images
from data_prep.videos import VIDEO_SUFFIXES, count_video_frames, is_turned, iter_video

_DIGEST_BLOCK_BYTES, _N_DIGEST_BLOCKS = 2**20, 64
RESIZING = "OpenCV INTER_AREA where both sides shrink, else INTER_LINEAR"


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


def count_frames(source: Source) -> int:
    """Return the number of frames of a clip, without decoding: images of a folder, or a video's own count.

    Raises InputError as `frame_paths` does, or when `source` is missing, not a video, or a segment that ends
    behind its clip.
    """
    if isinstance(source, Segment):
        n_frames = count_frames(source.path)
        if not 0 <= source.start < source.stop <= n_frames:
            raise InputError(f"{source}: no such frames, expected some of 1..{n_frames}")
        return source.stop - source.start
    source = Path(source)
    return len(frame_paths(source)) if source.is_dir() else count_video_frames(source)


def iter_frames(source: Source) -> Iterator[np.ndarray]:
    """Yield the frames of a clip in order, each uint8 (H, W, 3) RGB, all the same size.

    A segment of a video is decoded from the video's start: where a seek lands is not certain to the frame.
    Raises InputError: what `count_frames` raises, a damaged frame, one of another size, a truncated video.
    """
    if isinstance(source, Segment):
        count_frames(source)
        if source.path.is_dir():
            return iter_images(frame_paths(source.path)[source.start : source.stop])
        return islice(_video_frames(source.path), source.start, source.stop)
    source = Path(source)
    return iter_images(frame_paths(source)) if source.is_dir() else _video_frames(source)


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
        paths = frame_paths(source)
        return np.stack(list(iter_images(paths[index] for index in wanted)))
    chosen = set(wanted)
    decoded = enumerate(islice(_video_frames(source), max(wanted) + 1))
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
        if path.suffix.lower() in VIDEO_SUFFIXES and is_turned(path):
            digest.update(b"turned upright\n")  # features of it as it is stored are another clip's
        with open(path, "rb") as file:
            if size <= _N_DIGEST_BLOCKS * _DIGEST_BLOCK_BYTES:
                digest.update(file.read())
                continue
            for start in np.linspace(0, size - _DIGEST_BLOCK_BYTES, _N_DIGEST_BLOCKS).astype(int):
                file.seek(start)
                digest.update(file.read(_DIGEST_BLOCK_BYTES))
    return digest.hexdigest()


def _video_frames(path: Path) -> Iterator[np.ndarray]:
    """Yield the frames of a video file, without their times."""
    return (frame for _, frame in iter_video(path))


def _files(source: Source) -> list[Path]:
    """Return the files that hold the frames of a clip."""
    if isinstance(source, Segment):
        files = _files(source.path)
        return files[source.start : source.stop] if source.path.is_dir() else files
    return frame_paths(source) if source.is_dir() else [source]
