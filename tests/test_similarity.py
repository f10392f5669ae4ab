"""phi of the learned similarity is a dense layer, to the last digit."""

import keras
import numpy as np
from keras import ops

from models.similarity import LearnedSimilarity

rng = np.random.default_rng(0)
X = rng.standard_normal((60, 384, 10, 24)).astype(np.float32)
TARGETS = rng.standard_normal((60, 384, 10, 64)).astype(np.float32)


class Dense(LearnedSimilarity):
    """phi by a call of its dense layer."""

    def call(self, x):
        activations = self.dense(x)
        return activations / ops.sqrt(ops.sum(ops.square(activations), -1, keepdims=True) + 1e-12)


def trained(layer):
    model = keras.Sequential([layer])
    model.compile(keras.optimizers.RMSprop(1e-2), "mse", jit_compile=False)
    for x, y in zip(X, TARGETS, strict=True):
        model.train_on_batch(x, y)
    return np.concatenate([weight.ravel() for weight in model.get_weights()])


def test_training_is_that_of_a_dense_layer_bit_for_bit():
    """Written as a sum, product and bias have other last digits in a graph, and runs end elsewhere."""
    np.testing.assert_array_equal(trained(LearnedSimilarity(64, seed=1)), trained(Dense(64, seed=1)))
