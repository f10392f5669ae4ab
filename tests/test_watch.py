"""Watching a video: the command on a clip of its own, bad input, live sources."""

import argparse
import contextlib
import errno
import http.server
import itertools
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import av
import cv2
import imageio.v3 as iio
import numpy as np
import pytest

from data_prep.errors import InputError
from data_prep.frames import iter_frames
from data_prep.live_frames import FrameStream
from experiments import watch
from experiments.lab import cli
from experiments.lab.scoring.protocol import Protocol
from experiments.lab.scoring.regularity import regularity
from experiments.lab.scoring.score_files import load_scores
from experiments.lab.settings.changes import results_name
from experiments.lab.settings.profiles import PROFILES
from experiments.lab.settings.schema import PAPER
from experiments.lab.training.runs import Run
from experiments.lab.watching import live, session
from experiments.lab.watching import outputs as watching
from tests.videos import HEIGHT, N_FRAMES, RATE, WIDTH, lines_of, pictures, write_video

ROOT = Path(__file__).parents[1]
FEATURES = {"backbone": "thin_resnet50", "input_size_px": 64}
TINY = {
    **FEATURES,
    "n_atoms": 16,
    "similarity_units": 8,
    "iterations": 10,
    "checkpoint_every": 10,
    "log_every": 10,
}


def flags_of(settings):
    """Return the flags that set them, in profile smoke."""
    return ["--profile", "smoke", *(f"--set={name}={value}" for name, value in settings.items())]


FLAGS = flags_of(TINY)
OF_RUNS = flags_of(FEATURES)  # a run has its model and its training


def results_folder(out, name="yard", beside=TINY, **overrides):
    """Where the command writes with these settings beside those of FLAGS or, for runs, of OF_RUNS."""
    settings = PROFILES["smoke"].override(**beside, **overrides)
    return out / "results" / results_name("smoke", False, settings) / "watch" / name


def scores_in(folder):
    """Times, scores and places of all frames, as text."""
    return [[line[name] for name in line if name not in ("abnormal", "trained_on")]
            for line in lines_of(folder / "scores.csv")]  # fmt: skip


