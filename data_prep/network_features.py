"""Features of frames through a network: its maps pooled over regions, or as they are. Paper: Sec. 3.6."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from data_prep.backbones import Backbone
from data_prep.datasets import Dataset
from data_prep.frames import RESIZING, Source, iter_frames, resize
from data_prep.normalization import AS_EXTRACTED
from data_prep.pooling import PAPER_PYRAMID, region_pyramid
from data_prep.read_ahead import stack_batches
from data_prep.recipes import Maker

BATCH_FRAMES = 16


@dataclass(frozen=True)
class NetworkRecipe:
    """Frames through a network, its maps pooled over the regions of each frame; see `recipes.Recipe`.

    Attributes:
        backbone: the network.
        pooling: "max" or "mean" over each region, "none" for the map as one.
        pyramid: which regions, key in `pooling.PYRAMIDS`.
        dtype: of the features as stored, "float16" or "float32".
        batch_frames: frames per call of the network, which change no feature.
    """

    backbone: Backbone
    pooling: str = "max"
    pyramid: str = PAPER_PYRAMID
    dtype: str = "float16"
    batch_frames: int = field(default=BATCH_FRAMES, kw_only=True, compare=False)

    @property
    def name(self) -> str:
        """Return the network's name."""
        return self.backbone.name

    @property
    def key(self) -> str:
        """Return the name of the folder of its shards, such as `thin_resnet50-last-224-max`."""
        backbone = self.backbone
        key = f"{backbone.name}-{backbone.layer}-{backbone.input_size_px}-{self.pooling}"
        if self.pyramid != PAPER_PYRAMID:
            key += f"-{self.pyramid.replace(',', '_')}"
        return key if self.dtype == "float16" else f"{key}-{self.dtype}"

    @property
    def resizing(self) -> str:
        """Return how frames become what the network takes, in words."""
        return RESIZING

    @property
    def attributes(self) -> dict[str, str | int]:
        """Return what its shards say of how they were made, by the fields of `shards.ShardInfo`."""
        backbone = self.backbone
        return {
            "backbone": backbone.name,
            "weights_sha256": backbone.weights_sha256,
            "layer": backbone.layer,
            "input_size_px": backbone.input_size_px,
            "resizing": self.resizing,
            "pooling": self.pooling,
            "pyramid": self.pyramid,
            "dtype": self.dtype,
            "requested_backbone": backbone.requested,
            "fallback_reason": backbone.fallback_reason,
        }

    @contextmanager
    def at_work(self, dataset: Dataset, folder: Path) -> Iterator[Maker]:
        """Give the maker, the same for every dataset."""
        read = partial(
            frame_batches, input_size_px=self.backbone.input_size_px, batch_frames=self.batch_frames
        )
        yield Maker(self.attributes, read, self.function)

    def function(
        self, normalization: Callable[[np.ndarray], np.ndarray] = AS_EXTRACTED
    ) -> Callable[[np.ndarray], np.ndarray]:
        """Return the function from what the network takes to features, see `feature_function`."""
        return feature_function(self.backbone, self.pooling, self.pyramid, normalization)


def feature_function(
    backbone: Backbone,
    pooling: str = "max",
    pyramid: str = PAPER_PYRAMID,
    normalization: Callable[[np.ndarray], np.ndarray] = AS_EXTRACTED,
) -> Callable[[np.ndarray], np.ndarray]:
    """Return the backbone with pooling inside: its input (n, s, s, channels), any n -> float32 (n, R, C)."""
    network = pooled_network(backbone, pooling, pyramid)
    return lambda frames: normalization(network(frames))


@lru_cache(maxsize=4)
def pooled_network(backbone: Backbone, pooling: str, pyramid: str) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function that `feature_function` normalizes; made once, which takes seconds."""
    import keras  # here: a command's --help needs no Keras

    regions = [region_pyramid(feature_map, pooling, pyramid) for feature_map in backbone.model.outputs]
    network = keras.Model(backbone.model.input, keras.ops.concatenate(regions, -1))
    if keras.backend.backend() != "tensorflow":
        return network.predict_on_batch
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    # One graph for every n, its weights constants: they are laid out for the processor once, not per call.
    frames = tf.TensorSpec((None, *backbone.model.input.shape[1:]), backbone.input_dtype)
    graph = tf.function(network, input_signature=[frames]).get_concrete_function()
    frozen = convert_variables_to_constants_v2(graph)
    return lambda frames: frozen(tf.constant(frames))[0].numpy()


def frame_batches(source: Source, input_size_px: int, batch_frames: int) -> Iterator[np.ndarray]:
    """Yield the frames of a clip, resized: uint8 RGB (n, s, s, 3), n = batch_frames but for the last batch.

    Raises InputError as `frames.iter_frames` does.
    """
    frames = (resize(frame, input_size_px) for frame in iter_frames(source))
    yield from stack_batches(frames, batch_frames)
