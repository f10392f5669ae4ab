"""The systems of the paper's tables by name: where each is, its stream, its settings; `run_system` runs any.

Nothing heavy is imported before a system runs.
"""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.lab.settings.schema import Settings

if TYPE_CHECKING:
    from experiments.lab.training.runs import Run
    from experiments.lab.training.task import Task

# System -> module and function: (shards, stream, settings, seed, sample_frames) -> its `Task`.
TASKS = {
    "Nearest Subspace": "experiments.lab.systems.baselines:nearest_subspace_task",
    "OC-SVM": "experiments.lab.systems.baselines:one_class_svm_task",
    "Conv-AE": "experiments.lab.systems.frame_systems:conv_ae_task",
    "mean frame (error of Conv-AE)": "experiments.lab.systems.frame_systems:mean_frame_as_conv_ae_task",
    "LSTM-AE": "experiments.lab.systems.lstm_ae:lstm_ae_task",
    "ConvLSTM-AE": "experiments.lab.systems.frame_systems:conv_lstm_ae_task",
    "mean frame (error of ConvLSTM-AE)": "experiments.lab.systems.frame_systems:mean_frame_as_conv_lstm_task",
    "TSC": "experiments.lab.systems.tsc:tsc_task",
    "sRNN-AE": "experiments.lab.systems.srnn_ae:srnn_ae_task",
}
BASELINES = ("Nearest Subspace", "OC-SVM")
# Systems on gray frames -> the group of settings that says how large these are.
FRAME_SYSTEMS = {
    "Conv-AE": "conv_ae",
    "mean frame (error of Conv-AE)": "conv_ae",
    "ConvLSTM-AE": "conv_lstm_ae",
    "mean frame (error of ConvLSTM-AE)": "conv_lstm_ae",
}
UNSEEDED = tuple(name for name in FRAME_SYSTEMS if "mean frame" in name)  # nothing of these is drawn
FEATURE_SYSTEMS = ("sRNN-AE", "TSC", "LSTM-AE")
# Systems whose error is of whole frames -> their stream; the others have those that are fused late.
ONE_STREAM = {**dict.fromkeys(FRAME_SYSTEMS, ("frames",)), **dict.fromkeys(BASELINES, ("whole frame",))}
# The settings that act on each system, groups of them by their name: what a table says of its systems.
_WINDOWS = ("iterations", "batch_clips", "window_frames", "rho", "slot_start")
_STREAM = ("temporal_window_frames", "alignment")
_FRAMES = ("frames", "window_frames")
_FRAME_SCORE = ("fusion", "normalization", "smoothing_frames", "smoothing", "checkpoint")
SETTINGS = {
    "sRNN-AE": ("features", "model", "train", "score"),
    "TSC": ("features", "tsc", "threshold", "window_frames", *_STREAM, "score"),
    "LSTM-AE": ("features", "lstm_ae", *_WINDOWS, *_STREAM, "score"),
    "Conv-AE": ("conv_ae", *_FRAMES, *_FRAME_SCORE),
    "ConvLSTM-AE": ("conv_lstm_ae", *_FRAMES, *_FRAME_SCORE),
    **{name: ("window_frames", *_FRAME_SCORE) for name in UNSEEDED},
    "Nearest Subspace": ("features", "n_subspace_atoms", *_FRAME_SCORE),
    "OC-SVM": ("features", "svm_nu", "svm_exact_rows", "svm_components", *_FRAME_SCORE),
}


def run_system(
    system: str, shards: Path, stream: str, settings: Settings, seed: int, out: Path, sample_frames=None
) -> "Run":
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
    from data_prep.normalization import keep_normalization
    from experiments.lab.training.train import make_run

    run = make_run(task_of(system)(shards, stream, settings, seed, sample_frames), out)
    keep_normalization(shards, run.folder)
    return run


def frame_size_px(system: str, settings: Settings) -> int:
    """Return the side of the gray frames that a system reads."""
    return getattr(settings, FRAME_SYSTEMS[system]).size_px


def task_of(system: str) -> Callable[..., "Task"]:
    """Return the function that makes the task of a system's run."""
    module, _, function = TASKS[system].partition(":")
    return getattr(importlib.import_module(module), function)
