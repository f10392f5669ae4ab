import numpy as np
import pytest
import scipy.io
from PIL import Image

from data_prep.errors import InputError
from data_prep.labels import (
    MaskLabels,
    check_masks,
    masks_to_labels,
    read_frame_labels,
    read_masks,
    read_mat_intervals,
    read_ucsd_intervals,
)
from tests.videos import write_video


def save_mat(path, *cells, key="gt"):
    """Write cells the way the published files are: 1 x n cells of 2 x n numbers."""
    gt = np.empty((1, len(cells)), object)
    for column, cell in enumerate(cells):
        gt[0, column] = cell
    scipy.io.savemat(path, {key: gt})
    return path


def marked(labels):
    """1-based numbers of the abnormal frames."""
    return (np.flatnonzero(labels) + 1).tolist()


def test_mat_intervals_are_one_based_and_inclusive(tmp_path):
    path = save_mat(tmp_path / "a.mat", np.array([[2, 6], [3, 6]], np.uint8), np.array([[1], [5]], np.uint16))
    labels = read_frame_labels(path, {"01": 8, "02": 5})
    assert list(labels) == ["01", "02"]
    assert marked(labels["01"]) == [2, 3, 6]
    assert marked(labels["02"]) == [1, 2, 3, 4, 5]
    assert all(array.dtype == np.uint8 for array in labels.values())
    assert [len(array) for array in labels.values()] == [8, 5]


def test_uint8_ends_do_not_wrap_around(tmp_path):
    path = save_mat(tmp_path / "a.mat", np.array([[1], [255]], np.uint8))
    (intervals,) = read_mat_intervals(path)
    assert intervals.dtype == np.int64
    assert (intervals[:, 1] + 1 - intervals[:, 0]).tolist() == [255]
    assert read_frame_labels(path, {"01": 300})["01"].sum() == 255


def test_touching_and_overlapping_intervals_and_an_empty_cell(tmp_path):
    path = save_mat(tmp_path / "a.mat", np.array([[1, 3, 4], [3, 5, 4]]), np.zeros((0, 0)))
    labels = read_frame_labels(path, {"01": 6, "02": 4})
    assert marked(labels["01"]) == [1, 2, 3, 4, 5]
    assert marked(labels["02"]) == []


def test_ucsd_script_with_several_ranges(tmp_path):
    path = tmp_path / "UCSDped1.m"
    path.write_text(
        "TestVideoFile = {};\n% TestVideoFile{end+1}.gt_frame = [1:2];\n"
        "TestVideoFile{end+1}.gt_frame = [61:180];\n"
        "TestVideoFile{end+1}.gt_frame = [5:90, 140:200];\r\n"
        "TestVideoFile{end+1}.gt_frame =[ 1:15 45:113 ] ;\n"
    )
    assert [clip.tolist() for clip in read_ucsd_intervals(path)] == [
        [[61, 180]],
        [[5, 90], [140, 200]],
        [[1, 15], [45, 113]],
    ]
    labels = read_frame_labels(path, {"Test001": 180, "Test002": 200, "Test003": 200})
    assert [int(array.sum()) for array in labels.values()] == [120, 86 + 61, 15 + 69]


def test_label_arrays_are_matched_by_clip_name(tmp_path):
    for name, labels in (("01_0002", [0, 1, 1]), ("01_0001", [1, 0])):
        np.save(tmp_path / f"{name}.npy", np.array(labels, np.uint8))
    labels = read_frame_labels(tmp_path, {"01_0001": 2, "01_0002": 3})
    assert {name: array.tolist() for name, array in labels.items()} == {
        "01_0001": [1, 0],
        "01_0002": [0, 1, 1],
    }


def test_masks_are_any_set_bit(tmp_path):
    masks = np.zeros((3, 6, 8), np.uint8)
    masks[1, 2:4, 5] = 1  # 1 of 255, as some tools write a mask
    masks[2] = 255
    for number, mask in enumerate(masks):
        Image.fromarray(mask).save(tmp_path / f"frame{number:03d}.bmp")
    read = list(read_masks(tmp_path, 3, (6, 8)))
    assert all(mask.dtype == bool and mask.shape == (6, 8) for mask in read)
    np.testing.assert_array_equal(np.stack(read), masks > 0)
    labels = masks_to_labels(read)
    assert labels.dtype == np.uint8
    assert labels.tolist() == [0, 1, 1]


