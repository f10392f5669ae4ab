"""The commands themselves, as processes: every exhibit in smoke, bad input, and kill -9."""

import csv
import json
import os
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from experiments.lab.publishing.results import COLUMNS
from experiments.lab.settings.profiles import PROFILES
from experiments.run import exhibits

ROOT = Path(__file__).parents[1]


def command(*arguments, cwd=ROOT, **options):
    return subprocess.run(
        [sys.executable, "-m", *map(str, arguments)], cwd=cwd, capture_output=True, text=True, **options
    )


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    """One run of everything in the smoke profile, as run_all.sh starts it."""
    out = tmp_path_factory.mktemp("out")
    done = command("experiments.run", "--profile", "smoke", "--out", out)
    assert done.returncode == 0, done.stderr[-3000:]
    return out, done


def rows_of(out):
    with (out / "results" / "smoke" / "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_smoke_writes_results_report_figures_and_logs(smoke):
    out, done = smoke
    results = out / "results" / "smoke"
    rows = rows_of(out)
    assert tuple(rows[0]) == COLUMNS
    assert {row["exhibit"] for row in rows} == set(exhibits())
    for name in exhibits():
        assert list(results.glob(f"{name}*.png")) or (results / f"{name}.md").exists(), name
    for path in results.glob("*.png"):
        assert path.read_bytes().startswith(b"\x89PNG"), path
    report = (results / "report.html").read_text()
    assert "smoke" in report
    assert "data:image/png;base64," in report
    assert list((out / "logs").rglob("events.out.tfevents.*"))
    assert "profile smoke" in done.stdout
    assert "done in" in done.stdout


def test_backbone_is_named_in_every_number(smoke):
    out, _ = smoke
    measured = [row for row in rows_of(out) if row["ours"] not in ("not run", "no data")]
    # Moving-MNIST and counts of frames.
    without = {"table_01", "table_02", "figure_04", "figure_05"}
    assert {row["exhibit"] for row in measured if not row["backbone"]} == without
    backbones = {name for row in measured for name in row["backbone"].split(" + ")}
    # These are what goes through no network; counts go through nothing.
    no_network = {"", "gray", "frames", "flow_windows", "flow_nodes", "flow_histograms"}
    no_network |= {"foreground_cells", "motion_vectors"}
    assert backbones - no_network == {"thin_resnet50", "thin_resnet50-flow"}


def repeatable(row):
    """What of a row must come again: all but the commit, and how long something took."""
    return {**row, "commit": "", "ours": "" if row["metric"] in ("fps", "hours") else row["ours"]}


def run_command_of(rows, out, monkeypatch):
    """Run the command that the rows of one exhibit name, with another output folder."""
    commands = {row["command"] for row in rows}
    assert len(commands) == 1
    python, minus_m, module, *arguments = commands.pop().split()
    assert (python, minus_m) == ("python", "-m")
    # As the command line would, but in this process: to import TensorFlow takes as long as the exhibit.
    monkeypatch.setattr(sys, "argv", [module, *arguments, "--out", str(out)])
    with pytest.raises(SystemExit) as end:
        runpy.run_module(module, run_name="__main__")
    assert end.value.code == 0


def times_of_what_was_made(out):
    """When each file of the runs, and each shard, was last written."""
    paths = [*(out / "checkpoints").rglob("*"), *(out / "generated").rglob("*.h5")]
    return {path: path.stat().st_mtime_ns for path in paths}


@pytest.mark.slow
@pytest.mark.parametrize("name", exhibits())
def test_each_exhibit_alone_gives_the_same_numbers(smoke, name, tmp_path, monkeypatch):
    """Every row's own command, run again in an empty output folder."""
    out, _ = smoke
    expected = [row for row in rows_of(out) if row["exhibit"] == name]
    run_command_of(expected, tmp_path, monkeypatch)
    assert list(map(repeatable, rows_of(tmp_path))) == list(map(repeatable, expected))


# Table 10 is measured, not kept: its times come anew each time.
@pytest.mark.parametrize("name", [name for name in exhibits() if name != "table_10"])
def test_each_exhibit_again_trains_nothing_and_gives_the_same_numbers(smoke, name, tmp_path, monkeypatch):
    """Every row's own command, with the runs and features of the first but not its results."""
    out, _ = smoke
    for folder in ("checkpoints", "generated"):
        (tmp_path / folder).symlink_to(out / folder)
    before = times_of_what_was_made(out)
    expected = [row for row in rows_of(out) if row["exhibit"] == name]
    run_command_of(expected, tmp_path, monkeypatch)
    assert list(map(repeatable, rows_of(tmp_path))) == list(map(repeatable, expected))
    assert times_of_what_was_made(out) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--profile", "huge"], "invalid choice: 'huge'"),
        (["--prof", "smoke"], "unrecognized arguments"),
        (["--data", "nowhere"], "--data nowhere: no such folder"),
        (["--seeds", "0"], "--seeds: expected 1 to 1000, got 0"),
        (["--set", "depht=3"], "'depht': unknown; did you mean depth"),
        (["--set", "depth"], "--set depth: expected NAME=VALUE"),
        (["--only", "table_3"], "--only table_3: unknown, expected one of table_01"),
        (
            ["--datasets", "walkway,ped3", "--profile", "smoke"],
            "--datasets ped3: not at hand, expected some of",
        ),
        (["--weights", "nowhere.h5"], "--weights nowhere.h5: no such file"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments, message, tmp_path, run_main):
    code, _, errors = run_main("experiments.run", *arguments, "--out", tmp_path)
    (line,) = errors.splitlines()
    assert code == 2
    assert message in line


def test_training_on_shards_alone_finds_what_the_exhibits_trained(smoke):
    out, _ = smoke
    (shards,) = (out / "generated" / "smoke").glob("walkway-*/features/walkway/*-last-96-max")
    before = set((out / "checkpoints" / "walkway").iterdir())
    done = command("experiments.train", shards, "--profile", "smoke", "--seed", 0, "--out", out)
    assert done.returncode == 0, done.stderr[-3000:]
    named = {Path(line.split(": ")[0]) for line in done.stdout.splitlines()}
    assert len(named) == 2  # a stream each
    assert named <= before
    assert done.stdout.count(" auc_per_clip ") == 2
    assert set((out / "checkpoints" / "walkway").iterdir()) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere: no such folder"),
        (["."], "train: no shards, expected some from data_prep.extract_features"),
        ([".", "--stream", "audio"], "invalid choice: 'audio'"),
        ([".", "--seed", "-1"], "--seed: expected 0 to 2**32 - 1, got -1"),
        ([".", "--set", "depht=3"], "'depht': unknown; did you mean depth"),
    ],
)
def test_training_on_shards_alone_refuses_bad_input(arguments, message, tmp_path, monkeypatch, run_main):
    monkeypatch.chdir(ROOT)
    code, _, errors = run_main("experiments.train", *arguments, "--out", tmp_path)
    (line,) = errors.splitlines()
    assert code == 2
    assert message in line


