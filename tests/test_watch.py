"""Watching a video: the command on a clip of its own, and bad input."""

import argparse
import re
import shlex
import shutil
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import av
import cv2
import imageio.v3 as iio
import numpy as np
import pytest

from data_prep.errors import InputError
from experiments.lab import cli
from experiments.lab.scoring.protocol import Protocol
from experiments.lab.scoring.regularity import regularity
from experiments.lab.scoring.score_files import load_scores
from experiments.lab.settings.profiles import PROFILES
from experiments.lab.settings.schema import PAPER
from experiments.lab.training.runs import Run
from experiments.lab.watching import outputs as watching
from experiments.lab.watching import session
from tests.videos import HEIGHT, N_FRAMES, RATE, WIDTH, lines_of, pictures, write_video
from tests.watched import FEATURES, FLAGS, OF_RUNS, call, flags_of, refused, results_folder, scores_in


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
def test_flow_windows_score_as_in_training(trained, tmp_path, monkeypatch, capsys, alignment):
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
    assert call(monkeypatch, trained.video, "--run", run, *flags, "--set=frame_error=scale_mean") == 2
    assert "setting frame_error: expected max, the one kind that" in capsys.readouterr().err


def test_a_live_video_has_no_stacks_of_flow(trained, tmp_path, monkeypatch, capsys):
    options = ["--train", trained.video, *FLAGS, "--set", "motion=flow", "--out", tmp_path]
    error = refused(monkeypatch, capsys, trained.video, *options)
    assert "setting flow_input: expected picture or windows, for a live video, got stack" in error


def test_a_run_on_stacks_of_flow_cannot_run_live(trained):
    run = SimpleNamespace(folder=Path("f"), config=Run(trained.runs[0]).config | {"stream": "flow"})
    settings = PROFILES["smoke"].override(motion="temporal+flow")
    context = SimpleNamespace(settings=settings, flow_backbone=SimpleNamespace())
    with pytest.raises(InputError, match=r"f: setting flow_input: expected picture or windows, .* got stack"):
        session.check_run(run, context)


def test_the_rolling_maximum_is_that_of_the_temporal_run(trained, monkeypatch):
    runs = {run.config["stream"]: run for run in map(Run, trained.runs)}
    assert list(runs) == ["spatial", "temporal"]
    config = runs["temporal"].config
    longer = config | {"train": config["train"] | {"temporal_window_frames": 7}}
    temporal = SimpleNamespace(config=longer, model=runs["temporal"].model)
    monkeypatch.setattr(session, "networks_for", lambda *_: None)
    monkeypatch.setattr(session, "live_scores", lambda stream, networks, models, n_frames, *_: n_frames)
    both = {"spatial": runs["spatial"], "temporal": temporal}
    assert session.network_scores(None, None, both, None, None) == 7


def test_one_run_alone_on_a_folder_of_images_with_the_rate_it_is_given(trained, tmp_path, monkeypatch):
    folder = tmp_path / "images"
    folder.mkdir()
    for index, picture in enumerate(pictures(12)):
        cv2.imwrite(str(folder / f"{index:03d}.png"), picture[..., ::-1])
    arguments = ["--run", trained.runs[1], "--rate", 4, *OF_RUNS, "--out", tmp_path]
    assert call(monkeypatch, folder, *arguments) == 0
    lines = lines_of(results_folder(tmp_path, "images", FEATURES) / "scores.csv")
    assert [float(line["time_seconds"]) for line in lines] == [t / 4 for t in range(12)]


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
        (["--train", "x.avi", "--seeds", "2"], "unrecognized arguments: --seeds 2"),
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
