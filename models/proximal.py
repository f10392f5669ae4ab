"""The proximal map of the l1 norm (Sec. 3.1 to 3.3)."""

from keras import ops

from models.tensor import Tensor

THRESHOLDS = ("nonnegative", "two_sided")


def soft_threshold(z: Tensor, b: Tensor, threshold: str = "nonnegative") -> Tensor:
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
