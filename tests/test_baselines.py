"""Nearest Subspace and OC-SVM from shards to AUC."""

import numpy as np
import pytest
from synthetic import CHANNELS, REGIONS, write_clip, write_dataset

from data_prep.errors import InputError
from data_prep.shards import Shard, list_shards
from experiments.lab.scoring.measure import auc
from experiments.lab.scoring.protocol import Protocol
from experiments.lab.settings.schema import BaselineSettings
from experiments.lab.systems import baselines
from experiments.lab.systems.baselines import BASELINES, run_baseline, whole_frames

SETTINGS = BaselineSettings(n_subspace_atoms=3)


def auc_of(baseline, **changed):
    return auc({"whole frame": baseline}, Protocol(("whole frame",), **changed))


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


@pytest.mark.parametrize("name", BASELINES)
def test_auc_is_kept_and_the_same_again(shards, tmp_path, name, monkeypatch):
    first = run_baseline(name, shards, SETTINGS, 0, tmp_path)
    assert [len(clip.error) for clip in first.scores()] == [30, 30]
    assert 0 <= auc_of(first) <= 1
    assert 0 <= auc_of(first, normalization="global") <= 1
    monkeypatch.setitem(BASELINES, name, lambda *_: pytest.fail("fitted again"))
    again = run_baseline(name, shards, SETTINGS, 0, tmp_path)
    assert auc_of(again) == auc_of(first)
    assert auc_of(again, smoothing_frames=5) != auc_of(first)
    with pytest.raises(InputError, match=f"{name} keeps no errors of training frames"):
        auc_of(first, normalization="train")
    assert first.details["training_seconds"] > 0


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
    result = run_baseline(name, tmp_path, BaselineSettings(n_subspace_atoms=2), 0, tmp_path)
    assert auc_of(result) == 1.0
    assert auc_of(result, normalization="global") == 1.0


def test_a_subspace_that_holds_everything_is_refused(shards, tmp_path):
    with pytest.raises(InputError, match=r"Nearest Subspace on .*: atoms: expected a span of fewer than"):
        run_baseline(
            "Nearest Subspace", write_noise(tmp_path), BaselineSettings(n_subspace_atoms=20), 0, tmp_path
        )
    assert not list(tmp_path.rglob("metrics.json"))


def write_noise(folder):
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        write_clip(folder, split, "01", rng.uniform(0, 1, (40, REGIONS, CHANNELS)), np.arange(40) % 2)
    return folder


def test_names_are_the_papers():
    assert set(baselines.BASELINES) == {"Nearest Subspace", "OC-SVM"}
