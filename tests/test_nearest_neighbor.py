"""Nearest Neighbor against distances taken one by one; the sample is even and has its size."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from models.nearest_neighbor import NearestNeighbor


def test_distance_is_the_mean_to_the_nearest_rows():
    rng = np.random.default_rng(0)
    rows, y = rng.normal(size=(50, 7)), rng.normal(size=(9, 7))
    model = NearestNeighbor.fit(np.array_split(rows, 4), n_neighbors=3)
    np.testing.assert_array_equal(model.rows, rows)
    expected = np.sort(cdist(y, rows), axis=1)[:, :3].mean(axis=1)
    np.testing.assert_allclose(model.errors(y), expected, rtol=1e-6)
    assert model.errors(y.astype(np.float32)).dtype == np.float64


def test_of_many_rows_an_even_sample_is_kept():
    kept = np.zeros(60)
    for seed in range(300):
        batches = np.split(np.arange(60.0)[:, None], [7, 20, 21])
        rows = NearestNeighbor.fit(batches, n_neighbors=1, most_rows=15, seed=seed).rows[:, 0]
        assert len(set(rows)) == 15
        kept[rows.astype(int)] += 1
    expected = 300 * 15 / 60
    assert np.sum((kept - expected) ** 2 / expected) < 105  # chi squared, 59 degrees of freedom, 0.02 %


def test_the_same_seed_keeps_the_same_rows():
    batches = [np.random.default_rng(1).normal(size=(100, 2))]
    first, again, other = (NearestNeighbor.fit(batches, most_rows=20, seed=s).rows for s in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_too_few_rows_are_refused():
    with pytest.raises(ValueError, match=r"expected at least 5 \(n_neighbors\), got 3"):
        NearestNeighbor.fit([np.zeros((3, 2))])
    with pytest.raises(ValueError, match="expected rows of features, got none"):
        NearestNeighbor.fit([])
