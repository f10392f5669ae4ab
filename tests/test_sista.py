"""The stacked RNN against a NumPy Algorithm 1, finite differences, and its own streaming form."""

import keras
import numpy as np
import pytest
from keras import ops

from models.proximal import soft_threshold, tsc_objective
from models.sista import StackedRNN, gram, gram_is_cheaper, sista

C, N, ROWS, T = 7, 11, 3, 4
GAMMA, LAMBDA1, LAMBDA2 = 6.0, 0.05, 0.7


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    A = rng.standard_normal((C, N)) / np.sqrt(C)
    x = rng.standard_normal((ROWS, T, C))
    S = rng.uniform(0, 1, (ROWS, T, 1))
    alpha_0 = rng.uniform(0, 1, (ROWS, N))
    return A, x, S, alpha_0


def algorithm_1(A, x, S, alpha_0, depth, first_layer="algorithm1", threshold="nonnegative"):
    """Algorithm 1 in NumPy, one row and one frame at a time, with the matrices of Eq. (7)."""
    codes = np.zeros((x.shape[0], x.shape[1], A.shape[1]))
    for r in range(x.shape[0]):
        previous = alpha_0[r]
        for t in range(x.shape[1]):
            s = S[r, t, 0]
            U = np.eye(A.shape[1]) - (A.T @ A + s * LAMBDA2 * np.eye(A.shape[1])) / GAMMA
            V = A.T / GAMMA
            alpha = previous
            for k in range(depth):
                if first_layer == "eq7" and k == 0:
                    z = (np.eye(A.shape[1]) - LAMBDA2 / GAMMA * A.T @ A) @ previous + V @ x[r, t]
                else:
                    z = U @ alpha + V @ x[r, t] + s * LAMBDA2 / GAMMA * previous
                b = LAMBDA1 / GAMMA
                if threshold == "nonnegative":
                    alpha = np.where(z > b, z - b, 0)
                else:
                    alpha = np.where(z > b, z - b, np.where(z < -b, z + b, 0))
            codes[r, t] = previous = alpha
    return codes


@pytest.mark.parametrize("has_gram", [True, False])
@pytest.mark.parametrize("depth", [1, 2, 3, 30])
@pytest.mark.parametrize(
    ("first_layer", "threshold"),
    [
        ("algorithm1", "nonnegative"),
        ("eq7", "nonnegative"),
        ("algorithm1", "two_sided"),
        ("eq7", "two_sided"),
    ],
)
def test_equals_algorithm_1(problem, depth, first_layer, threshold, has_gram):
    A, x, S, alpha_0 = problem
    codes = run_sista(x, A, S, alpha_0, depth, first_layer, threshold, has_gram)
    expected = algorithm_1(A, x, S, alpha_0, depth, first_layer, threshold)
    np.testing.assert_allclose(codes, expected, atol=1e-12)
    # Not a comparison of zeros with zeros, nor of linear maps alone: both branches of the threshold occur.
    assert (expected == 0).any() if threshold == "nonnegative" else (expected < 0).any()
    assert (expected > 0).any()


def run_sista(x, A, S, alpha_0, depth, first_layer, threshold, has_gram, scalars=(GAMMA, LAMBDA1, LAMBDA2)):
    tensors = [ops.convert_to_tensor(value, "float64") for value in (x, A, S, alpha_0, *scalars)]
    dictionary_gram = gram(tensors[1]) if has_gram else None
    codes = sista(*tensors, depth, first_layer, threshold, dictionary_gram)
    return ops.convert_to_numpy(codes)


def test_eq7_first_layer_differs_from_algorithm_1(problem):
    A, x, S, alpha_0 = problem
    both = [algorithm_1(A, x, S, alpha_0, 3, first_layer) for first_layer in ("algorithm1", "eq7")]
    assert np.abs(both[0] - both[1]).max() > 1e-3


@pytest.mark.parametrize("has_gram", [True, False])
@pytest.mark.parametrize("first_layer", ["algorithm1", "eq7"])
@pytest.mark.parametrize("threshold", ["nonnegative", "two_sided"])
def test_gradients_equal_finite_differences(problem, first_layer, threshold, has_gram):
    tf = pytest.importorskip("tensorflow")
    A, x, S, alpha_0 = problem
    weights = np.random.default_rng(1).standard_normal((ROWS, T, N))
    values = [x, A, S, alpha_0, *map(np.float64, (GAMMA, LAMBDA1, LAMBDA2))]

    def loss(arguments):
        x, A, S, alpha_0, *scalars = arguments
        return np.sum(weights * run_sista(x, A, S, alpha_0, 3, first_layer, threshold, has_gram, scalars))

    tensors = [tf.convert_to_tensor(value, tf.float64) for value in values]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        codes = sista(*tensors, 3, first_layer, threshold, gram(tensors[1]) if has_gram else None)
        total = tf.reduce_sum(weights * codes)
    gradients = tape.gradient(total, tensors)
    rng = np.random.default_rng(2)
    step = 1e-6
    for index, gradient in enumerate(gradients):
        direction = rng.standard_normal(np.shape(values[index]))
        shifted = [
            [value + sign * step * direction if i == index else value for i, value in enumerate(values)]
            for sign in (1, -1)
        ]
        expected = (loss(shifted[0]) - loss(shifted[1])) / (2 * step)
        np.testing.assert_allclose(np.sum(gradient.numpy() * direction), expected, rtol=1e-6, atol=1e-7)


