"""Shards: the features of one clip in one HDF5 file, written whole or not at all.

Layout, contiguous, so that a range of frames is one read:
    features  float16 or float32 (n_frames, R, C), maps pooled over R regions (21 in the paper); gray frames
              have R = 1
    labels    uint8 (n_frames,), 1 = abnormal
    boxes     float32 (R, 4), where regions are windows: left, top, right, bottom in px of the clip's frames;
              most rows of such features are zeros, so they are compressed, a frame at a time
    attributes, one per field of `ShardInfo`
The checksum covers features, labels and boxes; HDF5's own checksums cover the attributes (`libver="latest"`).
"""

import functools
import hashlib
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

import h5py
import numpy as np

from data_prep.clip_list import FILE, is_file_name, read_clip_list
from data_prep.errors import InputError
from data_prep.files import natural_order
from data_prep.hdf5 import UnreadableError, check_stored, hdf5_written_whole, open_hdf5, readable
from data_prep.pooling import PAPER_PYRAMID
from data_prep.provenance import git_commit, shard_libraries

SCHEMA_VERSION = 2
DTYPES = ("float16", "float32")
NAMED_CLIPS = 5  # that a message names
_BLOCK_FRAMES = 256  # frames that are checked at a time


@dataclass(frozen=True)
class ShardInfo:
    """What a shard holds and how it was made. Two are equal when they promise the same features.

    Attributes:
        dataset, split, clip: which frames.
        n_frames: how many.
        source_sha256: of the clip's content, see `frames.source_digest`.
        backbone, weights_sha256, layer, input_size_px: the network, see `backbones.Backbone`.
        resizing: how frames, or the flow between them, became squares of `input_size_px`.
        pooling: "max", "mean" or "none"; pyramid: which regions; see `pooling.region_pyramid`.
        normalization: what was done to the features after that, see `normalization.Normalization`.
        dtype: of the features as stored.
        requested_backbone, fallback_reason: see `backbones.Backbone`.
        commit, versions: of this code and its libraries.
        checksum: SHA-256 of features, labels and boxes as stored; filled in by `write_shard`.
    """

    dataset: str
    split: str
    clip: str
    n_frames: int
    source_sha256: str
    backbone: str
    weights_sha256: str
    layer: str
    input_size_px: int
    resizing: str
    pooling: str
    pyramid: str = PAPER_PYRAMID
    normalization: str = "none"
    dtype: str = "float16"
    schema_version: int = SCHEMA_VERSION
    requested_backbone: str = field(default="", compare=False)
    fallback_reason: str = field(default="", compare=False)
    commit: str = field(default_factory=git_commit, compare=False)
    versions: str = field(default_factory=shard_libraries, compare=False)
    checksum: str = field(default="", compare=False)


def write_shard(
    path: Path,
    batches: Iterable[np.ndarray],
    info: ShardInfo,
    labels: np.ndarray,
    boxes: np.ndarray | None = None,
) -> None:
    """Write a shard, replacing one of that name; on any fault, Ctrl-C included, nothing of it stays.

    Args:
        path: the file; its folder is made.
        batches: float (n, R, C), the clip's frames in order.
        info: its attributes; `checksum` is computed here.
        labels: uint8 (n_frames,).
        boxes: float32 (R, 4), of windows; None for a pyramid's regions.

    Raises InputError: a feature that is not finite or too large for `info.dtype`, more or fewer frames
    than labels, a file that cannot be written (full disk).
    """
    labels = np.asarray(labels, np.uint8)
    if labels.shape != (info.n_frames,) or info.n_frames == 0:
        raise InputError(f"{path}: expected one label for each of {info.n_frames} frames, got {labels.shape}")
    with hdf5_written_whole(path) as file:
        _write_contents(file, batches, info, labels, boxes)


def validate_shard(path: Path) -> ShardInfo:
    """Return the attributes of a shard after checking every byte of it.

    Raises InputError: missing, truncated or changed since it was written, features that are not finite.
    """
    with Shard(path) as shard, readable(path, "shard"):
        checksum = hashlib.sha256()
        for start in range(0, shard.n_frames, _BLOCK_FRAMES):
            block = shard.stored_features(start, start + _BLOCK_FRAMES)
            checksum.update(block)
            if not np.isfinite(block).all():
                raise InputError(f"{path}: expected finite features, got one that is not")
        checksum.update(shard.labels)
        if shard.boxes is not None:
            checksum.update(shard.boxes)
        if checksum.hexdigest() != shard.info.checksum:
            raise InputError(f"{path}: damaged shard, its features and labels do not match their checksum")
        return shard.info


