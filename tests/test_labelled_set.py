"""A labelled set of one's own: read as it lies there, refused in one line where a part is missing."""

import re
import shutil
from unicodedata import normalize

import cv2
import numpy as np
import pytest
from scipy.io import savemat

from data_prep.command_line import chosen_datasets
from data_prep.datasets import find_datasets, read_labelled_set
from data_prep.datasets.__main__ import main as list_datasets
from data_prep.errors import InputError
from experiments.lab.publishing.results import Row
from tests.videos import write_video

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


@pytest.mark.parametrize(("both", "other"), [("training", "testing"), ("testing", "training")])
def test_where_a_split_has_frames_and_videos_the_frames_are_read(scene, both, other):
    """Whatever the other split has: here videos alone."""
    (scene / other / "frames").rename(scene / "elsewhere")
    for split in (both, other):
        (scene / split / "videos").mkdir()
        for clip, labels in LABELS.items():
            frames = np.zeros((len(labels), 16, 32, 3), np.uint8)
            write_video(scene / split / "videos" / f"{clip}.mp4", frames)
    dataset = read_labelled_set(scene)
    folders = {clip.split for clip in dataset.clips if clip.source.is_dir()}
    assert folders == {{"training": "train", "testing": "test"}[both]}


@pytest.mark.parametrize("part", ["training/frames", "testing/frames"])
def test_a_missing_part_is_named(scene, part):
    (scene / part).rename(scene / "elsewhere")
    with pytest.raises(InputError, match=f"no labelled set, no {part}/"):
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


def without_labels(scene):
    shutil.rmtree(scene / "testing/test_frame_mask")
    return scene


def write_table(scene, *lines):
    (scene / "labels.csv").write_text("\n".join(["clip,first,last", *lines]) + "\n", encoding="utf-8-sig")


def write_mat(scene):
    cells = np.empty((1, 2), object)
    cells[0, 0], cells[0, 1] = np.array([[2], [3]]), np.zeros((2, 0))
    savemat(scene / f"{scene.name}.mat", {"gt": cells})


@pytest.mark.parametrize("kind", ["table", "mat"])
def test_labels_of_every_kind_are_the_same(scene, kind):
    without_labels(scene)
    write_table(scene, "02,2,3", "10,,") if kind == "table" else write_mat(scene)
    dataset = read_labelled_set(scene)
    assert {name: labels.tolist() for name, labels in dataset.test_labels.items()} == LABELS


def test_a_clip_has_several_intervals_in_a_table(scene):
    write_table(without_labels(scene), "10,,", "02,1,1", "", "02,3,4")
    assert read_labelled_set(scene).test_labels["02"].tolist() == [1, 0, 1, 1]


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_a_table_has_the_line_ends_of_any_system_and_empty_lines(scene, ends):
    lines = ["", ",,", "clip,first,last", "02,2,3", "", "10,,", ""]
    (without_labels(scene) / "labels.csv").write_bytes(ends.join(lines).encode())
    dataset = read_labelled_set(scene)
    assert {name: labels.tolist() for name, labels in dataset.test_labels.items()} == LABELS


def test_a_table_has_empty_columns_beside_it(scene):
    lines = ["clip,first,last,,", "02,2,3,,", ",,,,", "10,,,,"]
    (without_labels(scene) / "labels.csv").write_text("\n".join(lines))
    dataset = read_labelled_set(scene)
    assert {name: labels.tolist() for name, labels in dataset.test_labels.items()} == LABELS


def test_a_fourth_column_with_something_in_it_is_refused(scene):
    (without_labels(scene) / "labels.csv").write_text("clip,first,last\n02,2,3,4\n10,,\n")
    with pytest.raises(InputError, match=r"labels\.csv: line 2: expected a clip"):
        read_labelled_set(scene)


