"""Files that are not what they are named: one line with file and fault, no endless wait, no gigabytes."""

import io
import json
import os
import struct
import threading
import zipfile
import zlib
from contextlib import contextmanager
from pathlib import Path

import h5py
import imageio.v3 as iio
import numpy as np
import pytest

from data_prep import clip_list, labels, memory, mnist_digits, normalization, shards
from data_prep.datasets.__main__ import main as list_datasets
from data_prep.errors import InputError
from data_prep.flow_windows import place
from data_prep.frames import count_frames, iter_frames, source_digest
from data_prep.images import read_image
from data_prep.live_frames import FrameStream
from experiments.lab.watching.footage import footage_dataset
from tests.synthetic import write_clip
from tests.test_corrupt_inputs import make_walkway
from tests.videos import pictures


def png(width: int, height: int) -> bytes:
    """A PNG file whose header promises a picture that its data do not hold."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + data


def bmp(width: int, height: int) -> bytes:
    """A BMP file, likewise."""
    return (
        b"BM"
        + struct.pack("<IIIIiiHHIIiiII", 1054, 0, 54, 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
        + bytes(1000)
    )


def npy(shape: str, dtype: str = "'|u1'", data: bytes = bytes(8)) -> bytes:
    """A .npy file of any header."""
    header = f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(118) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def npz(**members: bytes) -> bytes:
    """An .npz file of these members."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return content.getvalue()


