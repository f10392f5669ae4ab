"""Nearest Subspace: the distance of a frame's features to the span of k-means centers of normal ones.

Paper: Sec. 4.3, baseline i), Table 3: k-means to a dictionary of 1000 x 2048, then `min_a ||y - A a||_2`.
Published: the size, the distance, and the closed form a = (A^T A)^-1 A^T y. Ours: mini-batch k-means
(Sculley, WWW 2010), so that memory does not grow with the data, and an orthonormal basis of the span in place
of the inverse, which fails or is inexact where centers are nearly dependent, as those of video are. Centers
are taken in float64: the tolerance on the rank in float32 would cut directions in which real frames differ.
"""

from collections.abc import Iterable, Iterator

import numpy as np
from sklearn.cluster import MiniBatchKMeans

# Initial centers are drawn (k-means++) from this many rows a center, as scikit-learn does; a step of k-means
# takes as many rows, but no fewer than scikit-learn's batch.
ROWS_PER_CENTER, LEAST_BATCH_ROWS = 3, 1024


class NearestSubspace:
    """The span of a dictionary, and distances to it.

    `atoms` is the dictionary (n_atoms, C), one atom a row (A^T of the paper's formula); `basis` float64
    (rank, C) has orthonormal rows that span it. Directions whose singular value is below the rank tolerance
    `s_max * max(n_atoms, C) * eps` (that of NumPy's `matrix_rank`, eps of the atoms' dtype) are noise and
    left out.

    Args:
        atoms: float (n_atoms, C).

    Raises:
        ValueError: atoms that span all C dimensions: every distance would be zero. Only the rank decides;
            1000 atoms in 1024 dimensions work, with 24 directions left to tell frames apart.
    """

    def __init__(self, atoms: np.ndarray):
        self.atoms = atoms = np.asarray(atoms)
        n_atoms, n_features = atoms.shape
        _, singular_values, directions = np.linalg.svd(atoms.astype(np.float64), full_matrices=False)
        tolerance = singular_values[0] * max(atoms.shape) * np.finfo(atoms.dtype).eps
        self.basis = directions[singular_values > tolerance]
        if len(self.basis) == n_features:
            raise ValueError(
                f"atoms: expected a span of fewer than the {n_features} feature dimensions, got rank "
                f"{n_features} from {n_atoms} atoms, so every distance is zero: use fewer atoms"
            )

    @classmethod
    def fit(cls, batches: Iterable[np.ndarray], n_atoms: int = 1000, seed: int = 0) -> "NearestSubspace":
        """Return the subspace of `n_atoms` k-means centers of the rows of all batches, read once.

        The first 3 n_atoms rows, or 1024, give the initial centers: mix the order of clips where scenes
        differ.

        Args:
            batches: float (n, C) each, any n.
            n_atoms: centers.
            seed: of k-means.

        Raises:
            ValueError: fewer rows than atoms, or centers that span all dimensions.
        """
        k_means = MiniBatchKMeans(n_atoms, random_state=seed, n_init=1)
        for n_chunks, chunk in enumerate(
            chunks_of(batches, max(ROWS_PER_CENTER * n_atoms, LEAST_BATCH_ROWS))
        ):
            if not n_chunks and len(chunk) < n_atoms:
                raise ValueError(
                    f"rows: expected at least {n_atoms}, one an atom of the subspace, got {len(chunk)}"
                )
            k_means.partial_fit(chunk.astype(np.float64))
        return cls(k_means.cluster_centers_)

    def errors(self, y: np.ndarray) -> np.ndarray:
        """Return min_a ||y - A a||_2 of each row, float64 (n,), of features y (n, C). Paper: Sec. 4.3."""
        y = np.asarray(y, np.float64)
        return np.linalg.norm(y - (y @ self.basis.T) @ self.basis, axis=1)


def chunks_of(batches: Iterable[np.ndarray], n_rows: int) -> Iterator[np.ndarray]:
    """Yield the rows of all batches in order, `n_rows` at a time, the last chunk being what is left.

    Raises:
        ValueError: no rows at all.
    """
    waiting, n_waiting, n_seen = [], 0, 0
    for batch in batches:
        n_seen += len(batch)
        while len(batch):
            taken, batch = np.split(batch, [n_rows - n_waiting])
            waiting.append(taken)
            n_waiting += len(taken)
            if n_waiting == n_rows:
                yield np.concatenate(waiting)
                waiting, n_waiting = [], 0
    if waiting:
        yield np.concatenate(waiting)
    if not n_seen:
        raise ValueError("batches: expected rows of features, got none")
