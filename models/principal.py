"""A first dictionary from the data: the principal directions of training frames, with both signs.

The paper gives no initial values. Gradients and alternations start here on Moving-MNIST, where a start from
random values would need thousands of steps to lose as little.
"""

from collections.abc import Callable, Iterable

import numpy as np

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


def signed_dictionary(
    rows: Callable[[], Iterable[np.ndarray]], n_atoms: int, threshold: str, seed: int = 0
) -> np.ndarray:
    """Return A, float32 (C, N), atoms of norm 1: principal directions, each as it is and negated.

    Codes that cannot be negative need both signs; with the threshold "two_sided" each stands once.
    """
    if threshold == "two_sided":
        return principal_directions(rows, n_atoms, seed)
    V = principal_directions(rows, -(-n_atoms // 2), seed)
    return np.concatenate([V, -V], 1)[:, :n_atoms]
