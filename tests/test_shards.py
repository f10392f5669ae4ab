"""Shards: round trip, damage of every kind, refusal of what they cannot hold, all or nothing."""

import resource
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from data_prep.errors import InputError
from data_prep.provenance import git_commit
from data_prep.shards import (
    Shard,
    ShardInfo,
    list_shards,
    read_info,
    validate_shard,
    write_shard,
)

N_FRAMES, N_CHANNELS = 23, 16


def make_info(**changes) -> ShardInfo:
    info = ShardInfo(
        dataset="walkway",
        split="test",
        clip="03",
        n_frames=N_FRAMES,
        source_sha256="ab" * 32,
        backbone="thin_resnet50",
        weights_sha256="cd" * 32,
        layer="last",
        input_size_px=224,
        resizing="area",
        pooling="max",
        requested_backbone="resnet50",
        fallback_reason="no network: größer als nichts",
    )
    return replace(info, **changes)


@pytest.fixture
def features() -> np.ndarray:
    return np.random.default_rng(0).gamma(1.0, size=(N_FRAMES, 21, N_CHANNELS)).astype(np.float32)


@pytest.fixture
def labels() -> np.ndarray:
    return (np.arange(N_FRAMES) > 11).astype(np.uint8)


@pytest.fixture
def shard(tmp_path, features, labels) -> Path:
    path = tmp_path / "test" / "03.h5"
    write_shard(path, np.array_split(features, 4), make_info(), labels)
    return path


def test_round_trip(shard, features, labels):
    assert validate_shard(shard) == make_info()
    with Shard(shard) as opened:
        assert opened.n_frames == N_FRAMES
        stored = opened.features()
        assert stored.dtype == np.float32
        np.testing.assert_array_equal(stored, features.astype(np.float16).astype(np.float32))
        np.testing.assert_array_equal(opened.features(5, 9), stored[5:9])
        assert opened.features(7, 7).shape == (0, 21, N_CHANNELS)
        assert opened.labels.dtype == np.uint8
        np.testing.assert_array_equal(opened.labels, labels)


def test_attributes_come_back_and_are_plain_hdf5(shard):
    info = read_info(shard)
    assert info.fallback_reason == make_info().fallback_reason
    assert info.requested_backbone == "resnet50"
    assert info.commit == git_commit()
    assert "keras" in info.versions
    with h5py.File(shard) as file:
        assert file["features"].dtype == np.float16
        assert file["features"].chunks is None
        assert int(file.attrs["input_size_px"]) == 224


def test_float32_is_exact(tmp_path, features, labels):
    path = tmp_path / "03.h5"
    write_shard(path, [features], make_info(dtype="float32"), labels)
    with Shard(path) as opened:
        np.testing.assert_array_equal(opened.features(), features)


def test_checksum_tells_features_apart_and_nothing_else(tmp_path, features, labels):
    def checksum(name, batches, info, labels):
        write_shard(tmp_path / name, batches, info, labels)
        return validate_shard(tmp_path / name).checksum

    first = checksum("a.h5", [features], make_info(), labels)
    assert first == checksum("b.h5", np.array_split(features, 7), make_info(commit="other"), labels)
    assert first != checksum("c.h5", [features[::-1]], make_info(), labels)
    assert first != checksum("d.h5", [features], make_info(), 1 - labels)


def test_equal_infos_promise_equal_features():
    assert make_info() == make_info(commit="x", versions="y", fallback_reason="z", checksum="w")
    for change in ({"pooling": "mean"}, {"weights_sha256": "0"}, {"dtype": "float32"}, {"n_frames": 1}):
        assert make_info() != make_info(**change)


@pytest.mark.parametrize("kept", [0, 1, 100, 0.5, 0.99, -1])
def test_truncated_file_is_refused(shard, kept):
    content = shard.read_bytes()
    shard.write_bytes(content[: int(kept * len(content)) if isinstance(kept, float) else kept])
    with pytest.raises(InputError, match=rf"^{shard}: damaged shard"):
        validate_shard(shard)


def test_no_flipped_byte_passes_as_something_else(shard, features):
    """A flip anywhere is found, or lies where the file holds nothing and changes nothing that is read."""
    content = shard.read_bytes()
    info, rng, refusals = read_info(shard), np.random.default_rng(1), []
    edges = np.r_[0:2048, len(content) - 2048 : len(content)]  # where HDF5 keeps its own structures
    for position in np.r_[rng.choice(edges, 400), rng.integers(len(content), size=100)]:
        damaged = bytearray(content)
        damaged[position] ^= 1 << rng.integers(8)
        shard.write_bytes(damaged)
        try:
            assert repr(validate_shard(shard)) == repr(info), position
        except InputError as error:
            refusals.append(str(error))
    assert len(refusals) > 250
    assert all(line.startswith(f"{shard}: ") and "\n" not in line for line in refusals)


def test_nan_is_refused_even_with_a_matching_checksum(shard, tmp_path, features, labels, monkeypatch):
    with h5py.File(shard, "r+") as file:
        file["features"][3, 2, 1] = np.nan
    with pytest.raises(InputError, match="finite"):
        validate_shard(shard)
    monkeypatch.setattr("data_prep.shards._check_features", lambda *_: None)
    features[4, 0, 0] = np.nan
    write_shard(tmp_path / "04.h5", [features], make_info(), labels)
    with pytest.raises(InputError, match="finite"):
        validate_shard(tmp_path / "04.h5")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 65520.0])
