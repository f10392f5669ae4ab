"""Every layout of every dataset, made small: clips, splits, labels, masks, and the frames themselves."""

from dataclasses import replace

import imageio.v3 as iio
import numpy as np
import pytest
import scipy.io
from PIL import Image

from data_prep import layouts
from data_prep.datasets import RECORDS, compare_with_masks, find_datasets
from data_prep.errors import InputError
from data_prep.frames import Segment, count_frames, iter_frames
from data_prep.labels import read_frame_labels

HEIGHT, WIDTH = 32, 48


def gray_frames(n, first=0):
    """Frames that tell their own number by their gray level: uint8 (n, H, W, 3)."""
    levels = (np.arange(first, first + n) * 12 % 256).astype(np.uint8)
    return np.broadcast_to(levels[:, None, None, None], (n, HEIGHT, WIDTH, 3))


def numbers_of(frames):
    """Read the numbers back."""
    return [round(frame.mean() / 12) for frame in frames]


def square_masks(n, abnormal):
    """Masks uint8 (n, H, W): a square of ones in the frames of the given 0-based indices."""
    masks = np.zeros((n, HEIGHT, WIDTH), np.uint8)
    masks[list(abnormal), 8:24, 8:24] = 1
    return masks


def write_images(folder, frames, suffix, first=0):
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames, start=first):
        Image.fromarray(frame).save(folder / f"{number:03d}{suffix}")


def write_video(path, frames):
    path.parent.mkdir(parents=True, exist_ok=True)
    iio.imwrite(path, np.ascontiguousarray(frames), plugin="pyav", codec="mpeg4", fps=25)


def cells(arrays):
    """A 1 x n MATLAB cell array."""
    row = np.empty((1, len(arrays)), object)
    for column, array in enumerate(arrays):
        row[0, column] = array
    return row


def intervals(*ranges):
    """A 2 x n array of 1-based, inclusive starts and ends."""
    return np.array(ranges).reshape(-1, 2).T


def read_small(data_dir, name):
    """The dataset that is to be found alone."""
    found = find_datasets(data_dir, check_counts=False)
    assert list(found) == [name]
    return found[name]


def summary(dataset):
    """Per clip (split, name, frame count, labels)."""
    return [
        (c.split, c.name, count_frames(c.source), dataset.frame_labels(c).tolist()) for c in dataset.clips
    ]


# Avenue


def make_avenue(root, n_train=5, n_test=(6, 4)):
    write_video(root / "training_videos" / "01.avi", gray_frames(n_train))
    for clip, n in enumerate(n_test, start=1):
        write_video(root / "testing_videos" / f"{clip:02d}.avi", gray_frames(n, first=clip))
        folder = root / "ground_truth_demo" / "testing_label_mask"
        folder.mkdir(parents=True, exist_ok=True)
        scipy.io.savemat(folder / f"{clip}_label.mat", {"volLabel": cells(square_masks(n, [1, 2]))})


@pytest.mark.parametrize("folder", ["Avenue Dataset", "avenue", "Avenue"])
def test_avenue_official_labels_are_its_masks(tmp_path, folder):
    make_avenue(tmp_path / folder)
    dataset = read_small(tmp_path, "avenue")
    assert (dataset.layout, dataset.label_source) == ("official", "pixel masks")
    assert summary(dataset) == [
        ("train", "01", 5, [0] * 5),
        ("test", "01", 6, [0, 1, 1, 0, 0, 0]),
        ("test", "02", 4, [0, 1, 1, 0]),
    ]
    first, second = dataset.split("test")
    np.testing.assert_array_equal(np.stack(list(dataset.pixel_masks(first))), square_masks(6, [1, 2]) > 0)
    assert numbers_of(iter_frames(second.source)) == [2, 3, 4, 5]


@pytest.mark.parametrize("place", ["avenue/avenue.mat", "ground_truth/avenue.mat"])
def test_avenue_label_file_comes_before_the_masks(tmp_path, place):
    make_avenue(tmp_path / "avenue")
    (tmp_path / place).parent.mkdir(exist_ok=True)
    gt = cells([intervals((1, 2), (6, 6)), intervals((2, 3))])
    scipy.io.savemat(tmp_path / place, {"gt": gt})
    dataset = read_small(tmp_path, "avenue")
    assert dataset.label_source == str(tmp_path / place)
    assert [labels for *_, labels in summary(dataset)[1:]] == [[1, 1, 0, 0, 0, 1], [0, 1, 1, 0]]
    # Clip 1: the file marks frames 1, 2, 6 and the masks 2, 3.
    assert compare_with_masks(dataset) == {"01": (2, 1), "02": (0, 0)}


