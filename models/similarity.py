"""The similarity S_{t-1,t} of neighboring frames, in [0, 1]: Gaussian or learned (Sec. 3.5).

Both kinds embed each frame once, for all frames together, and compare neighboring embeddings.
"""

from typing import Any

import keras
from keras import ops

from models.products import Factor, product
from models.tensor import Shape, Tensor
from models.weight_decay import WeightDecay

SIMILARITIES = ("learned", "gaussian")


class GaussianSimilarity(keras.layers.Layer):
    """S = exp(-||x_t - x_{t-1}||^2 / delta^2).

    Paper: Eq. (10), Sec. 3.5; delta^2 = 100 (footnote 2).

    Args:
        delta_squared: delta^2, in squared feature units.
    """

    def __init__(self, delta_squared: float = 100.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.delta_squared = delta_squared

    def call(self, x: Tensor, kernel: None = None) -> Tensor:
        """Return the embedding of features x (..., C): the features themselves; there is no kernel."""
        return x

    def compare(self, embedding: Tensor, previous_embedding: Tensor) -> Tensor:
        """Return S (..., 1) from two embeddings (..., C)."""
        distance = ops.sum(ops.square(embedding - previous_embedding), -1, keepdims=True)
        return ops.exp(-distance / self.delta_squared)


class LearnedSimilarity(keras.layers.Layer):
    """S = phi(x_t)^T phi(x_{t-1}), phi a dense layer with ReLU whose output has length 1.

    Paper: Eq. (11), Sec. 3.5 and 4.1 (512 units). ReLU makes phi non-negative, hence S in [0, 1].
    A frame whose units are all off has phi = 0 and S = 0 to its neighbors.

    Args:
        units: width of phi.
        weight_decay: weight of the L2 term on phi's weights (Eq. 9: w_phi belongs to theta).
        seed: seed of the initial weights.
        product_dtype: of the product with phi's weights, see `products`.
    """

    def __init__(
        self,
        units: int = 512,
        weight_decay: float = 0.0,
        seed: int = 0,
        product_dtype: str = "float32",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.product_dtype = product_dtype
        self.dense = keras.layers.Dense(
            units,
            activation="relu",
            kernel_initializer=initial_weights(seed),
            kernel_regularizer=WeightDecay(weight_decay),
            bias_regularizer=WeightDecay(weight_decay),
            dtype=self.dtype_policy,
            name="phi",
        )

    def build(self, input_shape: Shape) -> None:
        """Create phi's kernel (C, units) and bias (units,)."""
        self.dense.build(input_shape)

    def call(self, x: Tensor, kernel: Factor | None = None) -> Tensor:
        """Return phi(x), (..., units), of features x (..., C); `kernel` is phi's own, if given."""
        kernel = self.dense.kernel if kernel is None else kernel
        # As Dense has it: `+` would have other last digits.
        units = ops.add(product(x, kernel, self.product_dtype), self.dense.bias)
        activations = self.dense.activation(units)
        return activations / ops.sqrt(ops.sum(ops.square(activations), -1, keepdims=True) + 1e-12)

    def compare(self, embedding: Tensor, previous_embedding: Tensor) -> Tensor:
        """Return S (..., 1) from two embeddings (..., units)."""
        return ops.sum(embedding * previous_embedding, -1, keepdims=True)


def initial_weights(seed: int) -> keras.initializers.Initializer:
    """Return the initializer of A, Z and phi: uniform in +-sqrt(6 / (fan_in + fan_out)) / 2."""
    return keras.initializers.VarianceScaling(scale=0.25, mode="fan_avg", distribution="uniform", seed=seed)
