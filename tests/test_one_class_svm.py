"""OC-SVM against scikit-learn used directly, and the approximation against the exact solution."""

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn import svm

from models.one_class_svm import OneClassSVM, scale_gamma

C = 12


def rows(n=300, seed=0):
    return np.random.default_rng(seed).uniform(0, 1, (n, C)).astype(np.float32)


def batches(x, n_rows=70):
    return np.split(x, range(n_rows, len(x), n_rows))


@pytest.mark.parametrize("nu", [0.5, 0.1])
def test_exact_is_that_of_scikit_learn(nu):
    x, y = rows(), rows(40, seed=1)
    model = OneClassSVM.fit(batches(x), nu=nu)
    assert model.kind == "exact"
    direct = svm.OneClassSVM(nu=nu, gamma="scale").fit(x)
    errors = model.errors(y)
    assert errors.shape == (40,)
    np.testing.assert_allclose(errors, -direct.decision_function(y), rtol=1e-3, atol=1e-3)


def test_errors_are_the_kernel_expansion():
    """-decision = rho - sum_i a_i exp(-gamma ||x_i - y||^2), from the solver's own coefficients."""
    x, y = rows(), rows(5, seed=1)
    model = OneClassSVM.fit([x])
    solution = model.estimator
    gamma = 1 / (C * np.var(x.astype(np.float64)))
    for i in range(5):
        kernel = [np.exp(-gamma * np.sum((s - y[i]) ** 2)) for s in solution.support_vectors_]
        expected = solution.offset_[0] - solution.dual_coef_[0] @ kernel
        np.testing.assert_allclose(model.errors(y)[i], expected, rtol=1e-4, atol=1e-4)


def test_nu_bounds_the_share_of_training_rows_outside():
    x = rows(500)
    for nu in (0.1, 0.5):
        outside = np.mean(OneClassSVM.fit([x], nu=nu).errors(x) > 1e-6)
        assert nu - 0.05 < outside <= nu + 0.01


@pytest.mark.parametrize("exact_rows", [1000, 200])
def test_planted_outlier_ranks_first(exact_rows):
    x = rows(600)
    y = rows(50, seed=1)
    y[31] += 2
    model = OneClassSVM.fit(batches(x), exact_rows=exact_rows, n_components=100)
    assert model.kind == ("exact" if exact_rows == 1000 else "nystroem")
    assert model.errors(y).argmax() == 31


def test_approximation_orders_frames_as_the_exact_solution():
    """Clusters, so that there is an order to find; the first rows hold all of them."""
    rng = np.random.default_rng(2)
    x = (rng.standard_normal((3, C))[rng.integers(0, 3, 2000)] * 2 + rng.standard_normal((2000, C))) / 3
    y = rng.standard_normal((200, C))
    exact = OneClassSVM.fit([x])
    approximate = OneClassSVM.fit([x], exact_rows=500, n_components=200)
    assert (exact.kind, approximate.kind) == ("exact", "nystroem")
    assert spearmanr(exact.errors(y), approximate.errors(y)).statistic > 0.95


def test_limit_is_inclusive():
    x = rows(100)
    assert OneClassSVM.fit(batches(x), exact_rows=100).kind == "exact"
    assert OneClassSVM.fit(batches(x), exact_rows=99, n_components=20).kind == "nystroem"


@pytest.mark.parametrize("exact_rows", [1000, 200])
def test_same_seed_same_errors_however_batched(exact_rows):
    x, y = rows(), rows(20, seed=1)
    options = {"exact_rows": exact_rows, "n_components": 50}
    first = OneClassSVM.fit(batches(x), seed=3, **options).errors(y)
    np.testing.assert_array_equal(first, OneClassSVM.fit([x], seed=3, **options).errors(y))
    if exact_rows == 200:
        assert np.abs(first - OneClassSVM.fit([x], seed=4, **options).errors(y)).max() > 1e-6


def test_gamma_of_constant_rows_is_one():
    assert scale_gamma(np.full((4, 3), 0.25)) == 1.0


def test_refuses_no_rows_and_bad_settings():
    with pytest.raises(ValueError, match="got none"):
        OneClassSVM.fit([])
    with pytest.raises(ValueError, match="nu"):
        OneClassSVM.fit([rows(20)], nu=2.0)