@pytest.mark.parametrize(("folder", "table"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_table_spells_an_accent_in_either_way(scene, folder, table):
    frames = without_labels(scene) / "testing/frames"
    name = "entr\u00e9e"
    (frames / "02").rename(frames / normalize(folder, name))
    write_table(scene, f"{normalize(table, name)},2,3", "10,,")
    assert read_labelled_set(scene).test_labels[normalize(folder, name)].tolist() == LABELS["02"]


@pytest.mark.parametrize(("folder", "array"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_an_array_spells_an_accent_in_either_way(scene, folder, array):
    arrays, name = scene / "testing/test_frame_mask", "entr\u00e9e"
    (scene / "testing/frames/02").rename(scene / "testing/frames" / normalize(folder, name))
    (arrays / "02.npy").rename(arrays / f"{normalize(array, name)}.npy")
    assert read_labelled_set(scene).test_labels[normalize(folder, name)].tolist() == LABELS["02"]


def test_a_table_may_have_spaces_before_quotes(scene):
    write_table(without_labels(scene), '"02", "2", "3"', ' "10", "", ""')
    dataset = read_labelled_set(scene)
    assert {name: labels.tolist() for name, labels in dataset.test_labels.items()} == LABELS


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        (["02,2,3"], "labels.csv: no labels of clip 10, expected a line `10,,`"),
        (
            ["02,2,3", "10,,", "7,1,1"],
            "labels.csv: labels of clip 7, which is not there, expected those of 02, 10",
        ),
        (["02,2,5", "10,,"], r"clip 02: expected an interval inside frames 1\.\.4, got 2\.\.5"),
        (["02,3,2", "10,,"], r"got 3\.\.2"),
        (
            ["02,2,", "10,,"],
            "labels.csv: line 2: expected a clip, its first and last abnormal frame or neither",
        ),
        (["02,2,x", "10,,"], "line 2"),
        (["02,2,3,4", "10,,"], "line 2"),
        ([",2,3"], "line 2"),
        (["0\0002,2,3"], r"line 2: expected a clip, .*, got '0\\x002,2,3'"),
        (
            ["02,2,3", "10,,", "02,,"],
            "line 4: clip 02 has an abnormal interval in one line and none in another",
        ),
        (["10,,", "02,2,3", "10,1,1"], "line 4: clip 10 has an abnormal interval in one line and none"),
    ],
)
def test_tables_that_do_not_fit_are_refused(scene, lines, fault):
    write_table(without_labels(scene), *lines)
    with pytest.raises(InputError, match=fault):
        read_labelled_set(scene)


def test_a_table_of_another_kind_is_refused(scene):
    without_labels(scene)
    (scene / "labels.csv").write_text("clip;first;last\n02;2;3\n")
    with pytest.raises(InputError, match="expected the first line clip,first,last"):
        read_labelled_set(scene)
    (scene / "labels.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="expected text in UTF-8"):
        read_labelled_set(scene)


def test_clips_without_labels_and_labels_without_clips_are_named(scene):
    arrays = scene / "testing/test_frame_mask"
    (arrays / "10.npy").rename(arrays / "11.npy")
    with pytest.raises(InputError, match=r"no labels of clip 10, expected 10\.npy"):
        read_labelled_set(scene)
    np.save(arrays / "10.npy", np.zeros(2, np.uint8))
    with pytest.raises(InputError, match="labels of clip 11, which is not there"):
        read_labelled_set(scene)


def test_two_kinds_of_labels_are_refused(scene):
    write_mat(scene)
    with pytest.raises(InputError, match="labels of a second kind"):
        read_labelled_set(scene)


def test_clips_may_be_videos(scene):
    shutil.rmtree(scene / "training")
    (scene / "training/videos").mkdir(parents=True)
    write_video(scene / "training/videos/night.mp4", np.zeros((6, 16, 32, 3), np.uint8))
    dataset = read_labelled_set(scene)
    assert [(clip.name, len(dataset.frame_labels(clip))) for clip in dataset.split("train")] == [("night", 6)]


def test_pixel_masks_are_found_and_counted(scene):
    for clip, labels in LABELS.items():
        (scene / "testing/masks" / clip).mkdir(parents=True)
        for number, label in enumerate(labels):
            cv2.imwrite(
                str(scene / f"testing/masks/{clip}/{number}.png"), np.full((12, 16), 255 * label, np.uint8)
            )
    dataset = read_labelled_set(scene)
    assert dataset.has_pixel_masks
    assert [mask.all() for mask in dataset.pixel_masks(dataset.split("test")[0])] == [0, 1, 1, 0]
    (scene / "testing/masks/10/0.png").unlink()
    with pytest.raises(InputError, match="another number of masks"):
        read_labelled_set(scene)
    shutil.rmtree(scene / "testing/masks/10")
    with pytest.raises(
        InputError, match=r"masks/10: .* expected the pixel masks of every test clip, or of none"
    ):
        read_labelled_set(scene)
    (scene / "testing/masks/02").rename(scene / "testing/masks/a")
    with pytest.raises(
        InputError, match="masks/a: masks of a clip that is not there, expected those of 02, 10"
    ):
        read_labelled_set(scene)


def test_what_lies_beside_the_clips_is_named(scene, capsys):
    for name in ("training/frames/loose.jpg", "testing/frames/notes.txt", "testing/frames/.hidden"):
        (scene / name).touch()
    (scene / "testing/videos").mkdir()
    write_video(scene / "testing/videos/02.mp4", np.zeros((4, 16, 32, 3), np.uint8))
    (scene / "testing/frames/@eaDir").mkdir()
    assert read_labelled_set(scene).clip_list().test == ("02", "10")
    said = capsys.readouterr().err
    assert said == (
        f"{scene}: left out, as no clips: training/frames/loose.jpg, testing/frames/notes.txt, "
        "testing/videos/02.mp4 (3 in all)\n"
    )


def test_what_is_said_about_it(scene):
    (scene / "dataset.toml").write_text(
        'title = "Yard, east"\n'.replace(", ", " ")
        + 'frames_per_second = 12.5\nlicence = "CC0"\nsource = "me"\n'
    )
    record = read_labelled_set(scene).record
    assert (record.name, record.heading) == ("my camera", "Yard east")
    assert (record.frames_per_second, record.licence, record.url) == (12.5, "CC0", "me")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("title =", "expected TOML"),
        ('name = "x"', "name: unknown, expected some of title"),
        ("title = 3", "title: expected a text, got 3"),
        ('frames_per_second = "x"', "frames_per_second: expected a number"),
        ("frames_per_second = 0", "expected more than 0"),
        ("frames_per_second = nan", "expected more than 0"),
        ("frames_per_second = " + "9" * 400, "expected more than 0, less than"),
        ('title = "  "', "title: expected a line of letters"),
        ('licence = "a\\nb"', "licence: expected a line of letters"),
        ('source = "\\u001b[31m"', "source: expected a line of letters"),
        ('title = "a|b"', "expected a name"),
        ('title = "Ped 2"', "'Ped 2' is a known dataset's name"),
        ('title = "cuhk avenue"', "is a known dataset's name"),
        ('title = "Moving MNIST"', "is a known dataset's name"),
    ],
)
def test_what_is_said_wrongly_is_refused(scene, text, fault):
    (scene / "dataset.toml").write_text(text)
    with pytest.raises(InputError, match=rf"dataset\.toml: .*{fault}|dataset\.toml: {fault}"):
        read_labelled_set(scene)


def test_a_byte_order_mark_is_no_fault(scene):
    (scene / "dataset.toml").write_bytes(b'\xef\xbb\xbftitle = "Yard"')
    assert read_labelled_set(scene).record.title == "Yard"


def test_it_is_found_beside_the_known_ones_and_under_its_own_name(scene, tmp_path):
    shutil.copytree(scene, tmp_path / "garage")
    (tmp_path / "door").symlink_to(scene)
    found = find_datasets(tmp_path)
    assert list(found) == ["door", "garage", "my camera"]
    assert all(dataset.own for dataset in found.values())
    (scene / "dataset.toml").write_text('title = "garage"')
    with pytest.raises(InputError, match="two sets of the title 'garage'"):
        find_datasets(tmp_path)


def test_a_folder_of_a_known_name_says_that_ones_own_needs_another(scene):
    hint = "; a set of your own needs a name of its own: rename its folder, e.g. my_ped1$"
    root = as_known(scene, "ped1")
    with pytest.raises(InputError, match=f"not the official copy, .*{hint}"):
        find_datasets(root.parent)
    without_labels(root)
    with pytest.raises(InputError, match=f"no frame labels, .*{hint}"):
        find_datasets(root.parent)
    (root / "training/frames").rename(root / "training/videos")
    with pytest.raises(InputError, match=f"no known layout, .*{hint}"):
        find_datasets(root.parent)


def as_known(scene, name):
    root = scene.with_name(name)
    scene.rename(root)
    return root


def test_no_published_number_stands_beside_it():
    assert Row("table_10", "TSC", "Inference", "fps", ours=3.0, dataset="Ped2").paper == 7
    assert Row("table_10", "TSC", "Inference", "fps", ours=3.0, dataset="my camera").paper is None
    assert Row("table_09", "Late Fusion", "Ped2", "auc", ours=0.5, dataset="my camera").paper is None


def test_a_set_with_a_fault_stops_only_what_needs_it(scene, capsys):
    """What is left out is told; asked for by name, or where all are, its fault is raised."""
    shutil.copytree(scene, scene.parent / "lot")
    fault = scene.parent / "lot" / "testing" / "test_frame_mask" / "10.npy"
    np.save(fault, np.zeros(7, np.uint8))
    assert [one.name for one in chosen_datasets(scene.parent, [scene.name])] == [scene.name]
    assert re.search(rf"WARNING: {fault}.*; lot is left out\n", capsys.readouterr().err)
    for names in (None, [scene.name, "lot"]):
        with pytest.raises(InputError, match=re.escape(str(fault))):
            chosen_datasets(scene.parent, names)
    assert list_datasets(["--data", str(scene.parent)]) == 2
    told = capsys.readouterr()
    assert f"--datasets {scene.name}" in told.out
    assert told.err.count(str(fault)) == 1
