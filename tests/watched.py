"""The command that watches, as its tests call it, and the example that they share."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from experiments import watch
from experiments.lab.settings.changes import results_name
from experiments.lab.settings.profiles import PROFILES
from tests.videos import lines_of, pictures, write_video

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


def refused(monkeypatch, capsys, *arguments):
    assert call(monkeypatch, *arguments) == 2
    text = capsys.readouterr().err
    errors = [line for line in text.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "Traceback" not in text
    return errors[0]


def train_example(folder: Path) -> SimpleNamespace:
    """The command once, as a user starts it: a video that is its own example of what is normal."""
    video = write_video(folder / "yard.avi", pictures())
    with pytest.MonkeyPatch.context() as patch:
        code = call(patch, video, "--train", video, "--train-until", "0.5", *FLAGS, "--out", folder)
    assert code == 0
    return example_in(folder)


def example_in(folder: Path) -> SimpleNamespace:
    """What `train_example` left in a folder."""
    video = folder / "yard.avi"
    runs = [next(folder.glob(f"checkpoints/*/*-{stream}-*")) for stream in ("spatial", "temporal")]
    return SimpleNamespace(out=folder, video=video, runs=runs, results=results_folder(folder))
