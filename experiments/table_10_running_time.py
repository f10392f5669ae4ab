"""Table 10: training time and inference speed of every system.

    python -m experiments.table_10_running_time --data DIR

Paper: Table 10 and Sec. 4.8, on Avenue. Here on Avenue where it is at hand, else on Ped2, else on the first
dataset. Training is that of this profile's runs, seed 0, on the machine that trained them; nothing is
extrapolated to the paper's iterations. Inference is that of a live camera, one frame after another, nothing
overlapped, on one test clip. The paper counts Conv-AE with feature extraction, its input being the frames
themselves: so is "Inference" of Conv-AE and ConvLSTM-AE here; that of the other systems starts from features.
"""

if __name__ == "__main__":  # before what runs is imported: --help does not wait for TensorFlow
    from experiments.lab import cli

    cli.main(__spec__.name, cli.parser(__doc__))

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median

import keras
import numpy as np

from data_prep.datasets import Clip
from data_prep.errors import InputError
from data_prep.frames import iter_frames, resize
from data_prep.gray_frames import gray_frames
from data_prep.network_features import feature_function
from data_prep.provenance import processor_name
from data_prep.shards import Shard, shard_path
from experiments.lab.context import COLUMNS, Context
from experiments.lab.publishing.publish import publish
from experiments.lab.publishing.results import Row
from experiments.lab.publishing.rows import identity_of, measured_row
from experiments.lab.systems.catalogue import BASELINES, FEATURE_SYSTEMS, SETTINGS, frame_size_px, task_of
from experiments.lab.systems.frame_systems import FORMULAS, Formulas
from experiments.lab.systems.gray_frames import ShardFrames
from experiments.lab.training.fitting import Fit
from experiments.lab.training.runs import Run
from experiments.lab.watching.live import RegionErrors, TemporalMaximum
from models.lstm_ae import LSTMStreaming
from models.srnn_ae import Streaming

EXHIBIT = "table_10"
PREFERRED = ("avenue", "ped2")
# Both multiples of the windows' length, so that as many windows as frames are timed.
WARM_FRAMES, TIMED_FRAMES = 10, 50
ROUNDS = 3
ALONE, END_TO_END = "Inference", "Inference with feature extraction"
# What scores a stream of features: (R, C) of frame after frame -> something for each.
Scores = Callable[[Iterable[np.ndarray]], Iterator[object]]


def run(context: Context) -> None:
    """Time every system on one dataset, training what is not there, and write the table."""
    command = context.command("experiments.table_10_running_time")
    dataset = next((name for name in PREFERRED if name in context.datasets), next(iter(context.datasets)))
    cell = partial(measured_row, context, exhibit=EXHIBIT, dataset=COLUMNS[dataset], command=command)
    rows = frame_rows(context, dataset, cell) + feature_rows(context, dataset, cell)
    rows += baseline_rows(context, dataset, cell)
    note = f"Measured on {machine()}, {COLUMNS[dataset]} (paper: Avenue, on a machine that it does not name)."
    publish(context, EXHIBIT, rows, command, f"{note} {context.differences(*SETTINGS)}")


def machine() -> str:
    """Return the name of the processor, and how many GPUs the backend computes on."""
    gpus = len(keras.distribution.list_devices("gpu"))
    return f"{processor_name()}, {gpus or 'no'} GPU"


@dataclass(frozen=True)
class Camera:
    """The first test clip of a dataset, as frames to extract and as features in memory.

    Attributes:
        clip: which.
        extract: what makes features of its frames, see `network_features.feature_function`.
        input_size_px: of what it takes.
        features: of its first frames, float32 (n, R, C).
    """

    clip: Clip
    extract: Callable[[np.ndarray], np.ndarray]
    input_size_px: int
    features: np.ndarray

    @classmethod
    def of(
        cls, context: Context, dataset: str, shards: Path, extract: Callable, input_size_px: int
    ) -> "Camera":
        """Return the camera; InputError: a clip too short to be timed."""
        clip = context.datasets[dataset].split("test")[0]
        with Shard(shard_path(shards, clip.split, clip.name)) as shard:
            features = shard.features(0, WARM_FRAMES + TIMED_FRAMES)
        if len(features) <= WARM_FRAMES:
            raise InputError(
                f"{clip.source}: expected more than {WARM_FRAMES} frames to time, got {len(features)}"
            )
        return cls(clip, extract, input_size_px, features)

    def live(self) -> Callable[[], Iterator[np.ndarray]]:
        """Return the function that starts the clip: it decodes frames and gives their features (R, C)."""
        frames = partial(iter_frames, self.clip.source)
        return lambda: (self.extract(resize(frame, self.input_size_px)[None])[0] for frame in frames())