# UCSD


def make_ped1(root):
    for name, n in (("Train001", 3), ("Train002", 2)):
        write_images(root / "Train" / name, gray_frames(n), ".tif", first=1)
    for name, n in (("Test001", 4), ("Test002", 3)):
        write_images(root / "Test" / name, gray_frames(n), ".tif", first=1)
    write_images(root / "Test" / "Test002_gt", square_masks(3, [0]) * 255, ".bmp", first=1)
    lines = "".join(f"TestVideoFile{{end+1}}.gt_frame = [{r}];\n" for r in ("2:3", "1:1"))
    (root / "Test" / "UCSDped1.m").write_text(lines)


def test_ped1_has_masks_of_some_clips(tmp_path):
    make_ped1(tmp_path / "UCSD_Anomaly_Dataset.v1p2" / "UCSDped1")
    dataset = read_small(tmp_path, "ped1")
    assert summary(dataset)[2:] == [("test", "Test001", 4, [0, 1, 1, 0]), ("test", "Test002", 3, [1, 0, 0])]
    assert not dataset.has_pixel_masks
    first, second = dataset.split("test")
    assert [int(mask.sum()) for mask in dataset.pixel_masks(second)] == [256, 0, 0]
    with pytest.raises(InputError, match="Test001: no pixel masks for this clip"):
        dataset.pixel_masks(first)
    assert compare_with_masks(dataset) == {"Test002": (0, 0)}


# ShanghaiTech


@pytest.mark.parametrize("layout", ["official", "re-packed"])
def test_shanghaitech(tmp_path, layout):
    root = tmp_path / "shanghaitech"
    for name, n in (("01_001", 7), ("01_002", 4)):
        if layout == "official":
            write_video(root / "training" / "videos" / f"{name}.avi", gray_frames(n))
        else:
            write_images(root / "training" / "frames" / name, gray_frames(n), ".jpg")
    labels = {"01_0014": [0, 1, 1], "02_0001": [1, 0, 0, 0]}
    for folder in ("test_frame_mask", "test_pixel_mask"):
        (root / "testing" / folder).mkdir(parents=True)
    for name, marked in labels.items():
        write_images(root / "testing" / "frames" / name, gray_frames(len(marked)), ".jpg")
        np.save(root / "testing" / "test_frame_mask" / f"{name}.npy", np.array(marked, np.int8))
        masks = square_masks(len(marked), np.flatnonzero(marked)).astype(bool)
        np.save(root / "testing" / "test_pixel_mask" / f"{name}.npy", masks)
    dataset = read_small(tmp_path, "shanghaitech")
    assert dataset.layout == layout
    assert summary(dataset) == [
        ("train", "01_001", 7, [0] * 7),
        ("train", "01_002", 4, [0] * 4),
        ("test", "01_0014", 3, [0, 1, 1]),
        ("test", "02_0001", 4, [1, 0, 0, 0]),
    ]
    # Frame by frame, the training clips give the count that is checked against the official one.
    assert [numbers_of(iter_frames(c.source)) for c in dataset.split("train")] == [[*range(7)], [*range(4)]]
    assert compare_with_masks(dataset) == {"01_0014": (0, 0), "02_0001": (0, 0)}
    assert next(dataset.pixel_masks(dataset.split("test")[1])).sum() == 256


# Subway


@pytest.fixture
def small_exit(monkeypatch):
    """Subway Exit with 5 training frames and three test clips of 4 frames, the last of what remains."""
    layout = layouts.one_video_layout("subway_exit_turnstiles.AVI", 5, 4)
    record = replace(RECORDS["exit"], layouts=(layout, *RECORDS["exit"].layouts[1:]), n_test_clips=3)
    monkeypatch.setitem(RECORDS, "exit", record)