def test_objective_falls_with_each_step_when_gamma_bounds_the_curvature(problem):
    A, x, S, alpha_0 = problem
    gamma = np.linalg.norm(A, 2) ** 2 + LAMBDA2
    objectives = []
    for depth in range(1, 12):
        codes = run_sista(
            x[:, :1],
            A,
            S[:, :1],
            alpha_0,
            depth,
            "algorithm1",
            "nonnegative",
            True,
            (gamma, LAMBDA1, LAMBDA2),
        )
        objectives.append(
            ops.convert_to_numpy(tsc_objective(x[:, 0], A, codes[:, 0], alpha_0, S[:, 0], LAMBDA1, LAMBDA2))
        )
    assert (np.diff(objectives, axis=0) <= 1e-12).all()
    assert (objectives[-1] < objectives[0]).all()


def test_objective_is_the_sum_written_out():
    x, A = np.array([[1.0, 2.0]]), np.array([[1.0, 0.0, 2.0], [0.0, 1.0, 1.0]])
    codes, previous = np.array([[0.5, 0.0, 1.0]]), np.array([[0.0, 1.0, 1.0]])
    # residual (1 - 2.5, 2 - 1) = (-1.5, 1); l1 = 1.5; squared distance of codes 1.25
    expected = 0.5 * 3.25 + 0.2 * 1.5 + 0.5 * 0.4 * 0.3 * 1.25
    value = tsc_objective(x, A, codes, previous, np.array([[0.3]]), 0.2, 0.4)
    np.testing.assert_allclose(ops.convert_to_numpy(value), [expected], rtol=1e-6)


def test_soft_thresholds_by_hand():
    z = np.array([-2.0, -0.5, 0.0, 0.5, 2.0], "float32")
    np.testing.assert_allclose(soft_threshold(z, 1.0), [0, 0, 0, 0, 1])
    np.testing.assert_allclose(soft_threshold(z, 1.0, "two_sided"), [-1, 0, 0, 0, 1])
    with pytest.raises(ValueError, match="threshold"):
        soft_threshold(z, 1.0, "hard")


def test_gram_is_chosen_by_counting_products():
    # C = N = 2048, 84 rows, T K = 30: 17 + 32 thousand million multiplications against 63.
    assert gram_is_cheaper(2048, 2048, 84, 30)
    # Moving-MNIST: C = 50,625 makes A^T A dear only when there are few rows.
    assert not gram_is_cheaper(50_625, 2048, 4, 30)
    assert gram_is_cheaper(50_625, 2048, 84, 300)


def test_gram_is_taken_inside_fit_where_the_number_of_rows_is_unknown(monkeypatch):
    """`fit` on a generator traces with an open number of rows; the choice must be that of the batch."""
    from models import sista as module
    from models.srnn_ae import SRNNAE

    seen = []
    real = module.gram_is_cheaper
    monkeypatch.setattr(module, "gram_is_cheaper", lambda *a: seen.append(a) or real(*a))
    model = SRNNAE(C, n_atoms=N, similarity_units=4, expected_rows=ROWS)
    model.compile("rmsprop", jit_compile=False)
    batches = ((np.ones((ROWS, T, C), np.float32),) for _ in range(3))
    model.fit(batches, steps_per_epoch=3, epochs=1, shuffle=False, verbose=0)
    assert seen
    assert set(seen) == {(C, N, ROWS, T * 3)}


@pytest.mark.parametrize("similarity", ["learned", "gaussian"])
@pytest.mark.parametrize("depth", [1, 2, 3, 30])
def test_layer_equals_algorithm_1_with_its_own_similarity(problem, similarity, depth):
    _, x, _, _ = problem
    layer = StackedRNN(
        N, depth, similarity, 4.0, 5, gamma=GAMMA, lambda1=LAMBDA1, lambda2=LAMBDA2, dtype="float64"
    )
    codes, S, _ = layer(x)
    S = ops.convert_to_numpy(S)
    np.testing.assert_allclose(S, expected_similarity(layer, x, similarity), atol=1e-12)
    A = ops.convert_to_numpy(layer.dictionary)
    np.testing.assert_allclose(codes, algorithm_1(A, x, S, np.zeros((ROWS, N)), depth), atol=1e-8)


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
def test_streaming_frame_by_frame_equals_the_sequence(problem, similarity):
    _, x, _, _ = problem
    layer = StackedRNN(N, 3, similarity, 4.0, 5, gamma=GAMMA, lambda1=LAMBDA1, lambda2=0.5, dtype="float64")
    layer.build(x.shape)
    layer.initial_codes.assign(np.linspace(0, 1, N))
    codes, S, _ = layer(x)
    state = None
    for t in range(T):
        step_codes, step_S, state = layer(x[:, t : t + 1], state)
        np.testing.assert_allclose(step_codes[:, 0], codes[:, t], atol=1e-12)
        np.testing.assert_allclose(step_S[:, 0], S[:, t], atol=1e-12)


def test_rows_are_independent(problem):
    _, x, _, _ = problem
    layer = StackedRNN(N, 3, dtype="float64")
    together, _, _ = layer(x)
    alone, _, _ = layer(x[1:2])
    np.testing.assert_allclose(together[1:2], alone, atol=1e-12)


@pytest.mark.parametrize("argument", ["similarity", "first_layer"])
def test_unknown_choices_are_refused(argument):
    with pytest.raises(ValueError, match=argument):
        StackedRNN(N, **{argument: "nonsense"})


def test_gamma_and_lambdas_stay_positive():
    layer = StackedRNN(N, weight_decay=0.0)
    layer.build((None, None, C))
    for weight in (layer.gamma, layer.lambda1, layer.lambda2):
        optimizer = keras.optimizers.SGD(1.0)
        optimizer.apply([ops.convert_to_tensor(1e3)], [weight])
        assert 0 < float(ops.convert_to_numpy(weight)) <= 1e-6