def test_one_bit_png_mask(tmp_path):
    Image.fromarray(np.eye(6, 8, dtype=bool)).save(tmp_path / "000.png")
    np.testing.assert_array_equal(next(read_masks(tmp_path, 1, (6, 8))), np.eye(6, 8, dtype=bool))


def test_masks_of_the_three_published_formats_are_the_same(tmp_path):
    masks = np.zeros((4, 6, 8), np.uint8)
    masks[2, 1:3, 4:6] = 1
    (tmp_path / "folder").mkdir()
    for number, mask in enumerate(masks):
        Image.fromarray(mask * 255).save(tmp_path / "folder" / f"{number}.bmp")
    np.save(tmp_path / "clip.npy", masks)
    save_mat(tmp_path / "1_label.mat", *masks, key="volLabel")
    for name in ("folder", "clip.npy", "1_label.mat"):
        check_masks(tmp_path / name, 4)
        read = list(read_masks(tmp_path / name, 4, (6, 8)))
        assert all(mask.dtype == bool for mask in read)
        np.testing.assert_array_equal(np.stack(read), masks > 0)


def test_a_video_of_masks_has_an_ending_of_any_case(tmp_path):
    frames = np.zeros((4, 16, 32, 3), np.uint8)
    frames[2] = 255
    path = write_video(tmp_path / "mask.avi", frames).rename(tmp_path / "mask.AVI")
    assert [mask.all() for mask in read_masks(path, 4, (16, 32))] == [False, False, True, False]


@pytest.mark.parametrize("kind", ["16 bits", "colors", "palette", "alpha"])
def test_a_mask_is_what_is_not_black_of_any_depth_and_color(tmp_path, kind):
    ids = np.zeros((6, 8), np.uint8)
    ids[1, 2], ids[4, 5:] = 1, 2
    colors = np.zeros((3, 3), np.uint8)
    colors[1], colors[2] = (0, 0, 1), (200, 0, 0)
    image = Image.fromarray(ids.astype(np.uint16) if kind == "16 bits" else colors[ids])
    if kind == "palette":
        image = Image.fromarray(ids, "P")
        image.putpalette(colors.ravel().tolist())
    if kind == "alpha":
        image.putalpha(Image.fromarray(np.full((6, 8), 255, np.uint8)))
    image.save(tmp_path / "000.png")
    np.testing.assert_array_equal(next(read_masks(tmp_path, 1, (6, 8))), ids > 0)


def test_masks_of_every_fifth_frame_are_read_as_they_are_counted(tmp_path):
    for number in (0, 5, 10):
        Image.fromarray(np.full((6, 8), number, np.uint8)).save(tmp_path / f"{number:03d}.png")
    assert [mask.any() for mask in read_masks(tmp_path, 3, (6, 8))] == [False, True, True]


def test_labels_from_masks_are_read_when_asked_for(tmp_path):
    for clip, marked in (("01", (0, 1, 1)), ("02", (1, 0, 0))):
        for folder in ("frames", "masks"):
            (tmp_path / folder / clip).mkdir(parents=True)
        for number, level in enumerate(marked):
            Image.fromarray(np.full((6, 8), level, np.uint8)).save(
                tmp_path / "masks" / clip / f"{number}.png"
            )
            Image.fromarray(np.zeros((6, 8), np.uint8)).save(tmp_path / "frames" / clip / f"{number}.png")
    paths = [{clip: tmp_path / folder / clip for clip in ("01", "02")} for folder in ("frames", "masks")]
    labels = MaskLabels(*paths)
    (tmp_path / "masks" / "02" / "1.png").write_bytes(b"damaged")
    assert list(labels) == ["01", "02"]
    assert len(labels) == 2
    assert labels["01"].tolist() == [0, 1, 1]
    assert labels["01"].dtype == np.uint8
    with pytest.raises(InputError, match=r"1\.png: damaged image"):
        labels["02"]


def test_labels_of_some_of_the_clips_go_by_number(tmp_path):
    path = save_mat(tmp_path / "a.mat", *(np.array([[n], [n]]) for n in (1, 2, 3)))
    labels = read_frame_labels(path, {"03": 4, "clip_2": 4}, subset=True)
    assert {name: marked(array) for name, array in labels.items()} == {"03": [3], "clip_2": [2]}
    np.save(tmp_path / "01.npy", np.array([0, 1]))
    np.save(tmp_path / "02.npy", np.array([1, 1, 1]))
    assert read_frame_labels(tmp_path, {"01": 2}, subset=True)["01"].tolist() == [0, 1]


