"""Choosing what is open on Moving-MNIST: what is lost, checked by hand, and the rules, read back."""

import csv
import math
import re

import numpy as np
import pytest

from data_prep.errors import InputError
from data_prep.mnist_digits import Digits
from data_prep.moving_mnist import MovingMNIST
from experiments import choose_mnist_settings as choose
from experiments.lab.context import Context
from experiments.lab.settings.profiles import PROFILES
from experiments.lab.systems import sequences

SETTINGS = PROFILES["smoke"].override(mnist_n_atoms=8, mnist_similarity_units=4, depth=2, tsc_depth=3)


@pytest.fixture
def context(tmp_path, monkeypatch) -> Context:
    images = np.random.default_rng(0).integers(1, 200, (9, 28, 28)).astype(np.uint8)
    monkeypatch.setattr(sequences, "digits", lambda split, folder: Digits(images, f"noise {split}"))
    for name, value in {"N_HELD_OUT": 6, "N_STEPS": 2, "MOST_MORE": 0.05}.items():
        monkeypatch.setattr(choose, name, value)
    return Context("smoke", SETTINGS, tmp_path)


def frames_of(path) -> np.ndarray:
    """Return frames of length 1, float64 (n, 225 * 225)."""
    with MovingMNIST(path) as reader:
        x = reader.frames().reshape(-1, 225 * 225).astype(float)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_what_principal_directions_lose_is_what_an_svd_leaves_of_sequences_that_nobody_trained_on(context):
    files = choose.held_out_files(context)
    train, held_out = frames_of(files.train), frames_of(files.test)
    last = held_out[19::20, None] == train[None, 19::20]  # a sequence is known by its last frame
    assert not last.all(-1).any()
    with MovingMNIST(files.test) as reader:
        assert not reader.labels.any()
        assert len(reader.labels) == 6
    V = np.linalg.svd(train, full_matrices=False)[2][:4]  # N = 8 atoms: four directions with both signs
    left = 1 - np.square(held_out @ V.T).sum(1)
    settings = context.settings.override(mnist_start="principal")
    found = choose.energy_lost("principal directions", files, settings, 0)
    assert found == pytest.approx(np.median(left), rel=1e-3)
    weakest = choose.weakest_energy(files, settings)
    assert weakest == pytest.approx(np.square(held_out @ V[3]).mean(), rel=2e-2)


def test_a_sparsity_beyond_every_correlation_loses_everything(context):
    files = choose.held_out_files(context)
    for system, name in (("TSC", "mnist_tsc_lambda1"), ("sRNN-AE", "mnist_lambda1")):
        settings = context.settings.override(mnist_start="principal", **{name: 1e6})
        assert choose.energy_lost(system, files, settings, 0) == pytest.approx(1, abs=1e-5)


def test_steps_that_diverge_lose_all_there_is(context):
    files = choose.held_out_files(context)
    settings = context.settings.override(mnist_start="principal", mnist_learning_rate=1e30)
    assert choose.energy_lost("sRNN-AE", files, settings, 2) == math.inf


def test_the_command_chooses_by_its_rules_from_the_table_that_it_writes(context, capsys):
    choose.run(context)
    lines = list(csv.DictReader((context.results_dir / "mnist_settings.csv").open()))
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("chosen: ")]
    printed = dict(re.findall(r"--set (\w+)=(\S+)", " ".join(told)))

    def keeping(system, n_steps, most):
        """Return the candidates, largest first, that lose at most `most`."""
        of_system = [line for line in lines if line["system"] == system and line["steps"] == n_steps]
        return [line["candidate"] for line in of_system if float(line["energy_lost"]) <= most]

    start = float(lines[0]["energy_lost"])
    assert lines[0]["system"] == "principal directions"
    pair = [f"{name}={printed[name]}" for name in ("mnist_tsc_lambda2", "mnist_tsc_lambda1")]
    assert keeping("TSC", "0", start + 0.05)[0] == " ".join(pair)
    assert keeping("sRNN-AE", "0", start + 0.05)[0] == f"mnist_lambda1={printed['mnist_lambda1']}"
    before = next(
        line["energy_lost"]
        for line in lines
        if line["candidate"] == f"mnist_lambda1={printed['mnist_lambda1']}"
    )
    assert (
        keeping("sRNN-AE", "2", float(before) + 0.001)[0]
        == f"mnist_learning_rate={printed['mnist_learning_rate']}"
    )
    assert len(lines) == 1 + 9 + 3 + 3
    assert float(printed["mnist_weight_decay"]) in 10.0 ** np.arange(-12, 0)


def test_rules_by_hand():
    candidates = [{"depth": value} for value in (4.0, 2.0, 1.0)]
    assert choose.chosen(candidates, [0.3, 0.2, 0.1], 0.2) == {"depth": 2.0}
    with pytest.raises(InputError, match=r"depth: every candidate loses more than 5\.00% .* least 10\.00%"):
        choose.chosen(candidates, [0.3, 0.2, 0.1], 0.05)
    assert choose.weight_decay(4.5e-5) == pytest.approx(1e-6)
    assert choose.weight_decay(1.01e-4) == pytest.approx(1e-5)
