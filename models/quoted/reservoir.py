"""A uniform sample of rows that stream past, so that memory does not grow with the data."""

import numpy as np


class Reservoir:
    """At most `n_rows` of the rows that were added, each subset of that size equally likely.

    Every row draws a number and the rows with the smallest stay. At most twice as many are held.

    Args:
        n_rows: most rows to keep.
        seed: of the draws.
    """

    def __init__(self, n_rows: int, seed: int = 0):
        self.n_rows = n_rows
        self.n_seen = 0
        self._rng = np.random.default_rng(seed)
        self._limit = 1.0  # a row that draws more cannot stay
        self._draws: list[np.ndarray] = []
        self._rows: list[np.ndarray] = []
        self._n_held = 0

    def add(self, rows: np.ndarray) -> None:
        """Add rows, (n, ...)."""
        draws = self._rng.random(len(rows))
        self.n_seen += len(rows)
        kept = draws < self._limit
        if kept.any():
            self._draws.append(draws[kept])
            self._rows.append(np.asarray(rows)[kept])
            self._n_held += len(self._draws[-1])
        if self._n_held > 2 * self.n_rows:
            self._shrink()

    def rows(self) -> np.ndarray:
        """Return the sample, (at most n_rows, ...), in the order in which it came. ValueError: no rows."""
        if not self._n_held:
            raise ValueError("rows: expected at least one to sample, got none")
        self._shrink()
        return self._rows[0]

    def _shrink(self) -> None:
        draws, rows = np.concatenate(self._draws), np.concatenate(self._rows)
        if len(draws) > self.n_rows:
            self._limit = np.partition(draws, self.n_rows - 1)[self.n_rows - 1]
            kept = draws <= self._limit
            draws, rows = draws[kept], rows[kept]
        self._draws, self._rows, self._n_held = [draws], [rows], len(draws)
