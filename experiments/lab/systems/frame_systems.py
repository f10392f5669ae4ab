"""Conv-AE and ConvLSTM-AE: windows of gray frames, how each network takes them, and how frames are scored.

They read shards of gray frames (`data_prep.gray_frames`), one region, and train by gradients.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import keras
import numpy as np

from data_prep.shards import Shard, list_shards
from data_prep.windows import WindowSampler
from experiments.lab.scoring.score import ClipScores
from experiments.lab.settings.schema import Settings
from experiments.lab.training.gradients import Gradients
from experiments.lab.training.task import Task, shards_data
from models import conv_ae, conv_lstm_ae
from models.blocks import jit_compile
from models.conv_ae import ConvAE
from models.conv_lstm_ae import ConvLSTMAE

WINDOWS_AT_ONCE = 16


def as_channels(windows: np.ndarray) -> np.ndarray:
    """Return windows (n, T, H * W) of square frames as (n, H, W, T), the input of Conv-AE."""
    side = round(windows.shape[-1] ** 0.5)
    return windows.reshape(*windows.shape[:2], side, side).transpose(0, 2, 3, 1)


def as_video(windows: np.ndarray) -> np.ndarray:
    """Return windows (n, T, H * W) of square frames as (n, T, H, W, 1), the input of ConvLSTM-AE."""
    side = round(windows.shape[-1] ** 0.5)
    return windows.reshape(*windows.shape[:2], side, side, 1)


def mean_frame(shards: Sequence[Path]) -> np.ndarray:
    """Return the mean training frame, float32 (H * W,); memory holds one clip."""
    total, n_frames = 0.0, 0
    for path in shards:
        with Shard(path) as shard:
            total = total + shard.features()[:, 0].sum(0, dtype=np.float64)
            n_frames += shard.n_frames
    return (total / n_frames).astype(np.float32)


def conv_ae_task(shards: Path, stream: str, settings: Settings, seed: int, sample_frames=None) -> Task:
    """Return the task of Conv-AE: every frame is scored once, in consecutive windows."""
    options = settings.frames
    wide = options.conv_ae_filters

    def build(sample: np.ndarray) -> ConvAE:
        return ConvAE(sample.shape[-1], (wide, wide // 2, wide // 4), sample.shape[1], seed=seed)

    window_frames = settings.train.window_frames
    return frame_task(
        "Conv-AE",
        shards,
        settings,
        seed,
        sample_frames,
        build,
        as_channels,
        conv_ae.frame_errors,
        window_frames,
    )


def conv_lstm_ae_task(shards: Path, stream: str, settings: Settings, seed: int, sample_frames=None) -> Task:
    """Return the task of ConvLSTM-AE: the second half of each window is scored, as the released code does."""
    options = settings.frames
    narrow = options.conv_lstm_filters

    def build(sample: np.ndarray) -> ConvLSTMAE:
        filters = (narrow, 2 * narrow, 4 * narrow)
        return ConvLSTMAE(filters, (options.conv_lstm_memory,), sample.shape[2], seed=seed)

    step = -(-settings.train.window_frames // 2)
    return frame_task(
        "ConvLSTM-AE", shards, settings, seed, sample_frames, build, as_video, conv_lstm_ae.frame_errors, step
    )


def frame_task(system, shards, settings, seed, sample_frames, build, shape, errors, step_frames) -> Task:
    """Return the task of a system on gray frames, trained with AdaGrad as both of their papers do.

    Args:
        system, shards, settings, seed, sample_frames: see `run_system`.
        build: a sample batch -> the network.
        shape: `as_channels` or `as_video`.
        errors: (batch, the network's output) -> errors of the frames, (n, T).
        step_frames: frames between the windows that are scored.
    """
    options = settings.frames
    train = replace(
        settings.train,
        iterations=options.frames_iterations,
        batch_clips=options.frames_batch_clips,
        learning_rate=options.frames_learning_rate,
    )
    paths = list_shards(shards, "train")
    windows = WindowSampler(paths, "spatial", train.window_frames, train.batch_clips, seed)
    mean = mean_frame(paths)

    def compiled(sample: np.ndarray) -> keras.Model:
        model = build(sample)
        model.compile(keras.optimizers.Adagrad(train.learning_rate), jit_compile=jit_compile())
        return model

    def scorer(model):
        def errors_of(windows: np.ndarray) -> np.ndarray:
            x = shape(windows - mean)
            return keras.ops.convert_to_numpy(errors(x, model.predict_on_batch(x)))

        return lambda split: [
            score_windows(path, errors_of, train.window_frames, step_frames)
            for path in list_shards(shards, split)
        ]

    return Task(
        system,
        "frames",
        seed,
        shards_data(shards, sample_frames),
        {"model": asdict(options)},
        Gradients(train, lambda step: shape(windows.batch(step) - mean), compiled),
        scorer,
    )


def score_windows(path: Path, errors_of: Callable, window_frames: int, step_frames: int) -> ClipScores:
    """Return the scores of one clip, R = 1: each window gives the errors of its frames not scored before.

    A clip shorter than a window is filled up with its last frame.

    Args:
        path: shard of gray frames.
        errors_of: windows (n, T, H * W) -> errors (n, T).
        window_frames: T.
        step_frames: frames between windows; the last one ends with the clip.
    """
    with Shard(path) as shard:
        n_frames, labels, clip = shard.n_frames, shard.labels, shard.info.clip
        last = max(0, n_frames - window_frames)
        starts = [*range(0, last, step_frames), last]
        error = np.empty(n_frames, np.float32)
        scored = 0
        for first in range(0, len(starts), WINDOWS_AT_ONCE):
            group = starts[first : first + WINDOWS_AT_ONCE]
            windows = [shard.features(start, start + window_frames)[:, 0] for start in group]
            windows = [np.pad(w, ((0, window_frames - len(w)), (0, 0)), "edge") for w in windows]
            for start, errors in zip(group, errors_of(np.stack(windows)), strict=True):
                stop = min(start + window_frames, n_frames)
                error[scored:stop] = errors[scored - start : stop - start]
                scored = stop
    return ClipScores(clip, labels, error[:, None])
