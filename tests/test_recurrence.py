"""The recurrence against Algorithm 1 in NumPy, and its gradients against finite differences and autodiff."""

import numpy as np
import pytest
from algorithm_1 import algorithm_1
from keras import ops

from models.proximal import soft_threshold
from models.recurrence import Frame, Parameters, Stack, sista_step, step_gradient
from models.sequence import factors_are_cheaper, gram, gram_is_cheaper, gram_stands_in, sista
from models.sparse_solver import Problem

C, N, ROWS, T = 7, 11, 3, 4
GAMMA, LAMBDA1, LAMBDA2 = SCALARS = (6.0, 0.05, 0.7)


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    A = rng.standard_normal((C, N)) / np.sqrt(C)
    x = rng.standard_normal((ROWS, T, C))
    S = rng.uniform(0, 1, (ROWS, T, 1))
    alpha_0 = rng.uniform(0, 1, (ROWS, N))
    return A, x, S, alpha_0


@pytest.fixture(params=["given", "taken", "factors", "none"])
def way(request, monkeypatch):
    """A^T A is the caller's, or `sista` takes it, its gradient from factors or not; or A^T and A in turn."""
    monkeypatch.setattr("models.sequence.gram_is_cheaper", lambda *_: request.param != "none")
    monkeypatch.setattr("models.sequence.factors_are_cheaper", lambda *_: request.param == "factors")
    return request.param


@pytest.mark.parametrize("depth", [1, 2, 30])
@pytest.mark.parametrize(
    ("first_layer", "threshold"),
    [
        ("algorithm1", "nonnegative"),
        ("eq7", "nonnegative"),
        ("algorithm1", "two_sided"),
        ("eq7", "two_sided"),
    ],
)
def test_equals_algorithm_1(problem, depth, first_layer, threshold, way):
    A, x, S, alpha_0 = problem
    codes = codes_of((x, S, alpha_0, A, *SCALARS), Stack(depth, first_layer, threshold), way)
    assert codes.shape == (ROWS, T, N)
    expected = algorithm_1(A, x, S, alpha_0, SCALARS, depth, first_layer, threshold)
    np.testing.assert_allclose(codes, expected, atol=1e-12)
    # Not a comparison of zeros with zeros, nor of linear maps alone: both branches of the threshold occur.
    assert (expected == 0).any() if threshold == "nonnegative" else (expected < 0).any()
    assert (expected > 0).any()


def tensor(value):
    return ops.convert_to_tensor(value, "float64")


def codes_of(values, stack, way):
    """The codes (ROWS, T, N), NumPy, of x, S, alpha_0, A, gamma, lambda1 and lambda2."""
    return ops.convert_to_numpy(recurrence([tensor(value) for value in values], stack, way))


def recurrence(tensors, stack, way):
    x, S, alpha_0, *theta = tensors
    return sista(x, S, alpha_0, Parameters(*theta, gram(theta[0]) if way == "given" else None), stack)


def test_two_sided_codes_beside_bfloat16_are_refused():
    with pytest.raises(ValueError, match="compute_dtype: expected float32 beside threshold two_sided"):
        Stack(threshold="two_sided", compute_dtype="bfloat16")


def test_eq7_first_layer_differs_from_algorithm_1(problem):
    A, x, S, alpha_0 = problem
    both = [algorithm_1(A, x, S, alpha_0, SCALARS, 3, first_layer) for first_layer in ("algorithm1", "eq7")]
    assert np.abs(both[0] - both[1]).max() > 1e-3


