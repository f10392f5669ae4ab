"""LSTM-AE: against an LSTM in NumPy, its streaming form, its loss, training and the saved file."""

import keras
import numpy as np
import pytest
from keras import ops

from models.lstm_ae import LSTMAE, LSTMStreaming

C, UNITS, ROWS, T = 6, 7, 8, 5


def features(seed=0):
    return np.random.default_rng(seed).uniform(0, 1, (ROWS, T, C)).astype(np.float32)


def compiled(**options):
    model = LSTMAE(C, **{"units": UNITS, **options})
    model.compile(keras.optimizers.Adam(1e-2))
    return model


def drawn(model, x):
    return ops.convert_to_numpy(model(x)["reconstruction"])


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def lstm_in_numpy(x, kernel, recurrent_kernel, bias):
    """The equations of the LSTM, gates in the order input, forget, candidate, output."""
    hidden = cell = np.zeros((len(x), len(recurrent_kernel)))
    states = []
    for t in range(x.shape[1]):
        z = x[:, t] @ kernel + hidden @ recurrent_kernel + bias
        i, f, candidate, o = np.split(z, 4, axis=1)
        cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(candidate)
        hidden = sigmoid(o) * np.tanh(cell)
        states.append(hidden)
    return np.stack(states, 1)


@pytest.mark.parametrize("n_layers", [1, 2])
def test_equals_an_lstm_in_numpy(n_layers):
    model = LSTMAE(C, UNITS, n_layers)
    x = features()
    hidden = x
    for layer in model.lstm:
        hidden = lstm_in_numpy(hidden, *(ops.convert_to_numpy(weight) for weight in layer.weights))
    kernel, bias = (ops.convert_to_numpy(weight) for weight in model.decoder.weights)
    assert drawn(model, x).shape == (ROWS, T, C)
    np.testing.assert_allclose(drawn(model, x), hidden @ kernel + bias, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("block_frames", [1, 2])
def test_streaming_equals_the_sequence(block_frames):
    model = LSTMAE(C, UNITS, n_layers=2, seed=4)
    x = features()
    expected = np.sum((x - drawn(model, x)) ** 2, -1)
    streaming = LSTMStreaming(model)
    state = streaming.initial_state(ROWS)
    for start in range(0, T, block_frames):
        scores, state = streaming.step(x[:, start : start + block_frames], state)
        assert set(scores) == {"error"}
        np.testing.assert_allclose(
            scores["error"], expected[:, start : start + block_frames], rtol=1e-4, atol=1e-6
        )
    assert {value.shape for value in state.values()} == {(ROWS, UNITS)}


def test_loss_is_the_mean_squared_distance_plus_decay():
    model = compiled(weight_decay=0.01, n_layers=2)
    x = features()
    reconstruction = drawn(model, x)
    error = np.mean([np.sum((x[r, t] - reconstruction[r, t]) ** 2) for r in range(ROWS) for t in range(T)])
    kernels = [ops.convert_to_numpy(w) for w in model.trainable_weights if "kernel" in w.name]
    assert len(kernels) == 5
    decay = 0.01 * sum(np.sum(kernel**2) for kernel in kernels)
    logs = model.train_on_batch(x, return_dict=True)
    np.testing.assert_allclose(logs["reconstruction"], error, rtol=1e-5)
    np.testing.assert_allclose(logs["loss"], error + decay, rtol=1e-5)


def test_overfits_a_tiny_batch_and_ranks_a_planted_frame_first():
    model = compiled(units=32)
    x = features()
    losses = [model.train_on_batch(x, return_dict=True)["loss"] for _ in range(400)]
    assert losses[-1] < 0.05 * losses[0]
    abnormal = x.copy()
    abnormal[3, 2] = -1.5
    errors = np.sum((abnormal - drawn(model, abnormal)) ** 2, -1)
    assert np.unravel_index(errors.argmax(), errors.shape) == (3, 2)


def test_saved_model_comes_back(tmp_path):
    model = compiled(n_layers=2, seed=2)
    x = features()
    model.train_on_batch(x)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.get_config() == model.get_config()
    np.testing.assert_array_equal(drawn(loaded, x), drawn(model, x))
    model.train_on_batch(x)
    loaded.train_on_batch(x)
    np.testing.assert_array_equal(drawn(loaded, x), drawn(model, x))


def test_seed_decides_the_weights():
    x = features()
    first, same, other = (drawn(LSTMAE(C, UNITS, seed=seed), x) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, same)
    assert np.abs(first - other).max() > 1e-3


def test_refuses_no_layers():
    with pytest.raises(ValueError, match="n_layers"):
        LSTMAE(C, n_layers=0)