def speed_row(of: Callable[..., Row], camera: Camera, scores: Scores, column: str, how: str) -> Row:
    """Return the frames per second of a system, from the features in memory or from the frames."""
    n_frames = len(camera.features) - WARM_FRAMES
    if column == ALONE:
        start, source = "features in memory", lambda: iter(camera.features)
    else:
        start, source = "decoding and feature extraction included", camera.live()
    timed = f"{n_frames} frames of clip {camera.clip.name}, warm, median of {ROUNDS}"
    rate = frames_per_second(lambda: scores(source()), n_frames)
    return of([rate], column=column, metric="fps", protocol=f"{how}, {start}, {timed}, {machine()}")


def frames_per_second(results: Callable[[], Iterator[object]], n_frames: int) -> float:
    """Return the rate of `n_frames` results that follow `WARM_FRAMES`, the median over rounds begun anew."""
    rates = []
    for _ in range(ROUNDS):
        iterator = results()
        deque(islice(iterator, WARM_FRAMES), maxlen=0)
        start = time.perf_counter()
        deque(islice(iterator, n_frames), maxlen=0)
        rates.append(n_frames / (time.perf_counter() - start))
    return median(rates)


def training_row(of: Callable[..., Row], runs: Mapping[str, Run], unit: str = "iterations") -> Row:
    """Return the hours that the runs of one system took, all streams together."""
    metrics = [run.metrics for run in runs.values()]
    return of(
        [sum(one["training_seconds"] for one in metrics) / 3600],
        column="Training",
        metric="hours",
        protocol=f"{' and '.join(runs)}, {metrics[0]['steps']:,} {unit}",
    )


def feature_rows(context: Context, dataset: str, cell: Callable[..., Row]) -> list[Row]:
    """Return the rows of the systems on features: both streams, then what the spatial one takes alone."""
    options, shards = context.settings, context.shards(dataset)
    camera = Camera.of(context, dataset, shards, context.extractor(dataset), context.backbone.input_size_px)
    depths = {"sRNN-AE": options.model.depth, "TSC": options.tsc.tsc_depth}
    rows = []
    for system in FEATURE_SYSTEMS:
        both = {stream: context.run(dataset, stream, 0, system) for stream in ("spatial", "temporal")}
        spatial = {"spatial": both["spatial"]}
        backbone = both["spatial"].config["backbone"]
        of = partial(cell, row=system, backbone=backbone, **identity_of([both]))
        if system in depths:
            rows.append(of([depths[system]], column="K", metric="depth", protocol="steps a frame"))
        unit = "alternations" if system == "TSC" else "iterations"
        rows += [training_row(of, runs, unit) for runs in (both, spatial)]
        models = {stream: streaming(system, run.model()) for stream, run in both.items()}
        window = options.train.temporal_window_frames
        scores = partial(stream_scores, models, window)
        two = "two streams (two steps a frame and a rolling maximum)"
        rows += [speed_row(of, camera, scores, column, two) for column in (ALONE, END_TO_END)]
        scores = partial(stream_scores, {"spatial": models["spatial"]}, window)
        rows.append(speed_row(of, camera, scores, ALONE, "spatial stream alone"))
    return rows


def streaming(system: str, model: keras.Model) -> keras.Model:
    """Return the form of a trained model that takes frames as they come."""
    return LSTMStreaming(model) if system == "LSTM-AE" else Streaming(model)


