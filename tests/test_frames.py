import os
import shutil
import subprocess
import sys
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from PIL import Image

from data_prep import frames as frames_module
from data_prep import videos
from data_prep.errors import InputError
from data_prep.frames import Segment, count_frames, iter_frames, read_frames, source_digest
from data_prep.images import image_paths, read_image

HEIGHT, WIDTH = 24, 32


def make_frames(n=12):
    """A gradient with a marker of its own per frame: uint8 (n, H, W, 3), red and blue differ."""
    frames = np.zeros((n, HEIGHT, WIDTH, 3), np.uint8)
    frames[..., 0] = np.linspace(0, 255, WIDTH)
    frames[..., 2] = np.arange(n)[:, None, None] * 9
    return frames


def write_folder(folder, frames, suffix=".png", start=0, digits=3):
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames, start=start):
        Image.fromarray(frame).save(
            folder / f"{number:0{digits}d}{suffix}", **({"quality": 95} if "j" in suffix else {})
        )
    return folder


def write_video(path, frames):
    iio.imwrite(path, frames, plugin="pyav", codec="mpeg4", fps=25)
    return path


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
def test_lossless_images_come_back_as_rgb_in_order(tmp_path, suffix):
    frames = make_frames()
    folder = write_folder(tmp_path / "clip", frames, suffix)
    read = list(iter_frames(folder))
    assert all(frame.dtype == np.uint8 and frame.shape == (HEIGHT, WIDTH, 3) for frame in read)
    np.testing.assert_array_equal(np.stack(read), frames)
    assert count_frames(folder) == len(frames)


def test_jpg_is_read_as_a_second_library_reads_it(tmp_path):
    folder = write_folder(tmp_path / "clip", make_frames(3), ".jpg")
    for path, frame in zip(sorted(folder.iterdir()), iter_frames(folder), strict=True):
        np.testing.assert_allclose(frame.astype(int), np.asarray(Image.open(path)).astype(int), atol=2)


def test_gray_images_become_three_equal_channels(tmp_path):
    folder = write_folder(tmp_path / "clip", make_frames(2)[..., 0], ".tif")
    frame = next(iter_frames(folder))
    assert frame.shape == (HEIGHT, WIDTH, 3)
    np.testing.assert_array_equal(frame, np.repeat(make_frames(1)[0, :, :, :1], 3, axis=2))


def test_order_is_numeric_not_alphabetic(tmp_path):
    frames = make_frames(12)
    folder = write_folder(tmp_path / "clip", frames, digits=1, start=1)
    assert [path.name for path in image_paths(folder)] == [f"{number}.png" for number in range(1, 13)]
    np.testing.assert_array_equal(np.stack(list(iter_frames(folder))), frames)


def test_number_is_the_last_one_in_the_name(tmp_path):
    folder = write_folder(tmp_path / "clip", make_frames(11))
    for path in list(folder.iterdir()):
        path.rename(folder / f"cam2_{int(path.stem)}.png")
    assert [path.stem for path in image_paths(folder)] == [f"cam2_{number}" for number in range(11)]


def test_hidden_and_other_files_are_left_out(tmp_path):
    folder = write_folder(tmp_path / "clip", make_frames(3))
    for name in ("._001.png", ".DS_Store", "Thumbs.db", "notes.txt"):
        (folder / name).write_bytes(b"x")
    assert count_frames(folder) == 3


def test_counting_does_not_decode(tmp_path):
    folder = tmp_path / "clip"
    folder.mkdir()
    for number in range(4):
        (folder / f"{number}.jpg").write_bytes(b"no image at all")
    assert count_frames(folder) == 4


@pytest.mark.parametrize("kind", ["folder", "video"])
def test_read_frames_follows_the_given_order(tmp_path, kind):
    frames = make_frames(8)
    source = (
        write_folder(tmp_path / "c", frames) if kind == "folder" else write_video(tmp_path / "c.avi", frames)
    )
    everything = np.stack(list(iter_frames(source)))
    chosen = read_frames(source, [5, 0, 5])
    assert chosen.shape == (3, HEIGHT, WIDTH, 3)
    assert chosen.dtype == np.uint8
    np.testing.assert_array_equal(chosen, everything[[5, 0, 5]])


