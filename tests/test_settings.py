"""Settings: the paper's values, and what a wrong name or value is told."""

import re
import shlex
from dataclasses import fields

import pytest

from data_prep.errors import InputError
from experiments.lab import cli
from experiments.lab.cli import default_seeds
from experiments.lab.settings.chosen import CHOSEN
from experiments.lab.settings.flow_windows import reads_windows
from experiments.lab.settings.names import MEANINGS
from experiments.lab.settings.profiles import PROFILES
from experiments.lab.settings.schema import PAPER, config_hash
from experiments.lab.systems.frame_systems import own_settings
from experiments.lab.systems.moving_mnist import with_mnist_settings
from experiments.lab.training.gradients import Gradients
from models.conv_ae import ConvAE
from models.conv_lstm_ae import ConvLSTMAE


def test_defaults_are_the_papers():
    assert (PAPER.model.n_atoms, PAPER.model.depth, PAPER.model.weight_decay) == (2048, 3, 0.005)
    assert (PAPER.train.iterations, PAPER.train.batch_clips, PAPER.train.window_frames) == (20_000, 4, 10)
    assert (PAPER.train.learning_rate, PAPER.score.temporal_weight) == (1e-5, 0.5)
    assert PROFILES["paper"] == PAPER


def test_override_parses_text_and_leaves_the_rest():
    changed = PAPER.override(depth="5", learning_rate="1e-4", trainable_lambda2="false", iterations="1_000")
    assert (changed.model.depth, changed.train.learning_rate) == (5, 1e-4)
    assert (changed.model.trainable_lambda2, changed.train.iterations) == (False, 1000)
    assert changed.override(depth=3, learning_rate=1e-5, trainable_lambda2=True, iterations=20_000) == PAPER


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"dept": 5}, r"'dept': unknown; did you mean depth or tsc_depth\?$"),
        ({"K": 5}, "'K': unknown; K is depth"),
        ({"N": 5}, "N is n_atoms"),
        ({"T": 5}, "T is window_frames"),
        ({"beta": 1}, r"beta is temporal_weight \(Sec. 3.7\) or weight_decay \(Eq. 9\)"),
        ({"lambda_1": 1}, r"lambda_1 is lambda1 \(of TSC: tsc_lambda1\)"),
        ({"Lambda-2": 1}, "Lambda-2 is lambda2"),
        ({"learning_rat": 1}, "did you mean learning_rate"),
        ({"atoms": 8}, "did you mean n_atoms or tsc_n_atoms"),
        ({"qqqq": 1}, "'qqqq': unknown; experiments/lab/settings/schema.py has all of them"),
        ({"streams": "flow"}, "'streams': unknown; did you mean"),
        ({"depth": "three"}, "depth: expected int, got 'three'"),
        ({"depth": 2.5}, "depth: expected int, got 2.5"),
        ({"depth": "0"}, "depth: expected at least 1, got 0"),
        ({"trainable_lambda2": "maybe"}, "trainable_lambda2: expected bool"),
        ({"similarity": "cosine"}, "similarity: expected one of learned, gaussian, got 'cosine'"),
        ({"frame_error": "median"}, "frame_error: expected one of max"),
        ({"temporal_weight": 1.5}, "temporal_weight: expected at most 1.0, got 1.5"),
        ({"mppca_latent": 36}, "mppca_latent: expected at most 35, got 36"),
        ({"gamma": "inf"}, "gamma: expected float, got 'inf'"),
        ({"smoothing_frames": "4"}, "smoothing_frames: expected an odd number of frames, got 4"),
        ({"learning_rate": "-1"}, "learning_rate: expected .* got -1"),
    ],
)
def test_bad_settings_are_named(values, message):
    with pytest.raises(InputError, match=message):
        PAPER.override(**values)


def test_every_meaning_of_a_letter_names_settings():
    known = {field.name for group in fields(PAPER) for field in fields(getattr(PAPER, group.name))}
    for letter, text in MEANINGS.items():
        assert letter not in known
        named = set(re.findall(r"[a-z][a-z_0-9]+", re.sub(r"\(Sec.*?\)|\(Eq.*?\)|of TSC|\bor\b", "", text)))
        assert named
        assert named <= known, letter


