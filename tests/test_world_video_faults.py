"""Videos that are damaged, growing, absent or oddly named: what is told of them, and what is still read."""

from pathlib import Path

import av
import pytest

from data_prep.errors import InputError
from data_prep.frames import count_frames, iter_frames
from data_prep.live_frames import FrameStream
from tests.recordings import HEIGHT, N_FRAMES, WIDTH, encode, frames_of
from tests.videos import pictures

# Damage


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"), [("d.mp4", "libx264", "yuv420p"), ("d.avi", "mjpeg", "yuvj420p")]
)
def test_damage_in_the_middle_stops_a_file_at_its_time(tmp_path, name, codec, pix_fmt):
    path = encode(tmp_path / name, codec=codec, pix_fmt=pix_fmt, bf="0")
    with av.open(str(path)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][10]
    content, middle = bytearray(path.read_bytes()), packet.pos + 4 * packet.size // 5  # behind headers
    content[middle : middle + 32] = b"\xff\x00" * 16  # bits that begin no code
    path.write_bytes(content)
    for read in (lambda: list(iter_frames(path)), lambda: list(FrameStream(str(path)))):
        with pytest.raises(
            InputError, match=rf"{name}: truncated or damaged video at 0\.40 s, frame 11 (could|cannot) be"
        ):
            read()


def test_a_size_that_changes_in_the_middle_is_named(tmp_path):
    small = [picture[:48, :64] for picture in pictures(N_FRAMES, HEIGHT, WIDTH)]
    content = encode(tmp_path / "a.ts").read_bytes() + encode(tmp_path / "b.ts", small).read_bytes()
    (tmp_path / "resize.ts").write_bytes(content)
    with pytest.raises(
        InputError,
        match=r"resize\.ts: frame 41 of another size, expected 128x96 px .*, got 64x48 px",
    ):
        list(iter_frames(tmp_path / "resize.ts"))


@pytest.mark.parametrize(("share", "told"), [(0.5, True), (1.0, False)])
def test_a_cut_matroska_file_is_read_and_told(tmp_path, capsys, share, told):
    """It declares its duration and no count of frames: nothing else says that its second half is missing."""
    content = encode(tmp_path / "whole.mkv").read_bytes()
    path = tmp_path / f"cut{share}.mkv"
    path.write_bytes(content[: int(share * len(content))])
    n_frames = count_frames(path)
    assert len(list(iter_frames(path))) == n_frames
    assert (n_frames < N_FRAMES) == told
    said = capsys.readouterr().err
    assert (f"{path.name}: cut off? its pictures end at " in said) == told


# Growing, absent, named oddly


def test_a_file_that_grows_is_read_as_far_as_it_was(tmp_path, capsys):
    content = encode(tmp_path / "whole.ts").read_bytes()
    path = tmp_path / "growing.ts"
    path.write_bytes(content[: len(content) // 188 // 2 * 188])
    n_frames, frames = count_frames(path), iter_frames(path)
    read = [next(frames)]
    path.write_bytes(content)
    read += list(frames)
    assert 0 < n_frames == len(read) < N_FRAMES
    assert f"growing.ts: the file is still growing, read as far as it was: {n_frames} frames" in (
        capsys.readouterr().err
    )


def test_an_unfinished_mp4_may_still_be_written(tmp_path):
    path = encode(tmp_path / "a.mp4")
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"moov") - 4])
    with pytest.raises(InputError, match=r"a\.mp4: not a readable video file .*; if it is still being"):
        count_frames(path)


def test_a_colon_in_a_name_is_no_protocol(tmp_path, monkeypatch):
    encode(tmp_path / "cam:12:30.mp4")
    monkeypatch.chdir(tmp_path)
    assert len(frames_of(Path("cam:12:30.mp4"))) == N_FRAMES


def test_a_camera_that_is_absent_is_named():
    with pytest.raises(InputError, match=r"^/dev/video97: no such camera, expected one of this machine"):
        FrameStream("/dev/video97")


@pytest.mark.parametrize("target", ["gone.mp4", "gone"])
def test_a_dangling_link_is_named(tmp_path, target):
    (tmp_path / "clip.mp4").symlink_to(tmp_path / target)
    with pytest.raises(InputError, match=r"clip\.mp4: cannot be read, a link to a file that is missing"):
        count_frames(tmp_path / "clip.mp4")


def test_a_pointer_of_git_lfs_is_named(tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n")
    with pytest.raises(InputError, match=r"clip\.mp4: the pointer of Git LFS .*`git lfs pull` fetches it"):
        count_frames(path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("flip.mp4", "damaged video at 0.40 s, frame 11 could be decoded in part alone"),
        ("flip_mj.avi", "damaged video at 0.60 s, frame 16 cannot be decoded"),
        ("resize.ts", "frame 41 of another size, expected 96x64 px as the first, got 64x48 px"),
    ],
)
def test_real_files_that_stop(real_data, name, message):
    path = real_data / "video" / "cases" / name
    if not path.is_file():
        pytest.skip(f"no {path}")
    with pytest.raises(InputError, match=message):
        list(iter_frames(path))
