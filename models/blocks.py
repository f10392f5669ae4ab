"""What models of sequences share: the error of a block of frames, and taking one block after another."""

from typing import Any

import keras
import numpy as np
from keras import ops

from models.tensor import State, Tensor


def squared_error(x: Tensor, reconstruction: Tensor) -> Tensor:
    """Return l(t, i) = ||x - x^||^2, (rows, T), of two (rows, T, C). Paper: Eqs. (12) and (13)."""
    return ops.sum(ops.square(x - reconstruction), -1)


def jit_compile() -> bool:
    """Return whether to compile with XLA: not for TensorFlow on a CPU, where it took twice as long a step."""
    return keras.backend.backend() != "tensorflow" or bool(keras.distribution.list_devices("gpu"))


class BlockModel(keras.Model):
    """A model of one block of frames and the state before it; a block may have any number of frames."""

    def __init__(self, name: str, dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        # T -> graph: one that Keras makes for any T could not unroll the frames.
        self.predict_functions: dict[int, Any] = {}

    def step(self, x: np.ndarray, state: State) -> tuple[dict[str, np.ndarray], State]:
        """Return (scores, state) of one block x (rows, T, C); all NumPy, shapes as in `call`."""
        self.predict_function = self.predict_functions.get(x.shape[1])
        outputs = self.predict_on_batch({"x": x, **state})
        self.predict_functions[x.shape[1]] = self.predict_function
        return outputs, {key: outputs.pop(key) for key in state}
