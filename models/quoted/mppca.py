"""MPPCA as Mahadevan et al. 2010 ran it: mixtures of probabilistic PCA on the flow at each node, without MRF.

Kim & Grauman, "Observe locally, infer globally", CVPR 2009, model the flow at every node of a grid by a
mixture of probabilistic principal component analyzers and join the nodes by a Markov random field. The 69.3 %
of the paper's table is from Mahadevan et al., "Anomaly detection in crowded scenes", CVPR 2010, who left the
field out: they average the scores of nodes in space and time. The density of a node's features x is

    p(x) = sum_i pi_i N(x | mu_i, W_i W_i^T + sigma^2 I)

fitted by expectation and maximization (Tipping & Bishop, "Mixtures of probabilistic principal component
analyzers", Neural Computation 1999); the score is -log p(x).

Source (lftongheat/GraduateThesis): nodes of 40 x 40 px, 2 x 2 subregions of 8 orientations and a speed each,
3 components, one sigma^2 for all of them. Our inferences: the latent dimension 6; an orientation's number is
the share of pixels that move there, the speed the mean length of flow, a pixel moves above 0.3 px; a node in
which less than a twentieth moves is at rest: training leaves it out, and it scores what is usual for the
node, the median; a node with under 200 samples takes the model of all nodes; scores are averaged over 3 x 3
nodes and 5 frames; a frame's score is the maximum.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from sklearn.cluster import KMeans

from models.quoted.cell_maps import CellGrid, smoothed
from models.quoted.reservoir import Reservoir

NODE_SIDE = 20  # entries of the flow, which has half the picture's size: 40 px
SUBREGIONS = 2
ORIENTATIONS = 8
N_FEATURES = SUBREGIONS**2 * (ORIENTATIONS + 1)
MOVING_PX, LEAST_MOVING = 0.3, 0.05
N_COMPONENTS, LATENT = 3, 6
LEAST_SAMPLES, MOST_SAMPLES = 200, 5000
LEAST_NOISE = 1e-4
MOST_ROUNDS, TOLERANCE = 100, 1e-5
SMOOTHING = (5, 3, 3)


@dataclass(frozen=True)
class NodeFlow:
    """The flow at the nodes of one frame.

    Attributes:
        features: float32 (rows, columns, 36): for each of four subregions, 8 orientations and the speed.
        moves: bool (rows, columns).
    """

    features: np.ndarray
    moves: np.ndarray


def node_flow(flow: np.ndarray, node_side: int = NODE_SIDE) -> NodeFlow:
    """Return the features of a frame's flow, float32 (h, w, 2), in px a frame."""
    length, angle = cv2.cartToPolar(flow[..., 0], flow[..., 1])
    moves = length > MOVING_PX
    orientation = np.where(moves, (angle * (ORIENTATIONS / (2 * np.pi))).astype(int) % ORIENTATIONS, -1)
    nodes = CellGrid.of_cells(node_side, flow.shape)
    part = node_side / SUBREGIONS
    parts = CellGrid(nodes.rows * SUBREGIONS, nodes.columns * SUBREGIONS, part, part)
    numbers = [parts.means(orientation == one) for one in range(ORIENTATIONS)] + [parts.means(length)]
    blocks = np.stack(numbers, axis=-1).reshape(nodes.rows, SUBREGIONS, nodes.columns, SUBREGIONS, -1)
    features = blocks.swapaxes(1, 2).reshape(nodes.rows, nodes.columns, N_FEATURES)
    return NodeFlow(features.astype(np.float32), nodes.means(moves) >= LEAST_MOVING)


