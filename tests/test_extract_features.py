"""Extraction: the numbers in the shards, resuming, sharing the work, the command line."""

import itertools
import threading
from dataclasses import replace
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest

from data_prep import extraction, processor, walkway
from data_prep.backbones import Backbone, load_backbone
from data_prep.datasets import RECORDS, Clip, Dataset
from data_prep.errors import InputError
from data_prep.extract_features import main
from data_prep.frames import resize
from data_prep.network_features import NetworkRecipe, feature_function, frame_batches
from data_prep.pooling import region_pyramid
from data_prep.read_ahead import read_ahead
from data_prep.shards import Shard, list_shards, read_info, validate_shard

SIZE_PX, N_CHANNELS = 16, 3
CLIP_FRAMES = {("train", "01"): 7, ("train", "02"): 5, ("test", "01"): 6}


def write_clip(folder: Path, n_frames: int, seed: int) -> np.ndarray:
    """Write random PNG frames of the network's own size; return them, uint8 RGB."""
    frames = np.random.default_rng(seed).integers(0, 256, (n_frames, SIZE_PX, SIZE_PX, 3), np.uint8)
    folder.mkdir(parents=True, exist_ok=True)
    for index, frame in enumerate(frames):
        cv2.imwrite(str(folder / f"{index:03d}.png"), frame[..., ::-1])
    return frames


@pytest.fixture
def dataset(tmp_path) -> Dataset:
    clips = []
    for seed, ((split, name), n_frames) in enumerate(CLIP_FRAMES.items()):
        write_clip(tmp_path / "data" / split / name, n_frames, seed)
        clips.append(Clip("walkway", split, name, tmp_path / "data" / split / name))
    labels = {"01": np.array([0, 0, 1, 1, 1, 0], np.uint8)}
    return Dataset(RECORDS["walkway"], tmp_path / "data", "re-packed", tuple(clips), labels, {})


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    """A network that is easy to follow: means of 4x4 pixels, so 16x16 frames give 4x4 maps."""
    inputs = keras.Input((SIZE_PX, SIZE_PX, 3))
    model = keras.Model(inputs, keras.layers.AveragePooling2D(4)(inputs))
    return Backbone("means", model, SIZE_PX, "last", N_CHANNELS, "ab" * 32, "resnet50", "no network")


def features_by_hand(frames: np.ndarray) -> np.ndarray:
    """Means of 4x4 pixels, then the pyramid: with 4x4 maps its finest level is the map itself."""
    cells = frames.reshape(-1, 4, 4, 4, 4, 3).mean(axis=(2, 4))
    quarters = cells.reshape(-1, 2, 2, 2, 2, 3).max(axis=(2, 4)).reshape(-1, 4, 3)
    fine = cells.reshape(-1, 16, 3)
    return np.concatenate([fine.max(axis=1, keepdims=True), quarters, fine], axis=1)


def extract(dataset, backbone, tmp_path, **options) -> Path:
    part = options.pop("part", (1, 1))
    recipe = NetworkRecipe(backbone, **options)
    return extraction.extract(dataset, recipe, tmp_path / "features", part, progress=False)


@pytest.mark.parametrize("batch_frames", [1, 4, 64])
def test_features_labels_and_attributes(dataset, backbone, tmp_path, batch_frames):
    folder = extract(dataset, backbone, tmp_path, batch_frames=batch_frames, dtype="float32")
    assert folder == tmp_path / "features" / "walkway" / "means-last-16-max-float32"
    for seed, ((split, name), n_frames) in enumerate(CLIP_FRAMES.items()):
        path = folder / split / f"{name}.h5"
        info = validate_shard(path)
        with Shard(path) as shard:
            frames = write_clip(tmp_path / "same", n_frames, seed)
            np.testing.assert_allclose(shard.features(), features_by_hand(frames), rtol=1e-6)
            assert shard.labels.tolist() == ([0, 0, 1, 1, 1, 0] if split == "test" else [0] * n_frames)
        assert (info.dataset, info.split, info.clip, info.n_frames) == ("walkway", split, name, n_frames)
        assert (info.backbone, info.requested_backbone, info.fallback_reason) == (
            "means",
            "resnet50",
            "no network",
        )
        assert info.weights_sha256 == "ab" * 32
        assert (info.input_size_px, info.layer, info.pooling) == (SIZE_PX, "last", "max")
        assert "INTER_AREA" in info.resizing


