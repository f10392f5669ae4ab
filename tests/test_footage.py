"""A user's own normal footage as a dataset."""

import pytest

from data_prep.errors import InputError
from experiments.lab.watching.footage import (
    footage_dataset,
    frames_of_footage,
    held_out_blocks,
    held_out_frames,
    least_frames,
)
from tests.videos import pictures, write_video


def test_footage_is_split_in_time_and_named_by_its_content(tmp_path):
    (tmp_path / "normal").mkdir()
    for name, n_frames in (("2.avi", 30), ("10.avi", 50)):
        write_video(tmp_path / "normal" / name, pictures(n_frames))
    (tmp_path / "normal" / "notes.txt").write_text("x")
    dataset = footage_dataset(tmp_path / "normal", 0.8)
    parts = {(clip.split, clip.name): (clip.source.start, clip.source.stop) for clip in dataset.clips}
    assert parts == {
        ("train", "2.avi-1"): (0, 10),
        ("test", "2.avi-11"): (10, 14),
        ("train", "2.avi-15"): (14, 24),
        ("train", "10.avi-1"): (0, 16),
        ("test", "10.avi-17"): (16, 24),
        ("train", "10.avi-25"): (24, 40),
    }
    names = {dataset.name, footage_dataset(tmp_path / "normal", 0.7).name}
    names.add(footage_dataset(tmp_path / "normal" / "2.avi", 0.8).name)
    assert len(names) == 3
    assert footage_dataset(tmp_path / "normal", 0.8).name == dataset.name
    assert all(name.startswith("watch-") for name in names)


@pytest.mark.parametrize("n_frames", [12, 25, 100, 262, 1000, 90_000])
def test_held_out_blocks_are_spread_over_a_clip(n_frames):
    blocks = held_out_blocks(n_frames, 10)
    edges = [0, *(edge for block in blocks for edge in block), n_frames]
    assert edges == sorted(edges)
    assert sum(stop - start for start, stop in blocks) == pytest.approx(0.2 * n_frames, abs=4)
    between = [stop - start for start, stop in zip(edges[::2], edges[1::2], strict=True)]
    if n_frames < 25:
        assert blocks == [(10, 12)]
        return
    assert min(between) >= 10
    assert len(blocks) == {25: 1, 100: 1, 262: 2}.get(n_frames, 4)
    assert max(between) <= 0.9 * n_frames / len(blocks)


@pytest.mark.parametrize("window_frames", [2, 4, 10, 20])
def test_every_part_that_is_trained_on_holds_a_window(window_frames):
    least = least_frames(window_frames)
    assert least - held_out_frames(least) >= window_frames > least - 1 - held_out_frames(least - 1)
    for n_frames in range(least, 40 * window_frames):
        blocks = held_out_blocks(n_frames, window_frames)
        edges = [0, *(edge for block in blocks for edge in block), n_frames]
        between = [stop - start for start, stop in zip(edges[::2], edges[1::2], strict=True)]
        assert all(n >= window_frames for n in between if n), n_frames
        assert 0 < sum(stop - start for start, stop in blocks) <= held_out_frames(n_frames)


def test_frames_of_the_footage_in_a_video(tmp_path):
    (tmp_path / "normal").mkdir()
    video = write_video(tmp_path / "normal" / "a.avi", pictures(20))
    other = write_video(tmp_path / "b.avi", pictures(20))
    (tmp_path / "link.avi").symlink_to(video)
    assert frames_of_footage(tmp_path / "normal", 0.33, tmp_path / "link.avi") == 6
    assert frames_of_footage(video, 1.0, video) == 20
    assert frames_of_footage(video, 1.0, other) == 0


def test_footage_that_does_not_do(tmp_path):
    with pytest.raises(InputError, match=r"a\.avi: too short to train on, expected 12 frames or more, got 6"):
        footage_dataset(write_video(tmp_path / "a.avi", pictures(12)), 0.5)
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="none: nothing to train on"):
        footage_dataset(tmp_path / "none")
    with pytest.raises(InputError, match=r"gone\.avi: no such file or folder"):
        footage_dataset(tmp_path / "gone.avi")
