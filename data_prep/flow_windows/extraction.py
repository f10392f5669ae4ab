"""Flow windows as a recipe: the place is learned first, then every clip's rows of windows are shards."""

import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from data_prep.datasets import Dataset
from data_prep.files import locked
from data_prep.flow_windows.options import FlowWindowOptions
from data_prep.flow_windows.place import Place, learned_place
from data_prep.frames import Source, iter_frames, read_frames
from data_prep.read_ahead import map_ahead, stack_batches
from data_prep.recipes import Maker

NAME = "flow_windows"
BATCH_FRAMES = 16
FRAMES_AHEAD_PER_WORKER = 4


@dataclass(frozen=True)
class FlowWindowRecipe:
    """Speeds and directions of flow in windows of a person's size; see `recipes.Recipe`.

    A dataset's clips show one camera's view. Its place is learned from all training clips, and kept in the
    folder of the shards. A shard's R follows from its clip's frame size; `Shard.boxes` has the windows. Flow
    and windows are computed on all cores.

    Attributes:
        options: how they are computed.
    """

    options: FlowWindowOptions

    @property
    def name(self) -> str:
        """Return what it makes."""
        return NAME

    @property
    def key(self) -> str:
        """Return the name of the folder of its shards."""
        return self.options.key

    @contextmanager
    def at_work(self, dataset: Dataset, folder: Path) -> Iterator[Maker]:
        """Give the maker for a dataset's place. InputError: training clips in which nothing moves."""
        training = [clip.source for clip in dataset.split("train")]
        n_workers = os.cpu_count()
        with ThreadPoolExecutor(n_workers) as pool:
            each = partial(map_ahead, pool, FRAMES_AHEAD_PER_WORKER * n_workers)
            with locked(folder):
                place = learned_place(folder, training, self.options, each)
            if place.unit.reason:
                print(f"{folder}: WARNING: {place.unit}", file=sys.stderr)

            def read(source: Source) -> Iterator[np.ndarray]:
                return stack_batches(place.rows(iter_frames(source), each), BATCH_FRAMES)

            def boxes(source: Source) -> np.ndarray:
                return place.boxes(read_frames(source, [0]).shape[1:3])

            yield Maker(attributes_of(place), read, boxes=boxes)


def attributes_of(place: Place) -> dict[str, str | int]:
    """Return what shards of a place say of how they were made, by the fields of `shards.ShardInfo`."""
    return {
        "backbone": NAME,
        "weights_sha256": "",
        "layer": "windows",
        "input_size_px": place.options.height_px,
        "resizing": str(place),
        "pooling": "mean",
        "pyramid": "windows",
        "requested_backbone": NAME,
        "fallback_reason": place.unit.reason,
    }
