"""What the quoted systems read, see `systems.inputs`: shards of cells, or a dataset's frames as they are.

Nothing heavy is imported before an input is opened.
"""

import importlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.lab.settings.schema import Settings

if TYPE_CHECKING:
    from experiments.lab.context import Context
    from experiments.lab.systems.quoted.sources import CellRecipe, CellShards, Frames

SOURCES = "experiments.lab.systems.quoted.sources"


class NoSequences:
    """What these inputs lack of others: Moving-MNIST, features of single frames, shards of a network."""

    module = SOURCES
    of_network = False

    def sequences(self, files, settings: Settings):
        """Raise: no quoted system has a row in Table 1."""
        raise NotImplementedError("quoted systems: expected a dataset of clips, got Moving-MNIST")

    def live(self, context: "Context", dataset: str):
        """Raise: a map is of several frames, see `tasks.MapTask`."""
        raise NotImplementedError("quoted systems: expected frames, a map is not of a single one")


@dataclass(frozen=True)
class Cells(NoSequences):
    """Shards of cells; `maker` is the module whose `recipe` makes them."""

    maker: str

    def recipe(self, settings: Settings) -> "CellRecipe":
        """Return what makes the shards."""
        return importlib.import_module(self.maker).recipe(settings)

    def folder(self, context: "Context", dataset: str, stream: str) -> Path:
        """Return the folder of shards."""
        from data_prep.extraction import extract

        features = context.root_of(dataset) / "features"
        return extract(context.datasets[dataset], self.recipe(context.settings), features)

    def source(self, folder: Path, stream: str, settings: Settings, sample_frames=None) -> "CellShards":
        """Return the shards as what a task takes."""
        from experiments.lab.systems.quoted.sources import CellShards

        return CellShards(folder, sample_frames)


@dataclass(frozen=True)
class VideoFrames(NoSequences):
    """A dataset's frames; `backbone_px` is the side of those that the backbone takes, 0 for no network."""

    backbone_px: int = 0

    def folder(self, context: "Context", dataset: str, stream: str) -> "Frames":
        """Return the dataset, with the network: its frames lie where it does."""
        from experiments.lab.systems.quoted.sources import Frames

        network = context.network(self.backbone_px) if self.backbone_px else None
        return Frames(context.datasets[dataset], network)

    def source(self, folder: "Frames", stream: str, settings: Settings, sample_frames=None) -> "Frames":
        """Return the frames as what a task takes."""
        return replace(folder, sample_frames=sample_frames)
