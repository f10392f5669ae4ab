"""How many atoms the models of footage have: chosen by held-out normal frames, unless --set says it."""

import argparse
import json
import re
from types import SimpleNamespace

import numpy as np
import pytest

from experiments.lab.settings.chosen import CHOSEN
from experiments.lab.settings.profiles import PROFILES
from experiments.lab.watching import session, sizes
from tests.videos import pictures, write_video
from tests.watched import TINY, call, flags_of

REGIONS = np.array([1.0, 3.0, 2.0])  # a frame's error is its largest region's


def trainer(gaps, seen, streams=("spatial", "temporal")):
    """Trains nothing: errors of held-out frames are as many times those of training frames as `gaps` says."""

    def run(n_atoms, more):
        held_out = [SimpleNamespace(error=np.outer(x, REGIONS)) for x in ([1.0, 3.0], [5.0])]
        errors = 3 * np.array([3.0]) / (gaps[n_atoms] + more)
        return SimpleNamespace(
            config={"model": {"n_atoms": n_atoms}},
            scores=lambda: held_out,
            train_errors=lambda kind: {"max": errors}[kind],
        )

    def train(n_atoms):
        seen.append(n_atoms)
        return {stream: run(n_atoms, more) for stream, more in zip(streams, (-0.02, 0.02), strict=False)}

    return train


@pytest.mark.parametrize(
    ("gaps", "chosen", "trained"),
    [
        ({32: 1.0, 64: 1.02, 128: 1.049, 256: 1.16, 512: 1.3}, 128, [32, 64, 128, 256]),
        ({32: 1.0, 64: 1.06}, 32, [32, 64]),
        ({32: 1.2}, 32, [32]),  # little footage: the smallest, and no larger ones are trained
        ({32: 0.9, 64: 0.9, 128: 0.95, 256: 1.0, 512: 1.049}, 512, [32, 64, 128, 256, 512]),
    ],
)
def test_the_last_size_before_the_gap_grows_is_kept(gaps, chosen, trained):
    seen = []
    choice = sizes.choose_size(trainer(gaps, seen), 512, "max")
    assert (choice.n_atoms, seen) == (chosen, trained)
    assert choice.gaps == pytest.approx({n_atoms: gaps[n_atoms] for n_atoms in trained})
    assert {run.config["model"]["n_atoms"] for run in choice.runs.values()} == {chosen}
    said = str(choice)
    assert said.startswith(f"n_atoms {chosen}, chosen by held-out frames: ")
    assert f"{gaps[trained[-1]]:.3f} with {trained[-1]}" in said
    assert ", and 1.05 is the most that is taken" in said
    assert ("WARNING" in said) == (gaps[chosen] > 1.05)


def test_models_of_another_number_of_atoms_have_no_say():
    """Those on flow windows, beside a network's."""
    steep = trainer(dict.fromkeys([1, 2, 3, 6, 12], 1.0), [], ["spatial"])
    windows = SimpleNamespace(config={"model": {"n_atoms": 8}})
    choice = sizes.choose_size(lambda n: {**steep(n), "flow": windows}, 12, "max")
    assert (choice.n_atoms, list(choice.gaps)) == (12, [1, 3, 6, 12])
    assert choice.runs["flow"] is windows


@pytest.mark.parametrize(
    ("settings", "given", "expected"),
    [
        ({}, [], True),
        ({}, ["iterations=50"], True),
        ({}, ["iterations=50", "n_atoms=64"], False),
        (CHOSEN, [], False),  # flow windows have their own number
        (CHOSEN | {"appearance": "spatial"}, [], True),
    ],
)
def test_a_size_that_is_given_or_acts_on_nothing_is_not_chosen(settings, given, expected):
    context = SimpleNamespace(settings=PROFILES["quick"].override(**settings))
    arguments = argparse.Namespace(system="sRNN-AE", train="x", set=given)
    assert session.chooses_size(arguments, context) is expected


def test_the_command_trains_each_size_and_watches_with_the_chosen(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sizes, "SHARES", (2, 1))
    settings = {name: value for name, value in TINY.items() if name != "n_atoms"} | {"appearance": "none"}
    video = write_video(tmp_path / "yard.avi", pictures())
    flags = [video, "--train", video, "--train-until", "0.5", *flags_of(settings), "--out", tmp_path]
    assert call(monkeypatch, *flags) == 0
    said = capsys.readouterr().out
    assert said.startswith("models of 32 atoms:\nmodels of 64 atoms:\nn_atoms ")
    chosen = int(re.search(r"\nn_atoms (\d+), chosen", said)[1])
    assert f"\nn_atoms {chosen}, chosen by held-out frames" in said
    configs = {
        path.parent.name: json.loads(path.read_text())
        for path in tmp_path.glob("checkpoints/*/*/config.json")
    }
    assert {config["model"]["n_atoms"] for config in configs.values()} == {32, 64}
    assert "60 frames, 5.9 s: the first 30 are the footage; of the other 30, " in said
    again = re.search(r"again, or another video, without training: .* --run (\S+) ", said)[1]
    assert configs[again.rpartition("/")[2]]["model"]["n_atoms"] == chosen
    assert call(monkeypatch, *flags) == 0  # nothing is trained again, and the same comes out
    assert capsys.readouterr().out.splitlines()[:4] == said.splitlines()[:4]
