"""What the paper claims: the verdict by its rule, and the command on a tiny scene."""

import csv
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from experiments import claims
from experiments.claims import VARIANTS, verdict
from experiments.lab import scenes
from experiments.lab.context import Context
from experiments.lab.scenes import Scene
from experiments.lab.settings.chosen import CHOSEN
from experiments.lab.settings.profiles import PROFILES
from tests.walkers import walkers, write_clip

SCENES = [Scene(name, None, None, is_real) for name, is_real in (("a", True), ("b", True), ("w", False))]


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ([0.70, 0.72, 0.71], ("+9.00 ± 1.00", "holds")),
        ([0.90, 0.92, 0.91], ("-11.00 ± 1.00", "refuted")),
        ([0.78, 0.82, 0.80], ("+0.00 ± 2.00", "no difference beyond that of seeds")),
    ],
)
def test_verdict_compares_the_difference_with_its_deviation_over_seeds(other, expected):
    """The walkway has no part in it."""
    usual = {"a": [0.8, 0.8, 0.8], "b": [0.8, 0.8, 0.8], "w": [0.1, 0.5, 0.9]}
    assert verdict(usual, {"a": other, "b": other, "w": [1, 0, 1]}, SCENES) == expected


def test_one_seed_gives_no_verdict():
    usual = {"a": [0.8], "b": [0.9], "w": [0.5]}
    assert verdict(usual, {"a": [0.7], "b": [0.7], "w": [0.5]}, SCENES) == ("+15.00", "one seed says nothing")


def test_variants_are_valid_and_differ_from_what_is_usual():
    for profile in PROFILES.values():
        usual = profile.override(**CHOSEN)
        for variant in VARIANTS:
            assert variant.system != "sRNN-AE" or usual.override(**variant.settings) != usual


def test_zeros_are_those_of_the_real_scenes_seed_by_seed(monkeypatch):
    """The first seed has 0.1 and 0.3, the second 0.2 and 0.6; the walkway does not count."""
    zeros = {"a": [0.1, 0.2], "b": [0.3, 0.6], "w": [0.9, 0.9]}
    context = SimpleNamespace(scenes=SCENES)
    monkeypatch.setattr(claims, "scene_points", lambda context, scene, system: scene.name)
    monkeypatch.setattr(claims, "runs_of", lambda name: [(name, 0), (name, 1)])
    monkeypatch.setattr(claims, "protocol_for", lambda context, runs: None)
    monkeypatch.setattr(claims, "auc", lambda runs, protocol: 0.5)
    monkeypatch.setattr(claims, "zero_share", lambda runs, protocol: zeros[runs[0]][runs[1]])
    found = claims.measured(context, "sRNN-AE")
    assert found["zero codes"] == pytest.approx([0.2, 0.4])
    assert found["a"] == found["w"] == [0.5, 0.5]


def test_the_command_on_a_tiny_scene(tmp_path, monkeypatch, capsys):
    root: Path = tmp_path / "yard"
    for split, clip, start in (("training", "01", 0), ("training", "02", 20), ("testing", "01", 40)):
        write_clip(root / split / "frames" / clip, walkers(n_frames=12, start=start))
    (root / "testing" / "test_frame_mask").mkdir()
    np.save(root / "testing" / "test_frame_mask" / "01.npy", np.arange(12) >= 6)
    sizes = {"n_train_clips": 1, "n_test_clips": 1, "clip_frames": 40, "windows_tsc_alternations": 1}
    settings = PROFILES["smoke"].override(**{**CHOSEN, **sizes, "windows_iterations": 2})
    context = Context("smoke", settings, tmp_path / "out", chosen=True)
    monkeypatch.setattr(claims, "VARIANTS", VARIANTS[-2:])
    monkeypatch.setattr(scenes, "N_WALKWAYS", 1)
    claims.run(context, [root])
    made = {path.parent for path in context.out.glob("checkpoints/*/*/metrics.json")}
    assert made == {point.run().folder for point in claims.points(context, [root])}
    with (context.results_dir / "claims.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["model"] for line in lines] == ["sRNN-AE", "Gaussian similarity, lambda2 fixed", "TSC"]
    assert list(lines[0]) == ["model", "yard", "walkway 1", "zero codes"]
    text = (context.results_dir / "claims.md").read_text()
    assert text in capsys.readouterr().out
    assert f"experiments.claims --development {root}`" in text
    for variant in VARIANTS[-2:]:
        assert f"| {variant.claim} | {variant.source} | {variant.name} |" in text
