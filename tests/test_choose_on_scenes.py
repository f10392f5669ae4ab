"""Choosing on development scenes: the rule, the lines that are written, and a whole run on tiny scenes."""

import csv
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from data_prep.datasets import find_datasets as find
from data_prep.errors import InputError
from experiments import choose_on_scenes
from experiments.choose_on_scenes import STAGES, Stage, Trial, choose, within_tie
from experiments.lab import context as context_module
from experiments.lab import scenes
from experiments.lab.context import Context
from experiments.lab.distributing.points import make
from experiments.lab.distributing.where import HERE, Where
from experiments.lab.scenes import Scene, SceneContext, scenes_for
from experiments.lab.scoring.score import DivergedError
from experiments.lab.settings.profiles import PROFILES
from experiments.lab.training.gradients import Recorder
from tests.walkers import walkers, write_clip

CONTEXT = SceneContext("smoke", PROFILES["smoke"], None)
WALKWAY = SimpleNamespace(name="walkway", own=False, complete=True)
SCENES = [Scene(name, None, None, is_real) for name, is_real in (("a", True), ("b", True), ("w", False))]


@pytest.mark.parametrize(
    ("criterion", "left"),
    [([0.7, 0.704, 0.5], [0, 1]), ([0.7, 0.706, 0.71], [1, 2]), ([np.nan, 0.2], [1]), ([0.9], [0])],
)
def test_who_is_within_half_a_point_of_the_best_stays(criterion, left):
    assert within_tie(range(len(criterion)), criterion) == left


def test_training_that_diverges_is_what_the_choice_leaves_out(tmp_path):
    """What training raises, not a stand-in for it."""
    recorder = Recorder(tmp_path, None, None, SimpleNamespace(log_every=5, checkpoint_every=5))
    recorder.set_model(SimpleNamespace())
    recorder.clock = 0.0
    with pytest.raises(DivergedError, match="training diverged, the loss is nan at step 5"):
        recorder.on_epoch_end(0, {"loss": np.nan})


def test_every_candidate_diverged():
    with pytest.raises(InputError, match="every candidate of a stage diverged"):
        within_tie([0, 1], [np.nan, np.nan])


def choose_with(aucs, stages, monkeypatch):
    """Choose where scene and first setting of a candidate determine the AUC; return also what was tried."""
    tried = []

    def score_on(trial, scene):
        depth = trial._context.settings.model.depth
        tried.append((scene.name, depth))
        value = aucs[scene.name][depth]
        if value is None:
            raise DivergedError("clip.h5: expected finite reconstruction errors")
        trial._aucs[scene.name] = value
        return value

    monkeypatch.setattr(Trial, "_score_on", score_on)
    monkeypatch.setitem(vars(CONTEXT), "scenes", SCENES)
    return *choose(CONTEXT, stages, {}), tried


def test_real_scenes_decide_then_walkways_then_the_order(monkeypatch):
    aucs = {"a": {1: 0.70, 2: 0.80, 3: 0.80, 4: 0.81, 5: None}, "b": {1: 0.9, 2: 0.8, 3: 0.808, 4: 0.80}}
    # 80.0, 80.0, 80.4 and 80.5 on the real scenes: all stay but the last, which diverges.
    aucs["w"] = {1: 0.6, 2: 0.5, 3: 0.6, 4: 0.6}
    stages = [Stage("depth", [{"depth": depth} for depth in (1, 2, 3, 4, 5)])]
    assert choose_with(aucs, stages, monkeypatch)[0] == {"depth": 1}
    aucs["w"][1] = 0.59
    chosen, lines, tried = choose_with(aucs, stages, monkeypatch)
    assert chosen == {"depth": 3}
    assert [line["chosen"] for line in lines] == ["", "", "yes", "", ""]
    assert [depth for scene, depth in tried if scene == "w"] == [1, 2, 3, 4]
    assert lines[2]["real"] == "80.40"
    assert (lines[4]["real"], lines[4]["walkway"]) == ("nan", "")


def test_who_is_alone_on_the_real_scenes_needs_no_walkway_and_stages_build_on_each_other(monkeypatch):
    aucs = {"a": {1: 0.7, 2: 0.8, 3: 0.9}, "b": {1: 0.7, 2: 0.8, 3: 0.9}, "w": {2: 0.1, 3: 0.1}}
    stages = [Stage("first", [{"depth": 1}, {"depth": 2}]), Stage("second", [{"lambda1": 0.1}, {"depth": 3}])]
    chosen, lines, tried = choose_with(aucs, stages, monkeypatch)
    assert chosen == {"depth": 3}
    assert tried == [(s, d) for d in (1, 2, 2, 3) for s in ("a", "b")]
    assert [line["candidate"] for line in lines if line["chosen"]] == ["depth=2", "depth=3"]


