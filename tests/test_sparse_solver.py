"""The exact solver against scikit-learn, the optimality conditions, a long FISTA and hard dictionaries."""

import warnings

import numpy as np
import pytest
from sklearn.decomposition import sparse_encode
from sklearn.exceptions import ConvergenceWarning

from models.sparse_solver import Problem, solve_codes

ROWS, C, N = 12, 30, 80
LAMBDA1 = 0.05


@pytest.fixture
def problem():
    """Non-negative, correlated atoms of norm at most 1, as ResNet features are, and rows close to them."""
    rng = np.random.default_rng(0)
    A = np.abs(rng.standard_normal((C, N))) + 0.5
    A[:, 3] -= A[:, 3].mean()
    A *= rng.uniform(0.5, 1, N) / np.linalg.norm(A, axis=0)
    x = rng.uniform(0, 1, (ROWS, 3)) @ A[:, :3].T - 0.3 * A[:, 3] + 0.02 * rng.standard_normal((ROWS, C))
    return A, x, rng.uniform(0, 2, ROWS), np.maximum(rng.standard_normal((ROWS, N)) - 1.5, 0)


def objective(x, A, a, lambda1=LAMBDA1, m=0.0, p=None):
    """F of each row, written out."""
    p = np.zeros_like(a) if p is None else p
    return (
        0.5 * np.square(x - a @ A.T).sum(1) + lambda1 * np.abs(a).sum(1) + 0.5 * m * np.square(a - p).sum(1)
    )


def fista(x, A, m, p, threshold, n_steps=20000):
    """Accelerated proximal gradient, far beyond convergence."""
    m = m[:, None]
    L = np.linalg.norm(A, 2) ** 2 + m
    a, y, momentum = np.zeros_like(p), np.zeros_like(p), 1.0
    for _ in range(n_steps):
        z = y - ((y @ A.T - x) @ A + m * (y - p)) / L
        shrunk = np.maximum(np.abs(z) - LAMBDA1 / L, 0) * np.sign(z)
        new = np.maximum(shrunk, 0) if threshold == "nonnegative" else shrunk
        new_momentum = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        y = new + (momentum - 1) / new_momentum * (new - a)
        a, momentum = new, new_momentum
    return a


@pytest.mark.parametrize("threshold", ["nonnegative", "two_sided"])
def test_without_coherence_equals_scikit_learn(problem, threshold):
    A, x, _, _ = problem
    solution = solve_codes(Problem(x, A, LAMBDA1, threshold=threshold), 1e-10)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        expected = sparse_encode(
            x, A.T, algorithm="lasso_cd", alpha=LAMBDA1, positive=threshold == "nonnegative", max_iter=100000
        )
    np.testing.assert_allclose(objective(x, A, solution.codes), objective(x, A, expected), rtol=1e-6)
    np.testing.assert_allclose(solution.codes, expected, atol=1e-3)
    assert 0 < (solution.codes != 0).mean() < 0.5
    assert (solution.codes < 0).any() == (threshold == "two_sided")


@pytest.mark.parametrize("threshold", ["nonnegative", "two_sided"])
def test_with_coherence_equals_a_long_fista(problem, threshold):
    A, x, m, p = problem
    solution = solve_codes(Problem(x, A, LAMBDA1, m, p, threshold), tolerance=1e-10)
    expected = fista(x, A, m, p, threshold)
    np.testing.assert_allclose(solution.codes, expected, atol=1e-5)
    assert (expected != 0).any()


def test_optimality_conditions(problem):
    """Correlations equal lambda1 on the support and do not exceed it elsewhere."""
    A, x, m, p = problem
    a = solve_codes(Problem(x, A, LAMBDA1, m, p), tolerance=1e-12).codes
    r = (x - a @ A.T) @ A - m[:, None] * (a - p)
    assert (a >= 0).all()
    np.testing.assert_allclose(r[a > 0], LAMBDA1, atol=1e-6)
    assert r.max() <= LAMBDA1 + 1e-6


