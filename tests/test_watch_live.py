"""Watching what is live: cameras, standard input, signals, damage, memory."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import av
import imageio.v3 as iio
import numpy as np
import pytest

from data_prep.errors import InputError
from data_prep.frames import iter_frames
from data_prep.live_frames import FrameStream
from experiments.lab.watching import live
from experiments.lab.watching import outputs as watching
from tests.cameras import Camera
from tests.videos import HEIGHT, N_FRAMES, RATE, WIDTH, lines_of, pictures, write_video
from tests.watched import FEATURES, OF_RUNS, ROOT, call, results_folder


def opened_by_a_reader(fifo: Path, process: subprocess.Popen):
    """Open a FIFO for writing once `process` reads it; fail, in place of waiting for ever, where it ended."""
    while True:
        assert process.poll() is None, process.stderr.read().decode()[-2000:]
        with contextlib.suppress(OSError):  # nobody reads it yet
            return os.fdopen(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK), "wb")
        time.sleep(0.05)


def test_ctrl_c_on_a_camera_that_sends_nothing_more(trained, tmp_path):
    """A FIFO that stays open: Ctrl-C ends it, and all that came is there, valid and closed."""
    video = write_video(tmp_path / "v.ts", pictures(30), codec="libx264")
    camera = tmp_path / "camera"
    os.mkfifo(camera)
    command = [sys.executable, "-m", "experiments.watch", camera, "--run", *trained.runs, *OF_RUNS]
    process = subprocess.Popen(
        [*map(str, command), "--out", str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    scores = results_folder(tmp_path, "camera", FEATURES) / "scores.csv"
    try:
        with opened_by_a_reader(camera, process) as feed:
            feed.write(video.read_bytes())
            feed.flush()
            while not scores.exists() or scores.read_bytes().count(b"\n") < 20:
                assert process.poll() is None, process.stderr.read().decode()[-2000:]
                assert not (scores.parent / "annotated.mp4").exists()
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 0, err.decode()[-2000:]
    assert b"Traceback" not in err
    n_frames = len(lines_of(scores))
    assert f"{n_frames} frames, ".encode() in out
    assert {path.name for path in scores.parent.iterdir()} == set(watching.FILES)
    assert len(list(iio.imiter(scores.parent / "annotated.mp4", plugin="pyav"))) == n_frames


def test_standard_input(tmp_path):
    video = write_video(tmp_path / "v.ts", pictures(20), codec="libx264")
    script = (
        "from data_prep.live_frames import FrameStream; stream = FrameStream('-');"
        "print(sum(frame.shape == (96, 128, 3) for _, frame in stream), stream.name)"
    )
    with open(video, "rb") as feed:
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=ROOT, stdin=feed, capture_output=True, text=True
        )
    assert done.stdout.strip() == "20 standard input"


def serve(content: bytes) -> int:
    """Send bytes to the first that connects; return the port."""
    server = socket.create_server(("127.0.0.1", 0))

    def send():
        connection, _ = server.accept()
        with connection, server:
            connection.sendall(content)

    threading.Thread(target=send, daemon=True).start()
    return server.getsockname()[1]


def test_address(tmp_path):
    video = write_video(tmp_path / "v.ts", pictures(20), codec="libx264")
    stream = FrameStream(f"tcp://127.0.0.1:{serve(video.read_bytes())}")
    assert stream.is_live
    moments = list(stream)
    np.testing.assert_allclose([seconds for seconds, _ in moments], np.arange(20) / RATE, atol=1e-3)
    for (_, frame), expected in zip(moments, pictures(20), strict=True):
        assert np.abs(frame.astype(int) - expected).mean() < 12
    with pytest.raises(
        InputError, match=r"tcp://127\.0\.0\.1:1: cannot be read as a video, Connection refused"
    ):
        list(FrameStream("tcp://127.0.0.1:1"))


def test_a_file_reached_by_http_is_read_whole_and_no_camera(camera, tmp_path):
    stream = FrameStream(f"http://{camera}/yard.ts")
    assert (stream.is_live, stream.may_drop, stream.n_frames) == (False, False, None)
    assert len(list(stream)) == 20
    noise = np.random.default_rng(0).integers(0, 255, (40, HEIGHT, WIDTH, 3), dtype=np.uint8)
    Camera.video = with_damage(write_video(tmp_path / "d.ts", noise, codec="libx264")).read_bytes()
    with pytest.raises(InputError, match=r"yard\.ts: truncated or damaged video at .* frame \d+ "):
        list(FrameStream(f"http://{camera}/yard.ts"))


def test_two_recordings_in_one_file_have_one_time(trained, tmp_path, monkeypatch, capsys):
    """Its clock restarts in the middle: what is written goes on, and a line says so, once."""
    content = write_video(tmp_path / "v.ts", pictures(20), codec="libx264").read_bytes()
    (tmp_path / "cam:09:30.ts").write_bytes(content + content)
    monkeypatch.chdir(tmp_path)
    options = ["--run", *trained.runs, *OF_RUNS, "--out", "out:1"]
    assert call(monkeypatch, "cam:09:30.ts", *options) == 0
    folder = results_folder(Path("out:1"), "cam_09_30", FEATURES)
    seconds = [float(line["time_seconds"]) for line in lines_of(folder / "scores.csv")]
    np.testing.assert_allclose(seconds, np.arange(40) / RATE, atol=2e-3)
    with av.open(str((folder / "annotated.mp4").absolute())) as container:
        shown = [frame.time for frame in container.decode(video=0)]
    np.testing.assert_allclose(shown, seconds, atol=2e-3)
    assert capsys.readouterr().out.count("the source's clock jumps once by -2.0 s at 2.0 s") == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_end_the_watching(number, monkeypatch):
    left = []
    monkeypatch.setattr(live, "leave_terminal", lambda: left.append(True))
    before = signal.signal(number, signal.SIG_DFL)  # under nohup the tests themselves ignore SIGHUP
    try:
        with live.stop_on_signal() as stop:
            signal.raise_signal(number)
            assert stop.is_set()
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(number)
    finally:
        signal.signal(number, before)
    assert bool(left) == (number == signal.SIGHUP)


def test_nohup_is_kept():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with live.stop_on_signal() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop.is_set()
    finally:
        signal.signal(signal.SIGHUP, before)


def with_damage(path, at=0.5):
    """Change bytes in the middle of a file."""
    content = bytearray(path.read_bytes())
    part = slice(int(at * len(content)), int(at * len(content)) + 300)
    content[part] = bytes(byte ^ 0xA5 for byte in content[part])
    path.write_bytes(content)
    return path


def test_damaged_pictures_count_where_live_and_stop_a_file(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (40, HEIGHT, WIDTH, 3), dtype=np.uint8)
    video = with_damage(write_video(tmp_path / "v.ts", noise, codec="libx264"))
    stream = FrameStream(f"tcp://127.0.0.1:{serve(video.read_bytes())}")
    n_read = len(list(stream))
    assert 20 < n_read < 40
    assert n_read + stream.n_damaged <= 40
    assert stream.notes() == [f"{stream.n_damaged} damaged packets passed over"]
    with pytest.raises(InputError, match=r"v\.ts: truncated or damaged video at \d\.\d\d s, frame \d+ "):
        list(FrameStream(str(video)))


def test_file_gives_the_frames_that_training_reads(trained):
    stream = FrameStream(str(trained.video))
    assert stream.n_frames == N_FRAMES
    for (seconds, frame), (index, expected) in zip(
        stream, enumerate(iter_frames(trained.video)), strict=True
    ):
        assert seconds == pytest.approx(index / RATE)
        np.testing.assert_array_equal(frame, expected)
    assert stream.rate == RATE


MEASURE_MEMORY = """
import re
from pathlib import Path
from experiments import watch
from experiments.lab.publishing import plots
from experiments.lab.watching import live, session
from experiments.lab.watching import outputs as watching

def add(self, picture, frame, add=watching.Outputs.add):
    megabytes.append(int(re.search(r"VmRSS:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024)
    return add(self, picture, frame)

megabytes, watching.Outputs.add = [], add
try:
    watch.main()
finally:
    print(max(megabytes[:6 * N_FRAMES]), max(megabytes))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_memory_is_flat_over_twelve_times_the_video(trained, tmp_path):
    """Peak of six times the frames, and of twelve: frames kept would add 80 MB, their features 30 MB."""
    frames = list(pictures(N_FRAMES, 240, 320))
    with iio.imopen(tmp_path / "twelvefold.avi", "w", plugin="pyav") as file:
        file.init_video_stream("mpeg4", fps=RATE)
        for frame in frames * 12:
            file.write_frame(frame)
    script = MEASURE_MEMORY.replace("N_FRAMES", str(N_FRAMES))
    command = [sys.executable, "-c", script, tmp_path / "twelvefold.avi", "--run", *trained.runs, *OF_RUNS]
    command = [*map(str, command), "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert f"{12 * N_FRAMES} frames" in done.stdout
    half, whole = map(float, done.stdout.splitlines()[-1].split())
    assert whole - half < 20