@pytest.mark.parametrize("indices", [[8], [-1], [0, 9]])
def test_index_outside_the_clip(tmp_path, indices):
    folder = write_folder(tmp_path / "clip", make_frames(8))
    with pytest.raises(IndexError, match=r"must be in 0\.\.7"):
        read_frames(folder, indices)


def test_no_indices(tmp_path):
    with pytest.raises(ValueError, match="at least one"):
        read_frames(write_folder(tmp_path / "clip", make_frames(2)), [])


def test_video_frames_and_count(tmp_path):
    frames = make_frames(10)
    path = write_video(tmp_path / "clip.avi", frames)
    read = np.stack(list(iter_frames(path)))
    assert count_frames(path) == 10
    assert read.shape == frames.shape
    assert np.abs(read.astype(int) - frames).mean() < 8  # lossy, but RGB and not BGR
    assert np.abs(read[..., ::-1].astype(int) - frames).mean() > 30


@pytest.mark.parametrize("kind", ["folder", "video"])
def test_segment_is_a_range_of_the_whole(tmp_path, kind):
    frames = make_frames(10)
    whole = (
        write_folder(tmp_path / "clip", frames, start=1)
        if kind == "folder"
        else write_video(tmp_path / "clip.avi", frames)
    )
    read = np.stack(list(iter_frames(whole)))
    part = Segment(whole, 3, 7)
    assert count_frames(part) == 4
    np.testing.assert_array_equal(np.stack(list(iter_frames(part))), read[3:7])
    np.testing.assert_array_equal(read_frames(part, [3, 0]), read[[6, 3]])
    np.testing.assert_array_equal(np.stack(list(iter_frames(Segment(whole, 0, 10)))), read)
    with pytest.raises(IndexError, match=r"frame indices must be in 0\.\.3, got \[4\]"):
        read_frames(part, [4])
    with pytest.raises(InputError, match=r"clip.*, frames 4\.\.11: no such frames, expected some of 1\.\.10"):
        iter_frames(Segment(whole, 3, 11))


def test_digest_changes_with_files_and_range(tmp_path):
    folder = write_folder(tmp_path / "clip", make_frames(4))
    video = write_video(tmp_path / "clip.avi", make_frames(4))
    sources = [folder, video, Segment(video, 0, 2), Segment(video, 2, 4), Segment(folder, 0, 2)]
    digests = [source_digest(source) for source in sources]
    assert len(set(digests)) == len(sources)
    assert digests == [source_digest(source) for source in sources]
    (folder / "003.png").write_bytes(b"another size")
    assert source_digest(folder) != digests[0]
    assert source_digest(sources[-1]) == digests[-1]  # frame 3 is none of its two


@pytest.mark.parametrize("number", [0, 2, 5])
def test_digest_sees_a_changed_frame_of_the_same_size_and_time(tmp_path, number):
    folder = write_folder(tmp_path / "clip", make_frames(6), ".bmp")
    before = source_digest(folder)
    path = folder / f"{number:03d}.bmp"
    content, stat = bytearray(path.read_bytes()), path.stat()
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert source_digest(folder) != before


def test_digest_of_a_copy_is_that_of_its_original(tmp_path):
    """Elsewhere, at another time, with other times of its files."""
    folder = write_folder(tmp_path / "a" / "clip", make_frames(4))
    video = write_video(tmp_path / "a" / "clip.avi", make_frames(4))
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    for path in (tmp_path / "b").rglob("*"):
        os.utime(path, (1, 1))
    for source in (folder, video, Segment(folder, 1, 3), Segment(video, 1, 3)):
        path = source.path if isinstance(source, Segment) else source
        copied = tmp_path / "b" / path.name
        copy = Segment(copied, 1, 3) if isinstance(source, Segment) else copied
        assert source_digest(copy) == source_digest(source)


