"""Training runs: exact resume, bad settings, damaged checkpoints, and what a run leaves behind."""

import json
import re
import shutil
import time
from concurrent.futures import ThreadPoolExecutor

import h5py
import keras
import numpy as np
import pytest
from synthetic import write_clip, write_dataset
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from data_prep import provenance
from data_prep.errors import InputError
from data_prep.files import Lock
from data_prep.terminal import exit_code
from experiments.lab.scoring.regularity import micro_auc
from experiments.lab.settings.schema import PAPER
from experiments.lab.systems.catalogue import SYSTEMS, run_system, task_of
from experiments.lab.systems.srnn_ae import build_srnn_ae
from experiments.lab.training import gradients, train
from experiments.lab.training.custom_gradients import NAME, registered
from experiments.lab.training.freed_memory import freed_memory_kept
from tests.breaking_off import broken_off_at


def run_srnn_ae(shards, stream, settings, seed, out, sample_frames=None):
    return run_system("sRNN-AE", shards, stream, settings, seed, out, sample_frames)


SMALL = PAPER.override(
    n_atoms=8, similarity_units=4, iterations=12, checkpoint_every=4, log_every=2, learning_rate=1e-3
)


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("shards"))


@pytest.fixture(scope="module")
def finished(shards, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    frames = lambda clip, indices: np.zeros((len(indices), 12, 16, 3), np.uint8)  # noqa: E731
    return out, run_srnn_ae(shards, "spatial", SMALL, seed=1, out=out, sample_frames=frames)


def test_run_leaves_config_history_scores_and_metrics(finished):
    _, run = finished
    assert run.config["seed"] == 1
    assert run.config["model"]["n_atoms"] == 8
    assert set(run.config["versions"]) == {
        "tensorflow", "keras", "numpy", "scikit-learn", "h5py", "backend", "device",
    }  # fmt: skip
    assert [row["step"] for row in run.history] == [2, 4, 6, 8, 10, 12]
    assert run.steps == [4, 8, 12]
    assert run.metrics["steps"] == 12
    assert run.metrics["auc_per_clip"] == pytest.approx(micro_auc({"spatial": run.scores()}))
    assert run.train_errors().shape == (3 * 24,)
    for row in run.history:
        assert row["loss"] == pytest.approx(row["reconstruction"] + row["weight_decay"], rel=1e-5)


def test_tensorboard_holds_scalars_histograms_images_graph_and_hparams(finished):
    out, run = finished
    events = EventAccumulator(str(out / "logs" / "synthetic" / run.folder.name), {"tensors": 0, "images": 0})
    tags = events.Reload().Tags()
    names = {"loss", "reconstruction", "weight_decay", "sparsity", "gamma", "lambda1", "lambda2"}
    assert {f"train/{name}" for name in names} <= set(tags["tensors"])
    assert {"test/auc_per_clip", "codes", "similarity", "test/clip", "final/loss"} <= set(tags["tensors"])
    assert tags["graph"]
    assert "_hparams_/session_start_info" in events.summary_metadata


def test_finished_run_is_returned_not_trained_again(shards, finished, monkeypatch):
    out, run = finished
    monkeypatch.setattr(gradients, "Recorder", lambda *_: pytest.fail("trained again"))
    assert run_srnn_ae(shards, "spatial", SMALL, seed=1, out=out).folder == run.folder


def test_resumed_run_ends_with_the_same_weights(shards, finished, tmp_path):
    """The run is broken off after the checkpoint at step 4, between checkpoints, then started again."""
    with broken_off_at(step=6), pytest.raises(KeyboardInterrupt):
        run_srnn_ae(shards, "spatial", SMALL, seed=1, out=tmp_path)
    resumed = run_srnn_ae(shards, "spatial", SMALL, seed=1, out=tmp_path)
    unbroken = finished[1]
    for one, other in zip(resumed.model().weights, unbroken.model().weights, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(one), keras.ops.convert_to_numpy(other))
    losses = [[row["loss"] for row in run.history] for run in (resumed, unbroken)]
    assert losses[0] == losses[1]


CONFIG = {"system": "TSC", "dataset": "d", "stream": "spatial", "seed": 0, "backbone": "", "features": {}}


def test_a_run_that_goes_on_elsewhere_keeps_what_it_was_begun_with(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "git_commit", lambda: "aaa")
    monkeypatch.setattr(provenance, "run_libraries", lambda: {"device": "NVIDIA H100"})
    for _ in range(2):  # the same again is no other machine
        train.write_config(tmp_path, CONFIG)
        config = json.loads((tmp_path / "config.json").read_text())
        assert config == {**CONFIG, "commit": "aaa", "versions": {"device": "NVIDIA H100"}}
    monkeypatch.setattr(provenance, "run_libraries", lambda: {"device": "cpu"})
    train.write_config(tmp_path, CONFIG)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["versions"] == {"device": "cpu"}
    assert config["earlier"] == [{"commit": "aaa", "versions": {"device": "NVIDIA H100"}}]


def test_a_run_that_another_command_has_in_hand_is_waited_for(
    shards, finished, tmp_path, monkeypatch, capsys
):
    """The other one finishes it, and this one trains nothing."""
    out, run = finished
    folder, said = tmp_path / run.folder.relative_to(out), ""
    lock = Lock(folder, folder / ".lock")
    assert lock.acquire()
    monkeypatch.setattr(gradients, "Recorder", lambda *_: pytest.fail("trained again"))
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(run_srnn_ae, shards, "spatial", SMALL, 1, tmp_path)
        while "waiting for it" not in said and not waiting.done():
            said += capsys.readouterr().err
            time.sleep(0.01)
        shutil.copytree(run.folder, folder, ignore=shutil.ignore_patterns(".lock"), dirs_exist_ok=True)
        lock.release()
        assert waiting.result().folder == folder
    assert f"{folder}: another command is writing here, waiting for it" in said


def test_a_history_that_does_not_reach_the_model_is_told(shards, finished, tmp_path):
    out, run = finished
    folder = tmp_path / run.folder.relative_to(out)
    shutil.copytree(run.folder, folder)
    (folder / "metrics.json").unlink()
    (folder / "history.json").write_text(json.dumps(run.history[:-1]))
    with pytest.raises(InputError, match=r"history\.json: expected the steps up to 12, that of last\.keras"):
        run_srnn_ae(shards, "spatial", SMALL, seed=1, out=tmp_path)


def name_of(shards, settings, seed):
    source = SYSTEMS["sRNN-AE"].reads.source(shards, "spatial", settings)
    return task_of("sRNN-AE", source, settings, seed).name


def test_seed_settings_and_training_data_name_the_run(shards, finished, tmp_path):
    name = finished[1].folder.name
    assert name_of(shards, SMALL, 1) == name
    assert name_of(shards, SMALL.override(temporal_weight=0.9), 1) == name  # scored otherwise
    changed = write_dataset(tmp_path / "shards", seed=9)
    others = {
        name_of(shards, SMALL, 2),
        name_of(shards, SMALL.override(lambda1=0.2), 1),
        name_of(changed, SMALL, 1),
    }
    assert len(others - {name}) == 3


def test_a_shard_of_other_features_is_refused_by_name(tmp_path):
    folder = write_dataset(tmp_path / "shards")
    other = folder / "train" / "02.h5"
    with h5py.File(other, "r+") as file:
        file.attrs.modify("pooling", "avg")
    with pytest.raises(InputError, match=rf"{other}: pooling avg, expected max as in the folder's first"):
        run_srnn_ae(folder, "spatial", SMALL, 0, tmp_path)


def test_slot_start_acts(shards, tmp_path):
    model = build_srnn_ae(6, 84, SMALL.override(slot_start=1.0), 0)
    slots = [v for v in model.optimizer.variables if "velocity" in v.path]
    assert len(slots) == len(model.trainable_variables)
    assert all((keras.ops.convert_to_numpy(slot) == 1).all() for slot in slots)


def test_iterations_must_fit_the_checkpoints(shards, tmp_path):
    with pytest.raises(InputError, match=r"iterations \(13\) a multiple of checkpoint_every \(4\)"):
        run_srnn_ae(shards, "spatial", SMALL.override(iterations=13), seed=0, out=tmp_path)


def test_a_run_shorter_than_a_checkpoint_is_scored_at_its_end(shards, tmp_path):
    short = SMALL.override(iterations=3, checkpoint_every=50, log_every=50)
    run = run_srnn_ae(shards, "spatial", short, seed=0, out=tmp_path)
    assert (run.steps, [row["step"] for row in run.history]) == ([3], [3])
    assert run_srnn_ae(shards, "spatial", short, seed=0, out=tmp_path).folder == run.folder


def test_a_run_keeps_freed_memory_and_leaves_no_gradient_in_the_registry(shards, tmp_path, monkeypatch):
    entered, before = [], set(registered())
    monkeypatch.setattr(train, "freed_memory_kept", lambda: entered.append(1) or freed_memory_kept())
    run_srnn_ae(shards, "spatial", SMALL.override(iterations=2, checkpoint_every=2), seed=0, out=tmp_path)
    assert entered
    assert {name for name in registered() if name.startswith(NAME)} <= before


def test_damaged_checkpoint_is_named(shards, finished, tmp_path):
    source = finished[1].folder
    folder = tmp_path / "checkpoints" / "synthetic" / source.name
    shutil.copytree(source, folder)
    (folder / "metrics.json").unlink()
    (folder / "last.keras").write_bytes((folder / "last.keras").read_bytes()[:1000])
    with pytest.raises(InputError, match=r"last\.keras: damaged, .*; to train the run again, delete its f"):
        run_srnn_ae(shards, "spatial", SMALL, seed=1, out=tmp_path)


def test_test_clips_of_one_class_have_no_auc(tmp_path):
    folder = write_dataset(tmp_path / "shards")
    for path in (folder / "test").glob("*.h5"):
        path.unlink()
    write_clip(folder, "test", "01", np.ones((12, 21, 6), np.float32))
    run = run_srnn_ae(folder, "spatial", SMALL, seed=0, out=tmp_path)
    assert "auc_per_clip" not in run.metrics
    assert json.loads((run.folder / "metrics.json").read_text())["steps"] == 12


def test_out_that_is_removed_during_training_stops_it_in_one_line(shards, tmp_path, monkeypatch, capsys):
    """And the line is one of its own, though a progress bar is open."""
    usual = gradients.Recorder.checkpoint

    def checkpoint(self, step):
        if step == 8:
            shutil.rmtree(tmp_path / "out")
        usual(self, step)

    monkeypatch.setattr(gradients.Recorder, "checkpoint", checkpoint)
    assert exit_code(lambda: run_srnn_ae(shards, "spatial", SMALL, 0, tmp_path / "out") and 0) == 2
    *bar, line = capsys.readouterr().err.splitlines()
    assert "8/12" in bar[-1]
    assert line.startswith(f"error: {tmp_path / 'out'}")
    assert line.endswith(": was removed while the run was trained")
    assert not (tmp_path / "out").exists()


def test_a_full_disk_during_training_is_one_line_that_names_the_file(shards, tmp_path, small_files, capsys):
    assert exit_code(lambda: run_srnn_ae(shards, "spatial", SMALL, 0, tmp_path / "out") and 0) == 2
    told = capsys.readouterr().err
    assert "Traceback" not in told
    assert re.fullmatch(
        r"error: .*(events\.out\.tfevents\.[0-9.]+|last\.keras): File too large", told.splitlines()[-1]
    )
