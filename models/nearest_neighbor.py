"""Nearest Neighbor: the mean distance of a row to the k normal rows that are nearest to it.

Not in the paper: the simplest model that the same features can be given, so that what the features do can be
told from what sRNN-AE does. scikit-learn's brute-force search; of many rows an even sample is kept, so that
neither memory nor the time of a search grows with the footage.
"""

from collections.abc import Iterable

import numpy as np
from sklearn.neighbors import NearestNeighbors

from models.nearest_subspace import chunks_of


class NearestNeighbor:
    """Normal rows, and distances to them; make it with `fit`.

    Args:
        rows: float (n, C).
        n_neighbors: k.

    Raises:
        ValueError: fewer rows than k.
    """

    def __init__(self, rows: np.ndarray, n_neighbors: int = 5) -> None:
        if len(rows) < n_neighbors:
            raise ValueError(f"rows: expected at least {n_neighbors} (n_neighbors), got {len(rows)}")
        self.rows = rows
        self.search = NearestNeighbors(n_neighbors=n_neighbors, algorithm="brute").fit(rows)

    @classmethod
    def fit(
        cls, batches: Iterable[np.ndarray], n_neighbors: int = 5, most_rows: int = 20_000, seed: int = 0
    ) -> "NearestNeighbor":
        """Return the model of the rows of all batches, read once; of more than `most_rows`, that many.

        Every row is equally likely to be kept (reservoir sampling, Vitter 1985).

        Args:
            batches: float (n, C) each, any n.
            n_neighbors: k.
            most_rows: rows that are kept at most.
            seed: of the sample.

        Raises:
            ValueError: fewer rows than k.
        """
        rng = np.random.default_rng(seed)
        kept, n_seen = np.empty((0, 0)), 0
        for rows in chunks_of(batches, most_rows):
            if not n_seen:
                kept, n_seen = rows.copy(), len(rows)
                continue
            place = rng.integers(n_seen + 1 + np.arange(len(rows)))
            for row, index in zip(rows, place, strict=True):
                if index < most_rows:
                    kept[index] = row
            n_seen += len(rows)
        return cls(kept, n_neighbors)

    def errors(self, y: np.ndarray) -> np.ndarray:
        """Return the mean distance to the k nearest rows, float64 (n,), of features y (n, C)."""
        distances, _ = self.search.kneighbors(np.asarray(y))
        return distances.mean(axis=1).astype(np.float64)