class MixtureOfPPCA:
    """A mixture of probabilistic principal component analyzers; make it with `fit`.

    Component i has weight `weights[i]`, mean `means[i]`, and the covariance with the leading eigenvectors
    `directions[i]` (C, q), their eigenvalues `variances[i]` (q,), and `noise` = sigma^2 in all others.
    """

    def __init__(
        self,
        weights: np.ndarray,
        means: np.ndarray,
        directions: np.ndarray,
        variances: np.ndarray,
        noise: float,
    ) -> None:
        self.weights, self.means = weights, means
        self.directions, self.variances, self.noise = directions, variances, noise

    @classmethod
    def fit(
        cls, x: np.ndarray, n_components: int = N_COMPONENTS, latent: int = LATENT, seed: int = 0
    ) -> "MixtureOfPPCA":
        """Return the mixture of greatest likelihood that EM reaches from k-means.

        Args:
            x: samples, float (n, C).
            n_components: of the mixture; fewer where there are fewer samples.
            latent: columns of each W, below C.
            seed: of k-means.
        """
        x = np.asarray(x, np.float64)
        k_means = KMeans(min(n_components, len(np.unique(x, axis=0))), n_init=1, random_state=seed).fit(x)
        shares = np.eye(k_means.n_clusters)[k_means.labels_]
        before = -np.inf
        for _ in range(MOST_ROUNDS):
            model = cls.of_shares(x, shares, latent)
            joint = model._joint(x)
            likelihood = np.logaddexp.reduce(joint, axis=1)
            shares = np.exp(joint - likelihood[:, None])
            if likelihood.mean() - before < TOLERANCE * abs(likelihood.mean()):
                break
            before = likelihood.mean()
        return model

    @classmethod
    def of_shares(cls, x: np.ndarray, shares: np.ndarray, latent: int) -> "MixtureOfPPCA":
        """Return the best mixture given which share, (n, K), of each sample a component takes: the M-step.

        The directions of W_i are the leading ones of the component's scatter; sigma^2 is the mean variance
        that all components leave out.
        """
        counts = np.maximum(shares.sum(axis=0), 1e-12)
        means = shares.T @ x / counts[:, None]
        scatters = [
            (x - mean).T @ ((x - mean) * share[:, None]) / count
            for mean, share, count in zip(means, shares.T, counts, strict=True)
        ]
        variances, directions = np.linalg.eigh(scatters)
        left = variances.shape[1] - latent
        weights = counts / counts.sum()
        noise = max(LEAST_NOISE, float(weights @ variances[:, :left].mean(axis=1)))
        # A direction that varies less than the noise is noise.
        return cls(weights, means, directions[:, :, left:], np.maximum(variances[:, left:], noise), noise)

    def log_density(self, x: np.ndarray) -> np.ndarray:
        """Return log p of samples, float (n, C): float64 (n,)."""
        return np.logaddexp.reduce(self._joint(np.asarray(x, np.float64)), axis=1)

    def _joint(self, x: np.ndarray) -> np.ndarray:
        """Return log pi_i N(x | mu_i, W_i W_i^T + sigma^2 I), (n, K)."""
        joint = np.empty((len(x), len(self.weights)))
        for index, (weight, mean, directions, variances) in enumerate(
            zip(self.weights, self.means, self.directions, self.variances, strict=True)
        ):
            centered = x - mean
            along = centered @ directions
            distance = (along**2 / variances).sum(axis=1)
            distance += ((centered**2).sum(axis=1) - (along**2).sum(axis=1)) / self.noise
            n_left = x.shape[1] - len(variances)
            log_volume = (
                np.log(variances).sum() + n_left * np.log(self.noise) + x.shape[1] * np.log(2 * np.pi)
            )
            joint[:, index] = np.log(weight) - (distance + log_volume) / 2
        return joint


class NodeMixtures:
    """A mixture at each node; make it with `fit`.

    Attributes:
        mixtures: of each node, row by row; those of too few samples are one and the same.
        at_rest: (rows, columns), the score of a node that does not move.
    """

    def __init__(self, mixtures: list[MixtureOfPPCA], at_rest: np.ndarray):
        self.mixtures, self.at_rest = mixtures, at_rest

    @classmethod
    def fit(cls, clips: Iterable[Iterable[NodeFlow]], latent: int = LATENT, seed: int = 0) -> "NodeMixtures":
        """Return the mixtures of training clips, read once.

        Args:
            clips: the `node_flow` of each clip's frames, all of the same grid.
            latent: dimension of the mixtures' components. Our inference.
            seed: of k-means, and of the draw of 5,000 samples a node, where there are more. Our inference,
                so that memory is bounded.

        Raises ValueError: nothing moves in any frame, frames of different sizes.
        """
        reservoirs: list[Reservoir] = []
        for frame in (frame for clip in clips for frame in clip):
            if not reservoirs:
                shape = frame.moves.shape
                reservoirs = [Reservoir(MOST_SAMPLES, seed + node) for node in range(frame.moves.size)]
            if frame.moves.shape != shape:
                raise ValueError(
                    f"clips: expected frames of one size, got {shape} and {frame.moves.shape} nodes"
                )
            for node in np.flatnonzero(frame.moves):
                reservoirs[node].add(frame.features.reshape(-1, N_FEATURES)[node : node + 1])
        samples = [reservoir.rows() for reservoir in reservoirs if reservoir.n_seen]
        if not samples:
            raise ValueError("clips: expected frames in which something moves, got none")
        pooled = Reservoir(MOST_SAMPLES, seed)
        for rows in samples:
            pooled.add(rows)
        everywhere = MixtureOfPPCA.fit(pooled.rows(), latent=latent, seed=seed)
        mixtures, at_rest = [], []
        for reservoir in reservoirs:
            enough = reservoir.n_seen >= LEAST_SAMPLES
            mixtures.append(
                MixtureOfPPCA.fit(reservoir.rows(), latent=latent, seed=seed) if enough else everywhere
            )
            usual = reservoir.rows() if enough else pooled.rows()
            at_rest.append(-np.median(mixtures[-1].log_density(usual)))
        return cls(mixtures, np.reshape(at_rest, shape))

    def maps(self, frames: Iterable[NodeFlow]) -> Iterator[np.ndarray]:
        """Yield -log p of each node, float64 (rows, columns), smoothed, one map a frame.

        Args:
            frames: the `node_flow` of a clip's frames.
        """
        return smoothed(map(self._scores, frames), SMOOTHING)

    def _scores(self, frame: NodeFlow) -> np.ndarray:
        scores = self.at_rest.copy()
        features = frame.features.reshape(-1, N_FEATURES)
        for node in np.flatnonzero(frame.moves):
            scores.flat[node] = -self.mixtures[node].log_density(features[node : node + 1])[0]
        return scores
