"""A trained model goes with its last reference: TensorFlow's registry of gradients does not hold it."""

import gc

import keras
import numpy as np
import pytest
import tensorflow as tf

from experiments.lab.training.custom_gradients import NAME, custom_gradients_let_go, registered
from models.srnn_ae import SRNNAE
from tests.synthetic_lab import context_in


def n_handles() -> int:
    """Return how many variables have a place in memory: each has one handle."""
    gc.collect()
    return sum(isinstance(one, tf.Tensor) and one.dtype == tf.resource for one in gc.get_objects())


def train(seed: int) -> None:
    model = SRNNAE(6, n_atoms=8, similarity_units=4, seed=seed)
    model.compile("rmsprop", jit_compile=False)
    model.fit(np.ones((4, 3, 6), np.float32), batch_size=4, verbose=0)


def test_what_was_trained_is_let_go():
    if keras.backend.backend() != "tensorflow":
        pytest.skip("TensorFlow's registry")
    with custom_gradients_let_go():
        train(0)
    before = n_handles()
    with custom_gradients_let_go():
        train(1)
    assert n_handles() == before
    train(2)  # else it stays: once TensorFlow lets go by itself, the module is not needed
    assert n_handles() > before


def test_a_run_leaves_nothing_in_the_registry(tmp_path):
    context = context_in(tmp_path / "out")
    before = set(registered())
    context.run("walkway", "spatial", 0, "sRNN-AE")
    assert {name for name in registered() if name.startswith(NAME)} <= before
