"""After Lu et al. 2013: sparse combinations of cuboids of gradients, and the distance to the nearest one.

Lu, Shi & Jia, "Abnormal Event Detection at 150 FPS in MATLAB", ICCV 2013. A combination is a basis S of few
directions. Training finds combinations so that every normal cuboid x lies near one of them:

    min_{S, gamma}  sum_j gamma_j (||x_j - S b_j||^2 - lambda),   b_j = S^+ x_j,   gamma_j in {0, 1}

for the cuboids that no earlier combination took; those with ||x_j - S b_j||^2 <= lambda are taken, and the
rest go on to the next one. The error of a cuboid is min_i ||x - S_i S_i^+ x||^2.

"After": this follows the authors' release, one model for the whole picture on one scale, not their paper,
which has 208 regions on three scales with a model each. Our inferences, besides those that the parameters
name: S is the best basis of the cuboids that it takes, the leading eigenvectors of their scatter, found in
turns with gamma (the release descends a gradient); the error is the smallest of all combinations (the release
takes the first below a threshold); a frame's score is the maximum of its map, smoothed 5 x 5 x 5.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from models.quoted.cell_maps import smoothed
from models.quoted.reservoir import Reservoir

N_COMPONENTS = 100
N_DIRECTIONS = 20
LAMBDA = 0.21
LEAST_SHARE = 0.01
CLIP_CUBOIDS = 7000
MOST_CUBOIDS = 100_000
MOST_TURNS = 20
GRID = (12, 16)
SMOOTHING = (5, 5, 5)


class SparseCombinations:
    """Fitted combinations; make it with `fit`.

    Attributes:
        projection: float32 (500, n_components), the principal directions of training cuboids.
        combinations: float32 (n_combinations, n_components, n_directions), orthonormal columns each.
    """

    def __init__(self, projection: np.ndarray, combinations: np.ndarray):
        self.projection, self.combinations = projection, combinations

    @classmethod
    def fit(
        cls,
        clips: Iterable[Iterable[np.ndarray]],
        n_components: int = N_COMPONENTS,
        n_directions: int = N_DIRECTIONS,
        threshold: float = LAMBDA,
        least_share: float = LEAST_SHARE,
        seed: int = 0,
    ) -> "SparseCombinations":
        """Return the combinations of training cuboids, read once.

        As in the release, the principal directions are those of the centered cuboids, and cuboids are
        projected on them as they are.

        Args:
            clips: for each clip its cuboids, float (n, 500) of length 1, any n at a time; 7,000 a clip are
                drawn (source: the release), and 100,000 of all (our inference, so that memory is bounded).
            n_components: principal components. Source: the release.
            n_directions: of a combination. Source: the release.
            threshold: lambda. Source: 0.21 in a re-implementation (wenqingchu/aed); the release has 0.24 and
                0.10 in its versions.
            least_share: of the cuboids, below which training stops. Our inference; the release goes on to
                the last one.
            seed: of the draw.

        Raises ValueError: no cuboids at all, as nothing moves.
        """
        reservoir = Reservoir(MOST_CUBOIDS, seed)
        for index, clip in enumerate(clips):
            of_clip = Reservoir(CLIP_CUBOIDS, seed + 1 + index)
            for cuboids in clip:
                of_clip.add(cuboids)
            if of_clip.n_seen:
                reservoir.add(of_clip.rows())
        if not reservoir.n_seen:
            raise ValueError("clips: expected frames in which something moves, got none")
        x = reservoir.rows()
        projection = leading_directions(np.cov(x, rowvar=False), n_components)
        return cls(projection, sparse_combinations(x @ projection, n_directions, threshold, least_share))

    def errors(self, cuboids: np.ndarray) -> np.ndarray:
        """Return min_i ||x - S_i S_i^+ x||^2, (n,), of cuboids (n, 500)."""
        x = np.asarray(cuboids, np.float32) @ self.projection
        return np.min([residuals(x, S) for S in self.combinations], axis=0)

    def maps(self, frames: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> Iterator[np.ndarray]:
        """Yield the error of each cell, float32 (12, 16), smoothed, one map a frame; 0 where nothing moves.

        Args:
            frames: of one clip: the cuboids (n, 500) of each frame with their rows and columns (n,).
        """
        return smoothed(self._raw_maps(frames), SMOOTHING)

    def _raw_maps(self, frames: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> Iterator[np.ndarray]:
        for cuboids, rows, columns in frames:
            cells = np.zeros(GRID, np.float32)
            if len(cuboids):
                cells[rows, columns] = self.errors(cuboids)
            yield cells


def sparse_combinations(x: np.ndarray, n_directions: int, threshold: float, least_share: float) -> np.ndarray:
    """Return combinations (n_combinations, C, n_directions) that take the rows of x, (n, C), one by one.

    They end when fewer than `least_share` of the rows are left, or when no row of those is near the next.
    """
    combinations: list[np.ndarray] = []
    left = x
    while len(left) > least_share * len(x):
        S, taken = next_combination(left, n_directions, threshold)
        if taken.any() or not combinations:
            combinations.append(S)
        if not taken.any():
            break
        left = left[~taken]
    return np.stack(combinations)


def next_combination(x: np.ndarray, n_directions: int, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Return a combination S, (C, n_directions), and which rows of x, (n, C), it takes: gamma, bool (n,).

    S given gamma and gamma given S take turns, each the best, so that the objective only falls.
    """
    taken = np.ones(len(x), bool)
    for _ in range(MOST_TURNS):
        S = leading_directions(x[taken].T @ x[taken], n_directions)
        now = residuals(x, S) <= threshold
        if (now == taken).all() or not now.any():
            return S, now
        taken = now
    return S, taken


def residuals(x: np.ndarray, S: np.ndarray) -> np.ndarray:
    """Return ||x - S S^+ x||^2, (n,), of rows x, (n, C); the columns of S, (C, d), are orthonormal."""
    return np.maximum((x**2).sum(axis=1) - ((x @ S) ** 2).sum(axis=1), 0)


def leading_directions(scatter: np.ndarray, n_directions: int) -> np.ndarray:
    """Return the eigenvectors of the largest eigenvalues of a scatter, float32 (C, at most n_directions)."""
    _, vectors = np.linalg.eigh(scatter.astype(np.float64))
    return np.ascontiguousarray(vectors[:, ::-1][:, :n_directions], np.float32)
