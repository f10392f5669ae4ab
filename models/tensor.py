"""The type of what Keras computes with."""

from typing import Any

# A tensor of Keras' backend, or a NumPy array in its place. Docstrings say its shape.
Tensor = Any
