"""Runs made in one process and in several; killed processes; faults."""

import pickle
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest

from data_prep.errors import InputError
from experiments import choose_on_scenes, run
from experiments.lab import cli
from experiments.lab.context import Context
from experiments.lab.distributing.points import Point, make
from experiments.lab.distributing.where import HERE, Where
from experiments.lab.publishing.exhibit import run_exhibit
from experiments.lab.scoring.score import DivergedError
from tests.synthetic_lab import SMALL, context_in, files_in, kill_when_training

DEPTHS = (1, 2)


def points(context) -> list[Point]:
    return [Point(context.changed(depth=depth), "walkway", "spatial") for depth in DEPTHS]


def errors(several) -> np.ndarray:
    """Return the errors of all points, which are there, (points, frames, R)."""
    return np.stack([np.concatenate([clip.error for clip in one.run().scores()]) for one in several])


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A context, and points of it that were made one after another in this process."""
    context = context_in(tmp_path_factory.mktemp("runs") / "out")
    made = points(context)
    make(made, HERE)
    return context, made


def test_each_point_is_a_run_of_its_settings(finished):
    context, made = finished
    assert [one.run().config["model"]["depth"] for one in made] == list(DEPTHS)
    assert len(list(context.out.glob("checkpoints/*/*/metrics.json"))) == len(DEPTHS)


def test_finished_runs_are_not_trained_again(finished):
    context, _ = finished
    before = files_in(context.out)
    make(points(context), HERE)
    assert files_in(context.out) == before


def test_a_failing_point_is_named_and_the_others_finish(tmp_path):
    context = context_in(tmp_path / "out")
    changed = (context.changed(depth=1, iterations=n) for n in (13, 2))
    bad, good = (Point(own, "walkway", "spatial") for own in changed)
    with pytest.raises(
        InputError, match=r"1 of 2 runs failed.* walkway sRNN-AE spatial .*iterations=13.* seed=0:"
    ):
        make([bad, good], HERE)
    assert len(list(context.out.glob("checkpoints/*/*/metrics.json"))) == 1


def test_training_that_diverges_is_left_to_a_command_that_can_do_without(finished, monkeypatch):
    context, _ = finished

    def diverge(self):
        raise DivergedError("clip.h5: expected finite reconstruction errors")

    monkeypatch.setattr(Point, "run", diverge)
    make(points(context), HERE, may_diverge=True)
    with pytest.raises(InputError, match="2 of 2 runs failed"):
        make(points(context), HERE)


def test_a_run_of_exhibits_that_train_nothing_refuses_others_to_train(tmp_path, monkeypatch, capsys):
    flags = ["--profile", "smoke", "--out", str(tmp_path), "--only", "table_02,figure_05", "--jobs", "2"]
    monkeypatch.setattr(sys, "argv", ["run", *flags])
    with pytest.raises(SystemExit) as ended:
        run.main()
    assert ended.value.code == 2
    assert "--jobs, --cluster: nothing is trained by table_02, figure_05" in capsys.readouterr().err


def test_a_fault_of_ours_is_told_with_its_traceback(tmp_path):
    unknown = Point(context_in(tmp_path / "out"), "walkway", "spatial", system="no such system")
    with pytest.raises(RuntimeError, match=r"(?s)no such system spatial .*seed=0: Traceback.*KeyError"):
        make([unknown], HERE)


def test_a_context_travels_as_its_choices_and_each_process_has_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    context = Context("smoke", SMALL, Path("out"), Path("data"), ("ped2",), n_seeds=2)
    sent = pickle.dumps([Point(context, "ped2", stream) for stream in ("spatial", "temporal")])
    first, second = pickle.loads(sent)
    assert first.context is second.context
    got = first.context
    assert (got.out, got.data_dir, got.n_seeds) == (tmp_path / "out", tmp_path / "data", 2)
    assert got.settings == context.settings
    assert len(pickle.dumps(Point(context, "ped2", "spatial"))) < 10_000  # whatever the data


def test_an_exhibit_finds_its_points_made(finished):
    """Those it declares, by others where others do the work; its own flags reach both."""
    context, _ = finished
    calls = []
    exhibit = SimpleNamespace(
        EXHIBIT="figure_00",
        points=lambda here, **own: calls.append(("points", own)) or [],
        run=lambda here, **own: calls.append(("run", own)),
    )
    context.results_dir.mkdir(parents=True, exist_ok=True)
    (context.results_dir / "results.csv").touch()
    with pytest.MonkeyPatch.context() as patches:
        patches.setattr("experiments.lab.publishing.exhibit.read_rows", lambda _: [])
        patches.setattr("experiments.lab.publishing.exhibit.text_table", lambda *_: "")
        run_exhibit(context, exhibit, HERE, grid=["1"])
        assert calls == [("run", {"grid": ["1"]})]
        run_exhibit(context, exhibit, Where(jobs=2), grid=["1"])
        del exhibit.points  # it trains nothing, beside others that do
        run_exhibit(context, exhibit, Where(jobs=2), grid=["1"])
    assert calls[1:] == [("points", {"grid": ["1"]}), *[("run", {"grid": ["1"]})] * 2]


def test_a_command_that_makes_what_it_needs_as_it_goes_is_told_where(monkeypatch, tmp_path):
    told = []
    monkeypatch.setattr(choose_on_scenes, "run", lambda context, **own: told.append(own["where"]))
    flags = ["--profile", "smoke", "--out", str(tmp_path), "--development", str(tmp_path), "--jobs", "2"]
    monkeypatch.setattr(sys, "argv", ["choose", *flags])
    with pytest.raises(SystemExit) as ended:
        cli.main("experiments.choose_on_scenes", cli.scenes_parser(""))
    assert (ended.value.code, told) == (0, [Where(jobs=2)])


def test_processes_give_the_same_and_lose_no_run_when_one_is_killed(finished, tmp_path):
    """Killed while it trains: the pool breaks, and what is left runs in a new one."""
    context = context_in(tmp_path / "out")

    def workers():
        children = psutil.Process().children()
        return [child.pid for child in children if any("popen_loky" in word for word in child.cmdline())]

    check_killed = kill_when_training(context.out, workers)
    make(points(context), Where(jobs=2))
    check_killed()
    before = files_in(context.out)
    np.testing.assert_allclose(errors(points(context)), errors(finished[1]), rtol=1e-5)
    assert files_in(context.out) == before
