"""One step of SISTA, and its gradient.

Paper: Algorithm 1 and Eqs. (5) to (8), Sec. 3.2 and 3.3. A row is one region of one clip; rows are
independent of each other and share A. The codes of frame t start at those of frame t - 1, a = a_{t-1}.
With a and x as row vectors, one step is

    a <- soft(a - (1/gamma) [(a A^T - x_t) A + lambda2 S_t (a - a_{t-1})], lambda1 / gamma)

`models.sequence` takes K of them a frame.
"""

from dataclasses import dataclass
from typing import NamedTuple

import keras
from keras import ops

from models.products import COMPUTE_DTYPES, Factor, multiply, multiply_transposed
from models.proximal import THRESHOLDS, soft_threshold
from models.tensor import Tensor

FIRST_LAYERS = ("algorithm1", "eq7")


@dataclass(frozen=True)
class Stack:
    """The K layers that a frame passes.

    Attributes:
        depth: K, the number of steps a frame.
        first_layer: "algorithm1", W(1) = I - (1/gamma) A^T A, which alone equals Algorithm 1; or "eq7",
            W(1) = I - (lambda2/gamma) A^T A, as Eq. (7) prints it.
        threshold: "nonnegative" or "two_sided", see `proximal.soft_threshold`.
        compute_dtype: of the matrix products, see `products`.

    Raises ValueError: an unknown word, no layer, or "two_sided" beside bfloat16.
    """

    depth: int = 3
    first_layer: str = "algorithm1"
    threshold: str = "nonnegative"
    compute_dtype: str = "float32"

    def __post_init__(self) -> None:
        """Refuse what is not one of the choices."""
        if self.depth < 1:
            raise ValueError(f"depth: expected 1 or more, got {self.depth}")
        if self.first_layer not in FIRST_LAYERS:
            raise ValueError(f"first_layer: expected one of {FIRST_LAYERS}, got {self.first_layer!r}")
        if self.threshold not in THRESHOLDS:
            raise ValueError(f"threshold: expected one of {THRESHOLDS}, got {self.threshold!r}")
        if self.threshold == "two_sided" and self.compute_dtype == "bfloat16":
            # Rounded, A^T A may have eigenvalues below 0: along these, nothing holds such codes.
            raise ValueError("compute_dtype: expected float32 beside threshold two_sided, got bfloat16")
        if self.compute_dtype not in COMPUTE_DTYPES:
            raise ValueError(f"compute_dtype: expected one of {COMPUTE_DTYPES}, got {self.compute_dtype!r}")

    def weights(self, lambda2: Tensor) -> list[Tensor]:
        """Return the factor of a A^T A in each of the K steps: 1, but for Eq. (7)'s first."""
        return [lambda2 if self.first_layer == "eq7" and k == 0 else 1.0 for k in range(self.depth)]


class Parameters(NamedTuple):
    """What all rows, frames and steps share: theta of Eq. (9) less alpha_0, the decoder and phi.

    Attributes:
        dictionary: A, (C, N).
        gamma: inverse step size, positive scalar; descent needs gamma >= ||A||_2^2 + lambda2 S_t.
        lambda1: weight of the l1 term, scalar.
        lambda2: weight of the temporal coherence term, scalar.
        dictionary_gram: A^T A (N, N) where it is to be used; None for A^T and A in turn.

    Products with a matrix that is bfloat16 are taken in it, see `products.multiply`; where nothing is
    differentiated, both matrices may be a `products.Factor`.
    """

    dictionary: Tensor | Factor
    gamma: Tensor
    lambda1: Tensor
    lambda2: Tensor
    dictionary_gram: Tensor | Factor | None = None

    @property
    def compute_dtype(self) -> str:
        """The dtype of the products: that of the matrix in them."""
        matrix = self.dictionary if self.dictionary_gram is None else self.dictionary_gram
        return keras.backend.standardize_dtype(matrix.dtype)

    def times_gram(self, a: Tensor) -> tuple[Tensor, Tensor]:
        """Return (left, a A^T A) of a (rows, N): left is `a` with A^T A at hand, else a A^T (rows, C).

        The gradient of the last matrix is an outer product with `left`.
        """
        if self.dictionary_gram is not None:
            return a, multiply(a, self.dictionary_gram)
        left = multiply_transposed(a, self.dictionary)
        return left, multiply(left, self.dictionary)


class Frame(NamedTuple):
    """What the K steps of one frame share: x_t A (rows, N), S_{t-1,t} (rows, 1) and a_{t-1} (rows, N)."""

    xA: Tensor
    S: Tensor
    previous: Tensor


class Step(NamedTuple):
    """One step as its gradient needs it: codes before and after, (rows, N), and `left` of `times_gram`."""

    before: Tensor
    after: Tensor
    left: Tensor


class StepGradient(NamedTuple):
    """What `step_gradient` returns, each the gradient of what it names.

    Attributes:
        minus_slope: e, (rows, N); that of x_t A, too.
        before: of the codes before the step, (rows, N).
        previous: of a_{t-1}, (rows, N).
        coherence: of lambda2 S_t, (rows, 1).
        left: `left` of e, and
        gram: e A^T A, (rows, N), from `times_gram`.
    """

    minus_slope: Tensor
    before: Tensor
    previous: Tensor
    coherence: Tensor
    left: Tensor
    gram: Tensor


def sista_step(a: Tensor, frame: Frame, theta: Parameters, w: Tensor, threshold: str) -> Step:
    """Return one step of Algorithm 1 from the codes `a` (rows, N); w = 1, but for Eq. (7)'s first layer.

    a <- soft(a - (1/gamma) [w a A^T A - x_t A + lambda2 S_t (a - a_{t-1})], lambda1 / gamma)

    This is soft_b(W a_{t-1} + U a + V x_t) with W, U, V and b of Eq. (7), k > 1.
    """
    xA, S, previous = frame
    left, aAtA = theta.times_gram(a)
    slope = w * aAtA - xA + theta.lambda2 * S * (a - previous)
    after = soft_threshold(a - slope / theta.gamma, theta.lambda1 / theta.gamma, threshold)
    return Step(a, after, left)


def frame_steps(frame: Frame, theta: Parameters, stack: Stack) -> list[Step]:
    """Return the K steps of one frame, from the codes of the frame before on.

    Paper: the K layers of Eq. (6), step by step as Eq. (8) writes them.
    """
    steps, a = [], frame.previous
    for w in stack.weights(theta.lambda2):
        steps.append(sista_step(a, frame, theta, w, stack.threshold))
        a = steps[-1].after
    return steps


def step_gradient(d_after: Tensor, step: Step, frame: Frame, theta: Parameters, w: Tensor) -> StepGradient:
    """Return the gradient of `sista_step`, given that of the codes after it, (rows, N).

    With d that gradient where the threshold let the codes through, else 0, and e = d / gamma:

        d a = d - w e A^T A - lambda2 S_t e,   d a_{t-1} = lambda2 S_t e,
        d (x_t A) = e,   d (lambda2 S_t) = -<a - a_{t-1}, e>

    The gradients of what all steps share are sums over all of them: `sequence.shared_gradient`.
    """
    _, S, previous = frame
    d = ops.where(step.after != 0, d_after, 0.0)
    e = d / theta.gamma
    left, eAtA = theta.times_gram(e)
    d_previous = theta.lambda2 * S * e
    d_a = d - w * eAtA - d_previous
    d_coherence = -ops.sum((step.before - previous) * e, -1, keepdims=True)
    return StepGradient(e, d_a, d_previous, d_coherence, left, eAtA)
