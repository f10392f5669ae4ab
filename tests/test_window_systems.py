"""Systems on flow windows: rows at rest score nothing, rows unlike the normal ones score high."""

from dataclasses import replace

import numpy as np
import pytest
from synthetic import write_clip

from data_prep.errors import InputError
from data_prep.flow_windows.options import N_CHANNELS, FlowWindowOptions
from data_prep.flow_windows.place import load_place
from experiments.lab.context import Context
from experiments.lab.scoring.measure import auc, held_by
from experiments.lab.scoring.protocol import Protocol
from experiments.lab.settings.flow_windows import window_options, with_window_settings
from experiments.lab.settings.schema import PAPER
from experiments.lab.systems.baselines import active_rows
from experiments.lab.systems.catalogue import SYSTEMS as CATALOGUE
from experiments.lab.systems.catalogue import run_system, task_of

N_FRAMES, N_WINDOWS = 24, 30
ABNORMAL = slice(12, 18)
SETTINGS = PAPER.override(
    flow_input="windows",
    motion="flow",
    appearance="none",
    windows_iterations=60,
    windows_learning_rate=1e-2,
    windows_rows=8,
    windows_n_atoms=3,
    windows_similarity_units=4,
    windows_tsc_windows=16,
    windows_tsc_alternations=3,
    windows_n_subspace_atoms=2,
    lstm_learning_rate=1e-2,
)
BASELINES = ("Nearest Subspace", "OC-SVM", "Nearest Neighbor")
SYSTEMS = ("sRNN-AE", "TSC", "LSTM-AE", *BASELINES)


def clip(seed, abnormal=False):
    """Rows of two kinds, a third of the windows active; in abnormal frames one window has all channels."""
    rng = np.random.default_rng(seed)
    kinds = np.zeros((2, N_CHANNELS))
    kinds[0, :3], kinds[1, 8:11] = 0.6, 0.5
    shares = rng.uniform(0.5, 1, (N_FRAMES, N_WINDOWS, 2))
    active = rng.uniform(size=(1, N_WINDOWS, 1)) < 0.3
    active[0, 7] = True
    features = (shares @ kinds) * active
    if abnormal:
        features[ABNORMAL, 7] = 0.5
    return features.astype(np.float32)


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("windows")
    boxes = np.zeros((N_WINDOWS, 4), np.float32)
    labels = np.zeros(N_FRAMES, np.uint8)
    labels[ABNORMAL] = 1
    for seed in (1, 2):
        write_clip(folder, "train", f"{seed:02d}", clip(seed), boxes=boxes)
    write_clip(folder, "test", "01", clip(3, abnormal=True), labels, boxes)
    return folder


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_system_finds_the_unusual_row(shards, tmp_path, system):
    run = run_system(system, shards, "flow", SETTINGS, 0, tmp_path)
    (scored,) = run.scores()
    active = clip(3, abnormal=True).any(axis=-1)
    assert not scored.error[~active].any()
    assert (scored.error >= 0).all()
    assert (scored.error[ABNORMAL].argmax(axis=1) == 7).all()
    protocol = held_by({"flow": run}, Protocol.of(SETTINGS.score))
    for fusion in ("paper", "calibrated", "log"):
        assert auc({"flow": run}, Protocol(("flow",), fusion=fusion)) > 0.95
    assert (protocol.streams, protocol.frame_error) == (("flow",), "max")
    assert run.train_errors().shape == (2 * N_FRAMES,)
    assert run.ahead_frames == 0


def test_settings_of_windows_take_the_place_of_others():
    changed = with_window_settings(SETTINGS)
    assert (changed.model.n_atoms, changed.model.similarity_units, changed.tsc.tsc_n_atoms) == (3, 4, 3)
    train = changed.train
    assert (train.iterations, train.learning_rate, train.batch_clips) == (60, 1e-2, 6)
    assert train.iterations % train.checkpoint_every == train.checkpoint_every % train.log_every == 0
    assert changed.model.depth == SETTINGS.model.depth
    assert window_options(PAPER) == FlowWindowOptions()
    with pytest.raises(InputError, match=r"windows_\.\.\.: flow_frames: expected an odd number"):
        window_options(PAPER.override(windows_alignment="centered", windows_flow_frames=4))


def test_rows_of_a_batch_are_part_of_a_runs_identity(shards):
    def task(stream, settings):
        source = CATALOGUE["sRNN-AE"].reads.source(shards, stream, settings)
        return task_of("sRNN-AE", source, settings, 0)

    few, more = (task("flow", SETTINGS.override(windows_rows=n)) for n in (4, 5))
    assert few.name != more.name
    assert few.full_config["features"]["windows_rows"] == 4
    assert "windows_rows" not in task("spatial", PAPER).full_config["features"]


def test_streams_that_each_system_reads():
    def streams(system, **changes):
        return CATALOGUE[system].streams(PAPER.override(**changes))

    windows = {"flow_input": "windows", "motion": "flow"}
    assert streams("sRNN-AE") == ("spatial", "temporal")
    assert streams("sRNN-AE", **windows) == ("spatial", "flow")
    assert streams("sRNN-AE", appearance="none", **windows) == ("flow",)
    assert streams("Conv-AE", **windows) == ("frames",)
    for system in BASELINES:
        assert streams(system) == streams(system, motion="flow") == ("whole frame",)
        assert streams(system, **windows) == ("whole frame", "flow")
        assert streams(system, appearance="none", **windows) == ("flow",)


def test_weights_of_whole_frames_are_those_of_the_spatial_stream():
    weights = Protocol(("whole frame", "flow"), fusion="log", spatial_weight=0.25).weights
    assert weights == {"whole frame": 0.25, "flow": 1.0}


def test_another_frame_error_is_refused():
    with pytest.raises(InputError, match="frame_error: expected max beside flow_input windows, got frame"):
        SETTINGS.override(frame_error="frame")


def test_active_rows_are_all_of_them(shards):
    paths = sorted((shards / "train").glob("*.h5"))
    rows = np.concatenate(list(active_rows(paths, seed=0)))
    expected = np.concatenate([clip(seed)[clip(seed).any(axis=-1)] for seed in (1, 2)])
    assert len(rows) == len(expected)
    np.testing.assert_allclose(np.sort(rows.sum(axis=1)), np.sort(expected.sum(axis=1)), atol=1e-6)


def test_a_context_extracts_windows_and_runs_on_them(tmp_path):
    settings = SETTINGS.override(n_train_clips=1, n_test_clips=1, clip_frames=40)
    context = Context("smoke", settings, tmp_path)
    run = context.run("walkway", "flow", system="Nearest Neighbor")
    assert run.config["backbone"] == "flow_windows"
    assert run.scores()[0].error.shape == (40, len(load_place(run.folder).boxes((160, 240))))
    ahead = replace(context, settings=settings.override(windows_alignment="centered"))
    centered = ahead.run("walkway", "flow", system="Nearest Neighbor")
    assert (run.ahead_frames, centered.ahead_frames) == (0, 4)
    assert centered.folder != run.folder
