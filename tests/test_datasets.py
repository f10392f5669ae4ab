import shutil

import numpy as np
import pytest
import scipy.io
from PIL import Image
from ucsd_copies import HEIGHT, WIDTH, make_official, make_repacked

from data_prep.datasets import RECORDS, dataset_counts, find_datasets
from data_prep.datasets.__main__ import main
from data_prep.errors import InputError


@pytest.mark.parametrize(("make", "layout"), [(make_official, "official"), (make_repacked, "re-packed")])
def test_both_layouts_give_the_same_dataset(tmp_path, make, layout):
    root = make(tmp_path)
    found = find_datasets(tmp_path, check_counts=False)
    assert list(found) == ["ped2"]
    dataset = found["ped2"]
    assert (dataset.name, dataset.layout, dataset.root) == ("ped2", layout, root)
    train, test = dataset.split("train"), dataset.split("test")
    assert dataset.clips == train + test
    assert [clip.name[-1] for clip in train] == [clip.name[-1] for clip in test] == ["1", "2"]
    assert all(clip.dataset == "ped2" and clip.source.is_dir() for clip in dataset.clips)
    assert [dataset.frame_labels(clip).tolist() for clip in test] == [[0, 0, 1, 1, 1], [1, 1, 0, 0]]
    assert [dataset.frame_labels(clip).tolist() for clip in train] == [[0] * 3, [0] * 4]
    assert dataset.frame_labels(test[0]).dtype == np.uint8
    assert dataset.has_pixel_masks
    masks = list(dataset.pixel_masks(test[0]))
    assert [int(mask.sum()) for mask in masks] == [0, 0, 4, 4, 4]
    assert all(mask.dtype == bool and mask.shape == (HEIGHT, WIDTH) for mask in masks)


def test_counts(tmp_path):
    make_repacked(tmp_path)
    assert dataset_counts(find_datasets(tmp_path, check_counts=False)["ped2"]) == {
        "n_train_clips": 2,
        "n_train_frames": 7,
        "n_test_clips": 2,
        "n_test_frames": 9,
        "n_abnormal_frames": 5,
    }


def test_archive_folder_of_ucsd_is_looked_into(tmp_path):
    make_official(tmp_path / "UCSD_Anomaly_Dataset.v1p2")
    assert find_datasets(tmp_path, check_counts=False)["ped2"].layout == "official"


def test_official_layout_comes_first(tmp_path):
    make_official(tmp_path)
    make_repacked(tmp_path)
    assert find_datasets(tmp_path, check_counts=False)["ped2"].layout == "official"


def test_labels_handed_out_are_copies(tmp_path):
    make_repacked(tmp_path)
    dataset = find_datasets(tmp_path, check_counts=False)["ped2"]
    clip = dataset.split("test")[0]
    dataset.frame_labels(clip)[:] = 7
    assert dataset.frame_labels(clip).max() == 1


def test_clips_are_in_natural_order(tmp_path):
    root = make_repacked(tmp_path)
    frames = root / "training" / "frames"
    (frames / "01").rename(frames / "10")
    (frames / "02").rename(frames / "9")
    dataset = find_datasets(tmp_path, check_counts=False)["ped2"]
    assert [clip.name for clip in dataset.split("train")] == ["9", "10"]


def test_label_arrays_serve_where_there_is_no_mat(tmp_path):
    root = make_repacked(tmp_path, "walkway")
    (root / "walkway.mat").unlink()
    folder = root / "testing" / "test_frame_mask"
    folder.mkdir()
    np.save(folder / "01.npy", np.array([0, 1, 0, 0, 0]))
    np.save(folder / "02.npy", np.zeros(4))
    dataset = find_datasets(tmp_path)["walkway"]
    assert dataset.frame_labels(dataset.split("test")[0]).tolist() == [0, 1, 0, 0, 0]


def test_masks_are_optional(tmp_path):
    root = make_repacked(tmp_path)
    shutil.rmtree(root / "testing" / "masks")
    dataset = find_datasets(tmp_path, check_counts=False)["ped2"]
    assert not dataset.has_pixel_masks
    with pytest.raises(InputError, match="no pixel masks"):
        dataset.pixel_masks(dataset.split("test")[0])


def test_nothing_there(tmp_path):
    assert find_datasets(None) == {}
    assert find_datasets(tmp_path) == {}
    with pytest.raises(InputError, match="gone: no such folder"):
        find_datasets(tmp_path / "gone")


