"""What the systems on streams of features share: windows to train on, scores, and scores as frames come."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import keras
import numpy as np

from data_prep.shards import list_shards
from data_prep.windows import ActiveRowSampler, WindowSampler, clip_blocks
from experiments.lab.scoring.score import CLIPS_AT_ONCE, score_clips
from experiments.lab.settings.schema import Settings
from experiments.lab.systems.inputs import LiveScores
from experiments.lab.training.runs import Run
from experiments.lab.training.task import Data, Score, shards_data
from models.blocks import BlockModel

Streaming = Callable[[keras.Model], BlockModel]  # a trained model -> its form that takes block after block
# Rows x (rows, T, C) of consecutive frames; how many of them each row really has, None for all; whether
# sequences begin here.
FeatureBlock = tuple[np.ndarray, np.ndarray | None, bool]


class FeatureSource(Protocol):
    """A stream of features to train on and to score.

    `data` and `stream` are those of a run; `sampling` is what its configuration holds of how the stream is
    read, where that is not among the settings of its training, and `products` of how products are taken,
    where that was once another.
    """

    data: Data
    stream: str
    sampling: dict
    products: dict

    def sampler(self, window_frames: int, batch_clips: int, seed: int) -> Callable[[int], np.ndarray]:
        """Return the function step -> a batch (rows, T, C), which depends on the seed and the step alone."""

    def blocks(self, n_windows: int, seed: int) -> Iterator[FeatureBlock]:
        """Yield all training frames in order, or the same `n_windows` random windows of them."""

    def scorer(self, streaming: Streaming) -> Callable[[keras.Model], Score]:
        """Return the `scorer` (see `Task`) of a system that takes block after block."""


class ShardFeatures:
    """A dataset's shards of features, as a `FeatureSource`.

    Args:
        shards: the folder.
        stream: "spatial", "temporal" or "early"; "flow" where the features are those of flow.
        settings: those of training say how the stream is made.
        sample_frames: see `Data`.
    """

    def __init__(self, shards: Path, stream: str, settings: Settings, sample_frames=None):
        train = settings.train
        self.shards, self.stream = shards, stream
        self.data = shards_data(shards, sample_frames)
        self.window_frames = train.window_frames
        self.how = {
            "stream": stream if stream in ("temporal", "early") else "spatial",  # flow: as it is
            "temporal_window_frames": train.temporal_window_frames,
            "alignment": train.alignment,
        }
        self.sampling = {"sampling": {**self.how, "window_frames": train.window_frames}}
        rounded = settings.model.compute_dtype != "float32"
        self.products = {"products": "A^T and A in turn where N > C"} if rounded else {}

    def sampler(self, window_frames: int, batch_clips: int, seed: int) -> Callable[[int], np.ndarray]:
        """Return what draws windows, each equally likely."""
        paths = list_shards(self.shards, "train")
        options = {"window_frames": window_frames, "batch_clips": batch_clips, "seed": seed}
        return WindowSampler(paths, **options, **self.how).batch

    def blocks(self, n_windows: int, seed: int) -> Iterator[FeatureBlock]:
        """Yield all training frames, several clips side by side, or random windows."""
        if n_windows:
            at_once = min(n_windows, CLIPS_AT_ONCE)
            batch = self.sampler(self.window_frames, at_once, seed)
            for first in range(0, n_windows, at_once):
                x = batch(first // at_once)
                yield x[: len(x) * (n_windows - first) // at_once], None, True
            return
        paths = list_shards(self.shards, "train")
        for first in range(0, len(paths), CLIPS_AT_ONCE):  # rows enough for efficient products, as in scoring
            group = paths[first : first + CLIPS_AT_ONCE]
            blocks = clip_blocks(group, block_frames=self.window_frames, **self.how)
            for index, (x, n_valid) in enumerate(blocks):
                yield x, np.repeat(n_valid, len(x) // len(group)), index == 0

    def scorer(self, streaming: Streaming) -> Callable[[keras.Model], Score]:
        """Return what scores clips side by side, the states passed along."""

        def scorer(model):
            live = streaming(model)

            def score(split: str):
                live.refresh()
                return score_clips(live, list_shards(self.shards, split), **self.how)

            return score

        return scorer


class WindowFeatures(ShardFeatures):
    """A dataset's shards of flow windows, as a `FeatureSource`.

    Hundreds of windows a frame are at rest: what is drawn for training are rows in which something moves.
    """

    def __init__(self, shards: Path, stream: str, settings: Settings, sample_frames=None):
        super().__init__(shards, stream, settings, sample_frames)
        self.n_rows = settings.windows.windows_rows
        identity = self.data.identity
        features = {**identity["features"], "windows_rows": self.n_rows}
        self.data = replace(self.data, identity={**identity, "features": features})

    def sampler(self, window_frames: int, batch_clips: int, seed: int) -> Callable[[int], np.ndarray]:
        """Return what draws windows in time, each equally likely, and active rows of each."""
        paths = list_shards(self.shards, "train")
        return ActiveRowSampler(paths, self.n_rows, window_frames, batch_clips, seed).batch


def live_streams(streaming: Streaming, runs: Mapping[str, Run], settings: Settings) -> tuple[str, LiveScores]:
    """Return in words how a live camera is scored, and what does it: one stream, or two with their maximum.

    Args:
        streaming: of the system.
        runs: {"spatial": run, "temporal": another}, or the first alone.
        settings: all settings.
    """
    from experiments.lab.watching.live import RegionErrors, TemporalMaximum

    models = {stream: streaming(run.model()) for stream, run in runs.items()}
    window_frames = settings.train.temporal_window_frames

    def scores(frames: Iterable[np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
        maximum, region_errors = TemporalMaximum(window_frames), RegionErrors(models)
        for spatial in frames:
            yield region_errors(maximum(spatial))

    if len(runs) == 1:
        return f"{next(iter(runs))} stream alone", scores
    return "two streams (two steps a frame and a rolling maximum)", scores
