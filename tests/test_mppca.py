"""MPPCA: densities against SciPy and scikit-learn, EM by its likelihood, node features by counting."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.decomposition import PCA

from models.quoted import mppca
from models.quoted.mppca import MixtureOfPPCA, NodeFlow, NodeMixtures, node_flow

C = 8


def cluster(n, center, scales, seed=0):
    """Samples around a center whose spread is large in a few directions."""
    rng = np.random.default_rng(seed)
    turn, _ = np.linalg.qr(rng.standard_normal((C, C)))
    widths = np.r_[scales, np.full(C - len(scales), 0.1)]
    return center + (rng.standard_normal((n, C)) * widths) @ turn.T


def test_one_component_is_probabilistic_pca():
    """scikit-learn divides scatters by n - 1, hence so many samples."""
    x, y = cluster(20_000, 1.0, [3, 2]), cluster(50, 1.0, [3, 2], seed=1)
    model = MixtureOfPPCA.fit(x, n_components=1, latent=3)
    np.testing.assert_allclose(model.log_density(y), PCA(3).fit(x).score_samples(y), rtol=1e-3)


def test_density_is_that_of_the_mixture():
    x = np.concatenate([cluster(300, -4.0, [2], 1), cluster(200, 4.0, [1, 1], 2)])
    model = MixtureOfPPCA.fit(x, n_components=2, latent=2)
    expected = np.zeros(20)
    for weight, mean, U, variances in zip(
        model.weights, model.means, model.directions, model.variances, strict=True
    ):
        W = U * np.sqrt(variances - model.noise)
        covariance = W @ W.T + model.noise * np.eye(C)
        expected += weight * multivariate_normal(mean, covariance).pdf(x[:20])
    np.testing.assert_allclose(model.log_density(x[:20]), np.log(expected), rtol=1e-6)
    np.testing.assert_allclose(sorted(model.weights), [0.4, 0.6], atol=0.01)


def test_every_round_of_em_raises_the_likelihood():
    x = np.concatenate([cluster(150, 0.0, [2, 1], 3), cluster(150, 1.0, [1, 1, 1], 4)])
    shares = np.random.default_rng(5).dirichlet(np.ones(3), len(x))
    likelihoods = []
    for _ in range(15):
        model = MixtureOfPPCA.of_shares(x, shares, latent=2)
        joint = model._joint(x)
        likelihoods.append(np.logaddexp.reduce(joint, axis=1).mean())
        shares = np.exp(joint - np.logaddexp.reduce(joint, axis=1)[:, None])
    assert (np.diff(likelihoods) > -1e-9).all()
    assert likelihoods[-1] > likelihoods[0] + 0.1


def test_samples_that_are_few_or_alike_still_have_a_density():
    for x in (np.ones((1, C)), np.ones((5, C)), np.eye(C)[:2]):
        assert np.isfinite(MixtureOfPPCA.fit(x, 3, 6).log_density(x)).all()


def test_node_features_are_shares_and_mean_speeds():
    rng = np.random.default_rng(6)
    flow = rng.normal(0, 0.6, (90, 120, 2)).astype(np.float32)
    found = node_flow(flow, 40)
    assert found.features.shape == (3, 3, 36)
    for row, column, part in np.ndindex(3, 3, 4):
        top, left = 40 * row + 20 * (part // 2), 40 * column + 20 * (part % 2)
        piece = flow[top : top + 20, left : left + 20].reshape(-1, 2)
        numbers = found.features[row, column, 9 * part : 9 * part + 9]
        if not len(piece):
            assert (numbers == 0).all()
            continue
        length = np.linalg.norm(piece, axis=1)
        angle = np.degrees(np.arctan2(piece[:, 1], piece[:, 0])) % 360
        shares = [((angle // 45 == one) & (length > 0.3)).mean() for one in range(8)]
        np.testing.assert_allclose(numbers, [*shares, length.mean()], atol=2e-3)
    flow[:40, :40], flow[:40, 40:80] = 0, 0
    flow[:9, :9] = 1  # 81 of 1600 px: just over a twentieth
    flow[:8, 40:49] = 1  # 72: under it
    np.testing.assert_array_equal(node_flow(flow, 40).moves[0], [True, False, True])


def flows(n, speed, seed):
    """Frames of a person's width of flow, to the right, in every node of 2 x 2."""
    rng = np.random.default_rng(seed)
    for _ in range(n):
        flow = np.zeros((80, 80, 2), np.float32)
        for top in (0, 40):
            for left in (0, 40):
                y, x = top + rng.integers(0, 20), left + rng.integers(0, 20)
                flow[y : y + 20, x : x + 15] = (
                    speed + 0.1 * rng.standard_normal(),
                    0.2 * rng.standard_normal(),
                )
        yield node_flow(flow, 40)


def test_planted_speed_scores_highest_and_rest_scores_what_is_usual():
    model = NodeMixtures.fit([flows(250, 1.0, 0)])
    assert len({id(mixture) for mixture in model.mixtures}) == 4
    normal, fast = (np.stack(list(model.maps(flows(12, speed, 1)))) for speed in (1.0, 3.0))
    assert fast.min() > normal.max()
    still = NodeFlow(np.zeros((2, 2, 36), np.float32), np.zeros((2, 2), bool))
    resting = np.stack(list(model.maps([still] * 6)))
    np.testing.assert_allclose(resting, np.stack([resting[0]] * 6))
    assert resting.max() < fast.min()
    assert np.median(normal) - 15 < resting.mean() < np.median(normal) + 15


def test_nodes_of_few_samples_share_the_model_of_all():
    model = NodeMixtures.fit([flows(40, 1.0, 0)])
    assert len({id(mixture) for mixture in model.mixtures}) == 1
    assert mppca.LEAST_SAMPLES > 40


def test_refuses_rest_alone_and_frames_of_two_sizes():
    still = NodeFlow(np.zeros((2, 2, 36), np.float32), np.zeros((2, 2), bool))
    with pytest.raises(ValueError, match="something moves"):
        NodeMixtures.fit([[still]])
    with pytest.raises(ValueError, match="one size"):
        NodeMixtures.fit([flows(2, 1, 0), [node_flow(np.ones((40, 40, 2), np.float32), 40)]])
