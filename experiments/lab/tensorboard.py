"""TensorBoard logs of a run: scalars, histograms, images, the graph and its HParams entry."""

import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tensorboard.plugins.hparams import api as hparams


class TensorBoardLog:
    """Writes one run's events under `folder`; everything is on disk when `flush` returns."""

    def __init__(self, folder: Path):
        self.writer = tf.summary.create_file_writer(str(folder))
        self.folder = folder

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Add one point to each named curve."""
        with self.writer.as_default(step):
            for name, value in values.items():
                tf.summary.scalar(name, value)

    def histograms(self, step: int, values: dict[str, np.ndarray]) -> None:
        """Add the distribution of each array."""
        with self.writer.as_default(step):
            for name, value in values.items():
                tf.summary.histogram(name, value)

    def image(self, step: int, name: str, image: np.ndarray) -> None:
        """Add one picture, uint8 (H, W, 3)."""
        with self.writer.as_default(step):
            tf.summary.image(name, image[None])

    def graph(self, model: keras.Model, x: np.ndarray) -> None:
        """Add the graph of the forward pass on a batch like x; only TensorFlow has one."""
        if keras.backend.backend() != "tensorflow":
            print(f"no graph in TensorBoard: Keras runs on {keras.backend.backend()}", file=sys.stderr)
            return
        traced = tf.function(lambda batch: model(batch)).get_concrete_function(
            tf.TensorSpec(x.shape, x.dtype)
        )
        with self.writer.as_default():
            tf.summary.graph(traced.graph)

    def hparams(self, settings: dict[str, object], result: dict[str, float], step: int) -> None:
        """Add the run to the HParams table: its settings and its final metrics."""
        with self.writer.as_default(step):
            hparams.hparams(settings, trial_id=self.folder.name)
            for name, value in result.items():
                tf.summary.scalar(name, value)

    def flush(self) -> None:
        """Put all events on disk."""
        self.writer.flush()
