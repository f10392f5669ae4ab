"""Recipes: how features are made of frames, as values.

A recipe determines what a shard holds beside the clip's own frames and labels, and names the folder of the
shards. `extraction.extract` carries out any: `network_features.NetworkRecipe` (appearance, gray frames),
`optical_flow.FlowRecipe`, `flow_windows.extraction.FlowWindowRecipe`, and the cells of the quoted systems
(`experiments.lab.systems.quoted.sources.CellRecipe`).
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from data_prep.datasets import Dataset
from data_prep.frames import Source


def as_read() -> Callable[[np.ndarray], np.ndarray]:
    """Return the features function of a recipe whose batches are features already."""
    return lambda batch: batch


def no_boxes(source: Source) -> None:
    """Return the boxes of a pyramid's regions: none, since they follow from the frame's size."""


@dataclass(frozen=True)
class Maker:
    """A recipe at work on one dataset.

    Attributes:
        attributes: what its shards say of how they were made, by the fields of `shards.ShardInfo`.
        read: a clip's source -> what `features` takes, batch by batch; it is read ahead, in a thread.
        features: returns the function from a batch to features float32 (n, R, C); called once, and where
            there is something to make alone.
        boxes: a clip's source -> float32 (R, 4), see `shards`, or None.
    """

    attributes: Mapping[str, str | int]
    read: Callable[[Source], Iterable[np.ndarray]]
    features: Callable[[], Callable[[np.ndarray], np.ndarray]] = as_read
    boxes: Callable[[Source], np.ndarray | None] = no_boxes


class Recipe(Protocol):
    """What every recipe has."""

    @property
    def name(self) -> str:
        """What makes the features, in a word or two, for progress bars."""

    @property
    def key(self) -> str:
        """The name of the folder of its shards; other settings, another key."""

    def at_work(self, dataset: Dataset, folder: Path) -> AbstractContextManager[Maker]:
        """Give the maker for the clips of a dataset, whose shards are in `folder`."""