def call(monkeypatch, *arguments):
    """Run the command in this process; return its exit code."""
    monkeypatch.setattr(sys, "argv", ["watch", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        watch.main()
    return end.value.code


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The command once, as a user starts it: a video that is its own example of what is normal."""
    folder = tmp_path_factory.mktemp("watch")
    video = write_video(folder / "yard.avi", pictures())
    with pytest.MonkeyPatch.context() as patch:
        code = call(patch, video, "--train", video, "--train-until", "0.5", *FLAGS, "--out", folder)
    assert code == 0
    runs = [next(folder.glob(f"checkpoints/*/*-{stream}-*")) for stream in ("spatial", "temporal")]
    return SimpleNamespace(out=folder, video=video, runs=runs, results=results_folder(folder))


# The command


def test_every_frame_has_a_line_and_scores_are_those_of_the_training_shards(trained):
    lines = lines_of(trained.results / "scores.csv")
    assert [int(line["frame"]) for line in lines] == list(range(1, N_FRAMES + 1))
    assert [float(line["time_seconds"]) for line in lines] == [round(t / RATE, 3) for t in range(N_FRAMES)]
    streams = {run.name.split("-")[1]: load_scores(run / "train_errors.npz") for run in trained.runs}
    errors = {
        stream: np.concatenate([clip.error.max(axis=1) for clip in clips])
        for stream, clips in streams.items()
    }
    protocol = Protocol(tuple(streams), normalization="train")
    expected = regularity(streams, protocol, errors)
    assert [len(scores) for scores in expected] == [12, 12]  # of the first 30 frames 13 to 18 are held out
    scores = np.array([float(line["score"]) for line in lines])
    np.testing.assert_allclose(scores[:12], expected[0], atol=5e-3)  # shards hold float16
    held_out = regularity(
        {run.name.split("-")[1]: Run(run).scores() for run in trained.runs}, protocol, errors
    )
    assert [len(scores) for scores in held_out] == [6]
    threshold = min(np.percentile(np.concatenate(expected), 0.5), held_out[0].min())
    sure = np.abs(scores - threshold) > 5e-3
    abnormal = np.array([line["abnormal"] == "1" for line in lines])
    np.testing.assert_array_equal(abnormal & sure, (scores < threshold) & sure & (np.arange(N_FRAMES) >= 30))
    assert [line["trained_on"] for line in lines] == ["1"] * 30 + ["0"] * 30
    assert scores[40:].mean() < scores[:12].mean() - 0.3  # the jumping square was never seen in training


def test_intervals_cover_the_abnormal_frames(trained):
    abnormal = {int(x["frame"]) for x in lines_of(trained.results / "scores.csv") if x["abnormal"] == "1"}
    intervals = lines_of(trained.results / "intervals.csv")
    spans = [(int(x["first_frame"]), int(x["last_frame"])) for x in intervals]
    assert abnormal <= {frame for first, last in spans for frame in range(first, last + 1)}
    assert sum(int(x["abnormal_frames"]) for x in intervals) == len(abnormal)
    assert {frame for span in spans for frame in span} <= abnormal
    assert all(second[0] - first[1] > watching.JOIN_SECONDS * RATE for first, second in pairwise(spans))


def test_video_and_overview_appear_whole(trained):
    assert {path.name for path in trained.results.iterdir()} == set(watching.FILES)
    assert (trained.results / "overview.png").read_bytes().startswith(b"\x89PNG")
    with av.open(str(trained.results / "annotated.mp4")) as container:
        frames = list(container.decode(video=0))
        assert container.streams.video[0].codec_context.name == "h264"
    np.testing.assert_allclose([frame.time for frame in frames], np.arange(N_FRAMES) / RATE, atol=1e-3)
    shown = frames[20].to_ndarray(format="rgb24")
    assert shown.shape[1] == 480  # small frames are enlarged: the strip below has to be read
    original = cv2.resize(list(pictures())[20], (480, 360)).astype(int)
    assert np.abs(shown[:360] - original).mean() < 12  # but for outline and compression


def test_runs_given_by_folder_score_alike(trained, tmp_path, monkeypatch):
    assert call(monkeypatch, trained.video, "--run", *trained.runs, *OF_RUNS, "--out", tmp_path) == 0
    again = results_folder(tmp_path, beside=FEATURES)
    assert scores_in(again) == scores_in(trained.results)
    assert {line["trained_on"] for line in lines_of(again / "scores.csv")} == {"0"}  # a run does not say


def test_the_command_that_watches_again_is_printed_whole(tmp_path):
    settings = {"smoothing_frames": 5, **FEATURES, "n_atoms": 16}
    arguments = argparse.Namespace(
        video="a b.mp4", profile="smoke", chosen=True, set=[f"{k}={v}" for k, v in settings.items()],
        weights=None, rate=10.0, threshold=99.0, out=tmp_path, train="x",
    )  # fmt: skip
    context = SimpleNamespace(settings=PROFILES["smoke"].override(**settings))
    runs = {name: SimpleNamespace(folder=tmp_path / name) for name in ("spatial", "temporal")}
    words = shlex.split(session.command_of_runs(arguments, context, runs))
    assert words[:6] == ["python", "-m", "experiments.watch", "a b.mp4", "--run", str(tmp_path / "spatial")]
    assert " ".join(words[6:]) == (
        f"{tmp_path}/temporal --profile smoke --chosen --set smoothing_frames=5 --set backbone=thin_resnet50 "
        f"--set input_size_px=64 --rate 10 --threshold 99 --out {tmp_path}"
    )


def test_iterations_that_fit_no_checkpoint_are_scored_at_their_end():
    def settings(*given):
        return cli.settings(cli.parser("").parse_args([f"--set={item}" for item in given])).train

    assert (settings("iterations=50").checkpoint_every, settings("iterations=50").log_every) == (50, 5)
    assert (settings("iterations=101").checkpoint_every, settings("iterations=101").log_every) == (101, 1)
    assert settings("iterations=150").checkpoint_every == PROFILES["quick"].train.checkpoint_every
    assert (
        settings("iterations=100", "checkpoint_every=75").checkpoint_every == 75
    )  # refused where it is used


def test_smoothed_scores_are_means_of_the_frames_around(trained, tmp_path, monkeypatch):
    plain = np.array([float(line["score"]) for line in lines_of(trained.results / "scores.csv")])
    flags = [*OF_RUNS, "--set=smoothing_frames=5", "--out", tmp_path]
    assert call(monkeypatch, trained.video, "--run", *trained.runs, *flags) == 0
    lines = lines_of(results_folder(tmp_path, beside=FEATURES, smoothing_frames=5) / "scores.csv")
    assert [int(line["frame"]) for line in lines] == list(range(1, N_FRAMES + 1))
    padded = np.pad(plain, 2, constant_values=np.nan)
    expected = np.nanmean(np.lib.stride_tricks.sliding_window_view(padded, 5), axis=1)
    np.testing.assert_allclose([float(line["score"]) for line in lines], expected, atol=1e-4)


def test_flow_as_a_third_stream_scores_as_in_training(trained, tmp_path, monkeypatch):
    flow = {"flow_input": "picture", "flow_size_px": 32, "flow_input_size_px": 64}
    shutil.copytree(trained.out, tmp_path, dirs_exist_ok=True)  # flow alone is trained anew
    flags = [*FLAGS, *(f"--set={name}={value}" for name, value in flow.items()), "--out", tmp_path]
    train = ["--train", trained.video, "--train-until", "0.5"]
    assert call(monkeypatch, trained.video, *train, *flags, "--set=motion=temporal+flow") == 0
    results = results_folder(tmp_path, **flow, motion="temporal+flow")
    lines = lines_of(results / "scores.csv")
    names = ("spatial", "temporal", "flow")
    runs = {name: next(tmp_path.glob(f"checkpoints/*/*-{name}-*")) for name in names}
    streams = {name: load_scores(run / "train_errors.npz") for name, run in runs.items()}
    assert len({clips[0].error.tobytes() for clips in streams.values()}) == 3
    scaled = []
    for name, clips in streams.items():
        error = np.concatenate([clip.error.max(axis=1) for clip in clips])
        weight = 1 if name == "spatial" else 0.5
        scaled.append(weight * (1 - (error - error.min()) / (error.max() - error.min())))
    scores = [float(line["score"]) for line in lines]
    np.testing.assert_allclose(scores[:12], np.sum(scaled, axis=0)[:12], atol=2e-2)  # shards hold float16
    # The same by the folders of the runs, in any order; flow computed otherwise is refused.
    folders = [runs[name] for name in ("flow", "spatial", "temporal")]
    flags = [*flags_of({**FEATURES, **flow}), "--out", tmp_path]
    assert call(monkeypatch, trained.video, "--run", *folders, *flags) == 0
    assert scores_in(results_folder(tmp_path, beside=FEATURES, **flow)) == scores_in(results)
    assert call(monkeypatch, trained.video, "--run", *folders, *flags, "--set=flow_warps=2") == 2
    assert call(monkeypatch, trained.video, "--run", runs["flow"], *flags) == 2


@pytest.mark.parametrize("alignment", ["causal", "centered"])
def test_flow_windows_score_as_in_training(trained, tmp_path, monkeypatch, alignment):
    windows = {"flow_input": "windows", "fusion": "calibrated", "windows_rows": 8}
    windows |= {"windows_alignment": alignment}
    chosen = {**windows, "appearance": "none", "motion": "flow", "windows_iterations": 20}
    flags = [*flags_of(chosen), "--out", tmp_path]
    assert call(monkeypatch, trained.video, "--train", trained.video, "--train-until", "0.5", *flags) == 0
    results = results_folder(tmp_path, beside=chosen)
    lines = lines_of(results / "scores.csv")
    assert [int(line["frame"]) for line in lines] == list(range(1, N_FRAMES + 1))
    run = next(tmp_path.glob("checkpoints/*/*-flow-*"))
    clips = load_scores(run / "train_errors.npz")
    errors = np.concatenate([clip.error.max(axis=1) for clip in clips])
    low, high = np.percentile(errors, [50, 90])
    n_alike = 12 if alignment == "causal" else 12 - 4  # the others see what the held-out frames show
    scores = np.array([float(line["score"]) for line in lines])
    np.testing.assert_allclose(scores[:n_alike], -(errors[:n_alike] - low) / (high - low), atol=2e-2)
    places = {(int(line["region_row"]), int(line["region_column"])) for line in lines[5:35]}
    assert places <= {(row, column) for row in (1, 2, 3) for column in range(1, 5)}  # where the square walks
    assert len(places) > 2
    # The same by the folder of the run; windows of another size are refused.
    flags = [*flags_of(windows), "--out", tmp_path]
    assert call(monkeypatch, trained.video, "--run", run, *flags) == 0
    assert scores_in(results_folder(tmp_path, beside=windows)) == scores_in(results)
    assert call(monkeypatch, trained.video, "--run", run, *flags, "--set=windows_px=24") == 2


def test_a_live_video_has_no_stacks_of_flow(trained, tmp_path, monkeypatch, capsys):
    options = ["--train", trained.video, *FLAGS, "--set", "motion=flow", "--out", tmp_path]
    error = refused(monkeypatch, capsys, trained.video, *options)
    assert "setting flow_input: expected picture or windows, for a live video, got stack" in error


def test_one_run_alone_on_a_folder_of_images_with_the_rate_it_is_given(trained, tmp_path, monkeypatch):
    folder = tmp_path / "images"
    folder.mkdir()
    for index, picture in enumerate(pictures(12)):
        cv2.imwrite(str(folder / f"{index:03d}.png"), picture[..., ::-1])
    arguments = ["--run", trained.runs[1], "--rate", 4, *OF_RUNS, "--out", tmp_path]
    assert call(monkeypatch, folder, *arguments) == 0
    lines = lines_of(results_folder(tmp_path, "images", FEATURES) / "scores.csv")
    assert [float(line["time_seconds"]) for line in lines] == [t / 4 for t in range(12)]


# Bad input: one line, exit code 2


def refused(monkeypatch, capsys, *arguments):
    assert call(monkeypatch, *arguments) == 2
    text = capsys.readouterr().err
    errors = [line for line in text.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "Traceback" not in text
    return errors[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected --train NORMAL .*--train-until 0.33.* or --run .*got neither"),
        (["--train-until", "0.3", "--run", "x"], "--train-until: expected --train beside it"),
        (
            ["--train", "x.avi", "--train-until", "1.5"],
            r"--train-until: expected a share in \(0, 1\], got 1.5",
        ),
        (["--train", "x.avi", "--train-until", "0"], r"--train-until: expected a share in \(0, 1\], got 0"),
        (
            ["--train", "x.avi", "--threshold", "49"],
            "--threshold: expected a percentage from 50 to 100, got 49",
        ),
        (["--train", "x.avi", "--rate", "-1"], "--rate: expected frames per second above 0, got -1"),
        (["--train", "x.avi", "--seeds", "2"], "--seeds: not used here"),
        (["--train", "x.avi", "--set", "alignment=centered"], "setting alignment: expected causal"),
        (
            ["--run", "nowhere", "--set", "n_atoms=4"],
            "--set n_atoms: nowhere has its own model, whose settings",
        ),
        (["--run", "nowhere"], "nowhere/config.json: no such file, expected the folder of a finished run"),
        (["--train", "nowhere.avi"], "nowhere.avi: no such file or folder"),
    ],
)
def test_flags(trained, arguments, message, tmp_path, monkeypatch, capsys):
    flags = OF_RUNS if "--run" in arguments else FLAGS
    error = refused(monkeypatch, capsys, trained.video, *arguments, *flags, "--out", tmp_path)
    assert re.search(message, error)


def test_what_is_no_video(trained, tmp_path, monkeypatch, capsys):
    options = ["--run", *trained.runs, *OF_RUNS, "--out", tmp_path]
    (tmp_path / "notes.avi").write_text("no video " * 100)
    (tmp_path / "empty").mkdir()
    for name, message in [
        ("notes.avi", "notes.avi: not a readable video file"),
        ("gone.avi", "gone.avi: no such file or folder"),
        ("empty", "empty: no image in the folder"),
    ]:
        assert message in refused(monkeypatch, capsys, tmp_path / name, *options)


def test_truncated_video_keeps_what_came(trained, tmp_path, monkeypatch, capsys):
    noise = np.random.default_rng(0).integers(0, 255, (40, HEIGHT, WIDTH, 3), dtype=np.uint8)
    whole = write_video(tmp_path / "cut.avi", noise).read_bytes()
    (tmp_path / "cut.avi").write_bytes(whole[: len(whole) // 2])
    options = ["--run", *trained.runs, *OF_RUNS, "--out", tmp_path]
    error = refused(monkeypatch, capsys, tmp_path / "cut.avi", *options)
    assert re.search(r"cut\.avi: truncated or damaged video at .* in part alone; what came", error)
    folder = results_folder(tmp_path, "cut", FEATURES)
    n_frames = len(lines_of(folder / "scores.csv"))
    assert 0 < n_frames < 40
    assert len(list(iio.imiter(folder / "annotated.mp4", plugin="pyav"))) == n_frames
    error = refused(
        monkeypatch, capsys, trained.video, "--train", tmp_path / "cut.avi", *FLAGS, "--out", tmp_path
    )
    assert "cut.avi" in error


def test_run_of_other_features(trained, tmp_path, monkeypatch, capsys):
    options = ["--profile", "smoke", "--set", "input_size_px=96", "--out", tmp_path]
    error = refused(monkeypatch, capsys, trained.video, "--run", *trained.runs, *options)
    assert "trained on features of input_size_px 64, expected 96, which --profile, --set or" in error


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"backbone": "resnet50"}, "trained on features of backbone resnet50, expected thin_resnet50"),
        (
            {"system": "LSTM-AE"},
            "expected a run of sRNN-AE, spatial or temporal or flow, got LSTM-AE, spatial",
        ),
        ({"stream": "early"}, "expected a run of sRNN-AE, spatial or temporal or flow, got sRNN-AE, early"),
        ({"train": {"alignment": "centered"}}, "looks ahead, expected alignment causal"),
    ],
)
def test_run_that_cannot_run_live(trained, change, message):
    run = Run(trained.runs[0])
    features = run.config["features"]
    backbone = SimpleNamespace(
        name="thin_resnet50",
        input_size_px=64,
        layer="last",
        weights_sha256=features["weights_sha256"],
    )
    context = SimpleNamespace(settings=PAPER, backbone=backbone)
    session.check_run(run, context)
    with pytest.raises(InputError, match=message):
        session.check_run(SimpleNamespace(folder=Path("f"), config={**run.config, **change}), context)


# Live


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


class Camera(http.server.BaseHTTPRequestHandler):
    """A camera that is reached by HTTP: whatever is asked for, it shows `video`."""

    video = b""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.video)))
        self.end_headers()
        self.wfile.write(self.video)

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def camera(tmp_path):
    """Host and port of a camera."""
    Camera.video = write_video(tmp_path / "v.ts", pictures(20), codec="libx264").read_bytes()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Camera)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


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


def bytes_under(folder):
    """All that is there: names and contents."""
    paths = [path for path in folder.rglob("*") if not path.name.endswith(".ts")]
    return b"".join(str(path).encode() + (path.read_bytes() if path.is_file() else b"") for path in paths)


@pytest.mark.parametrize("address", ["http://ann:s3cret@{}/live", "http://{}/live?user=ann&password=s3cret"])
def test_no_byte_of_what_a_run_writes_or_prints_holds_a_password(
    address, camera, trained, tmp_path, monkeypatch, capfd
):
    titles = []
    monkeypatch.setattr(watching.plots, "score_overview", lambda *arguments: titles.append(arguments[5]))
    options = ["--run", *trained.runs, *OF_RUNS, "--out", tmp_path / "out"]
    for _ in range(2):
        assert call(monkeypatch, address.format(camera), *options) == 0
    printed = "".join(capfd.readouterr())
    assert " frames, " in printed
    shown = f"http://{camera}/live"
    name = re.sub("[:/]+", "_", shown)
    folder = results_folder(tmp_path / "out", name, FEATURES)
    assert (folder / "source.txt").read_text() == f"{shown}\n"
    assert set(folder.parent.iterdir()) == {folder, folder.with_name(f"{name}-2")}  # nothing is replaced
    assert lines_of(folder / "scores.csv")
    everything = bytes_under(tmp_path / "out") + printed.encode() + "".join(titles).encode()
    assert name.encode() in "".join(titles).encode()
    assert b"s3cret" not in everything
    assert b"ann" not in everything.replace(b"annotated", b"")


@pytest.mark.parametrize(
    "arguments",
    [
        ["rtsp://ann:s3cret@camera/live"],
        ["rtsp://ann:s3 cret@camera/live", "--train-until", "0.3", "--run", "x"],
        ["x.avi", "--train", "rtsp://ann:s3cret@camera/live"],
        ["x.avi", "--run", "rtsp://ann:s3cret@camera/live"],
        ["x.avi", "--train", "y.avi", "--rate", "rtsp://ann:s3cret@camera/live"],
        ["x.avi", "rtsp://ann:s3cret@camera/live", "--train", "y.avi"],
    ],
)
def test_no_error_holds_a_password(arguments, monkeypatch, capsys):
    assert "cret" not in refused(monkeypatch, capsys, *arguments)


@pytest.mark.parametrize("scheme", ["tcp", "rtsp", "http", "rtmp", "nosuch"])
def test_an_address_that_does_not_answer_is_named_without_its_secrets(scheme, capfd):
    """Nor does FFmpeg print it."""
    with pytest.raises(InputError, match=rf"^{scheme}://127\.0\.0\.1:1: cannot be read as a video") as fault:
        list(FrameStream(f"{scheme}://ann:s3cret@127.0.0.1:1?password=s3cret"))
    assert "s3cret" not in str(fault.value) + "".join(capfd.readouterr())


def test_files_of_one_name_have_a_folder_each_and_none_replaces_what_it_reads(trained, tmp_path, monkeypatch):
    options = ["--run", *trained.runs, *OF_RUNS, "--out", tmp_path]
    for camera in ("a", "b"):
        (tmp_path / camera).mkdir()
        write_video(tmp_path / camera / "today.avi", pictures(20 if camera == "a" else 12))
        assert call(monkeypatch, tmp_path / camera / "today.avi", *options) == 0
    first, second = (results_folder(tmp_path, name, FEATURES) for name in ("today", "today-2"))
    assert [len(lines_of(folder / "scores.csv")) for folder in (first, second)] == [20, 12]
    assert call(monkeypatch, tmp_path / "a" / "today.avi", *options) == 0  # its own are replaced
    assert set(first.parent.iterdir()) == {first, second}
    video = first.with_name("annotated") / "annotated.mp4"
    video.parent.mkdir()
    shutil.copy(first / "annotated.mp4", video)
    assert call(monkeypatch, video, *options) == 0
    assert video.read_bytes() == (first / "annotated.mp4").read_bytes()
    assert len(lines_of(first.with_name("annotated-2") / "scores.csv")) == 20


def test_a_model_that_diverges_keeps_what_came(trained, tmp_path, monkeypatch, capsys):
    usual, n_calls = live.RegionErrors.__call__, itertools.count(1)

    def diverging(self, features):
        errors = usual(self, features)
        return errors if next(n_calls) <= 30 else {name: np.inf * values for name, values in errors.items()}

    monkeypatch.setattr(live.RegionErrors, "__call__", diverging)
    error = refused(monkeypatch, capsys, trained.video, "--run", *trained.runs, *OF_RUNS, "--out", tmp_path)
    assert re.search(r"yard\.avi: the model of the spatial stream diverges: .* not finite; what came", error)
    folder = results_folder(tmp_path, beside=FEATURES)
    assert {path.name for path in folder.iterdir()} == set(watching.FILES)
    assert len(lines_of(folder / "scores.csv")) == 30
    assert len(list(iio.imiter(folder / "annotated.mp4", plugin="pyav"))) == 30


def test_a_reader_that_goes_away_costs_no_recording(trained, tmp_path, monkeypatch):
    def gone(*text, **options):
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr(session, "announcement", gone)
    options = ["--run", *trained.runs, *OF_RUNS, "--out", tmp_path]
    monkeypatch.setattr(sys, "argv", ["watch", *map(str, [trained.video, *options])])
    with pytest.raises(BrokenPipeError):  # `exit_code` looks whether it is stdout that nobody reads
        watch.main()
    folder = results_folder(tmp_path, beside=FEATURES)
    n_frames = len(lines_of(folder / "scores.csv"))
    assert 0 < n_frames < N_FRAMES
    assert len(lines_of(folder / "intervals.csv")) == 1
    assert len(list(iio.imiter(folder / "annotated.mp4", plugin="pyav"))) == n_frames


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_end_the_watching(number, monkeypatch):
    left = []
    monkeypatch.setattr(live, "leave_terminal", lambda: left.append(True))
    with live.stop_on_signal() as stop:
        os.kill(os.getpid(), number)
        assert stop.wait(10)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
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
import shlex
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
    print(max(megabytes[:N_FRAMES]), max(megabytes))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_memory_is_flat_over_ten_times_the_video(trained, tmp_path):
    """Peak while the frames come once, and ten times: frames kept would add 120 MB, their features 46 MB."""
    frames = list(pictures(N_FRAMES, 240, 320))
    with iio.imopen(tmp_path / "tenfold.avi", "w", plugin="pyav") as file:
        file.init_video_stream("mpeg4", fps=RATE)
        for frame in frames * 10:
            file.write_frame(frame)
    script = MEASURE_MEMORY.replace("N_FRAMES", str(N_FRAMES))
    command = [sys.executable, "-c", script, tmp_path / "tenfold.avi", "--run", *trained.runs, *OF_RUNS]
    command = [*map(str, command), "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert f"{10 * N_FRAMES} frames" in done.stdout
    once, tenfold = map(float, done.stdout.splitlines()[-1].split())
    assert tenfold - once < 20
