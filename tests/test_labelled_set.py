"""A labelled set of one's own: read as it lies there, refused in one line where a part is missing."""

import cv2
import numpy as np
import pytest

from data_prep.datasets import read_labelled_set
from data_prep.errors import InputError

FRAMES = {"training/frames/b": 3, "training/frames/a": 2, "testing/frames/02": 4, "testing/frames/10": 2}
LABELS = {"02": [0, 1, 1, 0], "10": [0, 0]}


@pytest.fixture
def scene(tmp_path):
    root = tmp_path / "my camera"
    for clip, n_frames in FRAMES.items():
        (root / clip).mkdir(parents=True)
        for number in range(n_frames):
            cv2.imwrite(str(root / clip / f"{number:03d}.jpg"), np.full((12, 16, 3), 40, np.uint8))
    (root / "testing" / "test_frame_mask").mkdir()
    for clip, labels in LABELS.items():
        np.save(root / "testing" / "test_frame_mask" / f"{clip}.npy", np.array(labels, np.uint8))
    return root


def test_it_is_read_as_it_lies_there(scene):
    dataset = read_labelled_set(scene)
    assert (dataset.name, dataset.layout, dataset.complete) == ("my camera", "re-packed", True)
    assert [clip.name for clip in dataset.split("train")] == ["a", "b"]
    test = dataset.split("test")
    assert {clip.name: dataset.frame_labels(clip).tolist() for clip in test} == LABELS
    assert dataset.clip_list().test == ("02", "10")


def test_development_scenes(real_data):
    """The folders that settings are chosen on, as DATA.md describes them."""
    counts = {}
    for name in ("ped1_dev_a", "ped1_dev_b"):
        if not (real_data / name).is_dir():
            pytest.skip(f"no {name} in {real_data}")
        dataset = read_labelled_set(real_data / name)
        clips = {split: dataset.split(split) for split in ("train", "test")}
        counts[name] = {split: sum(map(len, map(dataset.frame_labels, clips[split]))) for split in clips}
    assert counts == {
        "ped1_dev_a": {"train": 801, "test": 1600},
        "ped1_dev_b": {"train": 511, "test": 1800},
    }


@pytest.mark.parametrize("part", ["training/frames", "testing/frames"])
def test_a_missing_part_is_named(scene, part):
    (scene / part).rename(scene / "elsewhere")
    with pytest.raises(InputError, match=f"{part}: no such folder"):
        read_labelled_set(scene)


def test_bad_sets_are_refused(scene):
    with pytest.raises(InputError, match="no such folder, expected a labelled set"):
        read_labelled_set(scene / "nowhere")
    np.save(scene / "testing/test_frame_mask/02.npy", np.zeros(4, np.uint8))
    with pytest.raises(InputError, match="expected normal and abnormal frames, got 0 abnormal of 6"):
        read_labelled_set(scene)
    np.save(scene / "testing/test_frame_mask/02.npy", np.zeros(3, np.uint8))
    with pytest.raises(InputError, match=r"02\.npy"):
        read_labelled_set(scene)
    (scene / "testing/test_frame_mask").rename(scene / "elsewhere")
    with pytest.raises(InputError, match="no frame labels"):
        read_labelled_set(scene)
