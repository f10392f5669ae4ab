"""The systems of the paper's tables: how each is built, sampled and scored; `make_run` makes the runs of all.

sRNN-AE, LSTM-AE and TSC read feature shards of 21 regions; TSC is not trained by gradients
(`training.alternation`). Conv-AE and ConvLSTM-AE, on gray frames, are in `frame_systems`.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import keras
import numpy as np

from data_prep.normalization import keep_normalization
from data_prep.shards import list_shards
from data_prep.windows import WindowSampler, clip_blocks
from experiments.lab.scoring.score import CLIPS_AT_ONCE, ClipScores, score_clips
from experiments.lab.settings.schema import Settings
from experiments.lab.systems.baselines import BASELINES
from experiments.lab.systems.frame_systems import conv_ae_task, conv_lstm_ae_task
from experiments.lab.training.alternation import Alternations
from experiments.lab.training.gradients import Gradients
from experiments.lab.training.runs import Run
from experiments.lab.training.task import Task, shards_data
from experiments.lab.training.train import make_run
from models.lstm_ae import LSTMAE, LSTMStreaming
from models.srnn_ae import SRNNAE, Streaming, jit_compile
from models.tsc import TSC, Block, initial_dictionary

FEATURE_SYSTEMS = ("sRNN-AE", "TSC", "LSTM-AE")
FRAME_SYSTEMS = ("Conv-AE", "ConvLSTM-AE")
# Systems whose error is of whole frames -> their stream; the others have those that are fused late.
ONE_STREAM = {**dict.fromkeys(FRAME_SYSTEMS, ("frames",)), **dict.fromkeys(BASELINES, ("whole frame",))}
# The settings that act on each system, groups of them by their name: what a table says of its systems.
_WINDOWS = ("iterations", "batch_clips", "window_frames", "rho", "slot_start")
_STREAM = ("temporal_window_frames", "alignment")
_FRAMES = ("frames_iterations", "frames_batch_clips", "frames_learning_rate", "window_frames")
_FRAME_SCORE = ("fusion", "normalization", "smoothing_frames", "smoothing", "checkpoint")
SETTINGS = {
    "sRNN-AE": ("features", "model", "train", "score"),
    "TSC": ("features", "tsc", "threshold", "window_frames", *_STREAM, "score"),
    "LSTM-AE": ("features", "lstm_ae", *_WINDOWS, *_STREAM, "score"),
    "Conv-AE": ("conv_ae_size_px", "conv_ae_filters", *_FRAMES, *_FRAME_SCORE),
    "ConvLSTM-AE": (
        "conv_lstm_size_px",
        "conv_lstm_filters",
        "conv_lstm_memory",
        *_FRAMES,
        *_FRAME_SCORE,
    ),
    "Nearest Subspace": ("features", "n_subspace_atoms", *_FRAME_SCORE),
    "OC-SVM": ("features", "svm_nu", "svm_exact_rows", "svm_components", *_FRAME_SCORE),
}


def run_system(
    system: str, shards: Path, stream: str, settings: Settings, seed: int, out: Path, sample_frames=None
) -> Run:
    """Return the finished run of a system on a dataset's shards, trained first where it is not there.

    Args:
        system: one of `FEATURE_SYSTEMS`, `FRAME_SYSTEMS` or `BASELINES`.
        shards: folder of the dataset's shards: features, or gray frames.
        stream: "spatial", "temporal" or "early"; "flow" on shards of flow features; "frames" on gray frames.
        settings: all settings; those of the system and of training matter here.
        seed: seed of initial weights and batches.
        out: root of the outputs.
        sample_frames: see `Task`.
    """
    task = {
        "sRNN-AE": srnn_ae_task,
        "LSTM-AE": lstm_ae_task,
        "TSC": tsc_task,
        "Conv-AE": conv_ae_task,
        "ConvLSTM-AE": conv_lstm_ae_task,
        **BASELINES,
    }[system]
    run = make_run(task(shards, stream, settings, seed, sample_frames), out)
    keep_normalization(shards, run.folder)
    return run


def sampling(stream: str, settings: Settings) -> dict:
    """Return the keyword arguments that name a stream to the sampler and to the scorer."""
    train = settings.train
    return {
        "stream": stream
        if stream in ("temporal", "early")
        else "spatial",  # flow and gray frames: as they are
        "temporal_window_frames": train.temporal_window_frames,
        "alignment": train.alignment,
    }


def sampler(shards: Path, stream: str, train, settings: Settings, seed: int) -> WindowSampler:
    """Return the sampler of training windows."""
    return WindowSampler(
        list_shards(shards, "train"),
        window_frames=train.window_frames,
        batch_clips=train.batch_clips,
        seed=seed,
        **sampling(stream, settings),
    )


def streaming_scorer(shards: Path, stream: str, settings: Settings, streaming: Callable) -> Callable:
    """Return the `scorer` of a system that scores frames as they come, its state passed along."""

    def scorer(model):
        live = streaming(model)

        def score(split: str) -> list[ClipScores]:
            live.refresh()
            return score_clips(live, list_shards(shards, split), **sampling(stream, settings))

        return score

    return scorer


def srnn_ae_task(shards: Path, stream: str, settings: Settings, seed: int, sample_frames=None) -> Task:
    """Return the task of sRNN-AE. Paper: Sec. 3.4 and 4.1."""

    def build(sample: np.ndarray) -> SRNNAE:
        return build_srnn_ae(sample.shape[-1], len(sample), settings, seed)

    return Task(
        "sRNN-AE",
        stream,
        seed,
        shards_data(shards, sample_frames),
        {"model": asdict(settings.model)},
        Gradients(settings.train, sampler(shards, stream, settings.train, settings, seed).batch, build),
        streaming_scorer(shards, stream, settings, Streaming),
    )


def build_srnn_ae(n_features: int, n_rows: int, settings: Settings, seed: int) -> SRNNAE:
    """Return a fresh sRNN-AE, compiled with RMSProp, for batches of `n_rows` rows."""
    train = settings.train
    model = SRNNAE(n_features, **asdict(settings.model), expected_rows=n_rows, seed=seed)
    optimizer = keras.optimizers.RMSprop(train.learning_rate, train.rho, epsilon=train.epsilon)
    model.compile(optimizer, jit_compile=jit_compile())
    optimizer.build(model.trainable_variables)
    for variable in optimizer.variables:
        if "velocity" in variable.path:
            variable.assign(np.full(variable.shape, train.slot_start, "float32"))
    return model


def lstm_ae_task(shards: Path, stream: str, settings: Settings, seed: int, sample_frames=None) -> Task:
    """Return the task of LSTM-AE: the features, windows and optimizer of sRNN-AE. Paper: Sec. 4.5."""
    options = settings.lstm_ae
    train = replace(settings.train, learning_rate=options.lstm_learning_rate, epsilon=options.lstm_epsilon)

    def build(sample: np.ndarray) -> LSTMAE:
        model = LSTMAE(sample.shape[-1], options.lstm_units, seed=seed)
        optimizer = keras.optimizers.RMSprop(train.learning_rate, train.rho, epsilon=train.epsilon)
        model.compile(optimizer, jit_compile=jit_compile())
        return model

    return Task(
        "LSTM-AE",
        stream,
        seed,
        shards_data(shards, sample_frames),
        {"model": asdict(options)},
        Gradients(train, sampler(shards, stream, train, settings, seed).batch, build),
        streaming_scorer(shards, stream, settings, LSTMStreaming),
    )


def tsc_task(shards: Path, stream: str, settings: Settings, seed: int, sample_frames=None) -> Task:
    """Return the task of TSC. Paper: Sec. 3.1 to 3.3."""

    def blocks() -> Iterator[Block]:
        return training_blocks(shards, stream, settings, seed)

    windows = {**sampling(stream, settings), "window_frames": settings.train.window_frames}
    return Task(
        "TSC",
        stream,
        seed,
        shards_data(shards),
        {**tsc_config(settings), "sampling": windows},
        alternations(blocks, settings, seed),
        streaming_scorer(shards, stream, settings, Streaming),
    )


def tsc_config(settings: Settings) -> dict:
    """Return what a run's configuration holds of TSC's settings."""
    return {"model": {**asdict(settings.tsc), "threshold": settings.model.threshold}}


def alternations(blocks: Callable[[], Iterator[Block]], settings: Settings, seed: int) -> Alternations:
    """Return the trainer of TSC on training blocks."""
    options = settings.tsc
    how = (options.tsc_alternations, options.tsc_update_steps, options.atom_norm, options.tsc_coding)
    return Alternations(blocks, lambda: build_tsc(blocks, settings, seed), *how)


def build_tsc(blocks: Callable[[], Iterator[Block]], settings: Settings, seed: int) -> TSC:
    """Return TSC with a dictionary of random rows of the training blocks."""
    options = settings.tsc
    model = TSC(
        next(iter(blocks())).x.shape[-1],
        options.tsc_n_atoms,
        options.tsc_depth,
        options.tsc_lambda1,
        options.tsc_lambda2,
        options.tsc_delta_squared,
        settings.model.threshold,
    )
    model.set_dictionary(initial_dictionary(blocks(), options.tsc_n_atoms, seed))
    return model


def training_blocks(shards: Path, stream: str, settings: Settings, seed: int) -> Iterator[Block]:
    """Yield the frames that TSC codes in every alternation: all, or the same `tsc_windows` random windows."""
    train, n_windows = settings.train, settings.tsc.tsc_windows
    if n_windows:
        side_by_side = min(n_windows, CLIPS_AT_ONCE)
        windows = sampler(shards, stream, replace(train, batch_clips=side_by_side), settings, seed)
        for step in range(-(-n_windows // side_by_side)):
            yield Block(windows.batch(step))
        return
    paths = list_shards(shards, "train")
    for first in range(0, len(paths), CLIPS_AT_ONCE):  # rows enough for efficient products, as in scoring
        group = paths[first : first + CLIPS_AT_ONCE]
        blocks = clip_blocks(group, block_frames=train.window_frames, **sampling(stream, settings))
        for index, (x, n_valid) in enumerate(blocks):
            yield Block(x, np.repeat(n_valid, len(x) // len(group)), starts=index == 0)
