"""The layer of the stacked RNN against Algorithm 1 in NumPy, and against its own streaming form."""

import keras
import numpy as np
import pytest
from algorithm_1 import algorithm_1
from keras import ops

from models.sista import StackedRNN

C, N, ROWS, T = 7, 11, 3, 4
GAMMA, LAMBDA1, LAMBDA2 = SCALARS = (6.0, 0.05, 0.7)


@pytest.fixture
def x():
    return np.random.default_rng(0).standard_normal((ROWS, T, C))


@pytest.mark.parametrize("similarity", ["learned", "gaussian"])
@pytest.mark.parametrize("depth", [1, 2, 3, 30])
def test_layer_equals_algorithm_1_with_its_own_similarity(x, similarity, depth):
    layer = StackedRNN(
        n_atoms=N,
        depth=depth,
        similarity=similarity,
        delta_squared=4.0,
        similarity_units=5,
        gamma=GAMMA,
        lambda1=LAMBDA1,
        lambda2=LAMBDA2,
        dtype="float64",
    )
    codes, S, _ = layer(x)
    S = ops.convert_to_numpy(S)
    np.testing.assert_allclose(S, expected_similarity(layer, x, similarity), atol=1e-12)
    A = ops.convert_to_numpy(layer.dictionary)
    np.testing.assert_allclose(codes, algorithm_1(A, x, S, np.zeros((ROWS, N)), SCALARS, depth), atol=1e-8)


def expected_similarity(layer, x, similarity):
    S = np.zeros((ROWS, T, 1))
    for r in range(ROWS):
        for t in range(1, T):
            if similarity == "gaussian":
                S[r, t] = np.exp(-np.sum((x[r, t] - x[r, t - 1]) ** 2) / 4.0)
            else:
                kernel, bias = map(ops.convert_to_numpy, layer.similarity.dense.weights)
                phi = [np.maximum(x[r, i] @ kernel + bias, 0) for i in (t - 1, t)]
                S[r, t] = phi[0] @ phi[1] / np.linalg.norm(phi[0]) / np.linalg.norm(phi[1])
    return S


@pytest.mark.parametrize("similarity", ["learned", "gaussian"])
def test_streaming_frame_by_frame_equals_the_sequence(x, similarity):
    layer = StackedRNN(
        n_atoms=N,
        depth=3,
        similarity=similarity,
        delta_squared=4.0,
        similarity_units=5,
        gamma=GAMMA,
        lambda1=LAMBDA1,
        lambda2=0.5,
        dtype="float64",
    )
    layer.build(x.shape)
    layer.initial_codes.assign(np.linspace(0, 1, N))
    codes, S, _ = layer(x)
    state = None
    for t in range(T):
        step_codes, step_S, state = layer(x[:, t : t + 1], state)
        np.testing.assert_allclose(step_codes[:, 0], codes[:, t], atol=1e-12)
        np.testing.assert_allclose(step_S[:, 0], S[:, t], atol=1e-12)


def test_rows_are_independent(x):
    layer = StackedRNN(n_atoms=N, dtype="float64")
    together, _, _ = layer(x)
    alone, _, _ = layer(x[1:2])
    np.testing.assert_allclose(together[1:2], alone, atol=1e-12)


@pytest.mark.parametrize("argument", ["similarity", "first_layer"])
def test_unknown_choices_are_refused(argument):
    with pytest.raises(ValueError, match=argument):
        StackedRNN(n_atoms=N, **{argument: "nonsense"})


def test_gamma_and_lambdas_stay_positive():
    layer = StackedRNN(n_atoms=N, weight_decay=0.0)
    layer.build((None, None, C))
    for weight in (layer.gamma, layer.lambda1, layer.lambda2):
        optimizer = keras.optimizers.SGD(1.0)
        optimizer.apply([ops.convert_to_tensor(1e3)], [weight])
        assert 0 < float(ops.convert_to_numpy(weight)) <= 1e-6
