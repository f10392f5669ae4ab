"""Sparse combinations: planted subspaces are found, errors are least squares, the objective falls."""

import numpy as np
import pytest

from models.quoted.lu import SparseCombinations, next_combination, residuals, sparse_combinations

C, D = 30, 4


def planted(n, basis, rng, noise=0.0):
    """Rows of length 1 in the span of a basis."""
    x = rng.standard_normal((n, basis.shape[1])) @ basis.T + noise * rng.standard_normal((n, len(basis)))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def subspaces():
    rng = np.random.default_rng(0)
    basis, _ = np.linalg.qr(rng.standard_normal((C, 2 * D)))
    return basis[:, :D], basis[:, D:]


def test_errors_are_those_of_least_squares(subspaces):
    rng = np.random.default_rng(1)
    x = planted(20, np.eye(C), rng)
    model = SparseCombinations(np.eye(C, dtype=np.float32), np.stack(subspaces).astype(np.float32))
    expected = [
        min(np.linalg.lstsq(S, row, rcond=None)[1][0] for S in subspaces) for row in x.astype(np.float64)
    ]
    np.testing.assert_allclose(model.errors(x), expected, rtol=1e-4)


def test_planted_subspaces_are_found_and_what_is_outside_is_not(subspaces):
    """Two subspaces, one of them rarer: no combination of D directions takes both."""
    rng = np.random.default_rng(2)
    x = np.concatenate([planted(900, subspaces[0], rng, 0.01), planted(100, subspaces[1], rng, 0.01)])
    model = SparseCombinations.fit([[x[::2]], [x[1::2]]], n_components=C, n_directions=D, threshold=0.2)
    assert len(model.combinations) == 2
    for rows in (planted(50, basis, rng) for basis in subspaces):
        assert model.errors(rows).max() < 0.01
    outside, _ = np.linalg.qr(np.concatenate([*subspaces, rng.standard_normal((C, 2))], axis=1))
    assert model.errors(planted(50, outside[:, -2:], rng)).min() > 0.9


def test_a_combination_takes_what_is_near_and_the_objective_falls(subspaces):
    rng = np.random.default_rng(3)
    x = np.concatenate([planted(300, subspaces[0], rng, 0.05), planted(60, np.eye(C), rng)])
    threshold = 0.2

    def objective(S, taken):
        return sum(np.linalg.lstsq(S, row, rcond=None)[1][0] - threshold for row in x[taken].astype(float))

    S, taken = next_combination(x, D, threshold)
    np.testing.assert_allclose(S.T @ S, np.eye(D), atol=1e-5)
    np.testing.assert_array_equal(taken, residuals(x, S) <= threshold)
    _, _, rows = np.linalg.svd(x, full_matrices=False)
    first = rows[:D].T  # the best basis of all rows, where it starts
    assert objective(S, taken) < objective(first, residuals(x, first) <= threshold)
    for _ in range(20):
        turned, _ = np.linalg.qr(S + 0.1 * rng.standard_normal(S.shape))
        assert objective(S, taken) <= objective(turned, taken)


def test_training_ends_where_nothing_is_near():
    x = planted(40, np.eye(C), np.random.default_rng(4))
    assert sparse_combinations(x, 2, 1e-9, 0.01).shape == (1, C, 2)
    assert len(sparse_combinations(x[:3], 20, 0.2, 0.01)) == 1  # fewer rows than directions


def test_map_is_the_smoothed_error_and_0_where_nothing_moves():
    basis = np.eye(500, D, dtype=np.float32)
    model = SparseCombinations(np.eye(500, dtype=np.float32), basis[None])
    normal, abnormal = basis.T[:1], np.eye(500, dtype=np.float32)[-1:]
    frames = [(np.concatenate([normal, abnormal]), np.array([2, 6]), np.array([3, 8]))] * 7
    still = [(np.zeros((0, 500), np.float32), np.zeros(0, int), np.zeros(0, int))] * 3
    maps = np.stack(list(model.maps(frames + still)))
    assert maps.shape == (10, 12, 16)
    expected = np.zeros((12, 16))
    expected[4:9, 6:11] = 1 / 25
    np.testing.assert_allclose(maps[3], expected, atol=1e-6)
    np.testing.assert_allclose(maps[6, 6, 8], 3 / 5 / 25, rtol=1e-5)
    assert (maps[9] == 0).all()


def test_seed_decides_and_no_cuboids_are_refused(subspaces):
    x = planted(200, np.concatenate(subspaces, axis=1), np.random.default_rng(5), 0.05)
    first, second = (SparseCombinations.fit([[x]], C, D, seed=7).errors(x) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    with pytest.raises(ValueError, match="clips: expected frames in which something moves, got none"):
        SparseCombinations.fit([[np.zeros((0, C))]])
