"""Choosing on normal data: the rule, and that no test label of the dataset is ever read."""

import csv
import math
from dataclasses import replace
from types import SimpleNamespace

import pytest

from data_prep.errors import InputError
from experiments import ablations, choose_on_normal
from experiments.choose_on_normal import choose, first_within_tie
from experiments.lab.context import Context
from experiments.lab.scoring.score import DivergedError
from experiments.lab.settings.profiles import PROFILES

AUC = {"a": 0.70, "b": 0.704, "c": 0.72}


@pytest.mark.parametrize(
    ("criteria", "index"),
    [([0.7, 0.704, 0.5], 0), ([0.7, 0.706, 0.71], 1), ([0.7, 0.706, 0.7111], 2), ([0.9], 0)],
)
def test_the_first_within_half_a_point_of_the_best_is_chosen(criteria, index):
    assert first_within_tie(criteria) == index


def test_stages_build_on_each_other(monkeypatch):
    tried = []

    def scene_aucs(context, scenes, settings):
        tried.append(dict(settings))
        value = AUC[settings["x"]] + (0.1 if settings.get("y") == 2 else 0)
        return {"planted": value + 0.1, "walkway": value - 0.1}

    monkeypatch.setattr(choose_on_normal, "scene_aucs", scene_aucs)
    stages = {"first": [{"x": "a"}, {"x": "b"}, {"x": "c"}], "second": [{"y": 1}, {"y": 2}]}
    chosen, lines, every = choose(None, None, {"z": 0}, stages)
    assert chosen == {"z": 0, "x": "c", "y": 2}
    assert every == tried
    assert tried[3:] == [{"z": 0, "x": "c", "y": 1}, {"z": 0, "x": "c", "y": 2}]
    assert [line["candidate"] for line in lines if line["chosen"]] == ["x=c", "y=2"]
    assert lines[4]["criterion"] == pytest.approx(0.82)


def test_a_candidate_that_diverges_is_told_and_never_chosen(tmp_path, monkeypatch, capsys):
    def train(context, *_):
        if context.settings.train.learning_rate > 1:
            raise DivergedError("clip.h5: expected finite reconstruction errors, got NaN or infinity")

    monkeypatch.setattr(choose_on_normal, "auc", lambda *_: 0.6)
    monkeypatch.setattr(Context, "fused_runs_of", train)
    context = Context("smoke", PROFILES["smoke"], tmp_path, n_ablation_seeds=1)
    scenes = {"planted": (None, None), "walkway": (None, None)}
    candidates = [{"learning_rate": rate} for rate in (9.0, 1e-4)]
    chosen, lines, _ = choose(context, scenes, {}, {"model": candidates})
    assert chosen == {"learning_rate": 1e-4}
    assert list(lines[0]) == list(lines[1])
    assert [line["chosen"] for line in lines] == ["", "yes"]
    assert math.isnan(lines[0]["criterion"])
    assert "WARNING: clip.h5: expected finite" in capsys.readouterr().out
    with pytest.raises(InputError, match="every candidate of a stage diverged"):
        choose(context, scenes, {}, {"model": candidates[:1]})


@pytest.fixture(scope="module")
def context(tmp_path_factory):
    settings = PROFILES["smoke"].override(
        input_size_px=32, iterations=4, checkpoint_every=4, log_every=2, n_atoms=8, similarity_units=8
    )
    return Context("smoke", settings, tmp_path_factory.mktemp("out"), n_seeds=1, n_ablation_seeds=1)


def test_the_command_reads_no_test_clip(context, monkeypatch, capsys):
    full = context.datasets["walkway"]
    training = tuple(clip for clip in full.clips if clip.split == "train")
    blind = replace(full, clips=training, test_labels={}, mask_sources={})
    shown = SimpleNamespace(name="walkway", record=full.record, root=full.root, split=blind.split)
    monkeypatch.setitem(context.__dict__, "datasets", {"walkway": shown})
    start = {"n_atoms": 8, "iterations": 4, "checkpoint_every": 4}
    monkeypatch.setattr(choose_on_normal, "SMOKE_START", start)
    stages = choose_on_normal.SMOKE_STAGES
    fewer = {"features": stages["features"][1:], "motion": stages["motion"][:2]}
    monkeypatch.setattr(choose_on_normal, "SMOKE_STAGES", stages | fewer)
    choose_on_normal.run(context)
    monkeypatch.undo()
    with (context.results_dir / "choice_walkway.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    counts = {"features": 1, "frame_error": 3, "motion": 2, "smoothing": 3}
    assert [line["stage"] for line in lines] == [stage for stage, n in counts.items() for _ in range(n)]
    assert sum(line["chosen"] == "yes" for line in lines) == 4
    for line in lines:
        found = [float(line[scene]) for scene in ("planted", "walkway")]
        assert all(0 <= value <= 1 for value in found)
        assert float(line["criterion"]) == pytest.approx(sum(found) / 2)
    said = capsys.readouterr().out
    assert "walkway: chosen --set backbone=thin_resnet50 --set n_atoms=8 --set iterations=4" in said
    assert "features: layer=conv4 feature_normalization=standardized: " in said


def test_the_test_sweep_stands_beside_the_choice_and_does_not_change_it(context, monkeypatch):
    aucs = {"planted": {"conv4": 0.9}, "walkway": {"conv4": 0.8}, "test": {"last": 0.95}}

    def scene_aucs(context, scenes, settings):
        return {name: aucs[name].get(settings["layer"], 0.5) for name in scenes}

    monkeypatch.setattr(choose_on_normal, "scene_aucs", scene_aucs)
    choose_on_normal.run(context, sweep_test=True)
    with (context.results_dir / "choice_walkway.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["candidate"].split()[0] for line in lines if line["chosen"]] == [
        "layer=conv4",
        "frame_error=max",
        "motion=temporal",
        "smoothing_frames=1",
    ]
    assert [line["test"] for line in lines] == ["0.95"] + ["0.5"] * 10


def test_ablations_change_one_setting_at_a_time(context, monkeypatch):
    monkeypatch.setattr(ablations, "TRAINED", [{"threshold": "two_sided"}])
    ablations.run(context)
    with (context.results_dir / "ablations.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["setting"] for line in lines] == [
        "default",
        *(name for changed in ablations.SCORES for name in changed),
        "threshold",
    ]
    assert (lines[0]["difference"], lines[0]["difference_std"]) == ("+0.00", "")
    for line in lines:
        assert float(line["auc"]) - float(lines[0]["auc"]) == pytest.approx(
            float(line["difference"]), abs=0.011
        )
    assert "| Walkway | threshold | two_sided |" in (context.results_dir / "ablations.md").read_text()


def test_differences_are_taken_seed_by_seed():
    one = ablations.line("ped2", "threshold", "two_sided", [0.72, 0.82, 0.92], [0.7, 0.8, 0.9])
    assert (one["auc"], one["auc_std"]) == ("82.00", "10.00")
    assert (one["difference"], one["difference_std"], one["seeds"]) == ("+2.00", "0.00", 3)


@pytest.mark.parametrize("profile", ["quick", "paper"])
def test_every_candidate_of_the_grid_can_be_trained(profile):
    for length in choose_on_normal.STAGES["length"]:
        train = PROFILES[profile].override(**choose_on_normal.START).override(**length).train
        assert train.iterations % train.checkpoint_every == train.checkpoint_every % train.log_every == 0
    for stage in choose_on_normal.STAGES.values():
        for candidate in stage:
            PROFILES[profile].override(**candidate)
