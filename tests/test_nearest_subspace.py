"""Nearest Subspace against numpy.linalg.lstsq, and where the span is everything or the data few."""

import numpy as np
import pytest

from models.nearest_subspace import NearestSubspace, chunks_of

C, N_ATOMS = 20, 8


def rows(n=200, seed=0):
    return np.random.default_rng(seed).uniform(0, 1, (n, C)).astype(np.float32)


def distances_by_lstsq(atoms, y):
    """min_a ||y - A a||_2 row by row, A = atoms^T."""
    dictionary = atoms.astype(np.float64).T
    expected = []
    for row in y.astype(np.float64):
        a = np.linalg.lstsq(dictionary, row, rcond=None)[0]
        expected.append(np.linalg.norm(row - dictionary @ a))
    return np.array(expected)


def test_errors_are_those_of_least_squares():
    y = rows(30, seed=1)
    subspace = NearestSubspace.fit([rows()], N_ATOMS)
    assert subspace.atoms.shape == (N_ATOMS, C)
    errors = subspace.errors(y)
    assert errors.shape == (30,)
    np.testing.assert_allclose(errors, distances_by_lstsq(subspace.atoms, y), rtol=1e-9)


def test_dependent_atoms_are_no_obstacle():
    """Repeated, mixed and zero atoms: A^T A is singular, the distance is that to the four that count."""
    independent = rows(4)
    mixed = (independent[0] + 2 * independent[1])[None]
    atoms = np.concatenate([independent, independent, mixed, np.zeros((1, C), np.float32)])
    subspace = NearestSubspace(atoms)
    y = rows(10, seed=1)
    assert subspace.basis.shape == (4, C)
    np.testing.assert_allclose(subspace.basis @ subspace.basis.T, np.eye(4), atol=1e-12)
    np.testing.assert_allclose(subspace.errors(y), distances_by_lstsq(independent, y), rtol=1e-5)


def test_what_is_in_the_span_has_no_distance():
    subspace = NearestSubspace(rows(5))
    inside = np.random.default_rng(2).standard_normal((6, 5)) @ rows(5)
    assert subspace.errors(inside).max() < 1e-5 * np.linalg.norm(inside, axis=1).min()


def test_planted_outlier_ranks_first():
    rng = np.random.default_rng(3)
    normal = rng.standard_normal((300, 4)) @ rng.standard_normal((4, C)) + 0.01 * rng.standard_normal(
        (300, C)
    )
    y = normal[:50].copy()
    y[17] += rng.standard_normal(C)
    assert NearestSubspace.fit([normal], N_ATOMS).errors(y).argmax() == 17


def test_centers_find_the_clusters():
    centers = rows(5) * 10
    rng = np.random.default_rng(4)
    x = np.concatenate([center + 0.01 * rng.standard_normal((60, C)) for center in centers])
    atoms = NearestSubspace.fit([rng.permutation(x)], 5).atoms
    nearest = np.linalg.norm(centers[:, None] - atoms[None], axis=-1).min(1)
    assert nearest.max() < 0.05


def test_batch_sizes_do_not_matter_but_the_seed_does():
    x = rows(100)
    whole = NearestSubspace.fit([x], N_ATOMS, seed=1).atoms
    parts = NearestSubspace.fit(iter([x[:3], x[3:3], x[3:77], x[77:]]), N_ATOMS, seed=1).atoms
    np.testing.assert_array_equal(whole, parts)
    assert np.abs(whole - NearestSubspace.fit([x], N_ATOMS, seed=2).atoms).max() > 1e-3


@pytest.mark.parametrize("n_atoms", [C, C + 5])
def test_refuses_a_span_that_is_everything(n_atoms):
    with pytest.raises(ValueError, match=f"rank {C} from {n_atoms} atoms"):
        NearestSubspace.fit([rows()], n_atoms)


def test_many_atoms_of_low_rank_are_accepted():
    low_rank = np.random.default_rng(5).standard_normal((C + 5, 3)) @ rows(3)
    assert len(NearestSubspace(low_rank).basis) == 3


def test_refuses_too_few_rows():
    with pytest.raises(ValueError, match=rf"at least {N_ATOMS}, one an atom .*, got 5"):
        NearestSubspace.fit([rows(5)], N_ATOMS)
    with pytest.raises(ValueError, match="got none"):
        NearestSubspace.fit([], N_ATOMS)


@pytest.mark.parametrize("sizes", [[10], [1] * 10, [4, 0, 6], [3, 3, 4]])
def test_chunks_keep_rows_and_order(sizes):
    x = np.arange(20).reshape(10, 2)
    batches = np.split(x, np.cumsum(sizes)[:-1])
    chunks = list(chunks_of(batches, 4))
    assert [len(chunk) for chunk in chunks] == [4, 4, 2]
    np.testing.assert_array_equal(np.concatenate(chunks), x)
