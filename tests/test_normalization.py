"""Normalized shards against NumPy on all training frames at once; resume, damage, the copy beside a run."""

import numpy as np
import pytest
from synthetic import write_clip, write_dataset

from data_prep import normalization
from data_prep.errors import InputError
from data_prep.files import keep_beside
from data_prep.normalization import (
    FILE,
    Normalization,
    channel_statistics,
    load_normalization,
    normalize_shards,
)
from data_prep.shards import Shard, list_shards, read_info, validate_shard, write_shard


@pytest.fixture
def raw(tmp_path):
    return write_dataset(tmp_path / "features-max")


def all_features(folder, split="train"):
    features = []
    for path in list_shards(folder, split):
        with Shard(path) as shard:
            features.append(shard.features())
    return np.concatenate(features)


def test_none_is_the_folder_itself(raw):
    assert normalize_shards(raw, "none") == raw
    assert load_normalization(raw)(np.arange(3.0)).tolist() == [0, 1, 2]


def test_standardized_training_features_have_mean_0_and_deviation_1(raw, monkeypatch):
    monkeypatch.setattr(normalization, "BLOCK_FRAMES", 5)  # several blocks a clip
    done = normalize_shards(raw, "standardized")
    assert done.name == "features-max-standardized"
    train, x = all_features(done), all_features(raw)
    np.testing.assert_allclose(train.mean((0, 1)), 0, atol=1e-5)
    np.testing.assert_allclose(train.std((0, 1)), 1, atol=1e-5)
    test = (all_features(raw, "test") - x.mean((0, 1))) / x.std((0, 1))
    np.testing.assert_allclose(all_features(done, "test"), test, atol=1e-4)


def test_channel_that_hardly_moves_is_not_blown_up(tmp_path):
    x = np.random.default_rng(0).normal(size=(40, 21, 6)).astype(np.float32)
    x[..., 2] = 7
    folder = write_clip(tmp_path, "train", "01", x).parents[1]
    mean, deviation = channel_statistics(list_shards(folder, "train"))
    assert mean[2] == 7
    assert deviation[2] == pytest.approx(0.1 * x.std((0, 1)).mean(), rel=1e-4)


def test_l2_gives_a_mean_square_of_1_and_keeps_zeros(raw):
    features = all_features(normalize_shards(raw, "l2"))
    np.testing.assert_allclose(np.square(features).mean(-1), 1, rtol=1e-4)
    assert not Normalization("l2")(np.zeros((2, 2048), np.float32)).any()


def test_shards_say_how_they_were_normalized_and_keep_labels(raw):
    done = normalize_shards(raw, "standardized")
    for path in [*list_shards(done, "train"), *list_shards(done, "test")]:
        info = validate_shard(path)
        assert info.normalization == str(load_normalization(done))
        assert info.normalization.startswith("standardized, statistics ")
        with Shard(path) as made, Shard(raw / path.relative_to(done)) as original:
            np.testing.assert_array_equal(made.labels, original.labels)
    assert read_info(list_shards(raw, "train")[0]).normalization == "none"


def test_windows_keep_their_boxes(tmp_path):
    x, boxes = np.ones((3, 2, 4), np.float32), np.arange(8, dtype=np.float32).reshape(2, 4)
    raw = write_clip(tmp_path / "raw", "train", "01", x)
    write_shard(raw, [x], read_info(raw), np.zeros(3), boxes)
    (path,) = list_shards(normalize_shards(tmp_path / "raw", "l2"), "train")
    with Shard(path) as shard:
        np.testing.assert_array_equal(shard.boxes, boxes)


def test_resuming_makes_what_is_missing_or_damaged_alone(raw, capfd):
    done = normalize_shards(raw, "l2")
    first, second, third = list_shards(done, "train")
    first.unlink()
    second.write_bytes(second.read_bytes()[:-100])
    kept = third.stat().st_mtime_ns
    assert normalize_shards(raw, "l2") == done
    assert [validate_shard(path).clip for path in list_shards(done, "train")] == ["01", "02", "03"]
    assert third.stat().st_mtime_ns == kept
    assert "02.h5: damaged shard" in capfd.readouterr().err


def test_other_training_frames_give_other_statistics_and_all_shards_again(raw):
    before = read_info(list_shards(normalize_shards(raw, "standardized"), "test")[0]).normalization
    x = np.random.default_rng(1).uniform(0, 5, (24, 21, 6)).astype(np.float32)
    write_clip(raw, "train", "02", x)
    after = read_info(list_shards(normalize_shards(raw, "standardized"), "test")[0]).normalization
    assert after != before


def test_a_run_keeps_the_normalization_without_the_shards(raw, tmp_path):
    done, run = normalize_shards(raw, "standardized"), tmp_path / "run"
    keep_beside(FILE, done, run)
    x = np.random.default_rng(2).normal(size=(3, 6)).astype(np.float32)
    np.testing.assert_array_equal(load_normalization(run)(x), load_normalization(done)(x))
    keep_beside(FILE, raw, tmp_path / "other")
    assert not (tmp_path / "other" / FILE).exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no archive", None])
def test_damaged_file_is_one_clear_line(raw, content):
    done = normalize_shards(raw, "standardized")
    (done / FILE).write_bytes((done / FILE).read_bytes()[:-40] if content is None else content)
    with pytest.raises(
        InputError, match=r"normalization\.npz: damaged normalization of features, .*; delete it"
    ):
        load_normalization(done)


def test_features_that_never_vary_are_refused(tmp_path):
    folder = write_clip(tmp_path, "train", "01", np.ones((12, 21, 6), np.float32)).parents[1]
    with pytest.raises(InputError, match="expected features that vary"):
        normalize_shards(folder, "standardized")