@pytest.mark.parametrize("tolerance", [1e-1, 1e-3])
def test_gap_bounds_the_distance_to_the_minimum(problem, tolerance):
    A, x, m, p = problem
    rough = solve_codes(Problem(x, A, LAMBDA1, m, p), tolerance=tolerance)
    F = objective(x, A, rough.codes, m=m, p=p)
    minimum = objective(x, A, solve_codes(Problem(x, A, LAMBDA1, m, p), tolerance=1e-12).codes, m=m, p=p)
    assert (F - minimum <= rough.gap + 1e-12).all()
    assert (rough.gap <= tolerance * F).all()


def test_objective_is_the_sum_written_out():
    x, A = np.array([[1.0, 2.0]]), np.array([[1.0, 0.0, 2.0], [0.0, 1.0, 1.0]])
    codes, previous = np.array([[0.5, 0.0, -1.0]]), np.array([[0.0, 1.0, -1.0]])
    # residual (1 + 1.5, 2 + 1) = (2.5, 3); l1 = 1.5; squared distance of codes 1.25; m = 0.4 * 0.3
    expected = 0.5 * 15.25 + 0.2 * 1.5 + 0.5 * 0.4 * 0.3 * 1.25
    value = Problem(x, A, 0.2, np.array([0.12]), previous, "two_sided").objective(codes)
    assert value.shape == (1,)
    np.testing.assert_allclose(value, [expected], rtol=1e-12)


def test_equal_and_zero_atoms(problem):
    A, x, _, _ = problem
    doubled = np.concatenate([A, A, np.zeros((C, 5))], 1)
    solution = solve_codes(Problem(x, doubled, LAMBDA1), tolerance=1e-7)
    minimum = objective(x, A, solve_codes(Problem(x, A, LAMBDA1), tolerance=1e-10).codes)
    np.testing.assert_allclose(objective(x, doubled, solution.codes), minimum, rtol=1e-6)


def test_zero_rows_and_large_lambda1_give_zero_codes(problem):
    A, x, _, _ = problem
    solution = solve_codes(Problem(np.zeros_like(x), A, LAMBDA1))
    assert not solution.codes.any()
    assert not solution.gap.any()
    assert not solve_codes(Problem(x, A, (x @ A).max() * 1.01)).codes.any()


def test_supports_larger_than_a_batch(problem, monkeypatch):
    """A small lambda1 fills the codes; the batches are cut down to single rows."""
    A, x, _, _ = problem
    expected = solve_codes(Problem(x, A, 1e-4), tolerance=1e-8)
    assert (expected.codes > 0).sum(1).max() > 8
    monkeypatch.setattr("models.sparse_solver.BATCH_BYTES", 1)
    np.testing.assert_allclose(
        solve_codes(Problem(x, A, 1e-4), tolerance=1e-8).codes, expected.codes, atol=1e-8
    )


def test_too_few_passes_show_in_the_gap(problem):
    A, x, _, _ = problem
    solution = solve_codes(Problem(x, A, LAMBDA1), max_iterations=0)
    assert not solution.codes.any()
    assert (solution.gap > 1e-4 * objective(x, A, solution.codes)).any()


def test_start_makes_no_difference_but_in_passes(problem):
    A, x, _, _ = problem
    cold = solve_codes(Problem(x, A, LAMBDA1), tolerance=1e-10)
    warm = solve_codes(Problem(x, A, LAMBDA1, 0.0, cold.codes), tolerance=1e-9)
    assert warm.n_iterations == 0
    elsewhere = solve_codes(Problem(x, A, LAMBDA1, 0.0, np.roll(cold.codes, 1, 0)), tolerance=1e-10)
    np.testing.assert_allclose(elsewhere.codes, cold.codes, atol=1e-5)


@pytest.mark.parametrize(
    "options", [{"lambda1": 0.0}, {"coherence": -1.0}, {"coherence": np.nan}, {"threshold": "hard"}]
)
def test_refuses_what_is_out_of_range(problem, options):
    A, x, _, _ = problem
    with pytest.raises(ValueError, match="expected"):
        Problem(x, A, **{"lambda1": LAMBDA1, **options})
