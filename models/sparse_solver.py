"""An exact solver for the codes of one frame: what Algorithm 1 tends to as K grows (Sec. 3.1 and 3.2).

For each row, with A (C, N), m = lambda2 S_t >= 0 and p = a_{t-1},

    minimize  F(a) = 1/2 ||x - A a||^2 + lambda1 ||a||_1 + (m/2) ||a - p||^2,  a >= 0 unless "two_sided"

by an active-set method. Few codes are non-zero, so each row has a small working set of atoms. A pass
  1. takes the correlations r = A^T x + m p - (A^T A + m I) a of all rows in one sparse product, and from
     them the duality gap; rows within the tolerance are done;
  2. adds to each working set the atoms that violate r <= lambda1 the most;
  3. minimizes F over the working sets by sweeps of coordinate descent and Newton's steps, all rows in
     batches of small linear systems.
F falls in every pass. The gap is that of the lasso with [x; sqrt(m) p] and [A; sqrt(m) I] in place of x
and A: F(a) minus its minimum is at most the gap.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from threadpoolctl import ThreadpoolController

from models.proximal import THRESHOLDS

# Atoms that join a working set in one pass, or half its size where that is more.
N_JOINING = 8
# Weight, as a share of the mean squared atom norm, of the squared distance to the codes before: equal atoms
# then give a solvable system, and since every pass starts anew the end is the minimum of F nonetheless.
RIDGE = 1e-9
# Bytes of one batch of these Gram matrices.
BATCH_BYTES = 2**25
# Within a pass: sweeps of coordinate descent before each of Newton's steps, and such steps at most.
N_SWEEPS, MAX_STEPS = 5, 20


@dataclass(frozen=True)
class Problem:
    """Rows to code: minimize F(a), over a >= 0 unless "two_sided".

    Paper: Eqs. (1), (2) and (4), Sec. 3.1 and 3.2, in the form with halves that Algorithm 1 descends on.

    Attributes:
        x: features (rows, C).
        dictionary: A, (C, N), one atom a column.
        lambda1: weight of the l1 term, positive.
        coherence: m = lambda2 S_{t-1,t}, (rows,) or a scalar, not negative.
        previous_codes: a_{t-1}, (rows, N), sparse; or 0.
        threshold: "nonnegative" (a >= 0) or "two_sided", as in `proximal.soft_threshold`.
        dictionary_gram: A^T A float64 (N, N) where the caller has it.

    Raises ValueError: a weight out of range or an unknown threshold.
    """

    x: np.ndarray
    dictionary: np.ndarray
    lambda1: float
    coherence: np.ndarray | float = 0.0
    previous_codes: np.ndarray | float = 0.0
    threshold: str = "nonnegative"
    dictionary_gram: np.ndarray | None = None

    def __post_init__(self) -> None:
        """Refuse what has no minimum that the solver finds."""
        if self.threshold not in THRESHOLDS:
            raise ValueError(f"threshold: expected one of {THRESHOLDS}, got {self.threshold!r}")
        if not self.lambda1 > 0 or not (np.asarray(self.coherence) >= 0).all():
            raise ValueError(
                f"expected lambda1 > 0 and coherence >= 0, got {self.lambda1} and {self.coherence}"
            )

    def objective(self, codes: np.ndarray) -> np.ndarray:
        """Return F of each row, float64 (rows,), at codes a (rows, N).

        F = 1/2 ||x - A a||^2 + lambda1 ||a||_1 + (m/2) ||a - a_{t-1}||^2
        """
        a = np.asarray(codes, np.float64)
        residual = self.x - a @ self.dictionary.T
        moved = np.square(a - self.previous_codes).sum(1)
        return np.square(residual).sum(1) / 2 + self.lambda1 * np.abs(a).sum(1) + self.coherence * moved / 2


@dataclass(frozen=True)
class Solution:
    """Codes float64 (rows, N), the passes that the slowest row took, and the gap of F, (rows,)."""

    codes: np.ndarray
    n_iterations: int
    gap: np.ndarray


def solve_codes(problem: Problem, tolerance: float = 1e-4, max_iterations: int = 1000) -> Solution:
    """Return the codes that minimize F, each row to a duality gap of at most `tolerance` * F. Paper: Eq. (4).

    Like Algorithm 1 it starts at a_{t-1}; where it ends does not depend on that.

    Args:
        problem: the rows and F.
        tolerance: of the gap, relative to F.
        max_iterations: passes at most; a row that needs more tells by its gap.
    """
    x, A = np.asarray(problem.x, np.float64), np.asarray(problem.dictionary, np.float64)
    lambda1, nonnegative = problem.lambda1, problem.threshold == "nonnegative"
    G = A.T @ A if problem.dictionary_gram is None else problem.dictionary_gram
    m = np.broadcast_to(np.asarray(problem.coherence, np.float64), len(x))[:, None]
    previous = np.broadcast_to(problem.previous_codes, (len(x), A.shape[1]))
    # Of the lasso with [x; sqrt(m) p] and [A; sqrt(m) I] in place of x and A.
    target, energy = x @ A + m * previous, np.square(x).sum(1) + m[:, 0] * np.square(previous).sum(1)
    codes = np.array(np.maximum(previous, 0) if nonnegative else previous, np.float64)
    gap = np.full(len(x), np.inf)
    rows, n_iterations = np.arange(len(x)), 0
    while True:
        a = codes[rows]
        r = target[rows] - csr_array(a) @ G - m[rows] * a
        excess = (r if nonnegative else np.abs(r)) - lambda1
        objective, gap[rows] = _objective_and_gap(a, r, excess, target[rows], energy[rows], lambda1)
        far = gap[rows] > tolerance * objective
        rows = rows[far]
        if not len(rows) or n_iterations == max_iterations:
            return Solution(codes, n_iterations, gap)
        # Threads that wait for each other cost small systems more than they save: 30 times on a busy machine.
        with ThreadpoolController().limit(limits=1, user_api="blas"):
            codes[rows] = _improved(a[far], r[far], excess[far], G, target[rows], m[rows], lambda1)
        n_iterations += 1


def _objective_and_gap(
    a: np.ndarray, r: np.ndarray, excess: np.ndarray, target: np.ndarray, energy: np.ndarray, lambda1: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return F and its duality gap, both (rows,), from the correlations r = A^T residual."""
    fit = energy - (target * a).sum(1)  # <x, residual>
    residual = np.maximum(fit - (r * a).sum(1), 0)  # ||residual||^2
    scale = lambda1 / (lambda1 + np.maximum(excess.max(1), 0))  # makes the residual feasible for the dual
    objective = residual / 2 + lambda1 * np.abs(a).sum(1)
    return objective, objective - scale * fit + scale**2 * residual / 2