def test_an_empty_data_folder_is_refused_and_without_one_the_embedded_data_runs(tmp_path):
    (tmp_path / "data").mkdir()
    small = [f"--set={name}={value}" for name, value in SMALL_WALKWAY.items()]
    arguments = ["experiments.run", "--out", tmp_path, "--only", "table_02", *small]
    refused = command(*arguments, "--data", tmp_path / "data")
    (line,) = refused.stderr.splitlines()
    assert refused.returncode == 2
    assert "data: no dataset in the folder. Looked for " in line
    assert not (tmp_path / "results").exists()
    done = command(*arguments)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "dataset walkway" in done.stdout
    assert "missing ped2: " in done.stdout
    assert "table_02   Total, Walkway: frames 40" in done.stdout
    (results,) = (tmp_path / "results").iterdir()
    assert results.name == "quick,n_train_clips=1,n_test_clips=1,clip_frames=20"
    assert (results / "table_02.md").exists()


SMALL_WALKWAY = {"n_train_clips": 1, "n_test_clips": 1, "clip_frames": 20}


def test_killed_run_resumes_to_the_same_weights(smoke, tmp_path):
    """kill -9 once a checkpoint is there and the run is not finished; the same command ends as unbroken."""
    (shards,) = (smoke[0] / "generated" / "smoke").glob("walkway-*/features/walkway/*-last-96-max")
    flags = ["--profile", "smoke", "--stream", "spatial", "--set=iterations=60", "--set=checkpoint_every=20"]
    arguments = ["experiments.train", shards, *flags, "--seed", 0, "--out"]
    unbroken = command(*arguments, tmp_path / "unbroken")
    assert unbroken.returncode == 0, unbroken.stderr[-3000:]
    process = subprocess.Popen(
        [sys.executable, "-m", *map(str, arguments), tmp_path / "killed"],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        # The checkpoints' own folder: elsewhere, folders come and go under the search.
        while not list((tmp_path / "killed" / "checkpoints").glob("*/*/last.keras")):
            assert process.poll() is None
            time.sleep(0.02)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert not list((tmp_path / "killed").rglob("metrics.json"))
    resumed = command(*arguments, tmp_path / "killed")
    assert resumed.returncode == 0, resumed.stderr[-3000:]
    (unbroken_run,), (killed_run,) = (
        (tmp_path / name / "checkpoints" / "walkway").iterdir() for name in ("unbroken", "killed")
    )
    losses = [
        [row["loss"] for row in json.loads((run / "history.json").read_text())]
        for run in (unbroken_run, killed_run)
    ]
    assert losses[0] == losses[1]
    (one,), (other,) = (list(run.rglob("step_000060.npz")) for run in (unbroken_run, killed_run))
    np.testing.assert_array_equal(np.load(one)["error"], np.load(other)["error"])


def test_profiles_are_the_three_documented_ones():
    assert set(PROFILES) == {"smoke", "quick", "paper"}
