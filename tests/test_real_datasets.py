"""Ped2 and the sample of Avenue as they are in the folder of real data."""

import numpy as np
import pytest

from data_prep.datasets import compare_with_masks, dataset_counts, find_datasets
from data_prep.labels import masks_to_labels


@pytest.fixture(scope="module")
def ped2(real_data):
    return find_datasets(real_data)["ped2"]


def test_real_ped2_counts(ped2):
    assert dataset_counts(ped2) == {
        "n_train_clips": 16,
        "n_train_frames": 2550,
        "n_test_clips": 12,
        "n_test_frames": 2010,
        "n_abnormal_frames": 1648,
    }


def test_real_ped2_abnormal_frames(ped2):
    labels = {int(clip.name): ped2.frame_labels(clip) for clip in ped2.split("test")}
    for clip, first in {1: 61, 2: 95, 4: 31, 7: 46, 12: 88}.items():
        assert labels[clip].tolist() == [0] * (first - 1) + [1] * (len(labels[clip]) - first + 1)
    for clip, last in {3: 146, 5: 129, 6: 159}.items():
        assert labels[clip].tolist() == [1] * last + [0] * (len(labels[clip]) - last)
    for clip in (8, 9, 10, 11):
        assert labels[clip].all()


def test_real_ped2_masks_agree_with_labels_on_every_frame(ped2):
    n_disagreeing_frames = 0  # measured: masks and ped2.mat never disagree
    for clip in ped2.split("test"):
        labels = ped2.frame_labels(clip)
        from_masks = masks_to_labels(ped2.pixel_masks(clip))
        assert from_masks.shape == labels.shape
        n_disagreeing_frames += int((from_masks != labels).sum())
    assert n_disagreeing_frames == 0


# Real Avenue, of which three clips are at hand


@pytest.fixture(scope="module")
def avenue(real_data):
    if not (real_data / "avenue_sample").is_dir():
        pytest.skip(f"no avenue_sample in {real_data}")
    return find_datasets(real_data)["avenue"]


def test_real_avenue_sample_is_not_taken_for_avenue(avenue):
    assert not avenue.complete
    assert "2 of 21 test clips" in avenue.partial
    assert [(clip.split, clip.name) for clip in avenue.clips] == [
        ("train", "12"),
        ("test", "08"),
        ("test", "21"),
    ]
    counts = dataset_counts(avenue)
    assert (counts["n_train_frames"], counts["n_test_frames"]) == (145, 36 + 76)


def test_real_avenue_masks_and_label_file_disagree_on_one_clip(avenue):
    assert avenue.has_pixel_masks
    clip_08, clip_21 = avenue.split("test")
    masks = list(avenue.pixel_masks(clip_21))
    assert len(masks) == 76
    assert all(mask.shape == (360, 640) for mask in masks)
    # avenue.mat: frames 21..30 of clip 8, 14..66 of clip 21; the masks mark all 36 frames of clip 8.
    assert (np.flatnonzero(avenue.frame_labels(clip_08)) + 1).tolist() == list(range(21, 31))
    assert (np.flatnonzero(masks_to_labels(masks)) + 1).tolist() == list(range(14, 67))
    assert compare_with_masks(avenue) == {"08": (0, 26), "21": (0, 0)}