def test_compiled_function_equals_the_network(tmp_path, monkeypatch):
    """The frozen graph, any batch size, against the map pooled outside; then the other backends' way."""
    thin = load_backbone("thin_resnet50", input_size_px=64)
    frames = np.random.default_rng(7).integers(0, 256, (5, 64, 64, 3), np.uint8)
    for pooling in ("max", "mean"):
        expected = np.asarray(region_pyramid(thin.model.predict_on_batch(frames), pooling))
        extract = feature_function(thin, pooling)
        np.testing.assert_allclose(extract(frames), expected, atol=1e-4)
        np.testing.assert_allclose(extract(frames[:2]), expected[:2], atol=1e-4)
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    np.testing.assert_allclose(feature_function(thin, "mean")(frames), expected, atol=1e-4)


def test_float16_is_the_default_and_float32_stands_beside_it(dataset, backbone, tmp_path):
    for options, name, dtype in (
        ({}, "means-last-16-max", np.float16),
        ({"dtype": "float32"}, "means-last-16-max-float32", np.float32),
    ):
        folder = extract(dataset, backbone, tmp_path, **options)
        assert folder.name == name
        with Shard(list_shards(folder, "test")[0]) as shard:
            assert shard.stored_features().dtype == dtype


def test_mean_pooling_has_its_own_folder(dataset, backbone, tmp_path):
    folder = extract(dataset, backbone, tmp_path, pooling="mean", dtype="float32")
    assert folder.name == "means-last-16-mean-float32"
    with Shard(folder / "train" / "02.h5") as shard:
        frames = write_clip(tmp_path / "same", 5, seed=1)
        np.testing.assert_allclose(shard.features()[:, 0], frames.mean(axis=(1, 2)), rtol=1e-5)


def test_second_run_writes_nothing_and_says_nothing(dataset, backbone, tmp_path, written, capfd):
    first = extract(dataset, backbone, tmp_path)
    assert written == ["train/01", "train/02", "test/01"]
    capfd.readouterr()
    assert extract(dataset, backbone, tmp_path) == first
    assert len(written) == 3
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty"])
def test_damaged_shard_alone_is_redone(dataset, backbone, tmp_path, written, capfd, damage):
    path = extract(dataset, backbone, tmp_path) / "train" / "02.h5"
    content = path.read_bytes()
    flipped = bytearray(content)
    with Shard(path) as shard:
        checksum = shard.info.checksum
        flipped[shard._features.id.get_offset() + 100] ^= 4
    path.write_bytes({"truncated": content[:-50], "flipped": flipped, "empty": b""}[damage])
    written.clear()
    extract(dataset, backbone, tmp_path)
    assert written == ["train/02"]
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"{path}: damaged shard")
    assert lines[0].endswith("; extracting it again")
    assert validate_shard(path).checksum == checksum


def test_shard_made_otherwise_is_redone(dataset, backbone, tmp_path, written, capfd):
    extract(dataset, backbone, tmp_path)
    written.clear()
    backbone = replace(backbone, weights_sha256="cd" * 32)
    extract(dataset, backbone, tmp_path)
    assert len(written) == 3
    assert capfd.readouterr().err.count("made with another weights_sha256; extracting it again") == 3

    write_clip(dataset.clips[1].source, 5, seed=99)
    dataset.test_labels["01"][0] = 1
    written.clear()
    extract(dataset, backbone, tmp_path)
    assert written == ["train/02", "test/01"]
    errors = capfd.readouterr().err
    assert "02.h5: made with another source_sha256;" in errors
    assert "01.h5: made with other labels;" in errors


def test_machines_share_the_clips(dataset, backbone, tmp_path, written):
    extract(dataset, backbone, tmp_path, part=(2, 2))
    assert written == ["train/02"]
    extract(dataset, backbone, tmp_path, part=(1, 2))
    assert written == ["train/02", "train/01", "test/01"]


