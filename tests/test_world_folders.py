"""Folders as recorders, cameras and archives leave them: names, thumbnails, system folders, deep images."""

import errno
import os
import shutil

import cv2
import h5py
import numpy as np
import pytest
from filelock import FileLock

from data_prep import hdf5
from data_prep.arrays import map_npy, read_npy
from data_prep.datasets import find_datasets
from data_prep.datasets.__main__ import main as list_datasets
from data_prep.errors import InputError
from data_prep.files import Lock
from data_prep.folders import check_is_clip, clips_in
from data_prep.frames import count_frames, iter_frames
from data_prep.images import image_paths
from data_prep.layouts import REPACKED, Record
from data_prep.live_frames import FrameStream
from data_prep.shards import is_current, read_info
from data_prep.terminal import given_path
from experiments.lab.watching.footage import footage_clips, footage_dataset
from experiments.watch import given_source
from tests.synthetic import write_clip
from tests.test_corrupt_inputs import make_walkway
from tests.videos import pictures, write_video

FRAMES = [np.full((16, 24, 3), 20 * index, np.uint8) for index in range(12)]


def write_images(folder, names, frames=FRAMES):
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in zip(names, frames, strict=False):
        cv2.imwrite(str(folder / name), frame)
    return folder


# Names of frames


NAMES = {
    "by time": [f"cam_20240501-1200{second:02d}.png" for second in range(50, 60)]
    + ["cam_20240501-120100.png", "cam_20240501-120101.png"],
    "every fifth": [f"{5 * index}.png" for index in range(12)],
    "sizes": [f"frame_{index}_640x480.png" for index in range(12)],
    "a gap": [f"{index}.png" for index in (1, 2, 3, *range(7, 16))],
}


@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
def test_own_frames_come_in_natural_order_and_a_line_says_so(tmp_path, names, capsys):
    folder = write_images(tmp_path / "clip", names)
    order = [int(frame[0, 0, 0]) // 20 for frame in iter_frames(folder)]
    assert order == list(range(12))
    assert count_frames(folder) == 12
    (line,) = capsys.readouterr().err.splitlines()
    assert f"12 frames are taken in the natural order of their names, {names[0]} to {names[-1]}" in line
    with pytest.raises(InputError, match="frame numbers, expected"):
        image_paths(folder)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a_1.png", "a_3.png", "b_5.png"], "names of several kinds, a_1.png, b_5.png"),
        (["1.png", "3.png", "cover.png"], "cover.png: no frame number in the name"),
        (["01.png", "1.jpg", "3.png"], "repeat of frame"),
    ],
)
def test_names_whose_order_nobody_can_tell_are_refused(tmp_path, names, message):
    with pytest.raises(InputError, match=message):
        count_frames(write_images(tmp_path / "clip", names))


@pytest.mark.parametrize("split", ["training", "testing"])
def test_a_benchmark_with_a_gap_is_refused_when_it_is_found(tmp_path, split):
    root = make_walkway(tmp_path / "data")
    folder = next(path for path in sorted((root / split / "frames").iterdir()))
    sorted(folder.iterdir())[2].unlink()
    with pytest.raises(InputError, match=rf"{split}/frames/{folder.name}/.*: gap in frame numbers"):
        find_datasets(tmp_path / "data", check_counts=False)
    own = Record("mine", "mine", "", "", (), (REPACKED,), (), own=True)
    assert set(REPACKED.find(own, root).train)  # of one's own it is read


# Deep images


