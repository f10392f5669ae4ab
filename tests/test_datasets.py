import shutil

import numpy as np
import pytest
import scipy.io
from PIL import Image

from data_prep.datasets import RECORDS, compare_with_masks, dataset_counts, find_datasets, where_to_get
from data_prep.datasets.__main__ import main
from data_prep.errors import InputError
from data_prep.labels import masks_to_labels

HEIGHT, WIDTH = 6, 8
N_FRAMES = {"train": (3, 4), "test": (5, 4)}
ABNORMAL = (slice(2, 5), slice(0, 2))  # 0-based frames of the two test clips


def write_images(folder, n, suffix, first, abnormal=None):
    folder.mkdir(parents=True)
    for number in range(n):
        image = np.full((HEIGHT, WIDTH), 40 * number % 256, np.uint8)
        if abnormal is not None:
            image[:] = 0
            image[1:3, 2:4] = 255 * (number in range(n)[abnormal])
        Image.fromarray(image).save(folder / f"{number + first:03d}{suffix}")


def make_official(data_dir):
    """UCSDped2 as UCSD ships it, with two clips a split."""
    root = data_dir / "UCSDped2"
    for split, folder in (("train", "Train"), ("test", "Test")):
        for clip, n in enumerate(N_FRAMES[split]):
            write_images(root / folder / f"{folder}{clip + 1:03d}", n, ".tif", first=1)
            if split == "test":
                write_images(
                    root / folder / f"Test{clip + 1:03d}_gt", n, ".bmp", first=1, abnormal=ABNORMAL[clip]
                )
    lines = "".join(
        f"TestVideoFile{{end+1}}.gt_frame = [{part.start + 1}:{part.stop}];\n" for part in ABNORMAL
    )
    (root / "Test" / "UCSDped2.m").write_text("TestVideoFile = {};\n" + lines)
    (root / "Test" / "._Test001").write_bytes(b"x")
    return root


def make_repacked(data_dir, name="ped2"):
    root = data_dir / name
    for split, folder in (("train", "training"), ("test", "testing")):
        for clip, n in enumerate(N_FRAMES[split]):
            write_images(root / folder / "frames" / f"{clip + 1:02d}", n, ".jpg", first=0)
            if split == "test":
                write_images(
                    root / folder / "masks" / f"{clip + 1:02d}", n, ".png", first=0, abnormal=ABNORMAL[clip]
                )
    gt = np.empty((1, 2), object)
    for clip, part in enumerate(ABNORMAL):
        gt[0, clip] = np.array([[part.start + 1], [part.stop]], np.uint8)
    scipy.io.savemat(root / f"{name}.mat", {"gt": gt})
    return root


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
        ("ped2.mat", r"ped2: no frame labels, expected ped2\.mat in it or in .*ground_truth"),
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


# Records and the command


def test_records_cover_the_paper():
    assert set(RECORDS) == {"ped2", "ped1", "avenue", "entrance", "exit", "shanghaitech", "lv", "walkway"}
    assert all(name == record.name for name, record in RECORDS.items())


# Paper: Table 2, total and training frames; SPEC: the released ShanghaiTech test set has 40,791 frames.
@pytest.mark.parametrize(
    ("name", "total", "train"),
    [
        ("avenue", 30652, 15328),
        ("ped2", 4560, 2550),
        ("ped1", 14000, 6800),
        ("lv", 309940, 127500),
        ("shanghaitech", 274515 + 40791, 274515),
    ],
)
def test_official_frame_counts(name, total, train):
    assert RECORDS[name].n_train_frames == train
    assert RECORDS[name].n_train_frames + RECORDS[name].n_test_frames == total


def test_subway_counts_are_open_but_for_what_its_labels_fix():
    """Its Entrance labels reach beyond the 136,524 frames of the paper's Table 2: see test_layouts."""
    counts = {
        name: (RECORDS[name].n_train_frames, RECORDS[name].n_test_clips) for name in ("entrance", "exit")
    }
    assert counts == {"entrance": (20000, 6), "exit": (7500, 4)}
    assert RECORDS["entrance"].n_test_frames is RECORDS["exit"].n_test_frames is None


@pytest.mark.parametrize("name", list(RECORDS))
def test_where_to_get(name):
    text = where_to_get(name)
    assert RECORDS[name].title in text
    assert len(text.splitlines()) == 2
    assert ("http" in text) or name == "walkway"


def test_command_prints_found_and_missing(tmp_path, capsys, monkeypatch):
    make_repacked(tmp_path, "walkway")
    assert main(["--data", str(tmp_path)]) == 0
    found, missing = capsys.readouterr().out.split("missing:")
    size_bytes = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    assert (
        f"Walkway (rendered): re-packed layout in {tmp_path / 'walkway'}, {size_bytes / 1e6:.1f} MB" in found
    )
    assert "train: 2 clips, 7 frames" in found
    assert "test: 2 clips, 9 frames, 5 abnormal" in found
    assert "walkway.mat; pixel masks: 2 clips, which agree with the labels on all 9 frames" in found
    assert f"licence: {RECORDS['walkway'].licence}" in found
    assert RECORDS["avenue"].url in missing
    assert RECORDS["avenue"].licence in missing
    assert "Walkway" not in missing


def test_command_without_data(capsys):
    assert main([]) == 0
    assert "none found" in capsys.readouterr().out


def test_command_reads_labels_that_have_no_frames(tmp_path, capsys):
    make_repacked(tmp_path, "ped1")
    (tmp_path / "ground_truth").mkdir()
    (tmp_path / "ped1" / "ped1.mat").rename(tmp_path / "ground_truth" / "ped1.mat")
    shutil.rmtree(tmp_path / "ped1")
    assert main(["--data", str(tmp_path)]) == 0
    assert "ped1.mat, 2 clips, 5 abnormal frames, not 4,045" in capsys.readouterr().out


def test_disagreement_of_labels_and_masks_is_counted_and_printed(tmp_path, capsys):
    root = make_repacked(tmp_path, "walkway")
    Image.fromarray(np.ones((HEIGHT, WIDTH), np.uint8)).save(root / "testing/masks/01/000.png")
    for name in ("000.png", "001.png"):
        Image.fromarray(np.zeros((HEIGHT, WIDTH), np.uint8)).save(root / "testing/masks/02" / name)
    assert compare_with_masks(find_datasets(tmp_path)["walkway"]) == {"01": (0, 1), "02": (2, 0)}
    assert main(["--data", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "DISAGREE with the labels on 3 of 9 frames: clip 01 0 by labels alone and 1 by masks" in printed
    assert "clip 02 2 by labels alone and 0 by masks alone" in printed


def test_command_exits_with_2(tmp_path, capsys):
    make_repacked(tmp_path)
    assert main(["--data", str(tmp_path)]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert "expected 16 train clips, got 2" in captured.err
    with pytest.raises(SystemExit) as stop:
        main(["--dta", str(tmp_path)])
    assert stop.value.code == 2


# Real Ped2


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