def test_shards_are_those_of_the_clips_that_the_dataset_has(backbone, tmp_path, written):
    """Two training clips, then four, then two again: the third time two are there, in the dataset's order."""
    found = []
    for names in (["9", "10"], ["9", "10", "1", "30"], ["9", "10"]):
        clips = [Clip("walkway", "train", name, tmp_path / "data" / name) for name in names]
        for seed, clip in enumerate(clips):
            write_clip(clip.source, 3, seed)
        dataset = Dataset(RECORDS["walkway"], tmp_path / "data", "re-packed", tuple(clips), {}, {})
        found.append([path.stem for path in list_shards(extract(dataset, backbone, tmp_path), "train")])
    assert found == [["9", "10"], ["9", "10", "1", "30"], ["9", "10"]]
    assert written == ["train/9", "train/10", "train/1", "train/30"]


def test_every_part_knows_all_clips(dataset, backbone, tmp_path):
    folder = extract(dataset, backbone, tmp_path, part=(2, 3))
    with pytest.raises(InputError, match="1 of 2 clips still to be extracted, 01;"):
        list_shards(folder, "train")


def test_clip_whose_name_cannot_name_a_shard_is_refused(dataset):
    with pytest.raises(InputError, match=r"expected a clip whose name can be a file's, got '\.\./01'"):
        replace(dataset.clips[0], name="../01")


def test_bad_frame_stops_in_one_line_and_what_was_done_stays(dataset, backbone, tmp_path, written, capfd):
    bad = dataset.clips[1].source / "003.png"
    good = bad.read_bytes()
    bad.write_bytes(good[:40])
    with pytest.raises(InputError, match=f"^{bad}: damaged image"):
        extract(dataset, backbone, tmp_path)
    folder = tmp_path / "features" / "walkway" / "means-last-16-max"
    assert sorted(path.name for path in folder.rglob("[!.]*") if path.is_file()) == ["01.h5", "clips.json"]
    assert not list(folder.rglob(".tmp-*"))
    bad.write_bytes(good)
    written.clear()
    extract(dataset, backbone, tmp_path)
    assert written == ["train/02", "test/01"]


def test_batches_are_the_frames_in_order(tmp_path):
    frames = write_clip(tmp_path / "clip", 10, seed=5)
    batches = list(frame_batches(tmp_path / "clip", SIZE_PX, 4))
    assert [batch.shape[0] for batch in batches] == [4, 4, 2]
    assert batches[0].dtype == np.uint8
    np.testing.assert_array_equal(np.concatenate(batches), frames)


def test_shrinking_takes_means_and_enlarging_interpolates():
    frame = np.random.default_rng(6).integers(0, 256, (20, 30, 3), np.uint8)
    means = frame.reshape(10, 2, 10, 3, 3).mean(axis=(1, 3))
    assert np.abs(resize(frame, 10) - means).max() <= 0.5 + 1e-6
    ramp = np.repeat(np.arange(0, 250, 10, dtype=np.uint8)[None, :, None], 8, 0).repeat(3, 2)
    enlarged = resize(ramp, 50)
    assert enlarged.shape == (50, 50, 3)
    assert np.diff(enlarged[0, :, 0].astype(int)).min() >= 0
    assert len(np.unique(enlarged[0, :, 0])) > 25  # nearest neighbour would keep the 25 values


def test_reading_ahead_keeps_order_and_its_bound():
    threads, taken = set(), []

    def numbers():
        for number in itertools.count():
            threads.add(threading.current_thread())
            taken.append(number)
            yield number

    ahead = read_ahead(numbers(), 3)
    assert [next(ahead) for _ in range(20)] == list(range(20))
    ahead.close()
    assert len(taken) <= 20 + 3 + 1
    assert threading.main_thread() not in threads
    assert list(read_ahead([], 3)) == []
    assert list(read_ahead("ab", 5)) == ["a", "b"]