# Faults


def test_other_number_of_clips_names_both(tmp_path):
    path = save_mat(tmp_path / "a.mat", np.array([[1], [2]]))
    with pytest.raises(InputError, match=r"a\.mat: another number of clips, expected 2 .*got 1"):
        read_frame_labels(path, {"01": 5, "02": 5})


@pytest.mark.parametrize(("start", "end"), [(3, 11), (0, 4), (5, 4)])
def test_interval_outside_the_clip_names_the_clip(tmp_path, start, end):
    path = save_mat(tmp_path / "a.mat", np.array([[1], [2]]), np.array([[start], [end]]))
    with pytest.raises(InputError, match=rf"a\.mat: clip 02: .*1\.\.10, got {start}\.\.{end}"):
        read_frame_labels(path, {"01": 5, "02": 10})


@pytest.mark.parametrize("cell", [np.ones((3, 2)), np.array([[1.5], [2.0]]), np.array(["ab"])])
def test_cell_of_another_shape(tmp_path, cell):
    with pytest.raises(InputError, match=r"a\.mat: clip 1: expected 2 x n whole"):
        read_mat_intervals(save_mat(tmp_path / "a.mat", cell))


def test_mat_without_gt_and_gt_that_is_no_cell_array(tmp_path):
    with pytest.raises(InputError, match=r"a\.mat: no labels, expected the key gt, got \['volLabel'\]"):
        read_mat_intervals(save_mat(tmp_path / "a.mat", np.ones((2, 1)), key="volLabel"))
    scipy.io.savemat(tmp_path / "b.mat", {"gt": np.ones((2, 3))})
    with pytest.raises(InputError, match=r"b\.mat: gt is no cell array"):
        read_mat_intervals(tmp_path / "b.mat")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.9])
def test_truncated_mat(tmp_path, share):
    path = save_mat(tmp_path / "a.mat", np.array([[1], [2]]))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(InputError, match=r"a\.mat: "):
        read_mat_intervals(path)


@pytest.mark.parametrize("line", ["[61-180]", "[61]", "[a:b]"])
def test_ucsd_line_that_is_no_range(tmp_path, line):
    (tmp_path / "a.m").write_text(f"TestVideoFile{{end+1}}.gt_frame = {line};\n")
    with pytest.raises(InputError, match=r"a\.m: clip 1: expected ranges"):
        read_ucsd_intervals(tmp_path / "a.m")


def test_ucsd_script_without_labels(tmp_path):
    (tmp_path / "a.m").write_text("TestVideoFile = {};\n")
    with pytest.raises(InputError, match=r"a\.m: no frame labels"):
        read_ucsd_intervals(tmp_path / "a.m")
    (tmp_path / "b.m").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(InputError, match=r"b\.m: not a text file"):
        read_ucsd_intervals(tmp_path / "b.m")


def test_label_array_faults(tmp_path):
    path = tmp_path / "01.npy"
    np.save(path, np.zeros(4, np.uint8))
    with pytest.raises(InputError, match=r"01\.npy: clip 01: expected 5 labels .*\(4,\)"):
        read_frame_labels(tmp_path, {"01": 5})
    with pytest.raises(InputError, match=r"no labels of clip 02, expected 02\.npy"):
        read_frame_labels(tmp_path, {"02": 4})
    with pytest.raises(InputError, match=r"another number of clips, expected 2 .*got 1"):
        read_frame_labels(tmp_path, {"01": 4, "02": 4})
    np.save(path, np.array([0, 1, 2, 0]))
    with pytest.raises(InputError, match=r"01\.npy: clip 01: expected labels 0 and 1"):
        read_frame_labels(tmp_path, {"01": 4})
    path.write_bytes(b"junk")
    with pytest.raises(InputError, match=r"01\.npy: not a readable"):
        read_frame_labels(tmp_path, {"01": 4})


def test_missing_and_unknown_sources(tmp_path):
    with pytest.raises(InputError, match=r"gone\.mat: no such file"):
        read_frame_labels(tmp_path / "gone.mat", {"01": 4})
    (tmp_path / "labels.txt").write_text("0 1")
    with pytest.raises(InputError, match=r"labels\.txt: unknown kind"):
        read_frame_labels(tmp_path / "labels.txt", {"01": 4})


