"""Matrix products in float32, or with factors rounded to bfloat16, in one place.

What bfloat16 rounds are the factors of a product, to 8 bits of mantissa: a relative error of up to 2^-9 each.
Products of two such numbers are exact in float32; they are added up in float32, and their sum is returned in
float32. Weights, optimizer slots, codes, statistics and errors are float32: nothing here touches them.
"""

import itertools
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from models.backend import bfloat16_multiply, bfloat16_transpose
from models.tensor import Tensor

COMPUTE_DTYPES = ("float32", "bfloat16")
# Of a^T a: from how many columns on it is taken by blocks, and of how many blocks of columns.
SELF_PRODUCT_COLUMNS, SELF_PRODUCT_BLOCKS = 1024, 4


@dataclass(frozen=True, eq=False)
class Factor:
    """A matrix (k, n) that few rows are multiplied with many times, without a gradient: kept transposed.

    With 21 rows and 2048 x 2048, (b^T a^T)^T in bfloat16 takes half of the time of a b in float32 or less; in
    float32 it is the faster form on some processors alone, see docs/performance.md.
    No tuple: Keras would look into it, and cast what it holds to the dtype of the layer that it is given to.

    Attributes:
        transposed: b^T, (n, k).
        itself: b, (k, n), where rows are multiplied with b^T as well.
    """

    transposed: Tensor
    itself: Tensor | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """The shape (k, n) of the matrix itself."""
        n, k = self.transposed.shape
        return k, n

    @property
    def dtype(self) -> Any:
        """The dtype of the matrix."""
        return self.transposed.dtype


def product(a: Tensor, b: Tensor | Factor, compute_dtype: str = "float32") -> Tensor:
    """Return a b, float32 (rows, ..., n), and its gradients d b^T and a^T d taken in the same way.

    Args:
        a: float32 (rows, ..., k).
        b: (k, n), float32, or a `Factor`, then without gradients and in the dtype of the factor.
        compute_dtype: one of `COMPUTE_DTYPES`, to which factors are rounded, those of the gradients too.
    """
    if compute_dtype == "float32" and not isinstance(b, Factor):
        return ops.matmul(a, b)
    rows = ops.reshape(a, (-1, a.shape[-1]))
    if isinstance(b, Factor):
        return ops.reshape(multiply(rows, b), (-1, *a.shape[1:-1], b.transposed.shape[0]))
    # A copy, because a custom gradient may capture no variable.
    return ops.reshape(_rounded_product(rows, ops.copy(b)), (-1, *a.shape[1:-1], b.shape[-1]))


@ops.custom_gradient
def _rounded_product(a: Tensor, b: Tensor) -> Tensor:
    """Return a b, float32 (m, n), of a (m, k) and b (k, n) rounded to bfloat16."""
    a, b = rounded(a, "bfloat16"), rounded(b, "bfloat16")

    def gradient(*args: Tensor, upstream: Tensor | None = None) -> tuple[Tensor, Tensor]:
        d = rounded(args[0] if upstream is None else upstream, "bfloat16")
        return multiply_transposed(d, b), multiply(transposed(a), d)

    return multiply(a, b), gradient


def rounded(x: Tensor, compute_dtype: str) -> Tensor:
    """Return x as a factor of products in `compute_dtype`: rounded for bfloat16, else itself."""
    return ops.cast(x, compute_dtype) if compute_dtype == "bfloat16" else x


def multiply(a: Tensor, b: Tensor | Factor) -> Tensor:
    """Return a b, (m, n), of a (m, k) and b (k, n): where either is bfloat16, of both rounded to it.

    The sums are float32. Its gradient is not defined: who calls it has one of its own.
    """
    if isinstance(b, Factor):
        return ops.transpose(multiply(b.transposed, ops.transpose(a)))
    if not _is_bfloat16(a, b):
        return ops.matmul(a, b)
    return bfloat16_multiply()(rounded(a, "bfloat16"), rounded(b, "bfloat16"))


def multiply_transposed(a: Tensor, b: Tensor | Factor) -> Tensor:
    """Return a b^T, (m, n), of a (m, k) and b (n, k), as `multiply` does; in bfloat16 b is read as it lies.

    With 40 rows, b being 11,570 x 2,048, that takes a fifth of the time of transposing b first.
    Raises ValueError: a factor without `itself`.
    """
    if isinstance(b, Factor):
        if b.itself is None:
            raise ValueError("b: expected a factor that keeps the matrix itself, got its transpose alone")
        return multiply(a, Factor(b.itself))
    if not _is_bfloat16(a, b):
        return ops.matmul(a, ops.transpose(b))
    return bfloat16_multiply(transposed=True)(rounded(a, "bfloat16"), rounded(b, "bfloat16"))


def transposed(a: Tensor) -> Tensor:
    """Return a^T, (n, m), of a (m, n), as it lies in memory: a product of it is then as fast as one of a."""
    return bfloat16_transpose()(a) if _is_bfloat16(a) else ops.transpose(a)


def self_product(a: Tensor) -> Tensor:
    """Return a^T a, (n, n), of a (m, n), as `multiply` does: what is below the diagonal is not multiplied.

    The columns are cut into `SELF_PRODUCT_BLOCKS`, and of the blocks of the product those below the diagonal
    are transposes of those above it: at n = 2048 that takes three quarters of the time of the whole product.
    """
    rows, blocks = transposed(a), column_blocks(a.shape[1])
    above = [multiply(rows[first:last], a[:, first:]) for first, last in blocks]
    whole = []
    for i, (first, last) in enumerate(blocks):
        left = [transposed(above[j][:, first - blocks[j][0] : last - blocks[j][0]]) for j in range(i)]
        whole.append(ops.concatenate([*left, above[i]], 1) if left else above[i])
    return ops.concatenate(whole, 0) if len(whole) > 1 else whole[0]


def column_blocks(n: int) -> list[tuple[int, int]]:
    """Return first and last + 1 of the blocks of columns that `self_product` cuts n columns into."""
    n_blocks = SELF_PRODUCT_BLOCKS if n >= SELF_PRODUCT_COLUMNS else 1
    return list(itertools.pairwise(n * i // n_blocks for i in range(n_blocks + 1)))


def _is_bfloat16(*matrices: Tensor) -> bool:
    """Return whether any of the matrices is."""
    return "bfloat16" in {keras.backend.standardize_dtype(matrix.dtype) for matrix in matrices}
