"""The catalogue of systems: one entry each. Tables, sweeps, running times, cards and commands ask it.

To add a system: its model in `models/`, the module that makes its task here, its settings in
`settings.schema`, its entry in `SYSTEMS`, its test. Nothing heavy is imported before a system runs.
"""

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_prep.errors import InputError
from data_prep.files import keep_beside
from experiments.lab.settings.changes import RECORDING
from experiments.lab.settings.flow_windows import reads_windows, with_window_settings
from experiments.lab.settings.schema import Settings
from experiments.lab.systems.entry import System, Use
from experiments.lab.systems.inputs import Features, GrayFrames, Intensities
from experiments.lab.systems.quoted.entries import QUOTED
from experiments.lab.systems.quoted.inputs import VideoFrames

if TYPE_CHECKING:
    from experiments.lab.training.runs import Run
    from experiments.lab.training.task import Task


RECONSTRUCTS = "Reconstructs the features of normal video; what it reconstructs badly is taken for abnormal."
RECONSTRUCTS_FRAMES = "Reconstructs normal video; what it reconstructs badly is taken for abnormal."
FEATURES = "features float32 (rows, T, C), a row for each region or window of a frame"
GRAY = "gray frames minus the mean training frame, float32"
CODES = "`reconstruction`, `codes`, `similarity`"
_SYSTEMS = "experiments.lab.systems"
# The settings of training windows, of the rolling maximum that the temporal stream is, of what reads gray
# frames, and of a score without regions.
_WINDOWS = ("iterations", "batch_clips", "window_frames", "rho", *RECORDING)
ROLLING_MAXIMUM = ("temporal_window_frames", "alignment")
_FRAMES = ("frames", "window_frames", "log_every")
_OF_MEAN_FRAME = ("frames_hold_out_every", "window_frames")
_FRAME_SCORE = ("fusion", "normalization", "smoothing_frames", "smoothing", "checkpoint")
_ENTRIES = (
    System(
        "Nearest Subspace",
        f"{_SYSTEMS}.baselines:nearest_subspace_task",
        Features(),
        "Takes for abnormal what is far from the span of the centers of normal frames' features.",
        ("features", "n_subspace_atoms", *_FRAME_SCORE),
        stream="whole frame",
        takes_windows=True,
        made_again="`models.nearest_subspace.NearestSubspace.fit` on the same rows repeats it",
        live=f"{_SYSTEMS}.baselines:live",
        unit="fit",
    ),
    System(
        "OC-SVM",
        f"{_SYSTEMS}.baselines:one_class_svm_task",
        Features(),
        "Takes for abnormal what is outside the support of normal frames' features.",
        ("features", "svm_nu", "svm_exact_rows", "svm_components", *_FRAME_SCORE),
        stream="whole frame",
        takes_windows=True,
        made_again="`models.one_class_svm.OneClassSVM.fit` on the same rows repeats it",
        live=f"{_SYSTEMS}.baselines:live",
        unit="fit",
    ),
    System(
        "Nearest Neighbor",
        f"{_SYSTEMS}.baselines:nearest_neighbor_task",
        Features(),
        "Ours, for comparison: what is far from the nearest normal rows is taken for abnormal.",
        ("features", "n_neighbors", "neighbor_rows", *_FRAME_SCORE),
        stream="whole frame",
        takes_windows=True,
        made_again="`models.nearest_neighbor.NearestNeighbor.fit` on the same rows repeats it",
        live=f"{_SYSTEMS}.baselines:live",
        unit="fit",
    ),
    System(
        "Conv-AE",
        f"{_SYSTEMS}.frame_systems:conv_ae_task",
        GrayFrames("conv_ae_size_px"),
        RECONSTRUCTS_FRAMES,
        ("conv_ae", *_FRAMES, *_FRAME_SCORE),
        stream="frames",
        tables=("table_01", "table_03", "table_10"),
        use=Use("models.conv_ae", f"{GRAY} (n, H, W, T)", "their reconstruction"),
        in_windows=True,
        live=f"{_SYSTEMS}.frame_systems:live",
    ),
    System(
        "mean frame (error of Conv-AE)",
        f"{_SYSTEMS}.frame_systems:mean_frame_as_conv_ae_task",
        GrayFrames("conv_ae_size_px"),
        "Ours, for comparison: what differs from the mean training frame is taken for abnormal.",
        ("conv_ae_size_px", *_OF_MEAN_FRAME, *_FRAME_SCORE),
        stream="frames",
        tables=("table_01", "table_03"),
        made_again="it is the mean of the training frames",
        drawn=False,
        unit="fit",
    ),
    System(
        "LSTM-AE",
        f"{_SYSTEMS}.lstm_ae:lstm_ae_task",
        Features(),
        RECONSTRUCTS,
        ("features", "lstm_ae", *_WINDOWS, *ROLLING_MAXIMUM, "score"),
        tables=("table_05", "table_10"),
        use=Use("models.lstm_ae", FEATURES, "`reconstruction`"),
        has_regions=True,
        live=f"{_SYSTEMS}.lstm_ae:live",
    ),
    System(
        "ConvLSTM-AE",
        f"{_SYSTEMS}.frame_systems:conv_lstm_ae_task",
        GrayFrames("conv_lstm_size_px"),
        RECONSTRUCTS_FRAMES,
        ("conv_lstm_ae", *_FRAMES, *_FRAME_SCORE),
        stream="frames",
        tables=("table_03", "table_05", "table_10"),
        use=Use("models.conv_lstm_ae", f"{GRAY} (n, T, H, W, 1)", "`current`, `past`"),
        in_windows=True,
        live=f"{_SYSTEMS}.frame_systems:live",
    ),
    System(
        "mean frame (error of ConvLSTM-AE)",
        f"{_SYSTEMS}.frame_systems:mean_frame_as_conv_lstm_task",
        GrayFrames("conv_lstm_size_px"),
        "Ours, for comparison: what differs from the mean training frame is taken for abnormal.",
        ("conv_lstm_size_px", *_OF_MEAN_FRAME, *_FRAME_SCORE),
        stream="frames",
        tables=("table_03", "table_05"),
        made_again="it is the mean of the training frames",
        drawn=False,
        unit="fit",
    ),
    System(
        "principal directions",
        f"{_SYSTEMS}.principal:principal_directions_task",
        Intensities(),
        "Ours, for comparison: what is far from the span of the principal directions is taken for abnormal.",
        ("n_atoms", "threshold", *ROLLING_MAXIMUM, "score"),
        tables=("table_01",),
        made_again="`models.principal.principal_directions` of the same rows repeats it",
        has_regions=True,
        drawn=False,
        unit="fit",
    ),
    System(
        "unlit pixels",
        f"{_SYSTEMS}.principal:unlit_pixels_task",
        Intensities(),
        "Ours, for comparison, no model: what a frame has at pixels that training never lights is abnormal.",
        (*ROLLING_MAXIMUM, "score"),
        tables=("table_01",),
        rule=True,
        has_regions=True,
        drawn=False,
        unit="fit",
    ),
    System(
        "frame number",
        f"{_SYSTEMS}.frame_number:frame_number_task",
        VideoFrames(),
        "Ours, for comparison, no model: a frame is the more abnormal the later it comes in its clip.",
        _FRAME_SCORE,
        stream="numbers",
        tables=("table_03",),
        rule=True,
        drawn=False,
        unit="fit",
    ),
    System(
        "TSC",
        f"{_SYSTEMS}.tsc:tsc_task",
        Features(),
        RECONSTRUCTS,
        ("features", "tsc", "threshold", "compute_dtype", "window_frames", *ROLLING_MAXIMUM, "score"),
        tables=("table_01", "table_03", "table_04", "table_10"),
        use=Use("models.tsc", FEATURES, CODES),
        has_regions=True,
        live=f"{_SYSTEMS}.srnn_ae:live",
        depth="tsc_depth",
        unit="alternations",
        sweep_limits={"tsc_n_atoms": "sweep_n_atoms", "tsc_alternations": "sweep_alternations"},
    ),
    System(
        "sRNN-AE",
        f"{_SYSTEMS}.srnn_ae:srnn_ae_task",
        Features(),
        RECONSTRUCTS,
        ("features", "model", "train", "score"),
        tables=("table_01", "table_03", "table_04", "table_05", "table_10"),
        use=Use("models.srnn_ae", FEATURES, CODES),
        has_regions=True,
        live=f"{_SYSTEMS}.srnn_ae:live",
        depth="depth",
        sweep_limits={"n_atoms": "sweep_n_atoms", "iterations": "sweep_iterations"},
    ),
)
SYSTEMS = {entry.name: entry for entry in (*_ENTRIES, *QUOTED)}