def _improved(
    a: np.ndarray,
    r: np.ndarray,
    excess: np.ndarray,
    G: np.ndarray,
    target: np.ndarray,
    m: np.ndarray,
    lambda1: float,
) -> np.ndarray:
    """Return the minimizers of F over working sets: the support of `a` and the most violating atoms."""
    active = a != 0
    excess = np.where(active, 0, excess)
    n_joining = np.maximum(N_JOINING, active.sum(1) // 2)
    n_largest = min(int(n_joining.max()), a.shape[1])
    largest = np.argpartition(-excess, n_largest - 1, axis=1)[:, :n_largest]
    largest = np.take_along_axis(largest, np.argsort(-np.take_along_axis(excess, largest, 1), 1), 1)
    joins = (np.take_along_axis(excess, largest, 1) > 0) & (np.arange(n_largest) < n_joining[:, None])
    np.put_along_axis(active, largest, joins | np.take_along_axis(active, largest, 1), 1)
    signs = np.sign(np.where(a != 0, a, r))
    improved = a.copy()
    for rows, width in _batches(active.sum(1)):
        # Working sets are padded to equal width with atoms that stay at zero: b < 0 and no tie to the rest.
        index = np.argsort(~active[rows], axis=1, kind="stable")[:, :width]
        rows = rows[:, None]
        sign, member, start = signs[rows, index], active[rows, index], a[rows, index]
        H = G[index[:, :, None], index[:, None, :]] * sign[:, :, None] * sign[:, None, :]
        diagonal = np.arange(width)
        ridge = RIDGE * H[:, diagonal, diagonal].mean(1, keepdims=True)
        H[:, diagonal, diagonal] += m[rows[:, 0]] + ridge
        b = sign * (target[rows, index] + ridge * start) - lambda1
        H, b = _only(member, H), np.where(member, b, -1)
        improved[rows, index] = sign * _solve_nonnegative(H, b, sign * start)
    return improved


def _only(member: np.ndarray, H: np.ndarray) -> np.ndarray:
    """Return H (rows, w, w) with the rows and columns outside `member` (rows, w) those of the identity."""
    return np.where(member[:, :, None] & member[:, None, :], H, np.eye(H.shape[1]))


def _batches(widths: np.ndarray) -> Iterator[tuple[np.ndarray, int]]:
    """Yield (rows, largest width) of batches of rows of similar width, within `BATCH_BYTES` of systems."""
    order = np.argsort(widths, kind="stable")
    while len(order):
        n_rows = max(1, BATCH_BYTES // (8 * max(1, int(widths[order[-1]])) ** 2))
        yield order[-n_rows:], int(widths[order[-1]])
        order = order[:-n_rows]


def _solve_nonnegative(H: np.ndarray, b: np.ndarray, a: np.ndarray) -> np.ndarray:
    """Return the minimizers a (rows, w) of 1/2 a^T H a - b^T a over a >= 0, or after `MAX_STEPS` nearly.

    Sweeps of coordinate descent find the support, Newton's step on the support ends there. The step stops
    where a code turns zero; then the sweeps go on. Every part lowers the value.

    Args:
        H: (rows, w, w), positive definite.
        b: (rows, w).
        a: where to start, (rows, w), a >= 0.
    """
    a = a.copy()
    rows = np.arange(len(a))
    for _ in range(MAX_STEPS):
        start = _swept(H[rows], b[rows], a[rows])
        support = start > 0
        solved = np.linalg.solve(_only(support, H[rows]), np.where(support, b[rows], 0)[..., None])[..., 0]
        blocked = support & (solved <= 0)
        step = np.where(blocked, start / np.where(blocked, start - solved, 1), 1).min(1, keepdims=True)
        a[rows] = np.maximum(start + step * (solved - start), 0)
        rows = rows[blocked.any(1)]
        if not len(rows):
            break
    return a


def _swept(H: np.ndarray, b: np.ndarray, a: np.ndarray) -> np.ndarray:
    """Return `a` after `N_SWEEPS` sweeps of coordinate descent, arguments as in `_solve_nonnegative`."""
    gradient = (H @ a[..., None])[..., 0] - b
    for _ in range(N_SWEEPS):
        for j in range(a.shape[1]):
            change = np.maximum(-gradient[:, j] / H[:, j, j], -a[:, j])
            a[:, j] += change
            gradient += change[:, None] * H[:, j]
    return a
