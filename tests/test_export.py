"""A trained model outside this repository: what its card says must do, with the package `models` alone."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from synthetic import CHANNELS, write_dataset

from experiments.lab.scoring.protocol import Protocol
from experiments.lab.scoring.regularity import micro_auc
from experiments.lab.scoring.score_files import load_scores, save_scores
from experiments.lab.settings.schema import PAPER
from experiments.lab.systems.catalogue import SYSTEMS, run_system
from experiments.lab.training.model_card import CARD, write_model_card
from models.conv_ae import ConvAE
from models.conv_lstm_ae import ConvLSTMAE
from models.lstm_ae import LSTMAE
from models.tsc import TSC

MODELS = Path(__file__).parents[1] / "models"
SMALL = {"n_atoms": 8, "similarity_units": 4, "iterations": 4, "checkpoint_every": 4, "log_every": 2}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A trained sRNN-AE with its card."""
    shards = write_dataset(tmp_path_factory.mktemp("features"))
    trained = run_system(
        "sRNN-AE", shards, "spatial", PAPER.override(**SMALL), 0, tmp_path_factory.mktemp("out")
    )
    write_model_card(trained.folder)
    return trained


def code_of(card: str) -> str:
    """The code of a card, as a reader copies it."""
    return re.search(r"```python\n(.*?)```", card, re.DOTALL)[1]


RUN_CARDS = """
import importlib.util, os, sys
import numpy as np

for name in ("experiments", "data_prep"):
    assert importlib.util.find_spec(name) is None, name
for system in sys.argv[1:]:
    os.chdir(system)
    here = {"x": np.load("x.npy")}
    with open("card.py") as file:
        exec(file.read(), here)
    outputs = here["outputs"]
    outputs = outputs if isinstance(outputs, dict) else {"reconstruction": outputs}
    np.savez("outputs.npz", **{name: np.asarray(value) for name, value in outputs.items()})
    os.chdir("..")
"""


@pytest.fixture(scope="module")
def outside(run, tmp_path_factory):
    """The code of every system's card, run in a folder with its `last.keras` and the package `models`.

    Returns system -> (x, the outputs by name, the card); nothing else of the project can be imported there.
    """
    folder = tmp_path_factory.mktemp("outside")
    shutil.copytree(MODELS, folder / "models", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "use.py").write_text(RUN_CARDS)  # a script by its path: its own folder is searched first
    cards = {}
    for system, (model, shape) in {"sRNN-AE": (run.model, (21, 5, CHANNELS)), **OTHERS}.items():
        place = folder / system
        cards[system] = (made_card(run, place, system=system) / CARD).read_text()
        (place / "card.py").write_text(code_of(cards[system]))
        np.save(place / "x.npy", np.random.default_rng(0).uniform(0, 1, shape).astype(np.float32))
        if system in OTHERS:
            model().save(place / "last.keras")
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [sys.executable, "use.py", *cards]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    return {
        system: (np.load(folder / system / "x.npy"), dict(np.load(folder / system / "outputs.npz")), card)
        for system, card in cards.items()
    }


def test_a_trained_run_loads_by_the_code_of_its_card_with_keras_and_models_alone(run, outside):
    x, outputs, _ = outside["sRNN-AE"]
    model = run.model()
    expected = model(x)
    assert set(outputs) == {"reconstruction", "codes", "similarity"}
    for name, value in outputs.items():
        np.testing.assert_allclose(value, keras.ops.convert_to_numpy(expected[name]), rtol=1e-5, atol=1e-6)
    # And by hand: the reconstruction is the codes times Z.
    by_hand = outputs["codes"] @ keras.ops.convert_to_numpy(model.decoder)
    np.testing.assert_allclose(outputs["reconstruction"], by_hand, rtol=1e-4, atol=1e-5)


