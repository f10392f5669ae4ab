"""A trained model goes with its last reference: TensorFlow's registry of gradients does not hold it."""

import gc

import keras
import numpy as np
import pytest
import tensorflow as tf

from experiments.lab.training.custom_gradients import custom_gradients_let_go
from models.srnn_ae import SRNNAE


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