def systems_of(table: str, profile: str = "paper") -> tuple[str, ...]:
    """Return the systems that have a row in an exhibit, by name; those that a profile has by itself."""
    return tuple(
        name
        for name, entry in SYSTEMS.items()
        if table in entry.tables and (profile == "paper" or not entry.paper_profile_alone)
    )


def asked_for(table: str, profile: str, systems: Sequence[str] | None) -> tuple[str, ...]:
    """Return the systems of `--systems`, those that the profile has by itself for None.

    Raises InputError: a system without a row in the exhibit.
    """
    known = systems_of(table)
    asked = systems_of(table, profile) if systems is None else tuple(systems)
    if strangers := [name for name in asked if name not in known]:
        raise InputError(f"--systems {', '.join(strangers)}: unknown, expected some of {', '.join(known)}")
    return asked


def named(function: str) -> Callable[..., Any]:
    """Return the function that an entry names as "module:function", importing its module."""
    module, _, name = function.partition(":")
    return getattr(importlib.import_module(module), name)


def task_of(system: str, source, settings: Settings, seed: int) -> "Task":
    """Return the task of a system's run on a source, see `System.reads`."""
    return named(SYSTEMS[system].task)(source, settings, seed)


def run_system(
    system: str, folder: Any, stream: str, settings: Settings, seed: int, out: Path, sample_frames=None
) -> "Run":
    """Return the finished run of a system on a dataset, made first where it is not there.

    Args:
        system: a name of `SYSTEMS`.
        folder: where what it reads lies, as its entry's `reads.folder` gives it.
        stream: "spatial", "temporal" or "early"; "flow" on features of flow; not read by a system that has
            one stream.
        settings: all settings; those of the system and of training matter here.
        seed: seed of initial weights and batches.
        out: root of the outputs.
        sample_frames: see `task.Data`.
    """
    from data_prep import normalization
    from data_prep.flow_windows import place
    from experiments.lab.training.train import make_run

    if SYSTEMS[system].reads.of_network and reads_windows(stream, settings):
        settings = with_window_settings(settings)
    source = SYSTEMS[system].reads.source(folder, stream, settings, sample_frames)
    run = make_run(task_of(system, source, settings, seed), out)
    if isinstance(folder, Path):  # else a dataset's frames as they are
        keep_beside(normalization.FILE, folder, run.folder)
        keep_beside(place.FILE, folder, run.folder)
    return run
