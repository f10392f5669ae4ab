"""A first dictionary from the data: the principal directions of training frames, with both signs.

The paper gives no initial values. Gradients and alternations start here on Moving-MNIST, where a start from
random values would need thousands of steps to lose as little.
"""

from collections.abc import Callable, Iterable

import numpy as np
from keras import ops

from models.blocks import BlockModel, jit_compile, squared_error
from models.tensor import State, Tensor

N_PASSES = 3  # of subspace iteration: the energy lost no longer falls after these
N_MORE = 8  # directions beside those asked for, which make the last of them exact sooner


def principal_directions(
    rows: Callable[[], Iterable[np.ndarray]], n_directions: int, seed: int = 0
) -> np.ndarray:
    """Return V, float32 (C, n), orthonormal: the n directions that hold most of the rows' energy, most first.

    Subspace iteration on M = sum x x^T (no mean is taken off: the models have no bias), a pass over the rows
    each; memory holds V twice and a block. Source: Halko, Martinsson, Tropp, SIAM Review 53 (2011), Alg. 4.4.

    Args:
        rows: gives the rows anew at each call, blocks float32 (n, C).
        n_directions: n, at most C.
        seed: of the first, random directions.
    """
    n_features = next(iter(rows())).shape[-1]
    width = min(n_directions + N_MORE, n_features)
    V = np.random.default_rng(seed).standard_normal((n_features, width), np.float32)
    for _ in range(N_PASSES):
        Q = np.linalg.qr(V)[0]
        V = sum(x.T @ (x @ Q) for x in rows())  # M Q
    rotation = np.linalg.eigh(Q.T @ V)[1][:, ::-1]
    return (Q @ rotation)[:, :n_directions]


def n_directions(n_atoms: int, threshold: str) -> int:
    """Return how many directions `signed_dictionary` makes n atoms of."""
    return n_atoms if threshold == "two_sided" else -(-n_atoms // 2)


def signed_dictionary(V: np.ndarray, n_atoms: int, threshold: str) -> np.ndarray:
    """Return A, float32 (C, N), atoms of norm 1: principal directions V (C, n), each as it is and negated.

    Codes that cannot be negative need both signs; with the threshold "two_sided" each stands once.
    """
    return V if threshold == "two_sided" else np.concatenate([V, -V], 1)[:, :n_atoms]


class Projection(BlockModel):
    """The projection on orthonormal directions: linear codes without sparsity and without time.

    Args:
        directions: V, float32 (C, n), as `principal_directions` gives them.
    """

    def __init__(self, directions: np.ndarray) -> None:
        super().__init__(name="projection")
        self.directions = self.add_weight(name="directions", shape=directions.shape, trainable=False)
        self.directions.assign(directions)
        self.compile(jit_compile=jit_compile())
        self.built = True

    def call(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return {"error": ||x - V V^T x||^2 (rows, T)} of {"x": (rows, T, C)}."""
        x, V = inputs["x"], ops.convert_to_tensor(self.directions)
        return {"error": squared_error(x, ops.matmul(ops.matmul(x, V), ops.transpose(V)))}

    def refresh(self) -> None:
        """Take the directions as they are: nothing is computed beforehand."""

    def initial_state(self, n_rows: int) -> State:
        """Return the state before the first frame: there is none."""
        return {}
