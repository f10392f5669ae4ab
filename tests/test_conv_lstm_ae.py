"""ConvLSTM-AE: released map sizes, causality, its loss and score by hand, training, the saved file."""

from itertools import pairwise

import keras
import numpy as np
import pytest
from keras import ops

from models.conv_lstm_ae import ConvLSTMAE, frame_errors

SIZE, T = 17, 5


def clips(n=4, seed=0):
    """A 5-pixel square that moves one pixel a frame along a row of its own, (n, T, SIZE, SIZE, 1)."""
    rng = np.random.default_rng(seed)
    x = np.zeros((n, T, SIZE, SIZE, 1), np.float32)
    for i in range(n):
        row, column = rng.integers(0, SIZE - 5), rng.integers(0, SIZE - 5 - T)
        for t in range(T):
            x[i, t, row : row + 5, column + t : column + t + 5] = 0.8
    return x


def compiled(**options):
    options = {"filters": (16, 12, 12), "memory_filters": (12, 12), "input_size_px": SIZE, **options}
    model = ConvLSTMAE(**options)
    model.compile(keras.optimizers.Adam(3e-3), jit_compile=False)
    return model


def drawn(model, x):
    return {key: ops.convert_to_numpy(value) for key, value in model(x).items()}


def test_maps_have_the_released_sizes():
    model = ConvLSTMAE(filters=(4, 3, 2), memory_filters=(2,))
    sizes = [layer.output.shape[1:3] for layer in model.encoder.layers if "conv" in layer.name]
    assert sizes == [(57, 57), (29, 29), (15, 15)]
    assert model.memory.output_shape == (None, None, 15, 15, 2)
    for decoder in (model.current_decoder, model.past_decoder):
        assert decoder.output_shape == (None, 225, 225, 1)


@pytest.mark.parametrize("memory_filters", [(6,), (6, 5, 4)])
def test_weights_are_those_of_the_layers(memory_filters):
    a, b, c = 5, 4, 3
    model = ConvLSTMAE((a, b, c), memory_filters, SIZE)
    encoder = 49 * a + a + 25 * a * b + b + 9 * b * c + c
    widths = (c, *memory_filters)
    memory = sum(4 * (9 * (i + o) * o + o) for i, o in pairwise(widths))
    decoder = 9 * widths[-1] * b + b + 25 * b * a + a + 49 * a + 1
    assert sum(np.prod(w.shape) for w in model.trainable_weights) == encoder + memory + 2 * decoder


def test_shapes_and_range():
    outputs = drawn(compiled(), clips())
    assert outputs["current"].shape == (4, T, SIZE, SIZE, 1)
    assert outputs["past"].shape == (4, T - 1, SIZE, SIZE, 1)
    assert all(np.abs(value).max() < 1 for value in outputs.values())


def test_memory_runs_forward_only():
    model = compiled()
    for weight in model.trainable_weights:  # the initial ones let little of a frame through
        weight.assign(3 * weight)
    x = clips()
    changed = x.copy()
    changed[:, 3] = 0.5
    before, after = drawn(model, x), drawn(model, changed)
    np.testing.assert_allclose(before["current"][:, :3], after["current"][:, :3], atol=1e-6)
    np.testing.assert_allclose(before["past"][:, :2], after["past"][:, :2], atol=1e-6)
    for key, first in (("current", 3), ("past", 2)):
        moved = np.abs(before[key] - after[key])[:, first:].max((0, 2, 3, 4))
        assert (moved > 1e-3).all()  # that frame and all later ones


def test_loss_is_both_decoders_plus_decay():
    model = compiled(weight_decay=0.01)
    x = clips()
    outputs = drawn(model, x)
    n = len(x)
    current = np.mean(
        [0.5 * np.sum((x[i, t] - outputs["current"][i, t]) ** 2) for i in range(n) for t in range(T)]
    )
    past = np.mean(
        [0.5 * np.sum((x[i, t - 1] - outputs["past"][i, t - 1]) ** 2) for i in range(n) for t in range(1, T)]
    )
    weights = [ops.convert_to_numpy(w) for w in model.trainable_weights if "kernel" in w.name]
    assert len(weights) == 3 + 2 * 2 + 2 * 3
    decay = 0.005 * sum(np.sum(weight**2) for weight in weights)
    logs = model.train_on_batch(x, return_dict=True)
    np.testing.assert_allclose(logs["reconstruction"], current + past, rtol=1e-5)
    np.testing.assert_allclose(logs["loss"], current + past + decay, rtol=1e-5)


def test_frame_errors_join_current_and_past():
    rng = np.random.default_rng(1)
    x, current = rng.standard_normal((2, 3, T, 4, 4, 1))
    past = rng.standard_normal((3, T - 1, 4, 4, 1))
    errors = ops.convert_to_numpy(frame_errors(x, {"current": current, "past": past}))
    for i in range(3):
        first = np.linalg.norm(x[i, 0] - current[i, 0])
        np.testing.assert_allclose(errors[i, 0], np.sqrt(2) * first, rtol=1e-6)
        for t in range(1, T):
            parts = np.linalg.norm(x[i, t] - current[i, t]), np.linalg.norm(x[i, t - 1] - past[i, t - 1])
            np.testing.assert_allclose(errors[i, t], np.hypot(*parts), rtol=1e-6)


def test_overfits_a_few_clips_and_ranks_a_planted_frame_first():
    model = compiled(weight_decay=0.0)
    x = clips()
    losses = [model.train_on_batch(x, return_dict=True)["loss"] for _ in range(100)]
    assert losses[-1] < 0.2 * losses[0]
    abnormal = x.copy()
    abnormal[2, 3, 2:14, 11:14] = 0.8  # a tall bar in one frame
    errors = ops.convert_to_numpy(frame_errors(abnormal, model(abnormal)))
    clip, frame = np.unravel_index(errors.argmax(), errors.shape)
    assert clip == 2
    assert frame in (3, 4)  # the frame itself, or the one that has it as its past


def test_saved_model_comes_back(tmp_path):
    model = compiled(seed=3)
    x = clips(2)
    model.train_on_batch(x)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.get_config() == model.get_config()
    for key, value in drawn(model, x).items():
        np.testing.assert_array_equal(drawn(loaded, x)[key], value)
    assert int(loaded.optimizer.iterations.numpy()) == 1


def test_seed_decides_the_weights():
    x = clips(1)
    first, same, other = (drawn(compiled(seed=seed), x)["current"] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, same)
    assert np.abs(first - other).max() > 0.1 * np.abs(first).max()


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"input_size_px": 227}, "input_size_px"),
        ({"input_size_px": 1}, "input_size_px"),
        ({"filters": (8, 4)}, "filters"),
        ({"memory_filters": ()}, "memory_filters"),
    ],
)
def test_refuses_sizes_that_do_not_invert(options, name):
    with pytest.raises(ValueError, match=name):
        ConvLSTMAE(**{"filters": (2, 2, 2), **options})