def test_every_candidate_of_the_grid_is_valid_in_every_profile():
    for settings in PROFILES.values():
        for stage in STAGES:
            for candidate in stage.candidates:
                windows = {"flow_input": "windows", "motion": "flow"} if stage.name != "motion" else {}
                settings.override(**windows, **candidate)


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    root = tmp_path_factory.mktemp("scenes") / "yard"
    for split, clip, start in (("training", "01", 0), ("training", "02", 20), ("testing", "01", 40)):
        write_clip(root / split / "frames" / clip, walkers(n_frames=12, start=start))
    (root / "testing" / "test_frame_mask").mkdir()
    np.save(root / "testing" / "test_frame_mask" / "01.npy", np.arange(12) >= 6)
    return root


def test_the_command_on_a_tiny_scene(scene, tmp_path, monkeypatch, capsys):
    sizes = {"n_train_clips": 1, "n_test_clips": 1, "clip_frames": 40}
    context = Context("smoke", PROFILES["smoke"].override(**sizes), tmp_path)
    windows = {"appearance": "none", "motion": "flow", "flow_input": "windows", "fusion": "calibrated"}
    stages = [
        Stage("motion", [windows], "Nearest Neighbor"),
        Stage("smoothing", [{"smoothing_frames": n} for n in (1, 3)], "Nearest Neighbor"),
    ]
    monkeypatch.setattr(choose_on_scenes, "STAGES", stages)
    monkeypatch.setattr(choose_on_scenes, "START", {})
    planned = []

    def make_here(points, where, may_diverge):
        assert (where, may_diverge) == (Where(jobs=2), True)
        planned.extend(points)
        make(points, HERE, may_diverge)

    monkeypatch.setattr(choose_on_scenes, "make", make_here)
    choose_on_scenes.run(context, [scene], Where(jobs=2))
    made = {path.parent for path in tmp_path.glob("checkpoints/*/*/metrics.json")}
    assert made == {point.run().folder for point in planned}
    with (context.results_dir / "choice.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["stage"] for line in lines] == ["motion", "smoothing", "smoothing"]
    assert all(
        0 <= float(line["yard"]) <= 100 and float(line["real"]) == float(line["yard"]) for line in lines
    )
    assert "chosen --set appearance=none --set motion=flow" in capsys.readouterr().out


def test_scenes_are_named_by_their_folders_or_in_a_folder_of_datasets(scene, tmp_path, monkeypatch):
    monkeypatch.setattr(scenes.walkway, "generate_under", lambda *_: tmp_path)
    monkeypatch.setattr(scenes, "find_datasets", lambda _: {"walkway": None})
    monkeypatch.setattr(Context, "walkway_root", tmp_path)
    with_walkway = lambda root: find(root) | {"walkway": WALKWAY}  # noqa: E731
    monkeypatch.setattr(context_module, "find_datasets", with_walkway)
    given = scenes_for(Context("smoke", PROFILES["smoke"], tmp_path), [scene])
    named = Context("smoke", PROFILES["smoke"], tmp_path, scene.parent, only_datasets=("yard",))
    assert [one.name for one in scenes_for(named, [])] == [one.name for one in given]
    assert given[0].dataset.root == scenes_for(named, [])[0].dataset.root == scene
    for names, fault in (
        ((), "--data: expected --datasets beside it"),
        (("walkway",), "expected labelled sets"),
    ):
        with pytest.raises(InputError, match=fault):
            scenes_for(replace(named, only_datasets=names), [])


def test_what_is_not_used_is_refused(scene):
    with pytest.raises(InputError, match="no labelled scene, expected --development"):
        scenes_for(CONTEXT, [])
    with pytest.raises(InputError, match="expected scenes of different names, got yard, yard"):
        scenes_for(CONTEXT, [scene, scene])
    for name in ("real", "chosen", "yard per clip"):
        renamed = scene.rename(scene.parent / name)
        with pytest.raises(InputError, match=f"scene {name}: expected another name"):
            scenes_for(CONTEXT, [renamed])
        renamed.rename(scene)
    with pytest.raises(InputError, match="no such folder"):
        scenes_for(CONTEXT, [scene / "nowhere"])