def stream_scores(
    models: Mapping[str, keras.Model], temporal_window_frames: int, frames: Iterable[np.ndarray]
) -> Iterator[dict[str, np.ndarray]]:
    """Yield the region errors (R,) of each stream of each frame.

    Args:
        models: {"spatial": streaming model, "temporal": another}, or the first alone.
        temporal_window_frames: frames of the temporal stream's maximum, up to the current one.
        frames: spatial features (R, C), frame after frame.
    """
    temporal_maximum, region_errors = TemporalMaximum(temporal_window_frames), RegionErrors(models)
    for spatial in frames:
        yield region_errors(temporal_maximum(spatial))


def frame_rows(context: Context, dataset: str, cell: Callable[..., Row]) -> list[Row]:
    """Return the rows of Conv-AE and ConvLSTM-AE: their "Inference" is that from frames, as in the paper."""
    settings, rows = context.settings, []
    window = settings.train.window_frames
    for system, formulas in FORMULAS.items():
        size_px = frame_size_px(system, settings)
        trained = {"gray frames": context.run(dataset, "frames", 0, system)}
        (run,) = trained.values()
        of = partial(cell, row=system, backbone=run.config["backbone"], **identity_of([trained]))
        shards = context.gray_shards(dataset, size_px)
        extract = feature_function(gray_frames(size_px), "none")
        camera = Camera.of(context, dataset, shards, extract, size_px)
        mean = ShardFrames(shards, settings.frames.frames_hold_out_every, window).mean
        scores = partial(window_scores, run.model(), mean, formulas, window)
        how = f"a window of {window} frames every {formulas.step_frames(window)} frames"
        full = speed_row(of, camera, scores, END_TO_END, how)
        counted = of([full.ours], column=ALONE, metric="fps", protocol=full.protocol)
        rows += [training_row(of, trained), counted, full, speed_row(of, camera, scores, ALONE, how)]
    return rows


def window_scores(
    model, mean: np.ndarray, formulas: Formulas, window_frames: int, frames: Iterable[np.ndarray]
) -> Iterator[np.ndarray]:
    """Yield the errors (n,) that each frame completes: those of a full window's frames not scored before.

    Args:
        model, mean, formulas: the network, the mean training frame, see `frame_systems.Formulas`.
        window_frames: T.
        frames: gray frames (1, H * W), frame after frame.
    """
    step_frames = formulas.step_frames(window_frames)
    recent: deque[np.ndarray] = deque(maxlen=window_frames)
    for n_seen, frame in enumerate(frames, start=1):
        recent.append(frame[0])
        if n_seen < window_frames or (n_seen - window_frames) % step_frames:
            yield np.zeros(0, np.float32)
            continue
        x = formulas.shape(np.stack(recent)[None] - mean)
        errors = keras.ops.convert_to_numpy(formulas.errors(x, model.predict_on_batch(x)))[0]
        yield errors if n_seen == window_frames else errors[-step_frames:]


def baseline_rows(context: Context, dataset: str, cell: Callable[..., Row]) -> list[Row]:
    """Return the rows of Nearest Subspace and OC-SVM, fitted anew: their runs keep scores alone."""
    settings, shards = context.settings, context.shards(dataset)
    camera = Camera.of(context, dataset, shards, context.extractor(dataset), context.backbone.input_size_px)
    rows = []
    for name in BASELINES:
        run = context.run(dataset, "spatial", 0, name)
        of = partial(cell, row=name, **identity_of([{"spatial": run}]))
        seconds = run.metrics["training_seconds"]
        rows.append(of([seconds / 3600], column="Training", metric="hours", protocol="one fit, whole frames"))
        trainer: Fit = task_of(name)(shards, "spatial", settings, 0).trainer
        scores = partial(whole_frame_scores, trainer.fit().errors)
        rows += [speed_row(of, camera, scores, column, "whole frames") for column in (ALONE, END_TO_END)]
    return rows


def whole_frame_scores(errors_of: Callable, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield the error (1,) of each frame's 1x1 region."""
    for features in frames:
        yield errors_of(features[:1])