def test_config_hash_depends_on_values_not_on_order():
    assert config_hash({"a": 1, "b": 2}) == config_hash({"b": 2, "a": 1})
    assert config_hash({"a": 1}) != config_hash({"a": 2})


def test_seeds_of_a_profile():
    assert [default_seeds(profile, has_data=True) for profile in ("smoke", "quick", "paper")] == [1, 3, 3]
    assert [default_seeds(profile, has_data=False) for profile in ("smoke", "quick", "paper")] == [1, 1, 3]


@pytest.mark.parametrize("profile", PROFILES)
def test_chosen_settings_are_valid_in_every_profile(profile):
    chosen = PROFILES[profile].override(**CHOSEN)
    assert chosen.train.iterations % chosen.train.checkpoint_every == 0
    assert chosen.train.checkpoint_every % chosen.train.log_every == 0
    assert reads_windows("flow", chosen)


def test_bfloat16_beside_two_sided_codes_is_refused():
    with pytest.raises(
        InputError, match="setting compute_dtype: expected float32 beside threshold two_sided"
    ):
        PAPER.override(compute_dtype="bfloat16", threshold="two_sided")


@pytest.mark.parametrize("profile", PROFILES)
def test_every_network_has_steps_that_fit_with_the_chosen_settings(profile):
    chosen = PROFILES[profile].override(**CHOSEN)
    on_mnist = with_mnist_settings(chosen).train
    for train in (own_settings("Conv-AE", chosen)[1], own_settings("ConvLSTM-AE", chosen)[1], on_mnist):
        Gradients(train, None, None)


def test_the_command_of_a_row_parses_to_the_same_call(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    data, weights = tmp_path / "a folder", tmp_path / "it's.h5"
    data.mkdir()
    for file in (data / "mnist.npz", weights):
        file.touch()
    words = ["--profile", "quick", "--data", str(data), "--datasets", "ped2,my yard"]
    words += ["--chosen", "--weights", str(weights), *"--seeds 2 --set depth=5 --set fusion=log".split()]
    given = cli.runs_parser("").parse_args(words)
    backend, *command = shlex.split(cli.context(given).command("experiments.table_03_methods"))
    assert backend == "KERAS_BACKEND=jax"
    assert command[:3] == ["python", "-m", "experiments.table_03_methods"]
    assert vars(cli.runs_parser("").parse_args(command[3:])) == vars(given)


def test_chosen_is_one_set_that_more_settings_may_change():
    def parse(*flags):
        return cli.settings(cli.settings_parser("").parse_args([*flags]))

    assert parse("--chosen") == PROFILES["quick"].override(**CHOSEN)
    assert parse("--chosen", "--set", "depth=5") == PROFILES["quick"].override(**CHOSEN, depth=5)


@pytest.mark.parametrize(("name", "model"), [("conv_ae_size_px", ConvAE), ("conv_lstm_size_px", ConvLSTMAE)])
def test_sizes_are_those_that_the_convolutions_tile(name, model):
    """What the settings take, the model takes, and the other way round."""
    small = {"filters": (2, 2, 2), **({"memory_filters": (2,)} if model is ConvLSTMAE else {})}
    for size_px in range(15, 40):
        try:
            model(input_size_px=size_px, **small)
        except ValueError:
            with pytest.raises(InputError, match=f"setting {name}: expected"):
                PAPER.override(**{name: size_px})
        else:
            assert PAPER.override(**{name: size_px})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"gamma": "1e308"}, "gamma: expected at most 3.4"),
        ({"lambda1": "1e39"}, "lambda1: expected at most 3.4"),
        ({"iterations": "1000000000000"}, "iterations: expected at most 2147483647"),
        ({"walkway_seed": 10**30}, "walkway_seed: expected at most 2147483647"),
    ],
)
def test_numbers_that_nothing_computes_with_are_refused(values, message):
    with pytest.raises(InputError, match=message):
        PAPER.override(**values)