def test_reading_ahead_passes_the_error_on_in_its_place():
    def two_then_fault():
        yield from (1, 2)
        raise InputError("clip: fault")

    ahead = read_ahead(two_then_fault(), 4)
    assert [next(ahead), next(ahead)] == [1, 2]
    with pytest.raises(InputError, match="clip: fault"):
        next(ahead)


@pytest.fixture(scope="module")
def walkway_dir(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("data")
    walkway.generate(root, n_train_clips=1, n_test_clips=1, clip_frames=walkway.MIN_CLIP_FRAMES)
    return root


def test_command_extracts_and_resumes(walkway_dir, tmp_path, capfd):
    command = f"--data {walkway_dir} --out {tmp_path} --backbone thin_resnet50 --input-size 32 --layer conv3"
    assert main(command.split()) == 0
    folder = tmp_path / "walkway" / "thin_resnet50-conv3-32-max"
    assert capfd.readouterr().out.strip() == str(folder)
    shard = list_shards(folder, "test")[0]
    with Shard(shard) as opened:
        assert opened.features().shape == (walkway.MIN_CLIP_FRAMES, 21, 256)
        assert opened.info.requested_backbone == "thin_resnet50"
    before = shard.stat().st_mtime_ns
    assert main(command.split()) == 0
    assert shard.stat().st_mtime_ns == before


@pytest.mark.parametrize("has_instructions", [True, False])
def test_command_extracts_in_float16_where_the_processor_has_it(
    walkway_dir, tmp_path, capfd, monkeypatch, has_instructions
):
    flags = {"avx512_fp16"} if has_instructions else {"avx2"}
    monkeypatch.setattr(processor, "processor_flags", lambda: flags)
    command = f"--data {walkway_dir} --out {tmp_path} --backbone thin_resnet50 --input-size 32 --layer conv2"
    assert main([*command.split(), "--compute-dtype", "float16"]) == 0
    name = "thin_resnet50-float16" if has_instructions else "thin_resnet50"
    folder = tmp_path / "walkway" / f"{name}-conv2-32-max"
    captured = capfd.readouterr()
    assert captured.out.strip() == str(folder)
    assert ("--compute-dtype float16: this processor has no" in captured.err) is not has_instructions
    assert read_info(list_shards(folder, "test")[0]).backbone == name


def test_parts_are_normalized_once_all_are_there(walkway_dir, tmp_path, capfd):
    command = f"--data {walkway_dir} --out {tmp_path} --backbone thin_resnet50 --input-size 32 --layer conv2"
    command += " --normalization standardized --part"
    folder = tmp_path / "walkway" / "thin_resnet50-conv2-32-max"
    for part, printed in (("1/2", folder), ("2/2", folder.with_name(f"{folder.name}-standardized"))):
        assert main([*command.split(), part]) == 0
        captured = capfd.readouterr()
        assert captured.out.strip() == str(printed)
        assert ("not normalized yet, other parts" in captured.err) == (part == "1/2")
    assert [path.stem for path in list_shards(printed, "test")] == ["01"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "{data}/nowhere"], "nowhere: no such folder"),
        (["--data", "{out}"], "{out}: no dataset in the folder"),
        (["--data", "{data}", "--dataset", "ped7"], "{data}: no ped7 in the folder, expected one of walkway"),
        (["--data", "{data}", "--weights", "none.h5"], "none.h5: no such file"),
        (["--data", "{data}", "--input-size", "8"], "input size: expected at least 32 px, got 8"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(walkway_dir, tmp_path, capfd, arguments, message):
    places = {"data": walkway_dir, "out": tmp_path}
    assert main(["--out", str(tmp_path), *(argument.format(**places) for argument in arguments)]) == 2
    error = capfd.readouterr().err
    assert message.format(**places) in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize("text", ["3/2", "0/2", "1", "a/b", "1/2/3", "\u0661/\u0662"])
def test_bad_share_of_the_work_is_refused(tmp_path, capfd, text):
    with pytest.raises(SystemExit) as caught:
        main(["--data", str(tmp_path), "--out", str(tmp_path), "--part", text])
    assert caught.value.code == 2
    assert f"expected i/n with 1 <= i <= n, got '{text}'" in capfd.readouterr().err.splitlines()[-1]
