"""The evaluation command: its numbers against direct ones, what it writes, and bad input."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from data_prep import walkway
from data_prep.datasets import find_datasets
from data_prep.files import write_atomic
from experiments import evaluate, table_04_lv
from experiments.lab.scoring import evaluation
from experiments.lab.scoring.footprints import cell_errors, footprints
from experiments.lab.scoring.metrics import frame_auc
from experiments.lab.scoring.pixel_metrics import (
    PixelScores,
    region_anomaly,
    stream_masks,
)
from experiments.lab.scoring.protocol import Protocol
from experiments.lab.scoring.regularity import regularity
from experiments.lab.scoring.score import ClipScores
from experiments.lab.scoring.score_files import load_scores, save_scores
from experiments.lab.training.runs import load_runs

ROOT = Path(__file__).parents[1]
N_CLIPS, N_FRAMES = 3, 24
STEPS = (10, 20)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    walkway.generate(root, n_train_clips=1, n_test_clips=N_CLIPS, clip_frames=N_FRAMES)
    return root


FEATURES = {
    "layer": "last",
    "input_size_px": 96,
    "pooling": "max",
    "pyramid": "1,2,4",
    "normalization": "none",
    "weights_sha256": "",
}


def write_run(folder, data, stream="spatial", seed=0, n_regions=21, steps=STEPS, skill=(1.0, 0.3), **config):
    """Write the files of a finished run whose errors rise by `skill` of each step in abnormal frames."""
    rng = np.random.default_rng(seed)
    test_labels = find_datasets(data)["walkway"].test_labels
    for step, rise in zip(steps, skill, strict=False):
        clips = []
        for name, labels in test_labels.items():
            error = rng.gamma(4.0, size=(len(labels), n_regions)) + rise * labels[:, None]
            clips.append(ClipScores(name, labels, error.astype(np.float32)))
        save_scores(folder / "scores" / f"step_{step:06d}.npz", clips)
    train = rng.gamma(4.0, size=(50, n_regions)).astype(np.float32)
    save_scores(folder / "train_errors.npz", [ClipScores("01", np.zeros(50, np.uint8), train)])
    content = {
        "system": "sRNN-AE",
        "dataset": "walkway",
        "stream": stream,
        "seed": seed,
        "backbone": "thin_resnet50",
        "features": FEATURES,
        "train": {
            "iterations": 20,
            "window_frames": 5,
            "temporal_window_frames": 4,
            "alignment": "causal",
        },
        "commit": "abc",
        "versions": {},
        **config,
    }
    write_atomic(folder / "config.json", json.dumps(content).encode())
    metrics = {"steps": steps[-1], "loss": 1.0, "training_seconds": 1.0}
    write_atomic(folder / "metrics.json", json.dumps(metrics).encode())
    return folder


@pytest.fixture
def pair(tmp_path, data):
    return [
        write_run(tmp_path / stream, data, stream, seed)
        for seed, stream in enumerate(("spatial", "temporal"))
    ]


def run_command(monkeypatch, capsys, *arguments):
    """Run the command within this process; return (exit code, stdout, stderr)."""
    monkeypatch.setattr(sys, "argv", ["evaluate", *map(str, arguments)])
    with pytest.raises(SystemExit) as done:
        evaluate.main()
    return done.value.code or 0, *capsys.readouterr()


def evaluated(monkeypatch, capsys, folders, data, *more):
    code, text, _ = run_command(
        monkeypatch, capsys, "--run", *folders, "--data", data, "--resamples", 5, *more
    )
    assert code == 0
    path = text.splitlines()[-1].removeprefix("wrote ")
    return json.loads(open(path).read()), text, path


def test_numbers_are_those_computed_directly(monkeypatch, capsys, pair, data):
    content, _, _ = evaluated(monkeypatch, capsys, pair, data)
    scores = []
    for folder in pair:
        stored = np.load(folder / "scores" / f"step_{STEPS[-1]:06d}.npz")
        labels = stored["labels"]
        errors = stored["error"].max(axis=1).astype(float).reshape(N_CLIPS, N_FRAMES)
        low, high = errors.min(axis=1, keepdims=True), errors.max(axis=1, keepdims=True)
        scores.append((errors - low) / (high - low))
    fused = scores[0] + 0.5 * scores[1]
    last = content["results"]["per_clip"]["last"]
    assert last["step"] == STEPS[-1]
    assert last["frame_auc"] == pytest.approx(roc_auc_score(labels, fused.ravel()))
    by_clip = zip(labels.reshape(fused.shape), fused, strict=True)
    assert last["macro_auc"] == pytest.approx(np.mean([roc_auc_score(*clip) for clip in by_clip]))
    low, high = last["frame_auc_interval"]
    assert low <= high


def test_smoothing_changes_the_frame_level_numbers_alone(monkeypatch, capsys, pair, data):
    plain, _, _ = evaluated(monkeypatch, capsys, pair[:1], data)
    content, text, _ = evaluated(monkeypatch, capsys, pair[:1], data, "--smoothing-frames", 5)
    stored = np.load(pair[0] / "scores" / f"step_{STEPS[-1]:06d}.npz")
    errors = stored["error"].max(axis=1).astype(float).reshape(N_CLIPS, N_FRAMES)
    low, high = errors.min(axis=1, keepdims=True), errors.max(axis=1, keepdims=True)
    padded = np.pad((errors - low) / (high - low), ((0, 0), (2, 2)), constant_values=np.nan)
    smooth = np.nanmean(np.lib.stride_tricks.sliding_window_view(padded, 5, axis=1), axis=2)
    before, after = (found["results"]["per_clip"]["last"] for found in (plain, content))
    assert after["frame_auc"] == pytest.approx(roc_auc_score(stored["labels"], smooth.ravel()))
    assert after["frame_auc"] != before["frame_auc"]
    assert after["pixel_auc_40"] == before["pixel_auc_40"]
    assert "max over regions, mean of 5 frames, 2 ahead, seed 0" in text


@pytest.mark.parametrize("fusion", ["calibrated", "log"])
def test_other_fusions_are_those_of_the_protocol(monkeypatch, capsys, pair, data, fusion):
    """`test_fusion` has their formulas."""
    content, _, _ = evaluated(monkeypatch, capsys, pair, data, "--fusion", fusion)
    (way,) = content["results"]
    assert way == fusion
    runs = load_runs(pair)
    protocol = Protocol(tuple(runs), fusion=fusion)
    train = {stream: run.train_errors() for stream, run in runs.items()}
    scores = regularity({stream: run.scores() for stream, run in runs.items()}, protocol, train)
    labels = [clip.labels for clip in runs["spatial"].scores()]
    found = content["results"][way]["last"]["frame_auc"]
    assert found == pytest.approx(roc_auc_score(np.concatenate(labels), -np.concatenate(scores)))


@pytest.mark.parametrize(
    ("flags", "n_runs", "said"),
    [
        (["--temporal-weight", "0.3"], 1, "--temporal-weight: acts on nothing here, it weighs the streams"),
        (["--smoothing", "causal"], 2, "--smoothing: acts on nothing here, smoothing_frames is 1"),
    ],
)
def test_a_flag_that_acts_on_nothing_is_refused(monkeypatch, capsys, pair, data, flags, n_runs, said):
    words = ["--run", *pair[:n_runs], "--data", data, *flags]
    code, _, errors = run_command(monkeypatch, capsys, *words)
    assert code == 2
    assert said in errors


def test_both_checkpoints_stand_side_by_side_under_every_normalization(monkeypatch, capsys, pair, data):
    content, text, _ = evaluated(monkeypatch, capsys, pair, data)
    assert set(content["results"]) == {"per_clip", "global", "train"}
    for of_normalization in content["results"].values():
        assert of_normalization["last"]["step"] == 20
        assert of_normalization["best_on_test"]["step"] == 10  # its errors rise more
        assert of_normalization["best_on_test"]["frame_auc"] > of_normalization["last"]["frame_auc"]
        for numbers in of_normalization.values():
            assert {key for _, key in evaluation.LINES} == set(numbers)
            assert all(
                0 <= np.min(value) <= np.max(value) <= 1 for k, value in numbers.items() if k != "step"
            )
            assert numbers["pixel_auc_40"] <= numbers["pixel_auc_20"]
    lines = text.splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith("step"))
    assert len({len(line) for line in lines[start : start + len(evaluation.LINES)]}) == 1  # aligned
    auc = content["results"]["global"]["last"]["frame_auc"]
    assert f"{100 * auc:.2f}" in next(line for line in lines if "(headline)" in line)


def test_pixel_numbers_are_those_of_their_overlaps(monkeypatch, capsys, pair, data):
    content, _, _ = evaluated(monkeypatch, capsys, pair[:1], data)
    walkway_data = find_datasets(data)["walkway"]
    cells = cell_errors(region_anomaly({"spatial": load_scores(pair[0] / "scores" / "step_000020.npz")}))
    covers = footprints(3)  # 96 px
    listeners = {overlap: PixelScores(covers, overlap) for overlap in (0.4, 0.2)}
    masks = {clip.name: partial(walkway_data.pixel_masks, clip) for clip in walkway_data.split("test")}
    stream_masks(masks, 3, [(listener, cells) for listener in listeners.values()])
    labels = list(walkway_data.test_labels.values())
    direct = [frame_auc(listener.clips, labels) for listener in listeners.values()]
    last = content["results"]["per_clip"]["last"]
    assert [last["pixel_auc_40"], last["pixel_auc_20"]] == direct
    assert direct[0] < direct[1]


def test_json_goes_into_the_first_run_or_into_out(monkeypatch, capsys, pair, data, tmp_path):
    _, _, path = evaluated(monkeypatch, capsys, pair[::-1], data)
    assert path == str(tmp_path / "temporal" / "evaluation.json")
    content, text, path = evaluated(monkeypatch, capsys, pair[:1], data, "--out", tmp_path / "elsewhere")
    assert path == str(tmp_path / "elsewhere" / "evaluation.json")
    assert content["runs"] == [str(pair[0])]
    assert "spatial alone, max over regions" in text
    assert not (pair[0] / "evaluation.json").exists()


def test_the_order_of_the_folders_does_not_matter(monkeypatch, capsys, pair, data):
    forward, backward = (evaluated(monkeypatch, capsys, folders, data)[0] for folders in (pair, pair[::-1]))
    assert forward["results"] == backward["results"]


def test_a_system_without_regions_has_frame_level_numbers_alone(monkeypatch, capsys, data, tmp_path):
    folder = write_run(tmp_path / "run", data, "frames", n_regions=1, system="Conv-AE")
    content, text, _ = evaluated(monkeypatch, capsys, [folder], data)
    assert "rbdc_joined" not in content["results"]["per_clip"]["last"]
    assert "no pixel-level numbers: 1 region a frame" in text
    assert next(line for line in text.splitlines() if line.startswith("RBDC")).split()[-1] == "-"


def test_a_dataset_without_masks_has_frame_level_numbers_alone(monkeypatch, capsys, pair, data, tmp_path):
    folder = tmp_path / "data" / "walkway"
    for path in (data / "walkway").rglob("*"):
        if path.is_file() and "masks" not in path.parts:
            write_atomic(folder / path.relative_to(data / "walkway"), path.read_bytes())
    _, text, _ = evaluated(monkeypatch, capsys, pair, tmp_path / "data")
    assert "no pixel-level numbers: no pixel masks in" in text


def test_masks_decide_what_is_abnormal_at_pixel_level(monkeypatch, capsys, pair, data, tmp_path):
    folder = tmp_path / "data" / "walkway"
    for path in (data / "walkway").rglob("*"):
        if path.is_file():
            write_atomic(folder / path.relative_to(data / "walkway"), path.read_bytes())
    abnormal = next(iter(find_datasets(tmp_path / "data")["walkway"].test_labels.values())).argmax()
    mask = folder / "testing" / "masks" / "01" / f"{abnormal:03d}.png"
    assert cv2.imwrite(str(mask), np.zeros((160, 240), np.uint8))
    _, text, _ = evaluated(monkeypatch, capsys, pair, tmp_path / "data")
    assert "frame labels differ in 1 frames" in text


def test_a_single_clip_has_no_interval(monkeypatch, capsys, tmp_path):
    walkway.generate(tmp_path / "data", n_train_clips=1, n_test_clips=1, clip_frames=N_FRAMES)
    folder = write_run(tmp_path / "run", tmp_path / "data")
    content, text, _ = evaluated(monkeypatch, capsys, [folder], tmp_path / "data")
    assert content["results"]["per_clip"]["last"]["frame_auc_interval"] is None
    assert "without the 0 of 1 clips" in text


def test_table_4_has_the_number_of_the_command(monkeypatch, capsys, pair, data):
    runs = load_runs(pair)
    at_pixels = Protocol(overlap=0.2)
    cases = replace(at_pixels, normalization="train"), replace(at_pixels, streams=("spatial",))
    scores, labels = table_04_lv.pixel_scores(find_datasets(data)["walkway"], runs, cases)
    found = [frame_auc(scores[case], labels) for case in cases]
    fused, _, _ = evaluated(monkeypatch, capsys, pair, data)
    alone, _, _ = evaluated(monkeypatch, capsys, pair[:1], data)
    assert found[0] == fused["results"]["train"]["last"]["pixel_auc_20"]
    assert found[1] == alone["results"]["per_clip"]["last"]["pixel_auc_20"]


def break_config(folder):
    (folder / "config.json").write_text('{"system": ')


def drop_key(folder):
    config = json.loads((folder / "config.json").read_text())
    del config["stream"]
    (folder / "config.json").write_text(json.dumps(config))


def relabel(folder):
    path = folder / "scores" / f"step_{STEPS[-1]:06d}.npz"
    stored = dict(np.load(path))
    stored["labels"] = 1 - stored["labels"]
    np.savez_compressed(path, **stored)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (
            lambda folder: (folder / "metrics.json").unlink(),
            "metrics.json: no such file, expected the folder of",
        ),
        (break_config, "config.json: damaged, expected JSON"),
        (drop_key, "config.json: damaged, expected stream, str, got none"),
        (
            lambda folder: (folder / "scores" / "step_000020.npz").unlink(),
            "step_000020.npz: no such file, expected the last checkpoint's scores",
        ),
        (lambda folder: (folder / "train_errors.npz").unlink(), "train_errors.npz: no such file"),
        (relabel, "clip 01: scored with other labels"),
    ],
)
def test_a_damaged_run_is_one_line_and_exit_code_2(monkeypatch, capsys, data, tmp_path, fault, message):
    folder = write_run(tmp_path / "run", data)
    fault(folder)
    code, _, errors = run_command(monkeypatch, capsys, "--run", folder, "--data", data)
    assert code == 2
    assert message in errors
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ({"stream": "spatial"}, "a spatial one with temporal, flow or both, got spatial, spatial"),
        ({"stream": "temporal", "system": "TSC"}, "expected the system of the spatial run, sRNN-AE, got TSC"),
        (
            {"stream": "temporal", "dataset": "ped2"},
            "expected the dataset of the spatial run, walkway, got ped2",
        ),
        (
            {"stream": "temporal", "steps": (10, 30)},
            "expected the steps of the spatial run, [10, 20], got [10, 30]",
        ),
    ],
)
def test_runs_that_do_not_fit_are_refused(monkeypatch, capsys, data, tmp_path, second, message):
    folders = write_run(tmp_path / "one", data), write_run(tmp_path / "two", data, **second)
    code, _, errors = run_command(monkeypatch, capsys, "--run", *folders, "--data", data)
    assert code == 2
    assert message in errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--run", "nowhere", "--data", "DATA"], "nowhere/config.json: no such file"),
        (["--run", "RUN", "--data", "nowhere"], "nowhere: no such folder"),
        (
            ["--run", "RUN", "--data", "RUN"],
            "expected walkway, on which the run was scored, got datasets: none",
        ),
        (["--run", "RUN", "--data", "DATA", "--temporal-weight", "2"], "temporal_weight: expected at most 1"),
        (
            ["--run", "RUN", "--data", "DATA", "--smoothing-frames", "4"],
            "smoothing_frames: expected an odd number of frames, got 4",
        ),
        (["--run", "RUN", "--data", "DATA", "--resamples", "0"], "--resamples: expected 1 to 1000000, got 0"),
        (["--run", "RUN", "--data", "DATA", "--seed", "-1"], "--seed: expected at least 0, got -1"),
        (["--run", "RUN"], "required: --data"),
        (["--run", "RUN", "--data", "DATA", "--frame-error", "mean"], "invalid choice"),
        (["--run", "RUN", "--data", "DATA", "--res", "5"], "unrecognized arguments"),
    ],
)
def test_bad_arguments_give_exit_code_2(monkeypatch, capsys, data, tmp_path, arguments, message):
    places = {"RUN": write_run(tmp_path / "run", data), "DATA": data}
    code, _, errors = run_command(monkeypatch, capsys, *(places.get(word, word) for word in arguments))
    assert code == 2
    assert message in errors
    assert "Traceback" not in errors


def test_the_numbers_are_kept_where_nobody_reads_the_table(pair, data):
    """`evaluate | true`: nothing is lost, and there is no traceback."""
    command = [sys.executable, "-m", "experiments.evaluate", "--run", *pair, "--data", data, "--resamples", 5]
    read, write = os.pipe()
    os.close(read)
    options = {"cwd": ROOT, "stderr": subprocess.PIPE, "text": True}
    done = subprocess.run([*map(str, command)], stdout=write, **options)
    os.close(write)
    assert done.returncode in (0, 141)
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr
    assert json.loads((pair[0] / "evaluation.json").read_text())["results"]