def test_subway_is_one_video_in_ranges(tmp_path, small_exit):
    video = tmp_path / "exit" / "subway_exit_turnstiles.AVI"
    write_video(video.with_suffix(".avi"), gray_frames(20))
    video.with_suffix(".avi").rename(video)
    scipy.io.savemat(
        tmp_path / "exit" / "exit.mat", {"gt": cells([intervals((4, 4)), intervals(), intervals((1, 7))])}
    )
    dataset = read_small(tmp_path, "exit")
    assert summary(dataset) == [
        ("train", "01", 5, [0] * 5),
        ("test", "01", 4, [0, 0, 0, 1]),
        ("test", "02", 4, [0] * 4),
        ("test", "03", 7, [1] * 7),
    ]
    frames = [numbers_of(iter_frames(clip.source)) for clip in dataset.clips]
    assert frames == [[*range(5)], [*range(5, 9)], [*range(9, 13)], [*range(13, 20)]]
    assert not dataset.has_pixel_masks


def test_subway_video_too_short_for_its_labels(tmp_path, small_exit):
    video = tmp_path / "exit" / "subway_exit_turnstiles.AVI"
    write_video(video.with_suffix(".avi"), gray_frames(13))
    video.with_suffix(".avi").rename(video)
    with pytest.raises(InputError, match=r"turnstiles\.AVI: too short, expected more than 13 frames, got 13"):
        find_datasets(tmp_path)


@pytest.mark.parametrize(
    ("name", "file", "n_frames"), [("entrance", "enter", 144249), ("exit", "exit", 64901)]
)
def test_published_subway_labels_fit_the_cuts(tmp_path, monkeypatch, real_data, name, file, n_frames):
    """The videos are on request; 64,901 frames is in the paper's Table 2, 144,249 is what others count."""
    monkeypatch.setattr(layouts, "count_frames", lambda path: n_frames)
    parts = RECORDS[name].layouts[0].find(RECORDS[name], tmp_path)
    sources = [*parts.train.values(), *parts.test.values()]
    assert [source.start for source in sources[1:]] == [source.stop for source in sources[:-1]]
    assert (sources[0].start, sources[-1].stop) == (0, n_frames)
    assert sources[0].stop == RECORDS[name].n_train_frames
    clip_frames = {clip: source.stop - source.start for clip, source in parts.test.items()}
    labels = read_frame_labels(real_data / "ground_truth" / f"{file}.mat", clip_frames)
    assert sum(map(len, labels.values())) == n_frames - RECORDS[name].n_train_frames


def test_entrance_labels_reach_beyond_the_frames_that_the_paper_counts(tmp_path, monkeypatch, real_data):
    monkeypatch.setattr(layouts, "count_frames", lambda path: 136524)
    parts = RECORDS["entrance"].layouts[0].find(RECORDS["entrance"], tmp_path)
    clip_frames = {clip: source.stop - source.start for clip, source in parts.test.items()}
    with pytest.raises(InputError, match=r"clip 06: expected .*1\.\.16524"):
        read_frame_labels(real_data / "ground_truth" / "enter.mat", clip_frames)


def test_subway_in_clips(tmp_path):
    write_video(tmp_path / "enter" / "training_videos" / "01.avi", gray_frames(3))
    write_video(tmp_path / "enter" / "testing_videos" / "01.avi", gray_frames(4))
    scipy.io.savemat(tmp_path / "enter" / "enter.mat", {"gt": cells([intervals((2, 2))])})
    assert summary(read_small(tmp_path, "entrance"))[1] == ("test", "01", 4, [0, 1, 0, 0])


# LV


def make_lv(root, n_train=(3, 2)):
    table = np.empty((2, 3), object)
    for row, (scene, n, abnormal) in enumerate((("Panic", 8, [4, 5]), ("Car crash", 5, [4]))):
        write_video(root / "videos" / f"{scene}.avi", gray_frames(n))
        masks = np.repeat(square_masks(n, abnormal)[..., None] * 255, 3, axis=3)
        write_video(root / "gt" / f"g{scene}.avi", masks)
        table[row] = f"DATA\\LV\\{scene}.avi", f"g{scene}.avi", float(n_train[row])
    scipy.io.savemat(root / "LVparms.mat", {"LVparms": table})