def test_unknown_split(tmp_path):
    make_repacked(tmp_path)
    with pytest.raises(ValueError, match="split: expected 'train' or 'test', got 'val'"):
        find_datasets(tmp_path, check_counts=False)["ped2"].split("val")


# Samples


def test_sample_is_found_and_marked(tmp_path, capsys):
    make_repacked(tmp_path, "ped2")
    (tmp_path / "ped2").rename(tmp_path / "ped2_sample")
    gt = np.empty((1, 12), object)
    for clip in range(12):
        gt[0, clip] = np.array([[clip + 1], [clip + 1]])
    scipy.io.savemat(tmp_path / "ped2_sample" / "ped2.mat", {"gt": gt})
    dataset = find_datasets(tmp_path)["ped2"]
    assert not dataset.complete
    assert dataset.partial == (
        "a sample: 2 of 16 train clips, 7 of 2,550 train frames, 2 of 12 test clips, 9 of 2,010 test frames"
    )
    labels = [dataset.frame_labels(clip).tolist() for clip in dataset.split("test")]
    assert labels == [[1, 0, 0, 0, 0], [0, 1, 0, 0]]
    assert main(["--data", str(tmp_path)]) == 0
    found, missing = capsys.readouterr().out.split("missing:")
    assert "PARTIAL, no benchmark: a sample: 2 of 16 train clips" in found
    assert RECORDS["ped2"].url in missing


def test_whole_dataset_comes_before_its_sample(tmp_path):
    make_repacked(tmp_path, "walkway")
    shutil.copytree(tmp_path / "walkway", tmp_path / "walkway_sample")
    dataset = find_datasets(tmp_path)["walkway"]
    assert dataset.complete
    assert dataset.root == tmp_path / "walkway"


def test_sample_clip_beyond_the_labels(tmp_path):
    root = make_repacked(tmp_path, "ped2")
    (root / "testing" / "frames" / "02").rename(root / "testing" / "frames" / "05")
    shutil.rmtree(root / "testing" / "masks")
    root.rename(tmp_path / "ped2_sample")
    with pytest.raises(InputError, match=r"ped2\.mat: no labels of clip 05, expected a number in 1\.\.2"):
        find_datasets(tmp_path)


# Faults


def test_copy_with_other_counts_names_both(tmp_path):
    make_repacked(tmp_path)
    with pytest.raises(InputError, match="ped2: not the official copy, expected 16 train clips, got 2"):
        find_datasets(tmp_path)


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        ("training/frames", "ped2: no known layout, expected .*training/frames.*, got testing/frames"),
        ("testing/frames", "ped2: no known layout, expected .*testing/frames, got training/frames"),
        (
            "ped2.mat",
            r"ped2: no frame labels, expected testing/test_frame_mask in it, or ped2\.mat there or in ",
        ),
        ("testing/masks/02", "masks/02: no such file or folder, expected the pixel masks"),
        ("testing/masks/01/004.png", "masks/01: another number of masks, expected 5 as frames, got 4"),
        ("testing/frames/01/001.jpg", r"002\.jpg: gap in frame numbers, expected 1, got 2"),
        ("testing/frames/02", "another number of clips, expected 1 as in the test set, got 2"),
        ("testing/frames/02/003.jpg", "masks/02: another number of masks, expected 3 as frames, got 4"),
    ],
)
def test_something_missing(tmp_path, gone, message):
    path = make_repacked(tmp_path) / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(InputError, match=message):
        find_datasets(tmp_path, check_counts=False)


def test_labels_past_the_end_of_a_clip(tmp_path):
    root = make_repacked(tmp_path)
    shutil.rmtree(root / "testing" / "masks")
    (root / "testing" / "frames" / "01" / "004.jpg").unlink()
    with pytest.raises(InputError, match=r"ped2\.mat: clip 01: expected .*1\.\.4, got 3\.\.5"):
        find_datasets(tmp_path, check_counts=False)


def test_no_clips(tmp_path):
    root = make_official(tmp_path)
    for path in (root / "Train").iterdir():
        shutil.rmtree(path)
    with pytest.raises(InputError, match="Train: no clip in the folder"):
        find_datasets(tmp_path, check_counts=False)


def test_mask_of_another_size(tmp_path):
    root = make_repacked(tmp_path)
    Image.fromarray(np.zeros((HEIGHT, WIDTH + 1), np.uint8)).save(root / "testing/masks/01/003.png")
    dataset = find_datasets(tmp_path, check_counts=False)["ped2"]
    with pytest.raises(InputError, match=r"003\.png: mask of another size, expected 8x6 px"):
        list(dataset.pixel_masks(dataset.split("test")[0]))