def test_digest_samples_all_of_a_large_file(tmp_path, monkeypatch):
    """Of 200 bytes, 10 blocks of 4: the first and the last byte are seen, and every tenth of the file."""
    monkeypatch.setattr(frames_module, "_DIGEST_BLOCK_BYTES", 4)
    monkeypatch.setattr(frames_module, "_N_DIGEST_BLOCKS", 10)
    path, seen = tmp_path / "large.avi", []
    content = np.random.default_rng(0).integers(0, 256, 200, np.uint8)
    path.write_bytes(content)
    before = source_digest(path)
    for at in range(200):
        content[at] ^= 1
        path.write_bytes(content)
        frames_module._content_digest.cache_clear()
        if source_digest(path) != before:
            seen.append(at)
        content[at] ^= 1
    assert len(seen) == 40
    assert (seen[0], seen[-1]) == (0, 199)
    assert np.diff(seen).max() < 23
    path.write_bytes(content[:-1])
    assert source_digest(path) != before


@pytest.mark.parametrize("root", ["UCSDped1", "ped1", "UCSDPed1"])
def test_frame_damaged_as_published_has_a_stand_in(root, tmp_path, capsys):
    folder = tmp_path / root / "Test" / "Test017"
    write_folder(folder, make_frames(3)[..., 0], ".tif", start=140)
    good = read_image(folder / "142.tif")
    np.testing.assert_array_equal(np.stack(list(iter_frames(folder)))[2], good)
    assert capsys.readouterr().err == ""
    (folder / "142.tif").write_bytes((folder / "142.tif").read_bytes()[:100])
    frames = list(iter_frames(folder))
    np.testing.assert_array_equal(frames[2], frames[1])
    np.testing.assert_array_equal(read_frames(folder, [2])[0], frames[1])
    said = capsys.readouterr().err.splitlines()[0]
    assert "142.tif: damaged image" in said
    assert "141.tif is read in its place" in said
    (folder / "140.tif").write_bytes(b"II")
    with pytest.raises(InputError, match=r"140\.tif: damaged image"):
        list(iter_frames(folder))


# One InputError that names the file and the fault


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95, 0.999])
def test_truncated_jpg(tmp_path, share):
    folder = write_folder(tmp_path / "clip", make_frames(3), ".jpg")
    damaged = folder / "001.jpg"
    content = damaged.read_bytes()
    damaged.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(InputError, match=r"001\.jpg: truncated image, expected .*FFD9"):
        list(iter_frames(folder))


def test_padding_behind_a_jpg_does_no_harm(tmp_path):
    folder = write_folder(tmp_path / "clip", make_frames(1), ".jpg")
    path = folder / "000.jpg"
    whole = read_image(path)
    path.write_bytes(path.read_bytes() + b"\0" * 20)
    np.testing.assert_array_equal(read_image(path), whole)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.97])
def test_truncated_other_image(tmp_path, suffix, share):
    folder = write_folder(tmp_path / "clip", make_frames(3), suffix)
    damaged = folder / f"001{suffix}"
    content = damaged.read_bytes()
    damaged.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(InputError, match=rf"001\{suffix}: damaged image"):
        list(iter_frames(folder))


def test_frame_of_another_size(tmp_path):
    folder = write_folder(tmp_path / "clip", make_frames(3))
    Image.fromarray(np.zeros((HEIGHT, WIDTH + 2, 3), np.uint8)).save(folder / "002.png")
    with pytest.raises(
        InputError, match=r"002\.png: frame of another size, expected 32x24 px .*got 34x24 px"
    ):
        list(iter_frames(folder))


def test_gap_in_numbers(tmp_path):
    folder = write_folder(tmp_path / "clip", make_frames(3), start=1)
    (folder / "002.png").unlink()
    with pytest.raises(InputError, match=r"003\.png: gap in frame numbers, expected 2, got 3"):
        image_paths(folder)


def test_repeated_number(tmp_path):
    folder = write_folder(tmp_path / "clip", make_frames(3))
    (folder / "1.jpg").write_bytes((folder / "001.png").read_bytes())
    with pytest.raises(InputError, match="repeat of frame numbers, expected 2, got 1"):
        image_paths(folder)


