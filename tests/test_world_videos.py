"""Videos as people's recorders make them: each is made small here; the real ones are tried where they are.

A player shows a video upright, without what its edit list cuts off or cannot be decoded. Times never run
back.
"""

import struct

import av
import imageio.v3 as iio
import numpy as np
import pytest

from data_prep.frames import source_digest
from data_prep.live_frames import Clock, FrameStream
from tests.recordings import HEIGHT, N_FRAMES, RATE, WIDTH, encode, frames_of
from tests.videos import pictures


def without_first_packets(path, new, n_left_out):
    """Copy a video without its first packets, as a recorder does that starts at any moment."""
    with av.open(str(path)) as source, av.open(str(new), "w") as target:
        stream = source.streams.video[0]
        copied = target.add_stream_from_template(stream)
        for index, packet in enumerate(source.demux(stream)):
            if packet.dts is not None and index >= n_left_out:
                packet.stream = copied
                target.mux(packet)
    return new


def decoded(source):
    """All frames by a second library, which knows nothing of turning."""
    return iio.imread(source, plugin="pyav")


# What is read, whatever it is


KINDS = {
    "h264.mp4": {},
    "h264.mkv": {},
    "h264.ts": {},
    "b-frames.mov": {"bf": "3", "key_every": 12},
    "fragmented.mp4": {"movflags": None},
    "hevc-10-bit.mp4": {"codec": "libx265", "pix_fmt": "yuv420p10le", "x265-params": "log-level=none"},
    "av1.mp4": {"codec": "libsvtav1"},
    "vp9.webm": {"codec": "libvpx-vp9"},
    "vp8.webm": {"codec": "libvpx"},
    "prores.mov": {"codec": "prores_ks", "pix_fmt": "yuv422p10le"},
    "mjpeg.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "mpeg4.m4v": {"codec": "mpeg4"},
    "mpeg2.mpg": {"codec": "mpeg2video"},
    "wmv.wmv": {"codec": "wmv2"},
    "flv.flv": {"codec": "flv"},
    "animated.gif": {"codec": "gif", "pix_fmt": "rgb8"},
    "lossless.mkv": {"codec": "ffv1"},
    "gray.mkv": {"codec": "ffv1", "pix_fmt": "gray"},
}


@pytest.mark.parametrize("name", KINDS)
def test_what_recorders_write_is_read_as_by_another_library(tmp_path, name):
    options = dict(KINDS[name])
    if options.pop("movflags", "") is None:
        path = encode_fragmented(tmp_path / name)
    else:
        path = encode(tmp_path / name, **options)
    frames = frames_of(path)
    assert len(frames) == N_FRAMES
    np.testing.assert_array_equal(frames, decoded(path))


def encode_fragmented(path):
    """Write an MP4 whose index is spread over it, as recorders do that may be cut off."""
    with av.open(str(path), "w", options={"movflags": "frag_keyframe+empty_moov"}) as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        for picture in pictures(N_FRAMES, HEIGHT, WIDTH):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def test_odd_sizes_are_read(tmp_path):
    frames = [picture[:95, :127] for picture in pictures(10, HEIGHT, WIDTH)]
    path = encode(tmp_path / "odd.mkv", frames, codec="ffv1", pix_fmt="yuv444p")
    assert frames_of(path).shape == (10, 95, 127, 3)


@pytest.mark.parametrize("name", ["vfr.mp4", "vfr.mkv", "vfr.avi"])
def test_frames_of_a_varying_rate_are_read_with_their_times(tmp_path, name):
    times = np.cumsum([0.0, *np.random.default_rng(0).choice([0.04, 0.08, 0.2], N_FRAMES - 1)])
    codec = "mpeg4" if name.endswith("avi") else "libx264"
    path = encode(tmp_path / name, times=times, codec=codec, bf="0")
    frames_of(path)
    seconds = [moment for moment, _ in FrameStream(str(path))]
    np.testing.assert_allclose(seconds, times, atol=0.021)


# Turned


