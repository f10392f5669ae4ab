"""TensorBoard logs of a run: scalars, histograms, images, the graph and its HParams entry.

Written with TensorBoard's own summaries, so that a machine without TensorFlow logs as well.
"""

import os
import sys
import time
from pathlib import Path

import cv2
import keras
import numpy as np
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.histogram.summary_v2 import histogram_pb
from tensorboard.plugins.hparams.summary_v2 import hparams_pb
from tensorboard.plugins.image.metadata import create_summary_metadata
from tensorboard.plugins.scalar.summary_v2 import scalar_pb
from tensorboard.summary.writer.record_writer import RecordWriter
from tensorboard.util.tensor_util import make_tensor_proto

from data_prep.files import naming


class TensorBoardLog:
    """Writes one run's events under `folder`; everything is on disk when `flush` or `close` returns."""

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        # TensorBoard's own writer has a thread, which tells a full disk as a traceback.
        self.path = folder / f"events.out.tfevents.{time.time_ns()}.{os.getpid()}"
        self._file = open(self.path, "xb")
        self._records = RecordWriter(self._file)
        self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))

    def _write(self, event: Event) -> None:
        """Add an event; an OSError names the file."""
        with naming(self.path):
            self._records.write(event.SerializeToString())

    def _add(self, step: int, summary: Summary) -> None:
        self._write(Event(wall_time=time.time(), step=step, summary=summary))

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Add one point to each named curve."""
        for name, value in values.items():
            self._add(step, scalar_pb(name, value))

    def histograms(self, step: int, values: dict[str, np.ndarray]) -> None:
        """Add the distribution of each array."""
        for name, value in values.items():
            self._add(step, histogram_pb(name, value))

    def image(self, step: int, name: str, image: np.ndarray) -> None:
        """Add one picture, uint8 (H, W, 3)."""
        height, width, _ = image.shape
        png = cv2.imencode(".png", image[..., ::-1])[1].tobytes()
        tensor = make_tensor_proto([str(width).encode(), str(height).encode(), png])
        metadata = create_summary_metadata(display_name=None, description=None)
        self._add(step, Summary(value=[Summary.Value(tag=name, metadata=metadata, tensor=tensor)]))

    def graph(self, model: keras.Model, x: np.ndarray) -> None:
        """Add the graph of the forward pass on a batch like x; only TensorFlow has one."""
        if keras.backend.backend() != "tensorflow":
            print(f"no graph in TensorBoard: Keras runs on {keras.backend.backend()}", file=sys.stderr)
            return
        import tensorflow as tf

        traced = tf.function(lambda batch: model(batch)).get_concrete_function(
            tf.TensorSpec(x.shape, x.dtype)
        )
        graph = traced.graph.as_graph_def(add_shapes=True).SerializeToString()
        self._write(Event(wall_time=time.time(), graph_def=graph))

    def hparams(self, settings: dict[str, object], result: dict[str, float], step: int) -> None:
        """Add the run to the HParams table: its settings and its final metrics."""
        self._add(step, hparams_pb(settings, trial_id=self.folder.name))
        self.scalars(step, result)

    def flush(self) -> None:
        """Put all events on disk."""
        with naming(self.path):
            self._records.flush()

    def close(self) -> None:
        """Put all events on disk and end the log."""
        with naming(self.path):
            self._records.close()
