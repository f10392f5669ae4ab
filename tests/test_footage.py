"""A user's own normal footage as a dataset."""

import pytest

from data_prep.errors import InputError
from experiments.lab.watching.footage import footage_dataset
from tests.videos import pictures, write_video


def test_footage_is_split_in_time_and_named_by_its_content(tmp_path):
    (tmp_path / "normal").mkdir()
    for name, n_frames in (("2.avi", 30), ("10.avi", 50)):
        write_video(tmp_path / "normal" / name, pictures(n_frames))
    (tmp_path / "normal" / "notes.txt").write_text("x")
    dataset = footage_dataset(tmp_path / "normal", 0.8)
    parts = {(clip.split, clip.name): (clip.source.start, clip.source.stop) for clip in dataset.clips}
    assert parts == {
        ("train", "2.avi"): (0, 22),
        ("train", "10.avi"): (0, 36),
        ("test", "2.avi"): (22, 24),
        ("test", "10.avi"): (36, 40),
    }
    names = {dataset.name, footage_dataset(tmp_path / "normal", 0.7).name}
    names.add(footage_dataset(tmp_path / "normal" / "2.avi", 0.8).name)
    assert len(names) == 3
    assert footage_dataset(tmp_path / "normal", 0.8).name == dataset.name
    assert all(name.startswith("watch-") for name in names)


def test_footage_that_does_not_do(tmp_path):
    with pytest.raises(
        InputError, match=r"a\.avi: too short to train on, expected more than 10 frames, got 6"
    ):
        footage_dataset(write_video(tmp_path / "a.avi", pictures(12)), 0.5)
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="none: nothing to train on"):
        footage_dataset(tmp_path / "none")
    with pytest.raises(InputError, match=r"gone\.avi: no such file or folder"):
        footage_dataset(tmp_path / "gone.avi")
