"""Conv-AE: published map sizes, its loss by hand, training, the planted frame, the saved file."""

import keras
import numpy as np
import pytest
from keras import ops

from models.conv_ae import CaffeAdaGrad, ConvAE, frame_errors, unpool

SIZE, T = 35, 4


def windows(n=4, seed=0):
    """A 6-pixel square that moves two pixels a frame along a row of its own, (n, SIZE, SIZE, T)."""
    rng = np.random.default_rng(seed)
    x = np.zeros((n, SIZE, SIZE, T), np.float32)
    for i in range(n):
        row, column = rng.integers(0, SIZE - 6), rng.integers(0, SIZE - 6 - 2 * T)
        for t in range(T):
            x[i, row : row + 6, column + 2 * t : column + 2 * t + 6, t] = 1
    return x


def compiled(**options):
    model = ConvAE(window_frames=T, filters=(48, 24, 16), input_size_px=SIZE, **options)
    model.compile(keras.optimizers.Adam(3e-3), jit_compile=False)
    return model


def test_maps_have_the_published_sizes():
    model = ConvAE(filters=(4, 3, 2))
    x = keras.KerasTensor((1, 227, 227, 10))
    sizes = []
    for layer, pools in zip(model.encoder, (True, True, False), strict=True):
        x = layer.compute_output_spec(x)
        sizes.append(x.shape[1:3])
        x = model.pool.compute_output_spec(x) if pools else x
    assert sizes == [(55, 55), (27, 27), (13, 13)]
    assert ops.shape(model(np.zeros((1, 227, 227, 10), np.float32))) == (1, 227, 227, 10)


def test_weights_are_those_of_the_mirrored_kernels():
    filters, frames = (5, 4, 3), 2
    model = ConvAE(frames, filters, input_size_px=SIZE)
    wide, middle, narrow = filters
    kernels = 2 * (121 * frames * wide + 25 * wide * middle + 9 * middle * narrow)
    biases = wide + middle + narrow + middle + wide + frames
    assert model.count_params() == kernels + biases


@pytest.mark.parametrize("size", [6, 7])
def test_unpooling_repeats_each_value_over_its_cell(size):
    pooled = np.random.default_rng(0).standard_normal((2, 3, 3, 5)).astype(np.float32)
    out = ops.convert_to_numpy(unpool(pooled, np.zeros((2, size, size, 5))))
    assert out.shape == (2, size, size, 5)
    if size == 6:
        np.testing.assert_array_equal(out, pooled.repeat(2, 1).repeat(2, 2))
    else:  # every value is there, in order, each at least twice
        rows = [np.flatnonzero(pooled[0, :, 0, 0] == value) for value in out[0, :, 0, 0]]
        counts = np.bincount(np.concatenate(rows), minlength=3)
        assert (counts >= 2).all()
        assert (np.diff(np.concatenate(rows)) >= 0).all()


def test_loss_is_half_the_squared_distance_plus_decay():
    model = compiled(weight_decay=0.01)
    x = windows(3)
    reconstruction = ops.convert_to_numpy(model(x))
    error = np.mean([0.5 * np.sum((x[i] - reconstruction[i]) ** 2) for i in range(3)])
    kernels = [ops.convert_to_numpy(w) for w in model.trainable_weights if w.name == "kernel"]
    assert len(kernels) == 6
    decay = 0.005 * sum(np.sum(kernel**2) for kernel in kernels)
    logs = model.train_on_batch(x, return_dict=True)
    np.testing.assert_allclose(logs["reconstruction"], error, rtol=1e-5)
    np.testing.assert_allclose(logs["loss"], error + decay, rtol=1e-5)


def test_frame_errors_are_sums_of_absolute_differences():
    rng = np.random.default_rng(1)
    x, other = rng.standard_normal((2, 3, 5, 6, T))
    expected = [[np.abs(x[i, :, :, t] - other[i, :, :, t]).sum() for t in range(T)] for i in range(3)]
    np.testing.assert_allclose(ops.convert_to_numpy(frame_errors(x, other)), expected, rtol=1e-6)


