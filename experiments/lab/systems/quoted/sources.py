"""What the quoted systems read: the cells of a dataset's frames as shards, or its frames.

Where several systems read the same numbers of cells, or these take long, they are features like others: a
recipe (`data_prep.recipes`) makes them, one shard a clip. Cuboids are faster made anew than read.
"""

import functools
import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_prep.backbones import Backbone
from data_prep.datasets import Dataset
from data_prep.errors import InputError
from data_prep.frames import Source, iter_frames, read_frames, source_digest
from data_prep.images import size_of
from data_prep.read_ahead import stack_batches
from data_prep.recipes import Maker
from data_prep.shards import Shard, list_shards
from experiments.lab.training.task import Data, shards_data
from models.quoted.cell_maps import CellGrid

BATCH_FRAMES = 64
Shape = tuple[int, ...]


@dataclass(frozen=True)
class CellRecipe:
    """Numbers of the cells of every frame; see `data_prep.recipes.Recipe`.

    Attributes:
        name: what the numbers are, in a word.
        how: what else they depend on, in words that name folders.
        cells: frames of a clip, uint8 (H, W, 3) RGB -> numbers of each frame's cells, (R, C), row by row.
        grid: shape of a frame -> its cells.
        dtype: of the numbers as stored.
    """

    name: str
    how: str
    cells: Callable[[Iterable[np.ndarray]], Iterator[np.ndarray]]
    grid: Callable[[Shape], CellGrid]
    dtype: str = "float32"

    @property
    def key(self) -> str:
        """Return the name of the folder of its shards."""
        return f"{self.name}-{self.how}"

    @contextmanager
    def at_work(self, dataset: Dataset, folder: Path) -> Iterator[Maker]:
        """Give the maker, the same for every dataset."""

        def read(source: Source) -> Iterator[np.ndarray]:
            return stack_batches(self.cells(iter_frames(source)), BATCH_FRAMES)

        def boxes(source: Source) -> np.ndarray:
            shape = read_frames(source, [0])[0].shape
            return self.grid(shape).boxes(shape)

        yield Maker(self.attributes, read, boxes=boxes)

    @property
    def attributes(self) -> dict[str, str | int]:
        """Return what its shards say of how they were made, by the fields of `shards.ShardInfo`."""
        return {
            "backbone": self.name,
            "weights_sha256": "",
            "layer": "cells",
            "input_size_px": 0,
            "resizing": self.how,
            "pooling": "none",
            "pyramid": "cells",
            "dtype": self.dtype,
            "requested_backbone": self.name,
        }


@dataclass(frozen=True)
class Footage:
    """One clip: its name, its labels, uint8 (n_frames,), and what begins to read it, at every call anew."""

    clip: str
    labels: np.ndarray
    frames: Callable[[], Iterator[np.ndarray]]


@dataclass(frozen=True)
class CellShards:
    """A folder of shards that a `CellRecipe` made; a frame is the numbers of its cells, float32 (R, C).

    Attributes:
        folder: of the shards.
        sample_frames: see `task.Data`.
    """

    folder: Path
    sample_frames: Callable | None = None

    def split(self, split: str) -> Iterator[Footage]:
        """Yield the clips of a split, in the dataset's order. InputError: frames of another size."""
        expected = self.frame_shape
        for path in list_shards(self.folder, split):
            with Shard(path) as shard:
                if (got := frame_shape_of(shard)) != expected:  # as many cells may lie otherwise
                    raise InputError(
                        f"{path}: expected frames of {size_of(expected)}, as the first training clip has, "
                        f"got {size_of(got)}: cells are compared at their places"
                    )
                yield Footage(shard.info.clip, shard.labels, functools.partial(cells_of, path))

    @property
    def data(self) -> Data:
        """Return what a run on them is trained and scored on."""
        return shards_data(self.folder, self.sample_frames)

    @property
    def frame_shape(self) -> Shape:
        """Return (H, W) of the frames."""
        with Shard(list_shards(self.folder, "train")[0]) as shard:
            return frame_shape_of(shard)


@dataclass(frozen=True)
class Frames:
    """A dataset's frames, uint8 (H, W, 3) RGB.

    Attributes:
        dataset: which.
        backbone: a network that the system takes them through; None for none.
        sample_frames: see `task.Data`.
    """

    dataset: Dataset
    backbone: Backbone | None = None
    sample_frames: Callable | None = None

    def split(self, split: str) -> Iterator[Footage]:
        """Yield the clips of a split, in the dataset's order."""
        for clip in self.dataset.split(split):
            yield Footage(
                clip.name, self.dataset.frame_labels(clip), functools.partial(iter_frames, clip.source)
            )

    @property
    def data(self) -> Data:
        """Return what a run on them is trained and scored on."""
        network = self.backbone
        features = {
            "layer": network.layer if network else "pixels",
            "input_size_px": network.input_size_px if network else 0,
            "weights_sha256": network.weights_sha256 if network else "",
            "pooling": "none",
            "pyramid": "none",
            "normalization": "none",
            "training_clips": self.identity("train"),
        }
        name = network.name if network else "frames"
        identity = {"dataset": self.dataset.name, "backbone": name, "features": features}
        return Data(identity, self.identity, self.sample_frames)

    def identity(self, split: str) -> str:
        """Return what tells the clips of a split, their frames and labels from others: 16 hex digits."""
        fingerprint = hashlib.sha256()
        for clip in self.dataset.split(split):
            fingerprint.update(f"{clip.name} {source_digest(clip.source)}\n".encode())
            fingerprint.update(self.dataset.frame_labels(clip).tobytes())
        return fingerprint.hexdigest()[:16]

    @property
    def frame_shape(self) -> Shape:
        """Return (H, W) of the frames."""
        return read_frames(self.dataset.split("train")[0].source, [0])[0].shape[:2]


def frame_shape_of(shard: Shard) -> Shape:
    """Return (H, W) of the frames of a shard of cells, which reach to their edges."""
    return tuple(shard.boxes.max(axis=0)[[3, 2]].astype(int).tolist())


def cells_of(path: Path) -> Iterator[np.ndarray]:
    """Yield the numbers of the cells of each frame of a shard, float32 (R, C)."""
    with Shard(path) as shard:
        for start in range(0, shard.n_frames, BATCH_FRAMES):
            yield from shard.features(start, start + BATCH_FRAMES)
