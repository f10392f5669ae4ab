"""Principal directions against NumPy's singular value decomposition, and the dictionary made of them."""

import numpy as np
import pytest

from models.principal import Projection, n_directions, principal_directions, signed_dictionary

rng = np.random.default_rng(0)
X = (rng.standard_normal((200, 30)) * 0.7 ** np.arange(30)).astype(np.float32)


def blocks():
    return (X[first : first + 64] for first in range(0, 200, 64))


def test_directions_are_the_right_singular_vectors():
    V = principal_directions(blocks, 5)
    expected = np.linalg.svd(X)[2][:5].T
    assert V.shape == (30, 5)
    np.testing.assert_allclose(np.abs((V * expected).sum(0)), 1, atol=1e-3)
    np.testing.assert_allclose(V.T @ V, np.eye(5), atol=1e-5)


def test_directions_may_be_as_many_as_features():
    V = principal_directions(blocks, 30)
    np.testing.assert_allclose(V.T @ V, np.eye(30), atol=1e-4)


@pytest.mark.parametrize("n_atoms", [6, 5])
def test_codes_that_cannot_be_negative_need_both_signs(n_atoms):
    V = principal_directions(blocks, 3)
    A = signed_dictionary(V, n_atoms, "nonnegative")
    assert A.shape == (30, n_atoms)
    np.testing.assert_array_equal(A[:, :3], V)
    np.testing.assert_array_equal(A[:, 3:], -V[:, : n_atoms - 3])


def test_codes_of_either_sign_need_each_direction_once():
    V = principal_directions(blocks, 5)
    np.testing.assert_array_equal(signed_dictionary(V, 5, "two_sided"), V)


def test_the_error_of_a_projection_is_the_energy_outside_its_span():
    """Against least squares on the directions; block by block as in one."""
    V = principal_directions(blocks, 4)
    x = X[:40].reshape(4, 10, 30)
    rest = x - (V @ np.linalg.lstsq(V, X[:40].T, rcond=None)[0]).T.reshape(x.shape)
    projection = Projection(V)
    errors = [projection.step(x[:, t : t + 5], projection.initial_state(4))[0]["error"] for t in (0, 5)]
    np.testing.assert_allclose(np.concatenate(errors, 1), np.square(rest).sum(-1), rtol=1e-3)


def test_atoms_count_directions():
    assert [n_directions(5, threshold) for threshold in ("nonnegative", "two_sided")] == [3, 5]
