"""What TensorFlow keeps of gradients that are written out (`ops.custom_gradient`), let go of after a run.

Each time that such a function is traced, TensorFlow registers its gradient under a new name, and never takes
one back. A gradient holds the graph that it was traced in, a graph the variables that it reads: the weights
and optimizer slots of every model that was ever trained would stay in memory. There is no public way out.
"""

import contextlib
from collections.abc import Iterator

import keras

NAME = "CustomGradient-"


@contextlib.contextmanager
def custom_gradients_let_go() -> Iterator[None]:
    """Forget at the end the gradients that were registered meanwhile: nothing is differentiated again."""
    before = set(registered())
    try:
        yield
    finally:
        of_tensorflow = registered()
        for name in [name for name in of_tensorflow if name.startswith(NAME) and name not in before]:
            del of_tensorflow[name]


def registered() -> dict:
    """Return TensorFlow's gradients by name, itself and no copy; nothing under another backend."""
    if keras.backend.backend() != "tensorflow":
        return {}
    from tensorflow.python.framework import ops

    return ops.gradient_registry._registry