TURNS = [(a, 0, 0, d) for a in (1, -1) for d in (1, -1)] + [(0, b, c, 0) for b in (1, -1) for c in (1, -1)]


def with_display_matrix(path, new, a, b, c, d):
    """Write the matrix of the track's header: 16.16 fixed point, big-endian, 40 bytes behind its name."""
    content = bytearray(path.read_bytes())
    start = content.index(b"tkhd") + 4 + 40
    one = 1 << 16
    content[start : start + 36] = struct.pack(">9i", a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)
    new.write_bytes(content)
    return new


@pytest.mark.parametrize("turn", TURNS)
def test_a_turned_video_is_read_upright(tmp_path, turn):
    """Every pixel (x, y) is shown at (a x + c y, b x + d y), moved into the picture."""
    a, b, c, d = turn
    plain = encode(tmp_path / "plain.mp4", list(pictures(5, HEIGHT, WIDTH)))
    frames = frames_of(with_display_matrix(plain, tmp_path / "turned.mp4", *turn))
    y, x = np.indices((HEIGHT, WIDTH))
    across, down = a * x + c * y, b * x + d * y
    across, down = across - across.min(), down - down.min()
    for frame, stored in zip(frames, decoded(plain), strict=True):
        expected = np.zeros((down.max() + 1, across.max() + 1, 3), np.uint8)
        expected[down, across] = stored
        np.testing.assert_array_equal(frame, expected)
        assert frame.flags["C_CONTIGUOUS"]
    # Or features that were kept of it on its side would be taken for its own.
    digests = [source_digest(path) for path in (tmp_path / "turned.mp4", as_turned(plain))]
    assert (digests[0] == digests[1]) == (turn == (1, 0, 0, 1))


def as_turned(plain):
    """The stored video under the other one's name: a digest holds names."""
    (plain.parent / "x").mkdir()
    return plain.rename(plain.parent / "x" / "turned.mp4")


def test_another_angle_is_turned_to_the_nearest_quarter(tmp_path, capsys):
    plain = encode(tmp_path / "plain.mp4", list(pictures(5, HEIGHT, WIDTH)))
    content = bytearray(plain.read_bytes())
    start = content.index(b"tkhd") + 4 + 40
    cos, sin = round(65536 * np.cos(np.radians(80))), round(65536 * np.sin(np.radians(80)))
    content[start : start + 36] = struct.pack(">9i", cos, sin, 0, -sin, cos, 0, 0, 0, 1 << 30)
    (tmp_path / "turned.mp4").write_bytes(content)
    frames = frames_of(tmp_path / "turned.mp4")
    np.testing.assert_array_equal(frames, np.rot90(decoded(plain), -1, axes=(1, 2)))
    (line,) = capsys.readouterr().err.splitlines()
    assert "turned.mp4: to be shown turned by -80 degrees, turned to the nearest quarter" in line


# What is not shown


