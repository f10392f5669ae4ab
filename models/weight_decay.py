"""The weight decay of Eq. (9), its gradient written out: of large matrices autodiff takes 1/5 of a step."""

import keras
from keras import ops

from models.tensor import Tensor


@keras.saving.register_keras_serializable("srnn_ae")
class WeightDecay(keras.regularizers.L2):
    """`weight * ||theta||^2` of Eq. (9); its gradient is one product, `2 weight theta`."""

    def __call__(self, x: Tensor) -> Tensor:
        """Return the scalar `weight * sum x^2` of one parameter, float32 of any shape."""
        return decay(ops.copy(ops.convert_to_tensor(x)), self.l2)  # a custom gradient may capture no variable


def decay(x: Tensor, weight: float) -> Tensor:
    """Return `weight * sum x^2`, a scalar, of x of any shape."""

    @ops.custom_gradient
    def of(x: Tensor) -> Tensor:
        def gradient(*args: Tensor, upstream: Tensor | None = None) -> Tensor:
            d = args[0] if upstream is None else upstream
            return (2 * weight * d) * x

        return weight * ops.sum(ops.square(x)), gradient

    return of(x)
