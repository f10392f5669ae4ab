"""TSC's dictionary: its update with the codes fixed, and the norms of its columns (Sec. 3.2)."""

import numpy as np
from scipy.sparse.linalg import eigsh

ATOM_NORMS = ("at_most_one", "unit")
# gamma and the update's step are taken this share on the safe side of what descent needs: float32 rounds.
MARGIN = 1e-4


def updated_dictionary(
    dictionary: np.ndarray, B: np.ndarray, D: np.ndarray, n_steps: int, atom_norm: str = "at_most_one"
) -> np.ndarray:
    """Return A, float64 (C, N), after projected gradient steps on sum 1/2 ||x - A a||^2 = f(A).

    Paper: Eq. (3), Sec. 3.2. The gradient is A B - D; with the step 1 / ||B||_2, f never rises.

    Args:
        dictionary: A to start from, (C, N).
        B: sum a a^T over all frames, float64 (N, N).
        D: sum x a^T, float64 (C, N).
        n_steps: gradient steps.
        atom_norm: one of `ATOM_NORMS`.
    """
    A = normalize_atoms(dictionary, atom_norm)
    step = 1 / max(largest_eigenvalue(B) * (1 + MARGIN), np.finfo(float).tiny)
    step_B, step_D, product = step * B, step * D, np.empty_like(A)
    for _ in range(n_steps):  # in place: with many channels, a new array costs more than the sums in it
        np.matmul(A, step_B, out=product)
        A -= product
        A += step_D
        A /= atom_scale(A, atom_norm)
    return A


def normalize_atoms(dictionary: np.ndarray, atom_norm: str = "at_most_one") -> np.ndarray:
    """Return A, float64 (C, N), its columns scaled to norm <= 1, or to norm 1 ("unit"; zeros stay zero)."""
    A = np.asarray(dictionary, np.float64)
    return A / atom_scale(A, atom_norm)


def atom_scale(A: np.ndarray, atom_norm: str) -> np.ndarray:
    """Return what each column of A (C, N) is divided by to have the norm asked for, float64 (N,)."""
    if atom_norm not in ATOM_NORMS:
        raise ValueError(f"atom_norm: expected one of {ATOM_NORMS}, got {atom_norm!r}")
    smallest = 1.0 if atom_norm == "at_most_one" else np.finfo(float).tiny
    return np.maximum(np.sqrt(np.einsum("cn,cn->n", A, A)), smallest)


def largest_eigenvalue(matrix: np.ndarray) -> float:
    """Return ||matrix||_2 of a symmetric positive semidefinite matrix (n, n), by Lanczos iteration."""
    if len(matrix) == 1 or not matrix.any():
        return float(matrix[0, 0])
    start = np.random.default_rng(0).standard_normal(len(matrix))
    return float(eigsh(matrix, 1, v0=start, return_eigenvectors=False)[0])