def test_what_an_edit_list_cuts_off_is_no_frame(tmp_path):
    path = encode(tmp_path / "whole.mp4", key_every=100, movflags="use_editlist")
    whole, content = decoded(path), bytearray(path.read_bytes())
    start = content.index(b"elst") + 4 + 8  # version and flags, number of entries; then duration, media time
    duration, media_time = struct.unpack(">2i", content[start : start + 8])
    struct_of = struct.pack(">2i", duration * 24 // 40, media_time + 16 * (12800 // RATE))
    content[start : start + 8] = struct_of
    (tmp_path / "trimmed.mp4").write_bytes(content)
    frames = frames_of(tmp_path / "trimmed.mp4")
    np.testing.assert_array_equal(frames, whole[16:40])


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts", ".avi"])
@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_a_recording_that_begins_off_a_key_frame_begins_with_the_next(tmp_path, codec, suffix, capsys):
    path = encode(tmp_path / f"whole{suffix}", codec=codec, bf="0")
    late = without_first_packets(path, tmp_path / f"late{suffix}", 4)
    np.testing.assert_array_equal(frames_of(late), decoded(path)[10:])
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(f"late{suffix}: begins off a key frame, 6 frames that cannot be shown are left out")


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize(
    ("codec", "options"),
    [
        ("libx264", {"x264-params": "open-gop=1:bframes=3:b-adapt=0:keyint=10:scenecut=0"}),
        ("libx265", {"x265-params": "open-gop=1:bframes=3:b-adapt=0:keyint=10:scenecut=0:log-level=none"}),
    ],
)
def test_frames_that_need_the_group_ahead_are_left_out(tmp_path, codec, options, suffix, capsys):
    path = encode(tmp_path / f"whole{suffix}", codec=codec, **options)
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    second_key = [index for index, packet in enumerate(packets) if packet.is_keyframe][1]
    n_leading = sum(packet.pts < packets[second_key].pts for packet in packets[second_key:])
    assert n_leading > 0
    late = without_first_packets(path, tmp_path / f"late{suffix}", second_key)
    n_shown = len(packets) - second_key - n_leading
    np.testing.assert_array_equal(frames_of(late), decoded(path)[-n_shown:])
    if suffix == ".mkv":  # the muxer of MP4 cuts them off by an edit list
        assert f"{n_leading} frames that cannot be shown" in capsys.readouterr().err


# Times


def test_two_recordings_in_one_file_have_times_that_go_on(tmp_path):
    content = encode(tmp_path / "a.ts").read_bytes()
    (tmp_path / "cat.ts").write_bytes(content + content)
    stream = FrameStream(str(tmp_path / "cat.ts"))
    np.testing.assert_allclose([seconds for seconds, _ in stream], np.arange(80) / RATE, atol=1e-6)
    assert stream.notes() == [
        "the source's clock jumps once by -1.6 s at 1.6 s: times go on at its rate of frames"
    ]


def test_b_frames_in_avi_have_times_in_order(tmp_path):
    path = encode(tmp_path / "b.avi", bf="3", key_every=100)
    stream = FrameStream(str(path))
    np.testing.assert_allclose([seconds for seconds, _ in stream], np.arange(N_FRAMES) / RATE, atol=1e-6)
    assert not stream.notes()


def test_a_jump_of_hours_is_passed_over_and_told(tmp_path):
    times = np.arange(N_FRAMES) / RATE
    times[20:] += 3 * 3600
    stream = FrameStream(str(encode(tmp_path / "jump.mkv", times=times, bf="0")))
    np.testing.assert_allclose([seconds for seconds, _ in stream], np.arange(N_FRAMES) / RATE, atol=2e-3)
    (note,) = stream.notes()
    assert "jumps once by +10800.0 s at 0.8 s" in note


def test_a_clock_never_runs_back():
    rng = np.random.default_rng(0)
    clock, stamps = Clock(), np.cumsum(rng.normal(0.04, 40, 500))
    seconds = [clock.seconds(None if rng.random() < 0.1 else stamp, 0.04) for stamp in stamps]
    assert seconds[0] == 0
    assert min(np.diff(seconds)) >= 0
    assert clock.n_jumps > 100
    assert len(clock.notes()) == 1
    steady = Clock()
    assert [steady.seconds(5 + 0.1 * index, 0.04) for index in range(3)] == pytest.approx([0, 0.1, 0.2])
    assert steady.notes() == []


# The real ones


REAL = {
    "rotated.mp4": (40, (96, 64)),
    "trimmed.mp4": (24, (64, 96)),
    "midgop.mp4": (30, (64, 96)),
    "x264.avi": (40, (64, 96)),
    "cat.ts": (80, (64, 96)),
    "plain.mp4": (40, (64, 96)),
    "mj.avi": (40, (64, 96)),
}


@pytest.mark.parametrize("name", REAL)
def test_real_files(real_data, name):
    n_frames, shape = REAL[name]
    path = real_data / "video" / "cases" / name
    if not path.is_file():
        pytest.skip(f"no {path}")
    frames = frames_of(path)
    assert frames.shape == (n_frames, *shape, 3)
    seconds = [moment for moment, _ in FrameStream(str(path))]
    np.testing.assert_allclose(seconds, np.arange(n_frames) / RATE, atol=1e-6)
