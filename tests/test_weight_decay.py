"""The weight decay against its formula and against Keras' L2, bit by bit."""

import keras
import numpy as np
import pytest

from models.weight_decay import WeightDecay

tf = pytest.importorskip("tensorflow")


@pytest.mark.parametrize("shape", [(), (7,), (40, 30)])
def test_equals_keras(shape):
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    taken = []
    for regularizer in (WeightDecay(0.005), keras.regularizers.L2(0.005)):
        variable = keras.Variable(x)
        with tf.GradientTape() as tape:
            value = 3 * regularizer(variable)
        taken.append((value.numpy(), tape.gradient(value, variable.value).numpy()))
    np.testing.assert_array_equal(*[value for value, _ in taken])
    np.testing.assert_array_equal(*[gradient for _, gradient in taken])
    np.testing.assert_allclose(taken[0][0], 3 * 0.005 * (x.astype(float) ** 2).sum(), rtol=1e-6)
    np.testing.assert_allclose(taken[0][1], 3 * 0.01 * x, rtol=1e-6)


def test_is_saved_by_name():
    assert keras.regularizers.get(keras.regularizers.serialize(WeightDecay(0.25))).l2 == 0.25
