"""RMSProp compiled for large matrices against its formula and against Keras."""

import keras
import numpy as np
import pytest

from models import rmsprop

RATE, RHO, EPSILON = 1e-2, 0.8, 1e-3


def trained(optimizer, n_steps=4):
    """The weights of a model (6, 5) after some steps on the same data."""
    layer = keras.layers.Dense(5, kernel_initializer=keras.initializers.GlorotUniform(0))
    model = keras.Sequential([keras.Input((6,)), layer])
    model.compile(optimizer, "mse", jit_compile=False)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((8, 6)), rng.standard_normal((8, 5))
    for _ in range(n_steps):
        model.train_on_batch(x, y)
    return model


@pytest.mark.parametrize("large", [1, 30, 10**6])  # all are, the kernel of 30 numbers is, none is
def test_equals_keras_of_any_size(large, monkeypatch):
    monkeypatch.setattr(rmsprop, "LARGE", large)
    expected = trained(keras.optimizers.RMSprop(RATE, RHO, epsilon=EPSILON))
    model = trained(rmsprop.RMSProp(RATE, RHO, epsilon=EPSILON))
    for ours, theirs in zip(model.weights, expected.weights, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-7)
    slots = zip(model.optimizer.variables, expected.optimizer.variables, strict=True)
    assert all(np.allclose(ours, theirs, rtol=1e-5) for ours, theirs in slots)


def test_one_step_by_hand(monkeypatch):
    """v <- rho v + (1 - rho) g^2, w <- w - rate g / sqrt(v + epsilon)."""
    monkeypatch.setattr(rmsprop, "LARGE", 1)
    w, g = keras.Variable([1.0, -2.0, 3.0]), np.array([0.5, 0.0, -4.0], np.float32)
    optimizer = rmsprop.RMSProp(RATE, RHO, epsilon=EPSILON)
    optimizer.build([w])
    for slot in optimizer.variables:
        if "velocity" in slot.path:
            slot.assign(np.full(3, 0.25, np.float32))
    optimizer.apply([keras.ops.convert_to_tensor(g)], [w])
    v = RHO * 0.25 + (1 - RHO) * g**2
    np.testing.assert_allclose(w, [1, -2, 3] - RATE * g / np.sqrt(v + EPSILON), rtol=1e-6)


def test_a_model_is_saved_and_goes_on_with_it(tmp_path, monkeypatch):
    monkeypatch.setattr(rmsprop, "LARGE", 1)
    model = trained(rmsprop.RMSProp(RATE, RHO))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded.optimizer) is rmsprop.RMSProp
    x, y = np.ones((2, 6)), np.zeros((2, 5))
    for one in (model, loaded):
        one.train_on_batch(x, y)
    np.testing.assert_allclose(loaded.get_weights()[0], model.get_weights()[0], rtol=1e-6)
