"""What systems read: where it lies for a dataset at hand, and how it is opened to train on and to score.

Nothing heavy is imported before an input is opened.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from experiments.lab.settings.changes import values
from experiments.lab.settings.flow_windows import reads_windows
from experiments.lab.settings.schema import Settings

if TYPE_CHECKING:
    from data_prep.recipes import Recipe
    from experiments.lab.context import Context
    from experiments.lab.systems.sequences import Files

# What scores a camera: what an input holds of frame after frame -> something for each.
LiveScores = Callable[[Iterable[Any]], Iterator[object]]
Extract = Callable[[Any], Any]  # frames uint8 (n, H, W, 3) -> features (n, R, C)


class Input(Protocol):
    """What a system reads.

    Attributes:
        module: the one with the code that opens it.
        of_network: whether a network gives it; else it is the frames themselves.
    """

    module: str
    of_network: bool

    def recipe_for(self, context: "Context", stream: str) -> "Recipe | None":
        """Return how shards of it are made; None where it has none."""

    def folder(self, context: "Context", dataset: str, stream: str) -> Path:
        """Return where it lies for a dataset at hand, made first where it is not there."""

    def source(self, folder: Path, stream: str, settings: Settings, sample_frames=None):
        """Return what a system's `task` takes; `sample_frames` as in `task.Data`."""

    def sequences(self, files: "Files", settings: Settings):
        """Return the same of Moving-MNIST."""

    def live(self, context: "Context", dataset: str) -> tuple[Extract, int]:
        """Return what makes it of frames as they come, and the side of the squares that this takes."""


@dataclass(frozen=True)
class Features:
    """Features of a network, those of optical flow for the stream "flow"; on Moving-MNIST the intensities."""

    module = "experiments.lab.systems.features"
    of_network = True

    def recipe_for(self, context: "Context", stream: str) -> "Recipe":
        """Return how features are extracted."""
        return context.recipe(flow=stream == "flow")

    def folder(self, context: "Context", dataset: str, stream: str) -> Path:
        """Return the folder of shards."""
        return context.flow_shards(dataset) if stream == "flow" else context.shards(dataset)

    def source(self, folder: Path, stream: str, settings: Settings, sample_frames=None):
        """Return the stream as a `features.FeatureSource`."""
        from experiments.lab.systems.features import ShardFeatures, WindowFeatures

        source = WindowFeatures if reads_windows(stream, settings) else ShardFeatures
        return source(folder, stream, settings, sample_frames)

    def sequences(self, files: "Files", settings: Settings):
        """Return the intensities as a `features.FeatureSource`."""
        from experiments.lab.systems.moving_mnist import SequenceFeatures

        return SequenceFeatures(files)

    def live(self, context: "Context", dataset: str) -> tuple[Extract, int]:
        """Return the network with what is done to its features."""
        return context.extractor(dataset), context.backbone.input_size_px


@dataclass(frozen=True)
class Intensities(Features):
    """Intensities of Moving-MNIST's lit pixels alone: features that no network gives."""

    of_network = False


@dataclass(frozen=True)
class GrayFrames:
    """Gray frames as squares; `size_setting` is the name of the setting that says how large these are."""

    size_setting: str
    module = "experiments.lab.systems.gray_frames"
    of_network = False

    def size_px(self, settings: Settings) -> int:
        """Return the side of the frames."""
        return values(settings)[self.size_setting]

    def recipe_for(self, context: "Context", stream: str) -> "Recipe":
        """Return how the squares are made."""
        return context.gray_recipe(self.size_px(context.settings))

    def folder(self, context: "Context", dataset: str, stream: str) -> Path:
        """Return the folder of shards."""
        return context.gray_shards(dataset, self.size_px(context.settings))

    def source(self, folder: Path, stream: str, settings: Settings, sample_frames=None):
        """Return the frames as a `gray_frames.FrameSource`."""
        from experiments.lab.systems.gray_frames import ShardFrames

        every = settings.frames.frames_hold_out_every
        return ShardFrames(folder, every, settings.train.window_frames, sample_frames)

    def sequences(self, files: "Files", settings: Settings):
        """Return the frames as a `gray_frames.FrameSource`."""
        from experiments.lab.systems.moving_mnist import SequenceFrames

        return SequenceFrames(files, self.size_px(settings), settings)

    def live(self, context: "Context", dataset: str) -> tuple[Extract, int]:
        """Return the gray frames' own making."""
        from data_prep.gray_frames import gray_frames
        from data_prep.network_features import feature_function

        size_px = self.size_px(context.settings)
        return feature_function(gray_frames(size_px), "none"), size_px
