"""The codes of one problem by each solver: steps of SISTA and FISTA, ours to the minimum, its rivals."""

import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import numpy as np
from sklearn.decomposition import sparse_encode
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import lars_path_gram

from models.dictionary import MARGIN, largest_eigenvalue
from models.recurrence import Parameters, Stack
from models.sequence import sista
from models.sparse_solver import Problem, solve_codes

DEPTHS, FISTA_DEPTH = (3, 30, 300), 300
# The accuracy at which solvers are compared and that of the bound, relative to F.
ACCURACY, TIGHT = 1e-3, 1e-7
# SISTA in pieces: the layer keeps what a gradient would need of all its steps.
PIECE_STEPS = 30
EXACT, SPAMS = "ours, exact", "SPAMS"


def lower_bound(problem: Problem) -> float:
    """Return a lower bound of the minimum of the mean objective, and nearly that minimum."""
    solution = solve_codes(problem, TIGHT)
    return float((problem.objective(solution.codes) - solution.gap).mean())


def solvers(problem: Problem, bound: float) -> Mapping[str, Callable[[], np.ndarray]]:
    """Return solver -> the work that gives its codes (n, N); without SPAMS where it is not installed."""
    G = problem.dictionary.T @ problem.dictionary
    gamma = largest_eigenvalue(G) * (1 + MARGIN)
    works = {f"SISTA, K = {depth}": partial(sista_codes, problem, gamma, depth) for depth in DEPTHS}
    works[f"FISTA, K = {FISTA_DEPTH}"] = partial(fista_codes, problem, gamma, FISTA_DEPTH)
    works[EXACT] = lambda: solve_codes(problem, ACCURACY).codes
    n_sweeps = enough_sweeps(problem, bound)
    works[f"scikit-learn lasso_cd, max_iter = {n_sweeps}"] = partial(
        scikit_learn_codes, problem, "lasso_cd", n_sweeps
    )
    works["scikit-learn lasso_lars"] = partial(
        scikit_learn_codes, problem, "lasso_lars", problem.dictionary.shape[1]
    )
    try:
        import spams
    except ImportError:
        return works
    return works | {SPAMS: partial(spams_codes, problem, spams)}


def sista_codes(problem: Problem, gamma: float, depth: int) -> np.ndarray:
    """Return the codes after K steps of Algorithm 1 from zero, float32, by `models.sequence`."""
    x, A = problem.x.astype(np.float32), problem.dictionary.astype(np.float32)
    codes, S = np.zeros((len(x), A.shape[1]), np.float32), np.zeros((len(x), 1, 1), np.float32)
    parameters = Parameters(A, np.float32(gamma), problem.lambda1, 0.0)
    for start in range(0, depth, PIECE_STEPS):
        n_steps = min(PIECE_STEPS, depth - start)
        codes = sista(x[:, None], S, codes, parameters, Stack(n_steps))[:, 0]
    return np.asarray(codes)


def fista_codes(problem: Problem, gamma: float, depth: int) -> np.ndarray:
    """Return the codes after K steps of FISTA (Beck and Teboulle, 2009) from zero, float32."""
    x, A = problem.x.astype(np.float32), problem.dictionary.astype(np.float32)
    G, xA = A.T @ A, x @ A
    ahead, codes, momentum = np.zeros_like(xA), np.zeros_like(xA), 1.0
    for _ in range(depth):
        after = np.maximum(ahead - (ahead @ G - xA + problem.lambda1) / np.float32(gamma), 0)
        grown = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        ahead = after + (momentum - 1) / grown * (after - codes)
        codes, momentum = after, grown
    return codes


def scikit_learn_codes(problem: Problem, algorithm: str, max_iter: int) -> np.ndarray:
    """Return the codes by `sklearn.decomposition.sparse_encode` on all cores."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # how far it came is what is measured
        return sparse_encode(
            problem.x,
            problem.dictionary.T,
            algorithm=algorithm,
            alpha=problem.lambda1,
            positive=True,
            max_iter=max_iter,
            n_jobs=os.cpu_count(),
        )


def enough_sweeps(problem: Problem, bound: float) -> int:
    """Return the `max_iter`, to a quarter, with which scikit-learn's lasso_cd comes within `ACCURACY`."""

    def objective(n_sweeps: int) -> float:
        return problem.objective(scikit_learn_codes(problem, "lasso_cd", n_sweeps)).mean()

    return next(n for n in geometric(16, 1.25) if objective(n) <= (1 + ACCURACY) * bound)


def geometric(start: float, ratio: float) -> Iterator[int]:
    """Yield start, start * ratio, ..., rounded, without end."""
    while True:
        yield round(start)
        start *= ratio


def spams_codes(problem: Problem, spams) -> np.ndarray:
    """Return the codes by SPAMS (Mairal et al.), its LARS on all cores."""
    x, A = (np.asfortranarray(matrix) for matrix in (problem.x.T, problem.dictionary))
    # Its default, without Cholesky, gives up on a row whose best atom occurs twice, as frames of video do.
    options = {"lambda1": problem.lambda1, "pos": True, "cholesky": True, "numThreads": -1}
    return spams.lasso(x, A, mode=2, **options).toarray().T


def lars_codes(problem: Problem) -> np.ndarray:
    """Return the codes by scikit-learn's LARS, row by row, for m > 0 too."""
    G, identity = problem.dictionary.T @ problem.dictionary, np.eye(problem.dictionary.shape[1])
    coherence = np.broadcast_to(problem.coherence, len(problem.x))
    targets = problem.x @ problem.dictionary + coherence[:, None] * problem.previous_codes
    return np.stack(
        [
            lars_path_gram(
                target,
                G + m * identity,
                n_samples=1,
                alpha_min=problem.lambda1,
                method="lasso",
                positive=True,
                return_path=False,
            )[2]
            for target, m in zip(targets, coherence, strict=True)
        ]
    )
