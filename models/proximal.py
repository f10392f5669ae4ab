"""The proximal map of the l1 norm and the objective that SISTA minimizes (Sec. 3.1 to 3.3)."""

from keras import ops

THRESHOLDS = ("nonnegative", "two_sided")


def soft_threshold(z, b, threshold="nonnegative"):
    """Return the soft threshold of `z` at level `b`, element by element.

    Paper: Algorithm 1 and Sec. 3.2, `soft_b(z) = max(z - b, 0) = ReLU(z - b)` ("nonnegative").
    "two_sided" is `sign(z) max(|z| - b, 0)`, the proximal map of `b ||.||_1` without the sign constraint.

    Args:
        z: float tensor of any shape.
        b: non-negative scalar.
        threshold: one of `THRESHOLDS`.
    """
    if threshold == "nonnegative":
        return ops.maximum(z - b, 0.0)
    if threshold == "two_sided":
        return ops.sign(z) * ops.maximum(ops.abs(z) - b, 0.0)
    raise ValueError(f"threshold: expected one of {THRESHOLDS}, got {threshold!r}")


def tsc_objective(x, dictionary, codes, previous_codes, similarity, lambda1, lambda2):
    """Return Algorithm 1's objective for each row, float (rows,).

    Paper: Eq. (2), in the form with halves that Algorithm 1 descends on:
    `F = 1/2 ||x_t - A a_t||^2 + lambda1 ||a_t||_1 + (lambda2 / 2) S_t ||a_t - a_{t-1}||^2`.

    Args:
        x: features (rows, C).
        dictionary: A, (C, N), one atom a column.
        codes: a_t, (rows, N).
        previous_codes: a_{t-1}, (rows, N).
        similarity: S_{t-1,t}, (rows, 1).
        lambda1: weight of the l1 term, scalar.
        lambda2: weight of the temporal coherence term, scalar.
    """
    residual = x - ops.matmul(codes, ops.transpose(dictionary))
    coherence = ops.squeeze(similarity, -1) * ops.sum(ops.square(codes - previous_codes), -1)
    return (
        0.5 * ops.sum(ops.square(residual), -1)
        + lambda1 * ops.sum(ops.abs(codes), -1)
        + 0.5 * lambda2 * coherence
    )