def test_lv_trains_on_the_start_of_each_video(tmp_path):
    make_lv(tmp_path / "LV")
    dataset = read_small(tmp_path, "lv")
    assert summary(dataset) == [
        ("train", "Panic", 3, [0] * 3),
        ("train", "Car crash", 2, [0] * 2),
        ("test", "Panic", 5, [0, 1, 1, 0, 0]),
        ("test", "Car crash", 3, [0, 0, 1]),
    ]
    panic = dataset.split("test")[0]
    assert numbers_of(iter_frames(panic.source)) == [3, 4, 5, 6, 7]
    shares = [mask.sum() / 256 for mask in dataset.pixel_masks(panic)]  # lossy: the edges may move
    np.testing.assert_allclose(shares, [0, 1, 1, 0, 0], atol=0.15)


@pytest.mark.parametrize(
    ("n_train", "gone", "message"),
    [
        ((8, 2), None, r"LVparms\.mat: Panic\.avi: expected one row with 1\.\.7 frames to train on, got 8"),
        ((3, 2), "gt/gPanic.avi", r"LVparms\.mat: gPanic\.avi: no such file in the folder"),
    ],
)
def test_lv_faults(tmp_path, n_train, gone, message):
    make_lv(tmp_path / "lv", n_train)
    if gone:
        (tmp_path / "lv" / gone).unlink()
    with pytest.raises(InputError, match=message):
        find_datasets(tmp_path)


def test_lv_table_of_another_shape(tmp_path):
    (tmp_path / "lv").mkdir()
    scipy.io.savemat(tmp_path / "lv" / "LVparms.mat", {"LVparms": np.array([["a"]], object)})
    with pytest.raises(InputError, match=r"LVparms\.mat: expected n_scenes x 3 cells .*got \(1, 1\)"):
        find_datasets(tmp_path)


# What all have in common


@pytest.mark.parametrize("name", list(RECORDS))
def test_every_dataset_is_read_re_packed(tmp_path, name):
    root = tmp_path / name
    write_images(root / "training" / "frames" / "01", gray_frames(3), ".jpg")
    for clip in ("2", "10"):
        write_images(root / "testing" / "frames" / clip, gray_frames(2), ".jpg")
    (root / "testing" / "frames" / ".hidden").mkdir()
    gt = cells([intervals((1, 1)), intervals((2, 2))])
    scipy.io.savemat(root / f"{name}.mat", {"gt": gt})
    dataset = read_small(tmp_path, name)
    assert dataset.layout == "re-packed"
    assert summary(dataset) == [
        ("train", "01", 3, [0, 0, 0]),
        ("test", "2", 2, [1, 0]),
        ("test", "10", 2, [0, 1]),
    ]
    assert dataset.complete


@pytest.mark.parametrize("name", [name for name in RECORDS if RECORDS[name].n_train_frames])
def test_every_published_count_is_checked(tmp_path, name):
    write_images(tmp_path / name / "training" / "frames" / "01", gray_frames(3), ".jpg")
    write_images(tmp_path / name / "testing" / "frames" / "01", gray_frames(2), ".jpg")
    scipy.io.savemat(tmp_path / name / f"{name}.mat", {"gt": cells([intervals((1, 1))])})
    with pytest.raises(InputError, match=rf"{name}: not the official copy, expected \d+ .*, got \d"):
        find_datasets(tmp_path)


def test_folder_of_a_known_name_in_no_known_layout(tmp_path):
    (tmp_path / "avenue" / "videos").mkdir(parents=True)
    with pytest.raises(InputError, match=r"avenue: no known layout, expected training_videos.*, got neither"):
        find_datasets(tmp_path)


def test_two_clips_of_one_name(tmp_path):
    write_video(tmp_path / "avenue" / "training_videos" / "01.avi", gray_frames(2))
    write_video(tmp_path / "avenue" / "training_videos" / "01.mp4", gray_frames(2))
    (tmp_path / "avenue" / "testing_videos").mkdir()
    with pytest.raises(InputError, match=r"01\.mp4: second clip of that name, expected 01\.avi alone"):
        find_datasets(tmp_path)


def test_segment_of_a_folder(tmp_path):
    write_images(tmp_path / "clip", gray_frames(6), ".png")
    assert numbers_of(iter_frames(Segment(tmp_path / "clip", 2, 5))) == [2, 3, 4]
