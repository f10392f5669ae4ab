"""Nearest Subspace and OC-SVM from shards to AUC."""

import numpy as np
import pytest
from synthetic import CHANNELS, REGIONS, write_clip, write_dataset

from data_prep.errors import InputError
from data_prep.shards import Shard, list_shards
from experiments.lab.scoring.measure import auc
from experiments.lab.scoring.protocol import Protocol
from experiments.lab.settings.schema import PAPER
from experiments.lab.systems.baselines import whole_frames
from experiments.lab.systems.catalogue import SYSTEMS, run_system, task_of
from experiments.lab.training.fitting import Fit

SETTINGS = PAPER.override(n_subspace_atoms=3)
BASELINES = ("Nearest Subspace", "OC-SVM", "Nearest Neighbor")


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("shards"), n_frames=30)


def test_whole_frames_are_region_0_of_every_frame_once(shards):
    paths = list_shards(shards, "train")
    mixed = np.concatenate(list(whole_frames(paths, seed=1)))
    expected = []
    for path in paths:
        with Shard(path) as shard:
            expected.append(shard.features()[:, 0])
    expected = np.concatenate(expected)
    assert mixed.shape == expected.shape == (90, CHANNELS)
    assert not np.array_equal(mixed, expected)
    np.testing.assert_array_equal(np.sort(mixed, 0), np.sort(expected, 0))
    np.testing.assert_array_equal(mixed, np.concatenate(list(whole_frames(paths, seed=1))))


def auc_of(run, **changed):
    return auc({"whole frame": run}, Protocol(("whole frame",), **changed))


@pytest.mark.parametrize("name", BASELINES)
def test_scores_are_kept_and_the_same_again(shards, tmp_path, name, monkeypatch):
    run = run_system(name, shards, "spatial", SETTINGS, 0, tmp_path)
    assert [clip.error.shape for clip in run.scores()] == [(30, 1), (30, 1)]
    assert 0 <= auc_of(run) <= 1
    assert auc_of(run) == run.metrics["auc_per_clip"]
    assert auc_of(run, smoothing_frames=5) != auc_of(run)
    assert 0 <= auc_of(run, normalization="train") <= 1
    assert run.train_errors().shape == (90,)
    monkeypatch.setattr(Fit, "__call__", lambda *_: pytest.fail("fitted again"))
    assert run_system(name, shards, "spatial", SETTINGS, 0, tmp_path).metrics == run.metrics
    assert run.metrics["training_seconds"] > 0
    assert name == "Nearest Neighbor" or {"rank", "kind"} & set(run.metrics)


@pytest.mark.parametrize("name", BASELINES)
def test_frames_that_leave_the_normal_plane_score_highest(tmp_path, name):
    rng = np.random.default_rng(0)
    basis = rng.uniform(0, 1, (2, CHANNELS))
    labels = (np.arange(40) >= 30).astype(np.uint8)
    for split in ("train", "test"):
        features = (rng.uniform(1, 2, (40, REGIONS, 2)) @ basis).astype(np.float32)
        if split == "test":
            features[labels == 1, 0] += 3 * rng.uniform(0, 1, CHANNELS).astype(np.float32)
        write_clip(tmp_path, split, "01", features, labels if split == "test" else None)
    run = run_system(name, tmp_path, "spatial", PAPER.override(n_subspace_atoms=2), 0, tmp_path)
    assert auc_of(run) == 1.0
    assert auc_of(run, normalization="global") == 1.0


def test_a_subspace_that_holds_everything_is_refused(tmp_path):
    settings = PAPER.override(n_subspace_atoms=20)
    with pytest.raises(InputError, match=r"synthetic Nearest Subspace .*: atoms: expected a span of fewer"):
        run_system("Nearest Subspace", write_noise(tmp_path), "spatial", settings, 0, tmp_path)
    assert not list(tmp_path.rglob("metrics.json"))


def write_noise(folder):
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        write_clip(folder, split, "01", rng.uniform(0, 1, (40, REGIONS, CHANNELS)), np.arange(40) % 2)
    return folder


def test_a_systems_hash_holds_its_own_settings_alone(shards, tmp_path):
    """What OC-SVM is told changes the name of its own runs, and of no others."""
    others = SETTINGS.override(svm_nu=0.25)
    names = {}
    for name in BASELINES:
        for settings in (SETTINGS, others):
            source = SYSTEMS[name].reads.source(shards, "spatial", settings)
            names[name, settings is others] = task_of(name, source, settings, 0).name
    assert names["Nearest Subspace", True] == names["Nearest Subspace", False]
    assert names["OC-SVM", True] != names["OC-SVM", False]
