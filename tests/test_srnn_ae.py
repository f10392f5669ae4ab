"""sRNN-AE: its loss, its training step, its saved file, and the settings that must act."""

import keras
import numpy as np
import pytest
from keras import ops

from models.srnn_ae import SRNNAE, Streaming

C, N, ROWS, T = 6, 9, 8, 5


def features(seed=0):
    return np.random.default_rng(seed).uniform(0, 1, (ROWS, T, C)).astype(np.float32)


def compiled(**options):
    model = SRNNAE(C, n_atoms=N, similarity_units=4, **options)
    model.compile(keras.optimizers.RMSprop(1e-2, epsilon=1e-10), jit_compile=False)
    return model


def test_loss_is_eq_9_written_out():
    model = compiled(weight_decay=0.005)
    x = features()
    reconstruction = ops.convert_to_numpy(model(x)["reconstruction"])
    error = np.mean([np.sum((x[r, t] - reconstruction[r, t]) ** 2) for r in range(ROWS) for t in range(T)])
    theta = [ops.convert_to_numpy(weight) for weight in model.trainable_weights]
    names = {weight.name for weight in model.trainable_weights}
    expected_names = {
        "dictionary",
        "initial_codes",
        "gamma",
        "lambda1",
        "lambda2",
        "decoder",
        "kernel",
        "bias",
    }
    assert names == expected_names
    decay = 0.005 * sum(np.sum(weight**2) for weight in theta)
    logs = model.train_on_batch(x, return_dict=True)
    np.testing.assert_allclose(logs["reconstruction"], error, rtol=1e-5)
    np.testing.assert_allclose(logs["weight_decay"], decay, rtol=1e-5)
    np.testing.assert_allclose(logs["loss"], error + decay, rtol=1e-5)


def test_one_rmsprop_step_moves_every_weight_as_the_rule_says():
    """The first step from a zero slot moves each weight by lr * g / sqrt(0.1 g^2), about 3.16 lr."""
    model = compiled(lambda2=0.5)  # far from the constraint that keeps it positive
    before = [ops.convert_to_numpy(weight).copy() for weight in model.trainable_weights]
    model.train_on_batch(features())
    for weight, old in zip(model.trainable_weights, before, strict=True):
        moved = np.abs(ops.convert_to_numpy(weight) - old)
        moved = moved[moved > 1e-6]
        assert moved.size, weight.path
        # The median: where a gradient is as small as the square root of epsilon, the step is shorter.
        np.testing.assert_allclose(np.median(moved), 1e-2 / np.sqrt(0.1), rtol=1e-2)


def test_training_overfits_a_tiny_batch():
    model = compiled(weight_decay=0.0)
    x = features()
    losses = [model.train_on_batch(x, return_dict=True)["reconstruction"] for _ in range(300)]
    assert losses[-1] < 0.1 * losses[0]


@pytest.mark.parametrize(
    "changed",
    [
        {"depth": 1},
        {"similarity": "gaussian", "delta_squared": 1.0},
        {"first_layer": "eq7"},
        {"threshold": "two_sided"},
        {"gamma": 2.0},
        {"lambda1": 0.3},
        {"lambda2": 0.9},
        {"seed": 5},
    ],
)
def test_every_setting_acts(changed):
    common = {"n_atoms": N, "similarity_units": 4, "lambda2": 0.5}
    x = features()
    base = ops.convert_to_numpy(SRNNAE(C, **common)(x)["codes"])
    other = ops.convert_to_numpy(SRNNAE(C, **{**common, **changed})(x)["codes"])
    assert np.abs(base - other).max() > 1e-4


def test_lambda2_and_alpha_0_can_be_fixed():
    model = SRNNAE(C, n_atoms=N, trainable_lambda2=False, trainable_initial_codes=False)
    assert {"lambda2", "initial_codes"}.isdisjoint(weight.name for weight in model.trainable_weights)


@pytest.mark.parametrize("positive", [True, False])
def test_scalars_are_kept_positive_or_left_free(positive):
    """Decay at steps this large carries all three, which start above zero, past it."""
    model = SRNNAE(C, n_atoms=N, positive_scalars=positive, weight_decay=1e6, gamma=0.2, lambda1=0.2)
    model.compile(optimizer=keras.optimizers.RMSprop(0.15))
    model.train_on_batch(features())
    scalars = [
        float(ops.convert_to_numpy(getattr(model.srnn, name))) for name in ("gamma", "lambda1", "lambda2")
    ]
    assert scalars == pytest.approx([1e-6] * 3) if positive else max(scalars) < 0


def test_saved_model_comes_back_with_optimizer_and_step(tmp_path):
    model = compiled(seed=2)

    def train(model, n_steps):
        """Through `fit`, as runs do: it copies batches to aligned memory, where sums are repeatable."""
        batches = ((features(step),) for step in range(n_steps))
        model.fit(batches, steps_per_epoch=n_steps, epochs=1, shuffle=False, verbose=0)

    train(model, 3)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert int(loaded.optimizer.iterations.numpy()) == 3
    train(model, 2)  # and goes on as the original does
    train(loaded, 2)
    for one, other in zip(model.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(one), ops.convert_to_numpy(other))


def test_streaming_equals_the_sequence():
    model = SRNNAE(C, n_atoms=N, similarity_units=4, lambda2=0.5)
    x = features()
    streaming = Streaming(model)
    state = streaming.initial_state(ROWS)
    expected = np.sum((x - ops.convert_to_numpy(model(x)["reconstruction"])) ** 2, -1)
    for t in range(T):
        scores, state = streaming.step(x[:, t : t + 1], state)
        np.testing.assert_allclose(scores["error"][:, 0], expected[:, t], rtol=1e-4, atol=1e-6)
