"""RMSProp as Keras has it (Sec. 4.1), its update of a large matrix in one pass over memory."""

import math
from typing import Any

import keras

from models.backend import through_xla
from models.blocks import jit_compile
from models.tensor import Tensor

# Numbers in a matrix. Smaller ones gain little: 2 % of a step at 2048 x 2048, a fifth at 11,570 x 2048.
LARGE = 5_000_000


@keras.saving.register_keras_serializable("srnn_ae")
class RMSProp(keras.optimizers.RMSprop):
    """`keras.optimizers.RMSprop`; with TensorFlow on a CPU a large matrix's update is compiled with XLA.

    Otherwise each of its operations reads and writes the matrix: that takes three times as long. Last digits
    of what is compiled differ.
    """

    def update_step(self, gradient: Tensor, variable: Any, learning_rate: Tensor) -> None:
        """Update a variable and its slot, in place, by its gradient."""
        update = super().update_step
        step_is_compiled = jit_compile()
        if step_is_compiled or math.prod(variable.shape) < LARGE:
            update(gradient, variable, learning_rate)
        else:
            through_xla(lambda g: update(g, variable, learning_rate))(gradient)
