"""What Keras has no word for, by backend: bfloat16 products with float32 sums, and compiling one function."""

import functools
from collections.abc import Callable
from typing import Any

import keras

from models.tensor import Tensor


def through_xla(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of tensors that TensorFlow compiles as one; of another backend it is as it was."""
    if keras.backend.backend() != "tensorflow":
        return function
    import tensorflow as tf

    return tf.function(function, jit_compile=True, autograph=False)


@functools.cache
def bfloat16_transpose() -> Callable[[Tensor], Tensor]:
    """Return the transpose of a bfloat16 matrix: TensorFlow's own takes up to twelve times as long."""
    return through_xla(keras.ops.transpose)


@functools.cache
def bfloat16_multiply(transposed: bool = False) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the function of two bfloat16 matrices that gives a b, or a b^T if `transposed`, in float32.

    `ops.matmul` would round the sums to bfloat16. TensorFlow has such products through XLA alone.

    Raises ValueError: another backend than TensorFlow and JAX.
    """
    if keras.backend.backend() == "jax":
        import jax
        import jax.numpy as jnp

        def jax_multiply(a: Tensor, b: Tensor) -> Tensor:
            # A processor lacks some of these products there; in float32 they are the same.
            if jax.default_backend() == "cpu":
                a, b = a.astype("float32"), b.astype("float32")
            return jnp.matmul(a, b.T if transposed else b, preferred_element_type="float32")

        return jax_multiply
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return through_xla(lambda a, b: tf.matmul(a, b, transpose_b=transposed, output_type=tf.float32))
    raise ValueError(f"bfloat16 products: expected Keras on tensorflow or jax, got {keras.backend.backend()}")
