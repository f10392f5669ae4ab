"""Watching a video: the command on a clip of its own, live sources, and the parts by themselves."""

import csv
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from itertools import count, pairwise
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
from experiments.lab import plots, watching
from experiments.lab.annotated_video import VERMILLION, AnnotatedVideo, Annotator
from experiments.lab.calibration import Calibration, calibrate, cell_boxes
from experiments.lab.footage import footage_dataset
from experiments.lab.live import FrameScore, ahead
from experiments.lab.runs import Run
from experiments.lab.score import ClipScores, load_scores, regularity, save_scores
from experiments.lab.settings import PAPER, ScoreSettings

ROOT = Path(__file__).parents[1]
N_FRAMES, RATE = 60, 10
HEIGHT, WIDTH = 96, 128
TINY = {
    "backbone": "thin_resnet50",
    "input_size_px": 64,
    "n_atoms": 16,
    "similarity_units": 8,
    "iterations": 10,
    "checkpoint_every": 10,
    "log_every": 10,
}
FLAGS = ["--profile", "smoke", *(f"--set={name}={value}" for name, value in TINY.items())]


def pictures(n=N_FRAMES, height=HEIGHT, width=WIDTH):
    """A blurred background on which a square walks; from frame 40 on a large, noisy one jumps about."""
    rng = np.random.default_rng(0)
    background = cv2.GaussianBlur(rng.uniform(0, 255, (height, width, 3)), (0, 0), 3)
    for t in range(n):
        frame = background.astype(np.uint8)
        frame[height // 3 : height // 2, (3 * t) % width :][:, : width // 8] = (200, 60, 60)
        if t % N_FRAMES >= 40:
            top, left = rng.integers(0, (height // 2, width // 2))
            patch = frame[top : top + height // 2, left : left + width // 2]
            blocks = rng.integers(0, 2, (height // 16, width // 16, 3)) * 255
            patch[:] = blocks.repeat(8, axis=0).repeat(8, axis=1)
        yield frame


def write_video(path, frames, codec="mpeg4", **options):
    iio.imwrite(path, np.stack(list(frames)), plugin="pyav", codec=codec, fps=RATE, **options)
    return path


def call(monkeypatch, *arguments):
    """Run the command in this process; return its exit code."""
    monkeypatch.setattr(sys, "argv", ["watch", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        watch.main()
    return end.value.code


def lines_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The command once, as a user starts it: a video that is its own example of what is normal."""
    folder = tmp_path_factory.mktemp("watch")
    video = write_video(folder / "yard.avi", pictures())
    with pytest.MonkeyPatch.context() as patch:
        code = call(patch, video, "--train", video, "--train-until", "0.5", *FLAGS, "--out", folder)
    assert code == 0
    runs = [next(folder.glob(f"checkpoints/*/*-{stream}-*")) for stream in ("spatial", "temporal")]
    return SimpleNamespace(
        out=folder, video=video, runs=runs, results=folder / "results" / "smoke" / "watch" / "yard"
    )


# The command


def test_every_frame_has_a_line_and_scores_are_those_of_the_training_shards(trained):
    lines = lines_of(trained.results / "scores.csv")
    assert [int(line["frame"]) for line in lines] == list(range(1, N_FRAMES + 1))
    assert [float(line["time_seconds"]) for line in lines] == [round(t / RATE, 3) for t in range(N_FRAMES)]
    streams = {run.name.split("-")[1]: load_scores(run / "train_errors.npz") for run in trained.runs}
    errors = {stream: clips[0].error.max(axis=1) for stream, clips in streams.items()}
    expected = regularity(streams, normalization="train", train_errors=errors)[0]
    assert len(expected) == 27  # of the first 30 frames the last tenth is held out
    scores = np.array([float(line["score"]) for line in lines])
    np.testing.assert_allclose(scores[:27], expected, atol=5e-3)  # shards hold float16
    threshold = np.percentile(expected, 0.5)
    sure = np.abs(scores - threshold) > 5e-3
    np.testing.assert_array_equal(
        [line["abnormal"] == "1" for line in lines] & sure, (scores < threshold) & sure
    )
    assert scores[40:].mean() < scores[:27].mean() - 0.3  # the jumping square was never seen in training


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
    assert call(monkeypatch, trained.video, "--run", *trained.runs, *FLAGS, "--out", tmp_path) == 0
    again = tmp_path / "results" / "smoke" / "watch" / "yard" / "scores.csv"
    assert again.read_text() == (trained.results / "scores.csv").read_text()


def test_flow_as_a_third_stream_scores_as_in_training(trained, tmp_path, monkeypatch):
    flow = {"flow_input": "picture", "flow_size_px": 32, "flow_input_size_px": 64}
    flags = [*FLAGS, *(f"--set={name}={value}" for name, value in flow.items()), "--out", tmp_path]
    train = ["--train", trained.video, "--train-until", "0.5"]
    assert call(monkeypatch, trained.video, *train, *flags, "--set=motion=temporal+flow") == 0
    results = tmp_path / "results" / "smoke" / "watch" / "yard" / "scores.csv"
    text = results.read_text()
    names = ("spatial", "temporal", "flow")
    runs = {name: next(tmp_path.glob(f"checkpoints/*/*-{name}-*")) for name in names}
    streams = {name: load_scores(run / "train_errors.npz") for name, run in runs.items()}
    assert len({clips[0].error.tobytes() for clips in streams.values()}) == 3
    scaled = []
    for name, clips in streams.items():
        error = clips[0].error.max(axis=1)
        weight = 1 if name == "spatial" else 0.5
        scaled.append(weight * (1 - (error - error.min()) / (error.max() - error.min())))
    scores = [float(line["score"]) for line in lines_of(results)]
    np.testing.assert_allclose(scores[:27], np.sum(scaled, axis=0), atol=2e-2)  # shards hold float16
    # The same by the folders of the runs, in any order; flow computed otherwise is refused.
    folders = [runs[name] for name in ("flow", "spatial", "temporal")]
    assert call(monkeypatch, trained.video, "--run", *folders, *flags) == 0
    assert results.read_text() == text
    assert call(monkeypatch, trained.video, "--run", *folders, *flags, "--set=flow_warps=2") == 2
    assert call(monkeypatch, trained.video, "--run", runs["flow"], *flags) == 2


def test_a_live_video_has_no_stacks_of_flow(trained, tmp_path, monkeypatch, capsys):
    options = ["--train", trained.video, *FLAGS, "--set", "motion=flow", "--out", tmp_path]
    error = refused(monkeypatch, capsys, trained.video, *options)
    assert "setting flow_input: expected picture, for a live video, got stack" in error


def test_one_run_alone_on_a_folder_of_images_with_the_rate_it_is_given(trained, tmp_path, monkeypatch):
    folder = tmp_path / "images"
    folder.mkdir()
    for index, picture in enumerate(pictures(12)):
        cv2.imwrite(str(folder / f"{index:03d}.png"), picture[..., ::-1])
    arguments = ["--run", trained.runs[1], "--rate", 4, *FLAGS, "--out", tmp_path]
    assert call(monkeypatch, folder, *arguments) == 0
    lines = lines_of(tmp_path / "results" / "smoke" / "watch" / "images" / "scores.csv")
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
        (["--run", "nowhere"], "nowhere/config.json: no such file, expected the folder of a finished run"),
        (["--train", "nowhere.avi"], "nowhere.avi: no such file or folder"),
    ],
)
def test_flags(trained, arguments, message, tmp_path, monkeypatch, capsys):
    error = refused(monkeypatch, capsys, trained.video, *arguments, *FLAGS, "--out", tmp_path)
    assert re.search(message, error)


def test_what_is_no_video(trained, tmp_path, monkeypatch, capsys):
    options = ["--run", *trained.runs, *FLAGS, "--out", tmp_path]
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
    options = ["--run", *trained.runs, *FLAGS, "--out", tmp_path]
    error = refused(monkeypatch, capsys, tmp_path / "cut.avi", *options)
    assert re.search(r"cut\.avi: truncated or damaged video, expected 40 frames, got \d+; what came", error)
    folder = tmp_path / "results" / "smoke" / "watch" / "cut"
    n_frames = len(lines_of(folder / "scores.csv"))
    assert 0 < n_frames < 40
    assert len(list(iio.imiter(folder / "annotated.mp4", plugin="pyav"))) == n_frames
    error = refused(
        monkeypatch, capsys, trained.video, "--train", tmp_path / "cut.avi", *FLAGS, "--out", tmp_path
    )
    assert "cut.avi" in error


def test_run_of_other_features(trained, tmp_path, monkeypatch, capsys):
    options = [*FLAGS, "--set", "input_size_px=96", "--out", tmp_path]
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
    watch.check_run(run, context)
    with pytest.raises(InputError, match=message):
        watch.check_run(SimpleNamespace(folder=Path("f"), config={**run.config, **change}), context)


# Live


def test_ctrl_c_on_a_camera_that_sends_nothing_more(trained, tmp_path):
    """A FIFO that stays open: Ctrl-C ends it, and all that came is there, valid and closed."""
    video = write_video(tmp_path / "v.ts", pictures(30), codec="libx264")
    camera = tmp_path / "camera"
    os.mkfifo(camera)
    command = [sys.executable, "-m", "experiments.watch", camera, "--run", *trained.runs, *FLAGS]
    process = subprocess.Popen(
        [*map(str, command), "--out", str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    scores = tmp_path / "results" / "smoke" / "watch" / "camera" / "scores.csv"
    try:
        with open(camera, "wb") as feed:
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


def test_a_password_is_never_shown():
    stream = FrameStream("tcp://user:secret@127.0.0.1:1")
    assert "secret" not in watch.folder_name(stream)
    with pytest.raises(InputError) as fault:
        list(stream)
    assert "secret" not in str(fault.value)


def test_damaged_packets_count_where_live_and_stop_a_file(trained):
    def damaged():
        raise av.InvalidDataError(1, "bad packet")

    packet = SimpleNamespace(decode=damaged)
    live, file = FrameStream("-"), FrameStream(str(trained.video))
    assert live._frames_of(packet) == []
    assert live.n_damaged == 1
    with pytest.raises(av.InvalidDataError):
        file._frames_of(packet)


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
from experiments.lab import plots, watching

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
    command = [sys.executable, "-c", script, tmp_path / "tenfold.avi", "--run", *trained.runs, *FLAGS]
    command = [*map(str, command), "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert f"{10 * N_FRAMES} frames" in done.stdout
    once, tenfold = map(float, done.stdout.splitlines()[-1].split())
    assert tenfold - once < 20


# The parts


def test_ahead_keeps_the_order_and_raises_what_the_thread_raised():
    def faulty():
        yield from range(50)
        raise InputError("the end")

    items = ahead(iter(x for x in range(50)), 4)
    assert list(items) == list(range(50))
    taken = []
    with pytest.raises(InputError, match="the end"):
        taken.extend(ahead(faulty(), 4))
    assert taken == [] or taken == list(range(50))


def test_ahead_waits_where_the_queue_is_full_and_closes_its_source():
    made, closed = [], threading.Event()

    def source():
        try:
            for index in count():
                made.append(index)
                yield index
        finally:
            closed.set()

    items = ahead(ahead(source(), 3), 2)
    assert next(items) == 0
    time.sleep(0.3)
    assert len(made) <= 1 + (2 + 1) + (3 + 1)
    n_threads = threading.active_count()
    items.close()
    assert closed.is_set()
    assert threading.active_count() == n_threads - 2


def test_ahead_drops_the_oldest_of_a_source_that_cannot_wait():
    done = threading.Event()

    def source():
        yield from range(100)
        done.set()

    items = ahead(source(), 5, newest=True)
    first = next(items)
    assert done.wait(10)
    rest = list(items)
    assert rest == list(range(max(95, first + 1), 100))


def test_ahead_ends_on_request_where_the_source_sends_nothing():
    stop, never = threading.Event(), threading.Event()

    def source():
        yield 1
        never.wait(30)
        yield 2

    items = ahead(source(), 2, stop)
    assert next(items) == 1
    threading.Timer(0.2, stop.set).start()
    assert list(items) == []
    never.set()


def frames_of(scores, threshold=0.0, seconds_a_frame=0.25):
    return [
        FrameScore(number, (number - 1) * seconds_a_frame, score, score < threshold, number % 16)
        for number, score in enumerate(scores, start=1)
    ]


def test_intervals_join_what_is_less_than_a_second_apart():
    found = []
    intervals = watching.Intervals(lambda *values: found.append(values))
    #         1   2   3  4   5   6..9 within a second  10       then longer
    scores = [1, -1, -3, 1, -2, 1, 1, 1, -1, 1, 1, 1, 1, 1, -4, 1]
    begins = [intervals.add(frame) for frame in frames_of(scores)]
    assert [number for number, begin in enumerate(begins, start=1) if begin] == [2, 15]
    assert len(found) == 1  # the other is still open
    intervals.close()
    intervals.close()
    assert found == [
        ("0.250", "2.000", 2, 9, 4, "-3.0000", 1, 4),
        ("3.500", "3.500", 15, 15, 1, "-4.0000", 4, 4),
    ]


def test_overview_keeps_the_extremes_of_a_video_of_any_length():
    scores = np.random.default_rng(0).normal(size=20_011)
    overview = watching.Overview()
    for index, score in enumerate(scores):
        overview.add(index / 10, score)
    seconds, low, high = overview.curves()
    assert watching.N_BINS <= len(seconds) <= 2 * watching.N_BINS
    width = round(10 * (seconds[1] - seconds[0]))
    starts = range(0, len(scores), width)
    np.testing.assert_allclose(seconds, np.array(starts) / 10)
    np.testing.assert_array_equal(low, [scores[start : start + width].min() for start in starts])
    np.testing.assert_array_equal(high, [scores[start : start + width].max() for start in starts])


def test_overview_shades_what_is_below_the_threshold(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(plots, "save_figure", lambda figure, path: drawn.append(figure) or path)
    seconds, low = np.arange(5.0), np.array([1.0, -1.0, -2.0, 1.0, -1.0])
    plots.score_overview(tmp_path / "o.png", seconds, low, low + 0.5, 0.0, "title")
    (axes,) = drawn[0].axes
    spans = [patch.get_extents().transformed(axes.transData.inverted()) for patch in axes.patches]
    np.testing.assert_allclose([(span.x0, span.x1) for span in spans], [(1, 3), (4, 5)])
    assert axes.get_xlabel() == "time (s)"
    plots.score_overview(tmp_path / "o.png", seconds[:1], low[:1], low[:1], 0.0, "of one frame")


def test_table_is_valid_at_any_moment(tmp_path):
    path = tmp_path / "t.csv"
    table = watching.Table(path, ("a", "b"))
    for n_lines in range(5):
        assert path.read_text() == "a,b\n" + "".join(f"{i},x{i}\n" for i in range(n_lines))
        table.add(n_lines, f"x{n_lines}")
    table.close()


def made_run(folder, errors, train_errors, labels):
    """A run as far as calibration reads it."""
    for path, clips in (("train_errors.npz", train_errors), ("scores/step_000010.npz", errors)):
        save_scores(
            folder / path,
            [
                ClipScores(str(i), y, x.astype(np.float32))
                for i, (x, y) in enumerate(zip(clips, labels, strict=True))
            ],
        )
    return Run(folder)


def test_calibration_is_that_of_the_training_frames(tmp_path):
    rng = np.random.default_rng(0)
    labels = [np.zeros(50, np.uint8), np.r_[np.zeros(40), np.ones(20)].astype(np.uint8)]
    none = [np.zeros_like(y) for y in labels]
    train = {s: [rng.uniform(1, 9, (len(y), 21)) for y in labels] for s in ("spatial", "temporal")}
    test = {s: [rng.uniform(1, 9.2, (len(y), 21)) for y in labels] for s in ("spatial", "temporal")}
    runs = {}
    for stream in train:
        made_run(tmp_path / stream, test[stream], train[stream], labels)
        runs[stream] = Run(tmp_path / stream)
    calibration = calibrate(runs, ScoreSettings(temporal_weight=0.25), 90.0)

    limits = {}
    for stream, clips in train.items():
        worst = np.concatenate(clips).astype(np.float32).max(axis=1).astype(float)
        limits[stream] = worst.min(), np.percentile(worst, 99.9)

    def by_hand(streams):
        parts = {s: 1 - (np.max(x, axis=1) - limits[s][0]) / np.ptp(limits[s]) for s, x in streams.items()}
        return parts["spatial"] + 0.25 * parts["temporal"]

    trained = by_hand({s: np.concatenate(clips) for s, clips in train.items()})
    assert calibration.threshold == pytest.approx(np.percentile(trained, 10), abs=1e-5)
    assert calibration.n_train_frames == sum(map(len, none))
    scored = by_hand({s: np.concatenate(clips) for s, clips in test.items()})
    normal = scored[np.concatenate(labels) == 0]
    assert (calibration.n_held_out, calibration.n_false_alarms) == (
        90,
        (normal < np.percentile(trained, 10)).sum(),
    )
    frame = {s: clips[0][7].astype(np.float32) for s, clips in test.items()}
    assert calibration.score(frame) == pytest.approx(scored[7], abs=1e-5)
    cells = sum(w * frame[s][5:] / np.ptp(limits[s]) for s, w in (("spatial", 1), ("temporal", 0.25)))
    assert calibration.worst_cell(frame) == cells.argmax()


@pytest.mark.parametrize(("n_false_alarms", "warned"), [(0, False), (10, False), (11, True), (88, True)])
def test_training_footage_known_by_heart_is_told(n_false_alarms, warned):
    told = str(Calibration({}, {}, "max", 99.5, 0.2, 1.0, 236, 100, n_false_alarms))
    assert f"of 100 other normal frames {n_false_alarms}.0 % are below it" in told
    assert ("WARNING" in told) == warned


def test_calibration_refuses_other_clips_and_errors_that_say_nothing(tmp_path):
    labels = [np.zeros(5, np.uint8)]
    flat, varied = [np.ones((5, 21))], [np.arange(105.0).reshape(5, 21)]
    spatial = made_run(tmp_path / "s", varied, varied, labels)
    temporal = made_run(tmp_path / "t", varied * 2, varied * 2, labels * 2)
    with pytest.raises(InputError, match="expected runs trained on the same clips"):
        calibrate({"spatial": spatial, "temporal": temporal}, ScoreSettings(), 99)
    constant = made_run(tmp_path / "c", flat, flat, labels)
    with pytest.raises(InputError, match="c: no threshold can be taken from its training frames"):
        calibrate({"spatial": constant}, ScoreSettings(), 99)


def test_cell_boxes_are_what_the_cells_pool():
    boxes = cell_boxes(7) * 7
    edges = [(0, 2), (1, 4), (3, 6), (5, 7)]
    expected = [(left, top, right, bottom) for top, bottom in edges for left, right in edges]
    np.testing.assert_allclose(boxes, expected)


@pytest.mark.parametrize("abnormal", [False, True])
def test_the_outline_is_around_the_cell(abnormal):
    calibration = SimpleNamespace(threshold=0.0, highest=1.5)
    annotator = Annotator(calibration, cell_boxes(7))
    picture = np.full((70, 140, 3), 90, np.uint8)
    canvas = annotator.draw(picture, FrameScore(1, 0.0, -1.0 if abnormal else 1.0, abnormal, 6))
    assert canvas.shape[0] > 70
    changed = (canvas[:70] != 90).any(axis=2)
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    assert (rows[0], rows[-1] + 1, columns[0], columns[-1] + 1) == (10, 40, 60, 120)  # row 1, column 2 of 4
    assert not changed[20:30, 70:110].any()
    assert (canvas[:70] == VERMILLION).all(axis=2).any() == abnormal
    assert (picture == 90).all()


def test_video_left_by_an_exception_leaves_no_file(tmp_path):
    picture = np.zeros((32, 32, 3), np.uint8)

    def broken_off():
        with AnnotatedVideo(tmp_path / "v.mp4", 10, live=False) as video:
            video.write(picture, 0.0)
            raise KeyError

    with pytest.raises(KeyError):
        broken_off()
    assert list(tmp_path.iterdir()) == []
    with AnnotatedVideo(tmp_path / "v.mp4", 10, live=True) as video:
        for seconds in (0.0, 0.1, 0.1, 0.7):  # a clock that stands still
            video.write(picture, seconds)
    with av.open(str(tmp_path / "v.mp4")) as container:
        times = [frame.time for frame in container.decode(video=0)]
    np.testing.assert_allclose(times, [0, 0.1, 0.1, 0.7], atol=1e-3)


def test_outputs_of_an_earlier_watching_are_removed(tmp_path):
    for name in watching.FILES:
        (tmp_path / name).write_text("old")
    calibration = SimpleNamespace(threshold=0.0, highest=1.5)

    def broken_off():
        with watching.Outputs(tmp_path, "", calibration, cell_boxes(7), 10, live=False) as outputs:
            outputs.add(np.zeros((32, 32, 3), np.uint8), FrameScore(1, 0.0, -1.0, True, 0))
            raise KeyError

    with pytest.raises(KeyError):
        broken_off()
    assert {path.name for path in tmp_path.iterdir()} == {"scores.csv", "intervals.csv"}
    assert len(lines_of(tmp_path / "intervals.csv")) == 1


# Footage to train on


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
