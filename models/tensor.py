"""The types of what Keras computes with."""

from typing import Any

# A tensor of Keras' backend, or a NumPy array in its place. Docstrings say its shape.
Tensor = Any
# A tensor's sizes, None where one is not known while a graph is made.
Shape = tuple[int | None, ...]
# What a model that reads frames one after another carries along, by name, a row a line each.
State = dict[str, Tensor]