def test_feature_that_float16_cannot_hold_is_refused(tmp_path, features, labels, value):
    features[17, 4, 3] = value
    path = tmp_path / "test" / "03.h5"
    with pytest.raises(
        InputError, match="walkway clip 03, frame 17: expected finite features that fit float16"
    ):
        write_shard(path, np.array_split(features, 4), make_info(), labels)
    assert list(path.parent.iterdir()) == []


def test_largest_float16_fits(tmp_path, features, labels):
    features[0, 0, 0] = 65504.0
    write_shard(tmp_path / "03.h5", [features], make_info(), labels)
    with Shard(tmp_path / "03.h5") as opened:
        assert opened.features(0, 1).max() == 65504.0


@pytest.mark.parametrize("n_frames", [N_FRAMES - 1, 2 * N_FRAMES, 0])
def test_another_number_of_frames_is_refused(tmp_path, features, labels, n_frames):
    frames = np.concatenate([features, features])[:n_frames]
    with pytest.raises(InputError, match=f"clip 03: expected {N_FRAMES} frames, got {n_frames}"):
        write_shard(tmp_path / "03.h5", [frames] if n_frames else [], make_info(), labels)
    with pytest.raises(InputError, match="one label for each"):
        write_shard(tmp_path / "03.h5", [features], make_info(), labels[1:])
    assert list(tmp_path.iterdir()) == []


def test_interrupted_write_leaves_the_old_shard(shard, features, labels):
    before = shard.read_bytes()

    def batches():
        yield features[:10]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_shard(shard, batches(), make_info(), labels)
    assert shard.read_bytes() == before
    assert list(shard.parent.iterdir()) == [shard]


def test_full_disk_is_one_line_and_leaves_nothing(tmp_path, features, labels):
    """A limit on file size stands in for the full disk: writing fails in the same place."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8000, hard))
    try:
        with pytest.raises(InputError, match=rf"^{tmp_path}/03.h5: cannot be written, ") as caught:
            write_shard(tmp_path / "03.h5", [features], make_info(), labels)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_folder_that_cannot_be_made_is_named(tmp_path, features, labels):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(InputError, match=r"file/03\.h5: cannot be written"):
        write_shard(tmp_path / "file" / "03.h5", [features], make_info(), labels)


def test_two_writers_of_one_shard_do_not_meet(shard, features, labels):
    """The one that ends last is there, whole."""

    def batches():
        yield features[:10]
        write_shard(shard, [features * 2], make_info(), labels)
        assert validate_shard(shard)
        yield features[10:]

    write_shard(shard, batches(), make_info(), labels)
    with Shard(shard) as opened:
        np.testing.assert_array_equal(opened.features(), features.astype(np.float16))
    assert list(shard.parent.iterdir()) == [shard]


def test_a_file_system_without_locks_makes_no_shard_a_damaged_one(shard, monkeypatch):
    """HDF5 would lock what it reads; where that is refused it says so in an error, as of a damaged file."""
    read = h5py.File

    def opened(path, mode, locking=None):
        if locking is not False:
            raise OSError("unable to lock file, errno = 37, error message = 'No locks available'")
        return read(path, mode, locking=locking)

    monkeypatch.setattr(h5py, "File", opened)
    assert validate_shard(shard) == make_info()


def test_missing_and_foreign_files_are_named(tmp_path, shard):
    with pytest.raises(InputError, match=r"01\.h5: no such shard"):
        Shard(tmp_path / "01.h5")
    with h5py.File(tmp_path / "02.h5", "w") as file:
        file["features"] = np.zeros((3, 5))
    with pytest.raises(InputError, match=r"02\.h5: damaged shard"):
        Shard(tmp_path / "02.h5")
    with h5py.File(shard, "r+") as file:
        file.attrs["schema_version"] = 99
    with pytest.raises(InputError, match="expected a shard of schema 2"):
        Shard(shard)


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("n_frames", np.nan, "n_frames: expected a whole number, got nan"),
        ("n_frames", "three", "n_frames: expected a whole number, got three"),
        ("schema_version", [2, 2], r"schema_version: expected a whole number, got \[2 2\]"),
        ("backbone", 5, "backbone: expected a text, got 5"),
        ("clip", np.zeros(3000, np.int8), r"clip: expected a text, got \[0 0"),
    ],
)
def test_attributes_of_another_kind_are_named(shard, name, value, fault):
    with h5py.File(shard, "r+") as file:
        del file.attrs[name]
        file.attrs[name] = value
    with pytest.raises(InputError, match=rf"03\.h5: damaged shard, attribute {fault}") as told:
        read_info(shard)
    assert len(str(told.value)) < 200 + len(str(shard))


@pytest.mark.parametrize(
    "changes", [{"dataset": "../../outside"}, {"split": "a/b"}, {"clip": ".."}, {"dataset": "a\nb"}]
)
def test_names_that_lead_elsewhere_are_refused(tmp_path, features, labels, changes):
    path = tmp_path / "01.h5"
    write_shard(path, [features], make_info(**changes), labels)
    with pytest.raises(InputError, match=r"01\.h5: damaged shard, expected names of dataset, split and clip"):
        read_info(path)


def test_shards_are_listed_in_name_order(tmp_path, features, labels):
    for name in ("10", "02", "01"):
        write_shard(tmp_path / "train" / f"{name}.h5", [features], make_info(split="train"), labels)
    assert [path.stem for path in list_shards(tmp_path, "train")] == ["01", "02", "10"]
    with pytest.raises(InputError, match=r"test: no shards"):
        list_shards(tmp_path, "test")