def test_name_without_number(tmp_path):
    folder = write_folder(tmp_path / "clip", make_frames(1))
    (folder / "cover.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"cover\.png: no frame number"):
        count_frames(folder)


def test_empty_folder_and_missing_source(tmp_path):
    (tmp_path / "clip").mkdir()
    with pytest.raises(InputError, match="clip: no image in the folder"):
        count_frames(tmp_path / "clip")
    with pytest.raises(InputError, match=r"gone\.avi: no such file or folder"):
        list(iter_frames(tmp_path / "gone.avi"))


@pytest.mark.parametrize("content", [b"", b"plain text " * 300])
def test_file_that_is_no_video(tmp_path, content):
    path = tmp_path / "clip.avi"
    path.write_bytes(content)
    for read in (
        count_frames,
        lambda source: list(iter_frames(source)),
        lambda source: read_frames(source, [0]),
    ):
        with pytest.raises(InputError, match=r"clip\.avi: not a readable video file"):
            read(path)


def test_truncated_video(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (40, HEIGHT, WIDTH, 3), dtype=np.uint8)
    path = write_video(tmp_path / "clip.avi", noise)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(
        InputError,
        match=r"clip\.avi: truncated or damaged video at \d\.\d\d s, frame \d+ could be",
    ):
        list(iter_frames(path))


def test_video_damaged_in_the_middle(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (40, HEIGHT, WIDTH, 3), dtype=np.uint8)
    path = write_video(tmp_path / "clip.avi", noise)
    content = bytearray(path.read_bytes())
    third = len(content) // 3
    content[third : 2 * third] = bytes(third)
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"clip\.avi: (truncated or )?damaged video"):
        list(iter_frames(path))


def test_video_with_more_frames_than_it_declares(tmp_path, monkeypatch):
    path = write_video(tmp_path / "clip.avi", make_frames(6))
    monkeypatch.setattr(videos, "_looked_at", lambda path: (5, False))
    with pytest.raises(
        InputError, match=r"clip\.avi: damaged video, expected 5 frames as declared, got more"
    ):
        list(iter_frames(path))


def test_codec_that_cannot_be_decoded(tmp_path):
    path = write_video(tmp_path / "clip.avi", make_frames(4))
    path.write_bytes(path.read_bytes().replace(b"FMP4", b"ZZZZ"))
    for read in (count_frames, lambda source: list(iter_frames(source))):
        with pytest.raises(InputError, match=r"clip\.avi: unreadable codec"):
            read(path)


def test_decoder_error_names_the_file(tmp_path, monkeypatch):
    path = write_video(tmp_path / "clip.avi", make_frames(4))

    def fail(*_):
        yield 0.0, make_frames(1)[0]
        raise OSError(5, "bad disk")

    monkeypatch.setattr(videos, "shown_frames", fail)
    with pytest.raises(InputError, match=r"clip\.avi: damaged video, .*bad disk"):
        list(iter_frames(path))


def test_damage_is_reported_in_one_line_without_opencv_log(tmp_path):
    (tmp_path / "0.bmp").write_bytes(b"BM" + b"\0" * 60)
    code = "import sys; from data_prep.frames import iter_frames; list(iter_frames(sys.argv[1]))"
    result = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stderr.splitlines()[0].startswith("Traceback")
    assert "0.bmp: damaged image" in result.stderr.splitlines()[-1]


def test_real_ped2_frames(real_data):
    folder = real_data / "ped2" / "testing" / "frames" / "01"
    assert count_frames(folder) == 180
    assert read_frames(folder, [0, 179]).shape == (2, 240, 360, 3)


@pytest.mark.parametrize(("name", "n_frames"), [("testing_videos/08.avi", 36), ("testing_videos/21.avi", 76)])
def test_real_avenue_videos(real_data, name, n_frames):
    path = real_data / "avenue_sample" / name
    if not path.is_file():
        pytest.skip(f"no {path}")
    assert count_frames(path) == n_frames == sum(frame.shape == (360, 640, 3) for frame in iter_frames(path))
