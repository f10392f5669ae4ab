"""What the quoted systems read, see `systems.inputs`: shards of cells, or a dataset's frames as they are.

Nothing heavy is imported before an input is opened.
"""

import importlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.lab.settings.schema import Settings

if TYPE_CHECKING:
    from data_prep.datasets import Dataset
    from experiments.lab.context import Context
    from experiments.lab.systems.quoted.sources import CellRecipe, CellShards, Frames

SOURCES = "experiments.lab.systems.quoted.sources"


class QuotedInput:
    """What these inputs share, and what they lack of others: Moving-MNIST, features of single frames."""

    module = SOURCES
    of_network = False

    def folder_of(self, context: "Context", dataset: "Dataset", root: Path) -> Any:
        """Return where it lies for any dataset, whose features go under `root`; made first."""
        raise NotImplementedError

    def recipe_for(self, context: "Context", stream: str) -> "CellRecipe | None":
        """Return what makes shards of it; None where the frames are read as they are."""
        return None

    def source(self, folder: Any, stream: str, settings: Settings, sample_frames=None) -> Any:
        """Return what a task takes, of what `folder_of` returned."""
        raise NotImplementedError

    def of_frames(self, frames: Iterable[np.ndarray], settings: Settings) -> Iterator[Any]:
        """Yield what maps are made of, of a clip's frames uint8 (H, W, 3): here the frames as they are."""
        return iter(frames)

    def folder(self, context: "Context", dataset: str, stream: str):
        """Return where it lies for a dataset at hand, see `folder_of`."""
        return self.folder_of(context, *context.place_of(dataset))

    def sequences(self, files, settings: Settings):
        """Raise: no quoted system has a row in Table 1."""
        raise NotImplementedError("quoted systems: expected a dataset of clips, got Moving-MNIST")

    def live(self, context: "Context", dataset: str):
        """Raise: a map is of several frames, see `tasks.MapTask`."""
        raise NotImplementedError("quoted systems: expected frames, a map is not of a single one")


@dataclass(frozen=True)
class Cells(QuotedInput):
    """Shards of cells; `maker` is the module whose `recipe` makes them."""

    maker: str

    def recipe(self, settings: Settings) -> "CellRecipe":
        """Return what makes the shards."""
        return importlib.import_module(self.maker).recipe(settings)

    def recipe_for(self, context: "Context", stream: str) -> "CellRecipe":
        """Return the same under a context's settings."""
        return self.recipe(context.settings)

    def folder_of(self, context: "Context", dataset: "Dataset", root: Path) -> Path:
        """Return the folder of shards of any dataset, under `root/features`."""
        from data_prep.extraction import extract

        return extract(dataset, self.recipe(context.settings), root / "features")

    def of_frames(self, frames: Iterable[np.ndarray], settings: Settings) -> Iterator[Any]:
        """Yield the cells of a clip's frames, as the shards hold them."""
        return self.recipe(settings).cells(frames)

    def source(self, folder: Path, stream: str, settings: Settings, sample_frames=None) -> "CellShards":
        """Return the shards as what a task takes."""
        from experiments.lab.systems.quoted.sources import CellShards

        return CellShards(folder, sample_frames)


@dataclass(frozen=True)
class VideoFrames(QuotedInput):
    """A dataset's frames; `backbone_px` is the side of those that the backbone takes, 0 for no network."""

    backbone_px: int = 0

    def folder_of(self, context: "Context", dataset: "Dataset", root: Path) -> "Frames":
        """Return the dataset, with the network: its frames lie where it does."""
        from experiments.lab.systems.quoted.sources import Frames

        return Frames(dataset, context.network(self.backbone_px) if self.backbone_px else None)

    def source(self, folder: "Frames", stream: str, settings: Settings, sample_frames=None) -> "Frames":
        """Return the frames as what a task takes."""
        return replace(folder, sample_frames=sample_frames)
