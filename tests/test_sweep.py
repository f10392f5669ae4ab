"""Sweeps: grids, their points, and the exhibit."""

import csv
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from data_prep.errors import InputError
from experiments.lab import cli
from experiments.lab.context import Context
from experiments.lab.distributing.points import runs_of
from experiments.lab.settings.changes import changed as changed_settings
from experiments.lab.settings.profiles import PROFILES
from experiments.lab.settings.schema import PAPER
from experiments.lab.sweeping.sweep import Sweep, cells_of, parse_grid, points_of
from experiments.lab.sweeping.sweep_exhibit import run_sweep
from experiments.lab.training.gradients import Gradients
from tests.synthetic_lab import SMALL, SyntheticContext, context_in, files_in

DEPTHS = (1, 2)


def test_grid_gives_typed_values_by_the_text_of_result_columns():
    context = Context("smoke", SMALL, Path())
    assert parse_grid(context, "depth", ["3", " 10"]) == {"3": 3, "10": 10}
    assert parse_grid(context, "tsc_lambda1", ["0.10", "2"]) == {"0.1": 0.1, "2": 2.0}


def test_a_grid_beyond_the_memory_is_refused_as_a_setting_is():
    with pytest.raises(InputError, match=r"--grid 8,1000000000: setting .*n_atoms.* of memory, expected"):
        parse_grid(Context("smoke", SMALL, Path()), "n_atoms", ["8", "1000000000"])


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ("3,x", "--grid 3,x: setting depth: expected int, got 'x'"),
        ("0.5", "--grid 0.5: setting depth: expected int"),
        ("0", "--grid 0: setting depth: expected at least 1, got 0"),
        ("", "argument --grid: expected names or values between commas, got ''"),
        ("3,03", "--grid 3,03: setting depth: expected int, got '03'"),
        ("3, 3", "--grid 3,3: expected each value once, got 3 twice"),
    ],
)
def test_bad_grid_is_exit_code_2_and_one_line(grid, message, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        sys, "argv", ["sweep", "--profile", "smoke", "--out", str(tmp_path), f"--grid={grid}"]
    )
    with pytest.raises(SystemExit) as ended:
        cli.main("experiments.figure_08_depth", cli.sweep_parser(""))
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {message}")
    assert not list(tmp_path.iterdir())


def test_exhibit_has_rows_figure_and_a_session_a_point(tmp_path):
    context, grid = context_in(tmp_path / "out"), [str(depth) for depth in DEPTHS]
    plan = Sweep("figure_08", "module", {"sRNN-AE": "depth"}, {}, "K", ("auc", "sparsity"))
    seeded = [runs_of(points)[0] for points in cells_of(context, plan, grid).values()]
    assert [list(runs) for runs in seeded] == [["spatial"]] * 2  # Sec. 4.4: appearance features alone
    before = files_in(context.out)
    run_sweep(context, plan, grid)
    assert files_in(context.out) == before
    with (context.results_dir / "results.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["dataset"] == "Walkway"]
    assert [(row["column"], row["metric"]) for row in rows] == [
        (str(depth), metric) for depth in DEPTHS for metric in ("auc", "sparsity")
    ]
    assert {row["row"] for row in rows} == {"sRNN-AE"}
    assert all("not a selection" in row["protocol"] for row in rows)
    for row, runs in zip(rows[::2], seeded, strict=True):
        clips = runs["spatial"].scores()
        labels = np.concatenate([clip.labels for clip in clips])
        error = [clip.error.max(1) for clip in clips]
        scaled = np.concatenate([(e - e.min()) / (e.max() - e.min()) for e in error])
        assert float(row["ours"]) == pytest.approx(roc_auc_score(labels, scaled), abs=1e-6)
    for row, runs in zip(rows[1::2], seeded, strict=True):
        sparsity = np.concatenate([clip.sparsity for clip in runs["spatial"].scores()])
        assert float(row["ours"]) == pytest.approx(sparsity.mean(), abs=1e-6)
    assert (context.results_dir / "figure_08.png").read_bytes().startswith(b"\x89PNG")
    sessions = sorted((context.out / "logs" / "sweeps" / "figure_08").iterdir())
    assert len(sessions) == 2
    events = EventAccumulator(str(sessions[0]), {"tensors": 0}).Reload()
    assert "_hparams_/session_start_info" in events.summary_metadata
    assert {"final/auc", "final/sparsity"} <= set(events.Tags()["tensors"])


def test_points_are_cut_down_as_the_sweep_settings_say():
    limits = {"sweep_n_atoms": 4, "sweep_iterations": 2, "sweep_alternations": 10}
    context = SyntheticContext("smoke", SMALL.override(checkpoint_every=4, **limits), Path())
    depth = Sweep("figure_08", "module", {"sRNN-AE": "depth"}, {}, "K")
    size = Sweep("figure_07c", "module", {"TSC": "tsc_n_atoms", "sRNN-AE": "n_atoms"}, {}, "N")
    shorter = {"iterations": 2, "checkpoint_every": 2}

    def changed(of, sweep, system, value):
        (points,) = points_of(of, sweep, "walkway", system, value)
        return changed_settings(points["spatial"].context.settings, of.settings)

    assert changed(context, depth, "sRNN-AE", 5) == {"depth": 5, "n_atoms": 4, **shorter}
    assert changed(context, size, "sRNN-AE", 16) == {"n_atoms": 16, **shorter}
    assert changed(context, size, "TSC", 16) == {"tsc_n_atoms": 16}
    whole = SyntheticContext("paper", PAPER, Path(), n_ablation_seeds=2)
    seeded = points_of(whole, depth, "walkway", "sRNN-AE", 5)
    assert [points["spatial"].seed for points in seeded] == [0, 1]
    assert changed_settings(seeded[1]["spatial"].context.settings, PAPER) == {"depth": 5}


@pytest.mark.parametrize("profile", ["quick", "paper"])
def test_a_shorter_point_has_steps_that_fit(profile):
    settings = PROFILES[profile].override(sweep_iterations=50)
    assert settings.train.log_every != 50
    context = SyntheticContext(profile, settings, Path())
    depth = Sweep("figure_08", "module", {"sRNN-AE": "depth"}, {}, "K")
    (points, *_) = points_of(context, depth, "walkway", "sRNN-AE", 5)
    train = points["spatial"].context.settings.train
    Gradients(train, None, None)
    assert (train.iterations, train.checkpoint_every) == (50, 50)


def test_a_sweep_of_what_windows_replace_is_refused():
    windows = {"motion": "flow", "appearance": "none", "flow_input": "windows"}
    alone = PROFILES["smoke"].override(**windows, sweep_streams="late_fusion")
    plan = Sweep("figure_07a", "module", {"TSC": "tsc_lambda1", "sRNN-AE": "lambda1"}, {"smoke": (1,)}, "x")
    with pytest.raises(InputError, match="a sweep of tsc_lambda1 on flow windows alone: windows_tsc_lambda1"):
        cells_of(SyntheticContext("smoke", alone, Path()), plan, None)


def test_late_fusion_has_both_streams(tmp_path):
    context = SyntheticContext("smoke", SMALL.override(sweep_streams="late_fusion"), tmp_path)
    plan = Sweep("figure_08", "module", {"sRNN-AE": "depth"}, {}, "K")
    assert list(points_of(context, plan, "walkway", "sRNN-AE", 1)[0]) == ["spatial", "temporal"]