def test_mask_faults(tmp_path):
    for number in range(2):
        Image.fromarray(np.zeros((6, 8), np.uint8)).save(tmp_path / f"{number}.png")
    with pytest.raises(InputError, match="another number of masks, expected 3 as frames, got 2"):
        list(read_masks(tmp_path, 3, (6, 8)))
    with pytest.raises(InputError, match=r"0\.png: mask of another size, expected 9x6 px .*got 8x6 px"):
        list(read_masks(tmp_path, 2, (6, 9)))


def test_mask_array_faults(tmp_path):
    path = tmp_path / "01.npy"
    np.save(path, np.zeros((3, 6, 8), bool))
    with pytest.raises(InputError, match=r"01\.npy: another number of masks, expected 4 as frames, got 3"):
        check_masks(path, 4)
    with pytest.raises(InputError, match=r"01\.npy: frame 1: mask of another size, .*9x6 px .*got 8x6 px"):
        list(read_masks(path, 3, (6, 9)))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"01\.npy: not a readable \.npy file"):
        check_masks(path, 3)
    np.save(path, np.zeros((3, 6)))
    with pytest.raises(InputError, match=r"01\.npy: expected masks \(n_frames, H, W\), got shape \(3, 6\)"):
        check_masks(path, 3)


def test_mask_cells_faults(tmp_path):
    path = save_mat(tmp_path / "1_label.mat", np.zeros((6, 8)), np.zeros((6, 9)), key="volLabel")
    with pytest.raises(
        InputError, match=r"1_label\.mat: another number of masks, expected 3 as frames, got 2"
    ):
        list(read_masks(path, 3, (6, 8)))
    with pytest.raises(InputError, match=r"1_label\.mat: frame 2: mask of another size, .* got 9x6 px"):
        list(read_masks(path, 2, (6, 8)))
    save_mat(path, np.zeros((6, 8)), key="gt")
    with pytest.raises(InputError, match=r"1_label\.mat: no labels, expected the key volLabel, got \['gt'\]"):
        list(read_masks(path, 1, (6, 8)))


# Published label files


@pytest.mark.parametrize(
    ("name", "n_clips", "n_abnormal_frames"),
    [("avenue", 21, 3867), ("ped1", 36, 4045), ("ped2", 12, 1648), ("enter", 6, 39671), ("exit", 4, 11340)],
)
def test_published_mat_files(real_data, name, n_clips, n_abnormal_frames):
    path = real_data / "ground_truth" / f"{name}.mat"
    per_clip = read_mat_intervals(path)
    assert len(per_clip) == n_clips
    last_frames = {str(number): int(clip.max()) for number, clip in enumerate(per_clip)}
    assert (
        sum(int(labels.sum()) for labels in read_frame_labels(path, last_frames).values())
        == n_abnormal_frames
    )


def test_published_ped1_labels_are_of_7200_frames(real_data):
    labels = read_frame_labels(
        real_data / "ground_truth" / "ped1.mat", {f"Test{n:03d}": 200 for n in range(1, 37)}
    )
    assert sum(map(len, labels.values())) == 7200
    assert sum(int(array.sum()) for array in labels.values()) == 4045


def test_entrance_files_hold_the_same_intervals_counted_from_1_and_from_0(real_data):
    one_based, zero_based = (
        read_mat_intervals(real_data / "ground_truth" / f"{name}.mat") for name in ("enter", "enter_original")
    )
    shifts = {int(shift) for a, b in zip(one_based, zero_based, strict=True) for shift in (a - b).ravel()}
    assert shifts == {1}


def test_zero_based_file_is_refused(real_data):
    path = real_data / "ground_truth" / "enter_original.mat"
    with pytest.raises(InputError, match=r"enter_original\.mat: clip 01: .*got 0\.\.129"):
        read_frame_labels(path, {f"{number:02d}": 30000 for number in range(1, 7)})


def test_published_label_arrays(real_data):
    folder = real_data / "ground_truth" / "shanghaitech"
    clip_frames = {path.stem: len(np.load(path)) for path in folder.glob("*.npy")}
    labels = read_frame_labels(folder, clip_frames)
    assert len(labels) == 107
    assert sum(len(array) for array in labels.values()) == 40791
    assert sum(int(array.sum()) for array in labels.values()) == 17326