def is_current(path: Path, wanted: ShardInfo, labels: np.ndarray, tell: bool = True) -> bool:
    """Tell whether a shard is there, whole and as wanted; `tell`: where it is there but not so, say why."""
    fault = _fault_of(path, wanted, labels) if path.exists() else ""
    if fault and tell:
        print(f"{fault}; extracting it again", file=sys.stderr)
    return fault is None


def _fault_of(path: Path, wanted: ShardInfo, labels: np.ndarray) -> str | None:
    """Return what is wrong with a shard that is there, None where it is as wanted."""
    try:
        found = validate_shard(path)
        with Shard(path) as shard:
            same_labels = np.array_equal(shard.labels, labels)
    except UnreadableError:  # it may be as wanted
        raise
    except InputError as error:
        return str(error)
    if found != wanted:
        compared = [f.name for f in fields(ShardInfo) if f.compare]
        changed = [name for name in compared if getattr(found, name) != getattr(wanted, name)]
        return f"{path}: made with another {', '.join(changed)}"
    return None if same_labels else f"{path}: made with other labels"


def read_info(path: Path) -> ShardInfo:
    """Return the attributes of a shard; InputError when it is missing or not readable."""
    with Shard(path) as shard:
        return shard.info


class Shard:
    """A shard opened for reading; a context manager.

    Attributes:
        path: the file.
        n_frames, n_regions: frames of the clip, regions of a frame.

    Raises InputError: missing, damaged or not a shard of this schema. The bulk of the features is checked by
    `validate_shard` alone.
    """

    def __init__(self, path: Path):
        self.path = Path(path)
        if not self.path.is_file():
            raise InputError(f"{path}: no such shard")
        with readable(path, "shard"):
            self._file = open_hdf5(path)
        try:
            self._check()
        except InputError:
            self.close()
            raise

    def _check(self) -> None:
        """Raise InputError where the file is no shard of this schema."""
        with readable(self.path, "shard"):
            schema_version = _plain("schema_version", self._file.attrs["schema_version"], int)
            self._features = self._file["features"]
            labels, boxes = self._file["labels"], self._file.get("boxes")
            shape, n_labels = self._features.shape, len(labels)
            for array in (self._features, labels, *([] if boxes is None else [boxes])):
                check_stored(self.path, array)
            if self._features.dtype not in DTYPES or labels.dtype != np.uint8 or labels.ndim != 1:
                raise ValueError(f"expected labels uint8 and features {' or '.join(DTYPES)}")
            if boxes is not None and (boxes.dtype != np.float32 or boxes.shape != (shape[1], 4)):
                raise ValueError(f"expected boxes float32 {(shape[1], 4)}, got {boxes.dtype} {boxes.shape}")
        if schema_version != SCHEMA_VERSION or len(shape) != 3 or shape[0] != n_labels or shape[1] < 1:
            raise InputError(
                f"{self.path}: expected a shard of schema {SCHEMA_VERSION} with features ({n_labels}, "
                f"R, C), got schema {schema_version} with features {shape}"
            )
        self.n_frames, self.n_regions = n_labels, shape[1]

    @functools.cached_property
    def info(self) -> ShardInfo:
        """Its attributes."""
        with readable(self.path, "shard"):
            attributes = self._file.attrs
            info = ShardInfo(
                **{f.name: _plain(f.name, attributes[f.name], f.type) for f in fields(ShardInfo)}
            )
            if not all(map(is_file_name, (info.dataset, info.split, info.clip))):  # folders are named so
                raise ValueError("expected names of dataset, split and clip, got a path")
            return info

    @functools.cached_property
    def labels(self) -> np.ndarray:
        """Frame labels, uint8 (n_frames,), 1 = abnormal."""
        with readable(self.path, "shard"):
            return self._file["labels"][:]

    @functools.cached_property
    def boxes(self) -> np.ndarray | None:
        """Windows in px of the clip's frames, float32 (R, 4): left, top, right, bottom; None for regions."""
        with readable(self.path, "shard"):
            return self._file["boxes"][:] if "boxes" in self._file else None

    def features(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Return the features of frames start..stop-1, float32 (n, R, C)."""
        return self.stored_features(start, stop).astype(np.float32)

    def stored_features(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Return the features of frames start..stop-1 in the dtype of the file, (n, R, C)."""
        with readable(self.path, "shard"):
            return self._features[start:stop]

    def whole_frames(self) -> np.ndarray:
        """Return the features of the 1x1 region of every frame, float32 (n_frames, C)."""
        with readable(self.path, "shard"):
            return self._features[:, 0].astype(np.float32)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> "Shard":
        """Return the shard itself."""
        return self

    def __exit__(self, *_) -> None:
        """Close the file."""
        self.close()


def shard_path(folder: Path, split: str, clip: str) -> Path:
    """Return where the shard of a clip is, in a folder of shards."""
    return Path(folder) / split / f"{clip}.h5"


def list_shards(folder: Path, split: str) -> list[Path]:
    """Return the shards of a split, those of the dataset's own clips, in the dataset's order.

    A folder without `clips.json` was filled by something else than extraction: what lies there is taken, in
    natural order of the names, and a line on stderr says so.
    Raises InputError: no shard, a clip that is still to be extracted.
    """
    paths = expected_shards(folder, split)
    if not paths:
        raise InputError(f"{Path(folder) / split}: no shards, expected some from data_prep.extract_features")
    if absent := [path.name.removesuffix(".h5") for path in paths if not path.is_file()]:
        others = ", .." if len(absent) > NAMED_CLIPS else ""
        raise InputError(
            f"{paths[0].parent}: {len(absent)} of {len(paths)} clips still to be extracted, "
            f"{', '.join(absent[:NAMED_CLIPS])}{others}; the command that extracts goes on where it stopped"
        )
    return paths


def expected_shards(folder: Path, split: str) -> list[Path]:
    """Return the shards that a split is to have, in order, whether or not they are there."""
    clips = read_clip_list(folder)
    if clips is not None:
        return [shard_path(folder, split, clip) for clip in clips.of(split)]
    found = sorted((Path(folder) / split).glob("[!.]*.h5"), key=lambda path: natural_order(path.name))
    if found:
        _say_unlisted(Path(folder))
    return found


@functools.cache
def _say_unlisted(folder: Path) -> None:
    """Say once that a folder of shards has no list of its clips."""
    print(
        f"{folder}: no {FILE} in it, its shards are taken as they are, in the order of their names",
        file=sys.stderr,
    )


def _plain(name: str, value, kind) -> str | int:
    """Return a shard's attribute as its kind, text or whole number. ValueError: it is another."""
    if kind is str and isinstance(value, bytes):
        return value.decode()
    if kind is int and isinstance(value, np.integer):
        return int(value)
    expected = "a text" if kind is str else "a whole number"
    raise ValueError(f"attribute {name}: expected {expected}, got {value!s:.40}")


def _write_contents(
    file: h5py.File,
    batches: Iterable[np.ndarray],
    info: ShardInfo,
    labels: np.ndarray,
    boxes: np.ndarray | None,
):
    """Write the features batch by batch, labels and boxes, then the attributes with the checksum of all."""
    checksum = hashlib.sha256()
    start = 0
    for batch in batches:
        stop = start + len(batch)
        _check_features(batch, start, info)
        if start == 0:
            shape = (info.n_frames, *batch.shape[1:])
            stored = {} if boxes is None else {"chunks": (1, *shape[1:]), "compression": "lzf"}
            dataset = file.create_dataset("features", shape, info.dtype, **stored)
        if stop <= info.n_frames:
            block = np.ascontiguousarray(batch, info.dtype)
            dataset[start:stop] = block
            checksum.update(block)
        start = stop
    if start != info.n_frames:
        raise InputError(f"{info.dataset} clip {info.clip}: expected {info.n_frames} frames, got {start}")
    file["labels"] = labels
    checksum.update(labels)
    if boxes is not None:
        file["boxes"] = np.ascontiguousarray(boxes, np.float32)
        checksum.update(file["boxes"][:])
    for name, value in asdict(replace(info, checksum=checksum.hexdigest())).items():
        if isinstance(value, str):
            # A string of fixed length lies beside its checksum; HDF5 keeps others in a heap that has none.
            text = value.encode()
            file.attrs.create(name, text, dtype=h5py.string_dtype("utf-8", max(1, len(text))))
        else:
            file.attrs[name] = value


def _check_features(batch: np.ndarray, start: int, info: ShardInfo) -> None:
    """Raise InputError for the first frame with a feature that the shard cannot hold."""
    largest = np.abs(batch).max(axis=(1, 2))
    bad = ~(largest <= np.finfo(info.dtype).max)  # NaN compares false
    if bad.any():
        frame = int(np.argmax(bad))
        raise InputError(
            f"{info.dataset} clip {info.clip}, frame {start + frame}: expected finite features that fit "
            f"{info.dtype}, got {largest[frame]}"
        )