def test_overfits_a_few_windows_and_ranks_a_planted_frame_first():
    model = compiled(weight_decay=0.0)
    x = windows()
    losses = [model.train_on_batch(x, return_dict=True)["loss"] for _ in range(120)]
    assert losses[-1] < 0.2 * losses[0]
    abnormal = x.copy()
    abnormal[1, 20:32, 3:9, 2] = 1  # a tall bar in one frame
    errors = ops.convert_to_numpy(frame_errors(abnormal, model(abnormal)))
    assert np.unravel_index(errors.argmax(), errors.shape) == (1, 2)


def test_saved_model_comes_back_and_goes_on_with_its_optimizer(tmp_path):
    model, x = ConvAE(T, (6, 4, 2), SIZE, seed=3), windows(2)
    model.compile(CaffeAdaGrad(1e-3, bias_rate=2.0), jit_compile=False)
    model.train_on_batch(x)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.get_config() == model.get_config()
    assert isinstance(loaded.optimizer, CaffeAdaGrad)
    np.testing.assert_array_equal(ops.convert_to_numpy(loaded(x)), ops.convert_to_numpy(model(x)))
    model.train_on_batch(x)
    loaded.train_on_batch(x)
    for one, other in zip(model.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(one), ops.convert_to_numpy(other))


@pytest.mark.parametrize(("start", "bias_rate"), [(0.0, 2.0), (0.1, 1.0)])
def test_adagrad_is_caffes(start, bias_rate):
    """Three steps on gradients as small as 1e-6, in float64, with Caffe's sqrt(h) + 1e-8."""
    rng = np.random.default_rng(0)
    start_at = {name: rng.standard_normal(4) for name in ("kernel", "bias")}
    variables = [keras.Variable(value, "float32", name=name) for name, value in start_at.items()]
    optimizer = CaffeAdaGrad(0.01, bias_rate, start)
    w, h = dict(start_at), dict.fromkeys(start_at, start)
    for scale in (1e-6, 1e-3, 1.0):
        g = {name: scale * rng.uniform(1, 2, 4) * rng.choice([-1, 1], 4) for name in w}
        optimizer.apply([ops.convert_to_tensor(value, "float32") for value in g.values()], variables)
        for name in w:
            h[name] = h[name] + g[name] ** 2
            rate = 0.01 * (bias_rate if name == "bias" else 1)
            w[name] = w[name] - rate * g[name] / (np.sqrt(h[name]) + 1e-8)
    for variable in variables:
        moved = ops.convert_to_numpy(variable) - start_at[variable.name]
        np.testing.assert_allclose(moved, w[variable.name] - start_at[variable.name], rtol=0.02, atol=1e-7)
    assert CaffeAdaGrad.from_config(optimizer.get_config()).get_config() == optimizer.get_config()


def test_first_step_moves_every_weight_by_the_rate_however_small_its_gradient():
    model = ConvAE(T, (6, 4, 2), SIZE, weight_decay=0.0)
    model.compile(CaffeAdaGrad(1e-3, bias_rate=2.0), jit_compile=False)
    before = [ops.convert_to_numpy(w) for w in model.trainable_weights]
    model.train_on_batch(windows(2))
    for weight, old in zip(model.trainable_weights, before, strict=True):
        moved = np.abs(ops.convert_to_numpy(weight) - old)
        expected = 2e-3 if weight.name == "bias" else 1e-3
        assert np.median(moved[moved > 0]) == pytest.approx(expected, rel=0.02), weight.path


def test_seed_decides_the_weights():
    x = windows(2)
    first, same, other = (ops.convert_to_numpy(compiled(seed=seed)(x)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, same)
    assert np.abs(first - other).max() > 1e-3


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"input_size_px": 225}, "input_size_px"),
        ({"input_size_px": 19}, "input_size_px"),
        ({"filters": (8, 4)}, "filters"),
    ],
)
def test_refuses_sizes_that_do_not_tile(options, name):
    with pytest.raises(ValueError, match=name):
        ConvAE(**{"filters": (2, 2, 2), **options})
