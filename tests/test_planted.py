"""Planted strangers: what they change and what they leave, on clips that the test draws."""

import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from data_prep import walkway
from data_prep.datasets import Clip, find_datasets
from data_prep.errors import InputError
from data_prep.files import locked
from data_prep.frames import Segment, count_frames, iter_frames
from data_prep.planted import first_frames, moving_thing, planted_dataset, split_clips

ROOT = Path(__file__).parents[1]
HEIGHT, WIDTH = 48, 80


def draw_clip(folder, n_frames=48, gray=40, walks=True):
    """Write a clip on a plain ground: a bright square that walks from the left to the right."""
    folder.mkdir(parents=True)
    for index in range(n_frames):
        frame = np.full((HEIGHT, WIDTH, 3), gray, np.uint8)
        if walks:
            frame[24:32, index : index + 8] = 200
        cv2.imwrite(str(folder / f"{index + 1:03d}.png"), frame)
    return folder


def dataset_of(clips, root):
    """Return what `planted_dataset` needs of a dataset."""
    record = SimpleNamespace(title="Drawn", licence="none")
    training = tuple(Clip("drawn", "train", name, source) for name, source in clips.items())
    return SimpleNamespace(name="drawn", record=record, root=root, split=lambda split: training)


@pytest.fixture
def drawn(tmp_path):
    clips = {f"{n:02d}": draw_clip(tmp_path / "drawn" / f"{n:02d}", gray=35 + n) for n in range(1, 9)}
    return dataset_of(clips, tmp_path / "drawn")


@pytest.fixture
def planted(drawn, tmp_path):
    return planted_dataset(drawn, tmp_path / "planted")


def frames_of(planted, title):
    clip = next(clip for clip in planted.split("test") if clip.name == title)
    return np.stack(list(iter_frames(clip.source))), planted.frame_labels(clip)


def test_every_fourth_clip_is_held_out_and_no_frame_is_in_both(planted):
    assert [clip.name for clip in planted.split("train")] == ["01", "02", "03", "05", "06", "07"]
    assert [clip.name for clip in planted.split("test")] == ["04", "08"]


def test_few_clips_give_their_last_quarters(tmp_path):
    source = draw_clip(tmp_path / "one", 200)
    fit, held_out = split_clips(dataset_of({"one": Segment(source, 8, 200)}, tmp_path))
    assert fit == {"one": Segment(source, 8, 152)}
    assert held_out == {"one": Segment(source, 152, 200)}


def test_untouched_frames_are_those_of_the_clip(drawn, planted):
    original = first_frames(drawn.split("train")[3].source)
    frames, labels = frames_of(planted, "04")
    assert 0 < labels.sum() < len(labels) == len(original)
    changed = (frames != original).any((1, 2, 3))
    assert changed[labels == 1].all()
    assert not changed[:16].any()
    assert not changed[32:].any()


def test_the_thing_is_what_moved():
    frames = np.full((30, HEIGHT, WIDTH, 3), 40, np.uint8)
    for index in range(30):
        frames[index, 20:26, 2 * index : 2 * index + 7] = 220
    thing, opacity, bottom = moving_thing(frames, np.random.default_rng(0))
    assert (thing.shape, bottom) == ((6, 7, 3), 26)
    assert (thing == 220).all()
    assert opacity.min() > 0.4


def test_where_nothing_moves_a_rectangle_stands_in():
    thing, opacity, bottom = moving_thing(
        np.full((5, HEIGHT, WIDTH, 3), 40, np.uint8), np.random.default_rng(0)
    )
    assert thing.shape == (6, 6, 3)
    assert (opacity == 1).all()
    assert bottom == HEIGHT // 2


def test_same_seed_same_pictures_and_nothing_is_written_twice(drawn, planted, tmp_path):
    again = planted_dataset(drawn, tmp_path / "planted")
    assert again.name == planted.name
    other = planted_dataset(drawn, tmp_path / "planted", seed=1)
    assert other.name != planted.name
    elsewhere = planted_dataset(drawn, tmp_path / "elsewhere")
    for title in ("04", "08"):
        same, labels = frames_of(elsewhere, title)
        np.testing.assert_array_equal(same, frames_of(planted, title)[0])
        np.testing.assert_array_equal(labels, frames_of(planted, title)[1])
    assert not np.array_equal(frames_of(other, "04")[0], frames_of(planted, "04")[0])


def test_pictures_that_are_gone_are_written_again(drawn, planted, tmp_path):
    folder = planted.split("test")[0].source
    before = first_frames(folder)
    shutil.rmtree(folder)
    (folder.parent / f".tmp-0123456789abcdef-{folder.name}").mkdir()
    planted_dataset(drawn, tmp_path / "planted")
    np.testing.assert_array_equal(first_frames(folder), before)
    assert sorted(path.name for path in folder.parent.iterdir()) == [".lock", "04", "08"]


def test_a_folder_that_is_not_whole_is_not_replaced(drawn, planted, tmp_path):
    folder = planted.split("test")[0].source
    (folder / "labels.npy").unlink()
    with pytest.raises(InputError, match=r"04: cannot be written, .*not empty.*; delete what is there"):
        planted_dataset(drawn, tmp_path / "planted")
    assert count_frames(folder) == 48


def test_other_training_clips_give_another_dataset(drawn, tmp_path):
    """The clips to fit are part of it, though no picture of them is written."""
    fit, held_out = split_clips(drawn)
    few = dataset_of({**dict(list(fit.items())[:3]), **held_out}, drawn.root)
    assert [clip.name for clip in few.split("train")] == ["01", "02", "03", "04", "08"]
    names = [planted_dataset(other, tmp_path / "planted").name for other in (drawn, few, drawn)]
    assert names[0] == names[2] != names[1]


PLANT = """
import sys
from pathlib import Path
from data_prep.datasets import find_datasets
from data_prep.planted import planted_dataset
print(planted_dataset(find_datasets(Path(sys.argv[1]))["walkway"], Path(sys.argv[2])).name)
"""


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.*") if path.is_file()}


def test_four_processes_at_once_plant_what_one_does(tmp_path):
    walkway.generate(tmp_path / "data", n_train_clips=4, n_test_clips=1, clip_frames=20)
    alone = planted_dataset(find_datasets(tmp_path / "data")["walkway"], tmp_path / "alone")
    command = [sys.executable, "-c", PLANT, str(tmp_path / "data"), str(tmp_path / "four")]
    with locked(tmp_path / "four" / alone.name):
        started = [
            subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for _ in "1234"
        ]
        told = [process.stderr.readline() for process in started]
    assert [process.communicate()[0] for process in started] == [f"{alone.name}\n"] * 4
    assert all("another command is writing here, waiting for it" in line for line in told)
    assert contents(tmp_path / "four") == contents(tmp_path / "alone")


def test_no_clip_long_enough(tmp_path):
    clips = {str(n): draw_clip(tmp_path / str(n), 7) for n in range(4)}
    with pytest.raises(InputError, match="expected a training clip to hold out of at least 8 frames"):
        planted_dataset(dataset_of(clips, tmp_path), tmp_path / "planted")