OTHERS = {
    "TSC": (lambda: TSC(CHANNELS, n_atoms=8, depth=3), (21, 5, CHANNELS)),
    "LSTM-AE": (lambda: LSTMAE(CHANNELS, 5), (21, 5, CHANNELS)),
    "Conv-AE": (lambda: ConvAE(5, (8, 4, 2), 39), (2, 39, 39, 5)),
    "ConvLSTM-AE": (lambda: ConvLSTMAE((2, 4, 8), (3,), 33), (2, 5, 33, 33, 1)),
}


def test_every_system_has_a_line_on_its_use():
    assert {name for name, entry in SYSTEMS.items() if entry.use} == {"sRNN-AE", *OTHERS}
    assert all(bool(entry.use) + bool(entry.made_again) + entry.rule == 1 for entry in SYSTEMS.values())


@pytest.mark.parametrize("system", ["sRNN-AE", *OTHERS])
def test_the_card_says_what_the_model_returns(outside, system):
    x, outputs, card = outside[system]
    assert next(iter(outputs.values())).shape[:2] == x.shape[:2]
    returned = re.search(r"returns (.*?)\. Needs", card)[1]
    assert set(re.findall(r"`(\w+)`", returned) or ["reconstruction"]) == set(outputs)


def made_card(run, folder, labels=None, **config):
    """The card of a copy of the run with another configuration, or other labels of its test frames."""
    shutil.copytree(run.folder, folder)
    (folder / CARD).unlink()
    content = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(content | config))
    if labels is not None:
        path = folder / "scores" / "step_000004.npz"
        clips = load_scores(path)
        for clip in clips:
            clip.labels[:] = labels
        save_scores(path, clips)
    write_model_card(folder)
    return folder


def test_card_names_data_settings_result_limits_commit_and_versions(run):
    card = (run.folder / CARD).read_text()
    config = run.config
    assert "synthetic: trained on 3 clips with 72 frames" in card
    assert "scored on 2 clips with 48 frames, 16 of them abnormal" in card
    for group in ("model", "train"):
        for name, value in config[group].items():
            assert f"| `{name}` | {value} |" in card
    aucs = dict(re.findall(r"\| (per_clip|global|train) \|[^|]*\| ([\d.]+) \|", card))
    for name, auc in aucs.items():
        train = {"spatial": run.train_errors()}
        expected = micro_auc({"spatial": run.scores()}, Protocol(("spatial",), normalization=name), train)
        assert auc == f"{100 * expected:.2f}"
    assert len(aucs) == 3
    assert config["commit"] in card
    assert all(f"{library} {version}" in card for library, version in config["versions"].items())
    assert "## Limits\n\n- It knows the normal footage" in card


@pytest.mark.parametrize(("pyramid", "said"), [("1,2", "1/2"), ("1,2,4", "1/4"), ("1", ""), ("windows", "")])
def test_the_card_says_how_large_the_regions_of_a_pyramid_are(run, tmp_path, pyramid, said):
    card = made_card(run, tmp_path / "run", features=run.config["features"] | {"pyramid": pyramid}) / CARD
    found = re.findall(r"the finest is about (\S+) of each side", card.read_text())
    assert found == ([said] if said else [])


def test_card_before_the_metrics_are_written(run, tmp_path):
    """At the end of a run the card comes first, so that `metrics.json` still marks all that is finished."""
    folder = made_card(run, tmp_path / "run")
    expected = (folder / CARD).read_text()
    (folder / CARD).unlink()
    metrics = json.loads((folder / "metrics.json").read_text())
    (folder / "metrics.json").unlink()
    write_model_card(folder, metrics)
    assert (folder / CARD).read_text() == expected


def test_card_where_there_is_no_auc(run, tmp_path):
    card = (made_card(run, tmp_path / "run", labels=0) / CARD).read_text()
    assert "No AUC: the scored frames are of one class." in card
    assert "0 of them abnormal" in card


def test_card_says_what_cannot_run_live(run, tmp_path):
    train = run.config["train"] | {"alignment": "centered"}
    card = (made_card(run, tmp_path / "run", train=train) / CARD).read_text()
    assert "it cannot run live" in card
    assert "it cannot run live" not in (run.folder / CARD).read_text()