@pytest.mark.parametrize(
    ("first_layer", "threshold", "compiled"),
    [
        ("algorithm1", "nonnegative", False),
        ("eq7", "nonnegative", False),
        ("algorithm1", "two_sided", False),
        ("eq7", "two_sided", False),
        ("eq7", "two_sided", True),
    ],
)
def test_gradients_equal_finite_differences(problem, first_layer, threshold, way, compiled):
    tf = pytest.importorskip("tensorflow")
    A, x, S, alpha_0 = problem
    stack = Stack(3, first_layer, threshold)
    upstream = np.random.default_rng(1).standard_normal((ROWS, T, N))
    values = [np.asarray(value, np.float64) for value in (x, S, alpha_0, A, *SCALARS)]

    def gradients_of(*tensors):
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            total = tf.reduce_sum(upstream * recurrence(tensors, stack, way))
        return tape.gradient(total, tensors)

    gradients_of = tf.function(gradients_of) if compiled else gradients_of
    gradients = gradients_of(*map(tensor, values))
    rng = np.random.default_rng(2)
    step = 1e-6
    for index, gradient in enumerate(gradients):
        assert gradient.shape == values[index].shape
        direction = rng.standard_normal(values[index].shape)
        shifted = [
            [value + sign * step * direction if i == index else value for i, value in enumerate(values)]
            for sign in (1, -1)
        ]
        above, below = (np.sum(upstream * codes_of(value, stack, way)) for value in shifted)
        expected = (above - below) / (2 * step)
        np.testing.assert_allclose(np.sum(gradient.numpy() * direction), expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("has_gram", [True, False])
@pytest.mark.parametrize("w", [1.0, 0.3])
@pytest.mark.parametrize("threshold", ["nonnegative", "two_sided"])
def test_one_step_and_its_gradient(problem, threshold, w, has_gram):
    """The step is Algorithm 1's; its gradient is what autodiff takes through it."""
    tf = pytest.importorskip("tensorflow")
    A, x, S, previous = problem
    rng = np.random.default_rng(3)
    a, upstream = rng.uniform(0, 1, (ROWS, N)), rng.standard_normal((ROWS, N))
    G = tensor(A.T @ A)
    theta = Parameters(None if has_gram else tensor(A), *map(tensor, SCALARS), G if has_gram else None)
    inputs = [tensor(value) for value in (a, x[:, 0] @ A, S[:, 0], previous)]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        step = sista_step(inputs[0], Frame(*inputs[1:]), theta, w, threshold)
        total = tf.reduce_sum(upstream * step.after)
    by_autodiff = tape.gradient(total, inputs)

    z = a - (w * a @ A.T @ A - x[:, 0] @ A + LAMBDA2 * S[:, 0] * (a - previous)) / GAMMA
    shrunk = np.maximum(np.abs(z) - LAMBDA1 / GAMMA, 0) * np.sign(z)
    expected = shrunk if threshold == "two_sided" else np.maximum(shrunk, 0)
    np.testing.assert_allclose(step.after, expected, atol=1e-12)
    assert step.left.shape == ((ROWS, N) if has_gram else (ROWS, C))

    d = step_gradient(upstream, step, Frame(*inputs[1:]), theta, w)
    by_hand = (d.before, d.minus_slope, LAMBDA2 * d.coherence, d.previous)
    for ours, theirs in zip(by_hand, by_autodiff, strict=True):
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, atol=1e-12)
    np.testing.assert_allclose(d.gram, d.minus_slope @ A.T @ A, atol=1e-12)
    assert d.left.shape == step.left.shape


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": 0}, "depth: expected 1 or more, got 0"),
        ({"first_layer": "eq8"}, "first_layer: expected one of .*, got 'eq8'"),
        ({"threshold": "hard"}, "threshold: expected one of .*, got 'hard'"),
    ],
)
def test_unknown_stacks_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Stack(**options)


def test_objective_falls_with_each_step_when_gamma_bounds_the_curvature(problem):
    A, x, S, alpha_0 = problem
    gamma = np.linalg.norm(A, 2) ** 2 + LAMBDA2
    objectives = []
    for depth in range(1, 12):
        values = (x[:, :1], S[:, :1], alpha_0, A, gamma, LAMBDA1, LAMBDA2)
        codes = codes_of(values, Stack(depth), "given")
        problem_of_frame = Problem(x[:, 0], A, LAMBDA1, LAMBDA2 * S[:, 0, 0], alpha_0)
        objectives.append(problem_of_frame.objective(codes[:, 0]))
    assert (np.diff(objectives, axis=0) <= 1e-12).all()
    assert (objectives[-1] < objectives[0]).all()


def test_soft_thresholds_by_hand():
    z = np.array([-2.0, -0.5, 0.0, 0.5, 2.0], "float32")
    np.testing.assert_allclose(soft_threshold(z, 1.0), [0, 0, 0, 0, 1])
    np.testing.assert_allclose(soft_threshold(z, 1.0, "two_sided"), [-1, 0, 0, 0, 1])
    with pytest.raises(ValueError, match="threshold"):
        soft_threshold(z, 1.0, "hard")


def test_gram_is_chosen_by_counting_products():
    # C = N = 2048, 84 rows, T K = 30: 17 + 32 thousand million multiplications against 63.
    assert gram_is_cheaper(2048, 2048, 84, 30)
    # Moving-MNIST: A^T A is dear only for few steps, as a step of 4 rows reads whole matrices too.
    assert gram_is_cheaper(11_570, 2048, 4, 30)
    assert not gram_is_cheaper(11_570, 2048, 4, 3)
    assert gram_is_cheaper(50_625, 2048, 84, 300)


def test_a_rounded_gram_is_not_taken_where_a_has_a_null_space():
    sizes = [(2048, 2048), (1024, 2048), (11_570, 2048)]
    assert [gram_stands_in(*size, "bfloat16") for size in sizes] == [True, False, True]
    assert all(gram_stands_in(*size, "float32") for size in sizes)


def test_factors_of_the_gradient_are_chosen_by_counting_products():
    # Moving-MNIST, 4 rows and 30 steps: 11 thousand million multiplications against 49.
    assert factors_are_cheaper(11_570, 2048, 120)
    # C = N = 2048, 84 rows: the rows of all steps are more than atoms.
    assert not factors_are_cheaper(2048, 2048, 84 * 30)


def test_gram_is_taken_inside_fit_where_the_number_of_rows_is_unknown(monkeypatch):
    """`fit` on a generator traces with an open number of rows; the choice must be that of the batch."""
    from models import sequence as module
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
