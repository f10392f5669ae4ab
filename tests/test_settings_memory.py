"""Settings that ask for more memory than there is are refused before anything is made; what fits is not."""

import re

import pytest

from data_prep import memory
from data_prep.errors import InputError
from experiments.lab import cli
from experiments.lab.settings.chosen import CHOSEN
from experiments.lab.settings.memory import FLOAT_BYTES, least_numbers, refuse_beyond_memory
from experiments.lab.settings.profiles import PROFILES
from experiments.lab.settings.schema import PAPER
from models.conv_ae import ConvAE
from models.conv_lstm_ae import ConvLSTMAE
from models.lstm_ae import LSTMAE
from models.srnn_ae import SRNNAE, Streaming

HUGE = [
    "batch_clips=1000000000",
    "n_atoms=1000000",
    "window_frames=2000000000",
    "tsc_n_atoms=1000000",
    "similarity_units=2000000000",
    "lstm_units=1000000",
    "conv_ae_size_px=1000003",
    "conv_ae_filters=1000000",
    "conv_ae_batch_clips=1000000000",
    "conv_lstm_memory=1000000",
    "conv_lstm_filters=1000000",
    "input_size_px=1000000",
    "flow_size_px=1000000",
    "flow_input_size_px=1000000",
    "windows_rows=2000000000",
    "windows_n_atoms=1000000",
    "mnist_n_atoms=1000000",
    "mnist_batch_sequences=2000000000",
]


@pytest.mark.parametrize("item", HUGE)
@pytest.mark.parametrize("profile", ["smoke", "paper"])
def test_what_no_machine_holds_is_refused_and_named(item, profile, monkeypatch):
    monkeypatch.setattr(memory, "machine_bytes", lambda: 64 * 10**9)
    arguments = cli.parser("").parse_args(["--profile", profile, "--set", item])
    name = item.partition("=")[0]
    with pytest.raises(InputError, match=rf"setting [^:]*\b{name}\b[^:]*: asks for [0-9.]+ GB of memory"):
        cli.settings(arguments)


@pytest.mark.parametrize("settings", [*PROFILES.values(), PROFILES["quick"].override(**CHOSEN)])
def test_every_profile_fits_a_small_machine(settings, monkeypatch):
    monkeypatch.setattr(memory, "machine_bytes", lambda: 2 * 10**9)
    refuse_beyond_memory(settings)


def largest(model):
    return max(int(weight.numpy().size) for weight in model.weights)


@pytest.mark.parametrize(
    ("model", "name", "changes"),
    [
        (lambda: Streaming(SRNNAE(12, n_atoms=300)), "n_atoms", {"n_atoms": 300}),
        (lambda: SRNNAE(256, n_atoms=4, similarity_units=700), "similarity_units", {"similarity_units": 700}),
        (lambda: LSTMAE(8, 50), "lstm_units", {"lstm_units": 50}),
        (
            lambda: ConvAE(filters=(64, 32, 16), input_size_px=23),
            "conv_ae_filters",
            {"conv_ae_filters": 64, "conv_ae_size_px": 23},
        ),
        (
            lambda: ConvLSTMAE(filters=(16, 32, 64), memory_filters=(32,), input_size_px=17),
            "conv_lstm_memory",
            {"conv_lstm_memory": 32},
        ),
        (
            lambda: ConvLSTMAE(filters=(16, 32, 64), memory_filters=(32,), input_size_px=17),
            "conv_lstm_filters",
            {"conv_lstm_filters": 16},
        ),
    ],
)
def test_an_estimate_is_no_more_than_a_model_has(model, name, changes):
    assert 0 < least_numbers(PAPER.override(**changes))[name] <= largest(model())


def test_the_message_says_how_much(monkeypatch):
    monkeypatch.setattr(memory, "machine_bytes", lambda: 24 * 10**9)
    told = f"setting n_atoms: asks for {FLOAT_BYTES * 10**10 / 1e9:.1f} GB of memory, expected at most"
    with pytest.raises(InputError, match=re.escape(told)):
        refuse_beyond_memory(PAPER.override(n_atoms=10**5))