def said(call) -> str:
    """Return the one line that a call refuses its input with."""
    with pytest.raises(InputError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@contextmanager
def pipe_that_nobody_opens(path: Path):
    """Put a pipe in the place of a file; fail where it is opened for reading, which would never end."""
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    opened = threading.Event()

    def wait() -> None:
        os.close(os.open(path, os.O_WRONLY))  # goes on when somebody reads, who then has nothing to read
        opened.set()

    writer = threading.Thread(target=wait, daemon=True)
    writer.start()
    yield
    assert not opened.is_set(), "the pipe was opened"
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    writer.join()
    os.close(reader)


READERS = {
    "000.jpg": read_image,
    "a.npy": lambda path: labels.read_frame_labels(path.parent, {"a": 8}),
    "mask.npy": lambda path: labels.check_masks(path, 8),
    "a.mat": labels.read_mat_intervals,
    "a.m": labels.read_ucsd_intervals,
    "a.mp4": count_frames,
    "mnist.npz": lambda path: mnist_digits.load_digits(path.parent),
    clip_list.FILE: lambda path: clip_list.read_clip_list(path.parent),
    normalization.FILE: lambda path: normalization.load_normalization(path.parent),
    place.FILE: lambda path: place.load_place(path.parent),
    "01.h5": shards.Shard,
}


@pytest.mark.parametrize("name", READERS)
def test_a_pipe_named_like_a_file_is_not_waited_for(tmp_path, name):
    with pipe_that_nobody_opens(tmp_path / name):
        assert said(lambda: READERS[name](tmp_path / name)).startswith(f"{tmp_path / name}: ")


@pytest.mark.parametrize("name", [name for name in READERS if not name.endswith((".npz", ".json"))])
def test_a_folder_and_a_link_to_nothing_are_no_files(tmp_path, name):
    (tmp_path / name).symlink_to(tmp_path / "nowhere")
    assert str(tmp_path / name) in said(lambda: READERS[name](tmp_path / name))
    (tmp_path / name).unlink()
    (tmp_path / name).mkdir()
    assert str(tmp_path / name) in said(lambda: READERS[name](tmp_path / name))


@pytest.mark.parametrize("put", ["pipe", "link", "folder"])
def test_a_frame_that_is_no_file_stops_a_clip_in_one_line(tmp_path, put):
    for number in range(3):
        iio.imwrite(tmp_path / f"{number}.png", np.full((8, 8, 3), number, np.uint8))
    frame = tmp_path / "1.png"
    frame.unlink()
    {"pipe": os.mkfifo, "link": lambda path: path.symlink_to("gone"), "folder": os.mkdir}[put](frame)
    for read in (lambda: list(iter_frames(tmp_path)), lambda: source_digest(tmp_path)):
        assert said(read).startswith(f"{frame}: ")
    assert said(lambda: list(FrameStream(str(tmp_path)))).startswith(f"{frame}: ")


@pytest.mark.parametrize("content", [png(60000, 60000), png(2**20 - 1, 3), bmp(60000, 60000)])
def test_a_picture_that_declares_gigabytes_is_refused(tmp_path, content):
    (tmp_path / "000.png").write_bytes(content)
    assert said(lambda: read_image(tmp_path / "000.png")).startswith(f"{tmp_path / '000.png'}: damaged image")


HEADERS = [
    npy("(8,"),
    npy("(8,)", "'|O'", b"\x80\x04N."),
    npy("(8,)", "[('a', '<i4'"),
    npy("'8'"),
    npy("(8,)", "'<U999999999'"),
    npy("(99999999999999,)", "'<f8'"),
    npy("(-8,)"),
    npy("(8,)").replace(b"\x01\x00", b"\x03\x00", 1),
    npy("(" * 300),
    b"\x93NUMPY\x01\x00" + b"\xff\xff" + b"(" * 9000,
    b"\x93NUMPY",
    npy("(8,)").replace(b"descr", b"\xffescr"),
]


@pytest.mark.parametrize("content", HEADERS)
def test_a_damaged_npy_header_is_one_line(tmp_path, content):
    (tmp_path / "a.npy").write_bytes(content)
    for read in (READERS["a.npy"], READERS["mask.npy"]):
        assert said(lambda read=read: read(tmp_path / "a.npy")).startswith(f"{tmp_path / 'a.npy'}: ")
    (tmp_path / "mnist.npz").write_bytes(npz(x_train=content))
    assert said(lambda: mnist_digits.load_digits(tmp_path)).startswith(f"{tmp_path / 'mnist.npz'}: ")


@pytest.mark.parametrize("dtype", ["'<U1'", "'<M8[s]'", "[('a', '|u1')]", "'<c16'"])
def test_labels_and_masks_that_are_no_numbers_are_refused(tmp_path, dtype):
    (tmp_path / "a.npy").write_bytes(npy("(8,)", dtype, bytes(8 * 16)))
    assert said(lambda: READERS["a.npy"](tmp_path / "a.npy")).startswith(f"{tmp_path / 'a.npy'}: ")
    (tmp_path / "mask.npy").write_bytes(npy("(2, 2, 2)", dtype, bytes(8 * 16)))
    assert said(lambda: list(labels.read_masks(tmp_path / "mask.npy", 2, (2, 2)))).startswith(
        f"{tmp_path}/mask"
    )


def test_an_archive_that_unpacks_to_gigabytes_is_refused_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "machine_bytes", lambda: 10**6)
    (tmp_path / "mnist.npz").write_bytes(npz(x_train=npy("(2000000,)", data=bytes(2 * 10**6))))
    line = said(lambda: mnist_digits.load_digits(tmp_path))
    assert line.startswith(f"{tmp_path / 'mnist.npz'}: asks for 0.0 GB of memory, expected at most ")


def test_a_shard_that_declares_more_than_it_holds_is_refused(tmp_path):
    path = write_clip(tmp_path, "train", "01", np.ones((4, 21, 6), np.float32))
    with h5py.File(path, "r+") as file:
        del file["features"], file["labels"]
        file.create_dataset("features", (10**9, 21, 6), np.float32)
        file.create_dataset("labels", (10**9,), np.uint8)
    assert "declares 504,000,000,000 bytes and has 0" in said(lambda: shards.validate_shard(path))


def test_the_memory_of_a_machine_is_that_of_its_lowest_limit(monkeypatch):
    assert 2**28 < memory.machine_bytes() < 2**50
    monkeypatch.setattr(memory.resource, "getrlimit", lambda kind: (2**20, 2**20))
    assert memory.machine_bytes() == 2**20
    memory.check_fits("a.npy", 2**20)
    with pytest.raises(InputError, match=r"a\.npy: asks for 3\.0 GB of memory"):
        memory.check_fits("a.npy", 3 * 10**9)