def deep_clip(folder, low, high, dtype=np.uint16, suffix=".png"):
    folder.mkdir()
    for index in range(3):
        ramp = np.linspace(low, high, 64 * 48).reshape(48, 64) if index else np.full((48, 64), low)
        cv2.imwrite(str(folder / f"{index}{suffix}"), ramp.astype(dtype))
    return folder


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_images_of_sixteen_bits_are_read_where_they_fill_them(tmp_path, suffix, capsys):
    folder = deep_clip(tmp_path / "deep", 0, 65535, suffix=suffix)
    frames = list(iter_frames(folder))
    stored = cv2.imread(str(folder / f"2{suffix}"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(frames[2][..., 0], stored >> 8)
    assert "deep: images of uint16 values, of which the upper 8 bits are read" in capsys.readouterr().err


@pytest.mark.parametrize(("low", "high", "n_levels"), [(0, 4095, 16), (21000, 24000, 12), (0, 1023, 4)])
def test_images_that_eight_bits_would_squeeze_are_refused_with_a_remedy(tmp_path, low, high, n_levels):
    folder = deep_clip(tmp_path / "deep", low, high)
    message = rf"deep: images of uint16 values {low}\.\.{high}, of which 8 bits would show {n_levels} levels"
    with pytest.raises(InputError, match=message) as fault:
        next(iter_frames(folder))
    assert f"`mogrify -path OUT -level {low},{high} -depth 8 *.png` writes them" in str(fault.value)


def test_images_of_fractions_are_not_called_damaged(tmp_path):
    folder = deep_clip(tmp_path / "deep", 0, 1, np.float32, ".tif")
    with pytest.raises(InputError, match=r"0\.tif: image of float32 values, expected images of 8 bits"):
        next(iter_frames(folder))


def test_a_dark_clip_of_eight_bits_is_read(tmp_path, capsys):
    folder = write_images(tmp_path / "dark", ["0.png", "1.png"], [np.full((8, 8, 3), 3, np.uint8)] * 2)
    assert len(list(iter_frames(folder))) == 2
    assert capsys.readouterr().err == ""


# Folders of footage


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("video") / "v.mp4", pictures(20), codec="mpeg4")


def put(video, folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        shutil.copy(video, folder / name)
    return folder


def names_of(footage):
    return list(footage_clips(footage))


@pytest.mark.parametrize("suffix", [".m4v", ".ts", ".webm", ".mov", ".MP4", ".mts", ".3gp"])
def test_videos_of_every_kind_are_clips(tmp_path, video, suffix):
    folder = put(video, tmp_path / "nvr", f"a{suffix}", f"b{suffix}")
    assert names_of(folder) == [f"a{suffix}", f"b{suffix}"]
    assert footage_dataset(folder).split("test")[0].source.stop == 20


@pytest.mark.parametrize("thumbnail", ["{}.jpg", "{}_thumb.jpg", "{}.mp4.jpg", "{}-poster.png"])
def test_thumbnails_beside_videos_are_no_frames(tmp_path, video, thumbnail, capsys):
    folder = put(video, tmp_path / "nvr", "00.mp4", "01.mp4")
    write_images(folder, [thumbnail.format(name) for name in ("00", "00-b", "01")])
    assert names_of(folder) == ["00.mp4", "01.mp4"]
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{folder}: left out, as no clips: ")
    assert thumbnail.format("00") in line
    assert "(3 in all)" in line
    for place in (folder, tmp_path):  # the recorder's folder, and the one that it is in
        with pytest.raises(
            InputError, match=r": a folder of 2 clips, expected one of them, such as .*00\.mp4"
        ):
            FrameStream(str(place))


def test_frames_beside_a_video_are_the_clip_and_the_video_is_named(tmp_path, video, capsys):
    folder = write_images(put(video, tmp_path / "clip", "original.mp4"), [f"{i}.png" for i in range(12)])
    assert footage_clips(folder) == {"clip": folder}
    assert "left out, as no clips: original.mp4 (1 in all)" in capsys.readouterr().err
    check_is_clip(folder)


def test_what_systems_leave_is_no_clip(tmp_path, video, capsys):
    folder = put(video, tmp_path / "nvr", "a.mp4", "b.mp4")
    for name in ("@eaDir", "__MACOSX", "lost+found", "#recycle", "$RECYCLE.BIN", ".hidden"):
        write_images(put(video, folder / name, "a.mp4"), ["1.jpg"])
    (folder / "Thumbs.db").write_bytes(b"x")
    (folder / "empty").mkdir()
    assert names_of(folder) == ["a.mp4", "b.mp4"]
    assert "left out, as no clips: empty (1 in all)" in capsys.readouterr().err
    root = make_walkway(tmp_path / "data")
    clips = {name: list(REPACKED.find(record_of(root), root).train) for name in ("before",)}
    for name in ("@eaDir", "__MACOSX", "lost+found"):
        write_images(root / "training/frames" / name, ["1.jpg"])
    assert (
        list(find_datasets(tmp_path / "data", check_counts=False)["walkway"].clip_list().train)
        == (clips["before"])
    )


def record_of(root):
    return Record(root.name, "", "", "", (), (REPACKED,), ())


def test_a_folder_named_like_a_frame_is_a_clip(tmp_path, video):
    folder = put(video, tmp_path / "nvr", "a.mp4")
    for name in ("gate.jpg", "yard.png"):
        write_images(folder / name, [f"{index}.png" for index in range(12)])
    assert names_of(folder) == ["a.mp4", "gate.jpg", "yard.png"]


def test_files_of_one_name_of_two_cameras_are_two_clips(tmp_path, video):
    for camera in ("front", "back"):
        put(video, tmp_path / "nvr" / camera / "2024-05-01", "09.mp4", "10.mp4")
    (tmp_path / "nvr" / "front" / "again").symlink_to(tmp_path / "nvr")
    assert names_of(tmp_path / "nvr") == [
        f"{camera}_2024-05-01_{hour}.mp4" for camera in ("back", "front") for hour in ("09", "10")
    ]
    put(video, tmp_path / "nvr" / "front_2024-05-01", "09.mp4")
    with pytest.raises(InputError, match=r"09\.mp4: second clip of the name front_2024-05-01_09\.mp4"):
        names_of(tmp_path / "nvr")


def test_a_folder_without_a_clip_is_named(tmp_path):
    (tmp_path / "nvr" / "empty").mkdir(parents=True)
    (tmp_path / "nvr" / "log.txt").write_text("x")
    with pytest.raises(InputError, match="nvr: nothing to train on"):
        clips_in(tmp_path / "nvr")


def test_a_dangling_link_among_clips_and_among_frames_is_named(tmp_path, video):
    folder = put(video, tmp_path / "nvr", "a.mp4")
    (folder / "b.mp4").symlink_to(tmp_path / "gone.mp4")
    with pytest.raises(InputError, match=r"b\.mp4: cannot be read, a link to a file that is missing"):
        footage_dataset(folder)
    clip = write_images(tmp_path / "clip", [f"{index}.png" for index in range(3)])
    (clip / "3.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(InputError, match=r"3\.png: cannot be read, a link to a file that is missing"):
        list(iter_frames(clip))


# Addresses of files


@pytest.mark.parametrize("parse", [given_path, lambda text: given_source(text)])
def test_an_address_of_a_file_here_is_a_path(tmp_path, parse):
    for address in (f"file://{tmp_path}/a%20b.mp4", f"file://localhost{tmp_path}/a b.mp4"):
        assert str(parse(address)) == str(tmp_path / "a b.mp4")


@pytest.mark.parametrize(
    ("address", "is_live"),
    [
        ("http://nas/cam/09.mp4", False),
        ("https://nas/get.TS?token=1", False),
        ("ftp://nas/09.mkv", False),
        ("http://camera/live", True),
        ("http://camera/live?file=a.mp4", True),
        ("rtsp://camera/a.mp4", True),
    ],
)
def test_an_address_of_a_file_elsewhere_is_no_camera(address, is_live):
    stream = FrameStream(address)
    assert (stream.is_live, stream.may_drop, stream.is_address) == (is_live, is_live, True)


# Pointers, permissions, file systems


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


@pytest.mark.parametrize("read", [read_npy, map_npy])
def test_a_pointer_of_git_lfs_is_named(tmp_path, read):
    (tmp_path / "a.npy").write_bytes(POINTER)
    with pytest.raises(InputError, match=r"a\.npy: the pointer of Git LFS .*`git lfs pull`"):
        read(tmp_path / "a.npy")


def test_a_folder_without_permission_is_named_in_one_line(tmp_path, monkeypatch, capsys):
    root = make_walkway(tmp_path / "data")
    closed, listdir = str(root / "training/frames/01"), os.listdir

    def refusing(path):
        if str(path) == closed:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return listdir(path)

    monkeypatch.setattr(os, "listdir", refusing)
    assert list_datasets(["--data", str(tmp_path / "data")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"error: {closed}: Permission denied"


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EIO, errno.EACCES, errno.ESTALE])
def test_a_shard_that_the_system_does_not_let_be_read_is_not_called_damaged(tmp_path, monkeypatch, number):
    path = write_clip(tmp_path, "train", "01", np.ones((4, 21, 6), np.float32))
    info = read_info(path)
    assert is_current(path, info, np.zeros(4, np.uint8))

    def fail(*_, **__):
        raise OSError(number, f"Unable to synchronously open file (errno = {number})")

    monkeypatch.setattr(h5py, "File", fail)
    with pytest.raises(
        hdf5.UnreadableError, match=rf"01\.h5: cannot be read, {os.strerror(number)}"
    ) as fault:
        is_current(path, info, np.zeros(4, np.uint8))
    assert ("unset it" in str(fault.value)) == (number == errno.ENOLCK)


def test_no_file_of_hdf5_is_locked():
    """Here and in every library: a network file system may have no locks."""
    assert os.environ["HDF5_USE_FILE_LOCKING"] == "FALSE"


def test_where_no_file_can_be_locked_all_get_the_lock(tmp_path, monkeypatch, capsys):
    def fail(self, *_, **__):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(FileLock, "acquire", fail)
    assert Lock(tmp_path / "a.h5", tmp_path / ".a.lock").acquire()
    assert "no locks on this file system; run one command at a time" in capsys.readouterr().err
