"""Shards of flow windows: what they hold, resuming, boxes, damage, a fallback that is told."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from data_prep import extraction, walkway
from data_prep.datasets import RECORDS, Clip, Dataset
from data_prep.errors import InputError
from data_prep.flow_windows.__main__ import main
from data_prep.flow_windows.extraction import FlowWindowRecipe
from data_prep.flow_windows.options import FlowWindowOptions
from data_prep.flow_windows.place import FILE, load_place
from data_prep.flow_windows.rows import ACTIVE
from data_prep.frames import iter_frames
from data_prep.shards import Shard, list_shards, validate_shard
from experiments.lab.training.task import shards_data
from tests.walkers import SINGLE, walkers, write_clip


@pytest.fixture
def dataset(tmp_path) -> Dataset:
    """Two training clips and two test clips, one of a single frame, one of twice the size."""
    frames = {
        ("train", "01"): walkers(n_frames=10),
        ("train", "02"): walkers(n_frames=6, start=20),
        ("test", "01"): walkers(n_frames=5, scale=2),
        ("test", "02"): walkers(n_frames=1),
    }
    clips = [
        Clip("walkway", split, name, write_clip(tmp_path / "data" / split / name, clip))
        for (split, name), clip in frames.items()
    ]
    labels = {"01": np.array([0, 0, 1, 1, 0], np.uint8), "02": np.zeros(1, np.uint8)}
    return Dataset(RECORDS["walkway"], tmp_path / "data", "re-packed", tuple(clips), labels, {})


def extract(dataset, tmp_path, options=SINGLE, part=(1, 1)):
    recipe = FlowWindowRecipe(options)
    return extraction.extract(dataset, recipe, tmp_path / "features", part, progress=False)


def checksums(folder):
    return {path: validate_shard(path).checksum for path in sorted(folder.rglob("*.h5"))}


def test_shards_hold_the_rows_of_the_place(dataset, tmp_path):
    folder = extract(dataset, tmp_path)
    assert folder == tmp_path / "features" / "walkway" / SINGLE.key
    place = load_place(folder)
    for clip in dataset.clips:
        info = validate_shard(folder / clip.split / f"{clip.name}.h5")
        assert (info.backbone, info.layer, info.pyramid) == ("flow_windows", "windows", "windows")
        frames = list(iter_frames(clip.source))
        rows = np.stack(list(place.rows(frames)))
        with Shard(folder / clip.split / f"{clip.name}.h5") as shard:
            np.testing.assert_allclose(shard.features(), rows, atol=1e-3)
            np.testing.assert_allclose(shard.features(2, 4), rows[2:4], atol=1e-3)
            np.testing.assert_array_equal(shard.labels, dataset.frame_labels(clip))
            np.testing.assert_array_equal(shard.boxes, place.boxes(frames[0].shape[:2]))
            assert shard.boxes.shape == (rows.shape[1], 4)
            totals = shard.features()[..., 0]
            assert totals[totals > 0].min(initial=1) >= ACTIVE * place.factor * 0.999
    with Shard(folder / "test" / "01.h5") as large, Shard(folder / "train" / "01.h5") as small:
        np.testing.assert_allclose(large.boxes, 2 * small.boxes, rtol=1e-5)


def test_resumed_equals_unbroken(dataset, tmp_path, written, capfd):
    unbroken = checksums(extract(dataset, tmp_path))
    assert written == ["train/01", "train/02", "test/01", "test/02"]
    assert "made with" not in capfd.readouterr().err
    written.clear()
    folder = extract(dataset, tmp_path)
    assert written == []
    paths = list(unbroken)
    paths[0].unlink()
    paths[2].write_bytes(paths[2].read_bytes()[:-30])
    extract(dataset, tmp_path, part=(2, 2))
    extract(dataset, tmp_path, part=(1, 2))
    assert len(written) == 2
    assert checksums(folder) == unbroken
    assert list_shards(folder, "test") == [folder / "test" / "01.h5", folder / "test" / "02.h5"]


def test_other_training_clips_make_another_place_and_other_shards(dataset, tmp_path, written, capfd):
    folder = extract(dataset, tmp_path)
    before = load_place(folder)
    last = sorted(dataset.clips[1].source.iterdir())[-1]
    last.unlink()
    written.clear()
    extract(dataset, tmp_path)
    assert load_place(folder).source != before.source
    assert written == ["train/01", "train/02", "test/01", "test/02"]
    assert "made with another resizing" in capfd.readouterr().err


def test_shards_of_an_extraction_that_was_broken_off_are_refused(dataset, tmp_path, monkeypatch):
    """The folder has the new place, but one of its shards was made with the old one."""
    folder = extract(dataset, tmp_path)
    shards_data(folder)
    sorted(dataset.clips[1].source.iterdir())[-1].unlink()
    old = (folder / "train" / "01.h5").read_bytes()
    extract(dataset, tmp_path)
    (folder / "train" / "01.h5").write_bytes(old)
    with pytest.raises(InputError, match=r"01\.h5: made with .* run the extraction to its end"):
        shards_data(folder)


def test_damaged_boxes_are_found(dataset, tmp_path):
    path = extract(dataset, tmp_path) / "test" / "01.h5"
    with h5py.File(path, "r+") as file:
        file["boxes"][3, 1] += 1
    with pytest.raises(InputError, match="do not match their checksum"):
        validate_shard(path)


def test_one_unit_is_told_and_recorded(dataset, tmp_path, capfd):
    moving = [np.roll(next(walkers()), 3 * t, axis=1) for t in range(6)]
    camera = Clip("walkway", "train", "01", write_clip(tmp_path / "camera", moving))
    pan = Dataset(dataset.record, tmp_path, "re-packed", (camera,), {}, {})
    folder = extract(pan, tmp_path)
    assert "WARNING: one unit of speed" in capfd.readouterr().err
    assert "the camera moves" in load_place(folder).unit.reason
    with Shard(folder / "train" / "01.h5") as shard:
        assert "the camera moves" in shard.info.fallback_reason


def test_nothing_that_moves_leaves_no_file(dataset, tmp_path):
    still = Clip("walkway", "train", "01", write_clip(tmp_path / "still", [next(walkers())] * 3))
    with pytest.raises(InputError, match="something moves"):
        extract(Dataset(dataset.record, tmp_path, "re-packed", (still,), {}, {}), tmp_path)
    assert not list((tmp_path / "features").rglob("*.h5"))
    assert not list((tmp_path / "features").rglob(FILE))


def test_command_extracts_flow_windows(tmp_path, capfd):
    walkway.generate(tmp_path, n_train_clips=1, n_test_clips=1, clip_frames=walkway.MIN_CLIP_FRAMES)
    command = ["--data", str(tmp_path), "--out", str(tmp_path / "features"), "--flow-frames", "3"]
    assert main([*command, "--window-px", "24"]) == 0
    folder = Path(capfd.readouterr().out.strip())
    assert load_place(folder).options == FlowWindowOptions(flow_frames=3, window_px=24)
    with Shard(list_shards(folder, "test")[0]) as shard:
        assert shard.features().shape == (walkway.MIN_CLIP_FRAMES, len(shard.boxes), 40)
    assert main([*command, "--row-frames", "0"]) == 2
    assert capfd.readouterr().err == "error: row_frames: expected at least 1, got 0\n"