def titled_video(path: Path, title: bytes) -> Path:
    """Write a video with a title in an encoding of its own, which PyAV does not write."""
    iio.imwrite(path, np.stack(list(pictures(12))), plugin="pyav", codec="mpeg4", fps=10)
    content = path.read_bytes()
    encoder = content[content.index(b"Lavf") :][: len(title)]
    path.write_bytes(content.replace(encoder, title))
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".avi"])
def test_a_title_in_latin_1_does_not_stop_a_video(tmp_path, suffix):
    path = titled_video(tmp_path / f"a{suffix}", b"Caf\xe9 \xfc")
    assert count_frames(path) == 12
    frames = np.stack(list(iter_frames(path)))
    assert len(frames) == 12
    live = FrameStream(str(path))
    np.testing.assert_array_equal(np.stack([frame for _, frame in live]), frames)


def test_names_that_are_not_utf_8_are_read_where_they_name_no_clip(tmp_path):
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    folder.mkdir()
    for number in range(3):
        image = np.full((8, 8, 3), 40 * number, np.uint8)
        iio.imwrite(tmp_path / "x.png", image)
        (tmp_path / "x.png").rename(Path(os.fsdecode(os.fsencode(folder) + b"/\xe9%d.png" % number)))
    assert [int(frame[0, 0, 0]) for frame in iter_frames(folder)] == [0, 40, 80]
    assert len(source_digest(folder)) == 64
    video = folder / "a.mp4"
    iio.imwrite(tmp_path / "a.mp4", np.stack(list(pictures(12))), plugin="pyav", codec="mpeg4", fps=10)
    (tmp_path / "a.mp4").rename(video)
    assert len(list(iter_frames(video))) == count_frames(video) == 12


BAD_NAMES = [b"a\nb", b"caf\xe9", b"tab\there", b"bell\x07", b"back\\slash", "line\u2028separator".encode()]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_no_clip_is_left_out_for_its_name(tmp_path, name, capsys):
    root = make_walkway(tmp_path / "data")
    (root / "training/frames/03").rename(Path(os.fsdecode(os.fsencode(root) + b"/training/frames/" + name)))
    assert list_datasets(["--data", str(tmp_path / "data")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "expected a clip whose name can be a file's, got " in line


def test_a_link_to_a_clip_that_is_missing_is_named(tmp_path, capsys):
    root = make_walkway(tmp_path / "data")
    (root / "training/frames/04").symlink_to(tmp_path / "gone")
    assert list_datasets(["--data", str(tmp_path / "data")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("walkway/training/frames/04: a link to a clip that is missing")


@pytest.mark.parametrize("name", ["a\nb", "caf\udce9"])
def test_footage_with_a_bad_name_is_refused(tmp_path, name):
    for clip in ("01", name):
        iio.imwrite(tmp_path / "x.mp4", np.stack(list(pictures(20))), plugin="pyav", codec="mpeg4", fps=10)
        (tmp_path / "clips").mkdir(exist_ok=True)
        (tmp_path / "x.mp4").rename(tmp_path / "clips" / f"{clip}.mp4")
    assert "expected a clip whose name" in said(lambda: footage_dataset(tmp_path / "clips"))


PLACE = {
    "options": {"width_px": 64, "height_px": 48},
    "unit": {"at_top": 1.0, "at_bottom": 2.0},
    "factor": 1.0,
    "source": "",
}


@pytest.mark.parametrize(
    "changes",
    [
        {"factor": "1"},
        {"factor": float("nan")},
        {"unit": {"at_top": "1", "at_bottom": 2}},
        {"options": {"width_px": 64.5}},
        {"options": {"width_px": 10**9, "height_px": 10**9}},
        {"options": {"alignment": ["causal"]}},
        {"unit": []},
        {"source": None},
    ],
)
def test_a_place_of_other_types_is_damaged(tmp_path, changes):
    (tmp_path / place.FILE).write_text(json.dumps(PLACE))
    assert place.load_place(tmp_path).factor == 1
    (tmp_path / place.FILE).write_text(json.dumps({**PLACE, **changes}))
    assert said(lambda: place.load_place(tmp_path)).startswith(f"{tmp_path / place.FILE}: ")


@pytest.mark.parametrize("content", ["[" * 10**5, '{"a": ' * 10**5, "1" * 5000])
def test_deep_and_long_json_is_damaged(tmp_path, content):
    (tmp_path / place.FILE).write_text(content)
    (tmp_path / clip_list.FILE).write_text(content)
    assert "damaged" in said(lambda: place.load_place(tmp_path))
    assert "damaged" in said(lambda: clip_list.read_clip_list(tmp_path))
