"""Algorithm 1 written out for one row and one frame at a time, for the tests of all that runs it."""

import numpy as np


def algorithm_1(A, x, S, alpha_0, scalars, depth, first_layer="algorithm1", threshold="nonnegative"):
    """Algorithm 1 in NumPy, one row and one frame at a time, with the matrices of Eq. (7)."""
    gamma, lambda1, lambda2 = scalars
    codes = np.zeros((x.shape[0], x.shape[1], A.shape[1]))
    for r in range(x.shape[0]):
        previous = alpha_0[r]
        for t in range(x.shape[1]):
            s = S[r, t, 0]
            U = np.eye(A.shape[1]) - (A.T @ A + s * lambda2 * np.eye(A.shape[1])) / gamma
            V = A.T / gamma
            alpha = previous
            for k in range(depth):
                if first_layer == "eq7" and k == 0:
                    z = (np.eye(A.shape[1]) - lambda2 / gamma * A.T @ A) @ previous + V @ x[r, t]
                else:
                    z = U @ alpha + V @ x[r, t] + s * lambda2 / gamma * previous
                b = lambda1 / gamma
                if threshold == "nonnegative":
                    alpha = np.where(z > b, z - b, 0)
                else:
                    alpha = np.where(z > b, z - b, np.where(z < -b, z + b, 0))
            codes[r, t] = previous = alpha
    return codes


def gaussian(x, delta_squared):
    """S of frames x (rows, T, C) by the Gaussian kernel, (rows, T, 1): zero at the first frame."""
    moved = np.square(np.diff(x.astype(np.float64), axis=1)).sum(-1, keepdims=True)
    return np.pad(np.exp(-moved / delta_squared), ((0, 0), (1, 0), (0, 0)))
