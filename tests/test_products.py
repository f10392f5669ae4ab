"""Products in bfloat16 against float64 NumPy: what is rounded are the factors, never the sums."""

import keras
import ml_dtypes
import numpy as np
import pytest
from keras import ops

from models import products
from models.products import multiply, multiply_transposed, product, rounded, self_product, transposed
from models.recurrence import Parameters, Stack
from models.sequence import gram, sista

HALF_ULP = 2.0**-9  # relative error of rounding to 8 bits of mantissa, the first of them not stored
M, K, N = 6, 400, 9


def to_bfloat16(x):
    """x rounded to the nearest bfloat16, as float64; by another library than the backend's."""
    return np.asarray(x, np.float32).astype(ml_dtypes.bfloat16).astype(np.float64)


@pytest.fixture
def factors():
    rng = np.random.default_rng(0)
    return rng.standard_normal((M, K)).astype(np.float32), rng.standard_normal((K, N)).astype(np.float32)


def test_float32_is_the_plain_product(factors):
    a, b = map(ops.convert_to_tensor, factors)
    expected = ops.convert_to_numpy(ops.matmul(a, b))
    assert np.array_equal(product(a, b), expected)
    assert np.array_equal(multiply(a, b), expected)
    assert rounded(a, "float32") is a


def test_factors_are_rounded_and_sums_are_not(factors):
    """Sums rounded to bfloat16 would be off by up to 2^-9 of themselves, a thousand times what is asked."""
    a, b = factors
    got = ops.convert_to_numpy(product(a, b, "bfloat16"))
    assert got.dtype == np.float32
    exact = to_bfloat16(a) @ to_bfloat16(b)
    np.testing.assert_allclose(got, exact, atol=K * 2.0**-24 * np.abs(exact).max(), rtol=2.0**-20)
    assert np.abs(to_bfloat16(exact) - exact).max() > 100 * np.abs(got - exact).max()
    # And of the product of what was not rounded: two factors, each off by half a unit at most.
    bound = (2 * HALF_ULP + HALF_ULP**2) * (np.abs(a).astype(float) @ np.abs(b))
    difference = np.abs(got - a.astype(np.float64) @ b)
    assert (difference <= bound).all()
    assert difference.max() > 1e-4  # it was rounded


def test_many_small_numbers_are_not_lost_beside_a_large_one():
    """A running sum in bfloat16 would stay at 256: it holds no 257."""
    row = np.ones((1, 1025), np.float32)
    row[0, 0] = 256
    assert float(product(row, np.ones((1025, 1), np.float32), "bfloat16")[0, 0]) == 256 + 1024


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="takes the gradient with TensorFlow")
def test_gradients_are_products_of_rounded_factors(factors):
    import tensorflow as tf

    rng = np.random.default_rng(1)
    a, b = (tf.Variable(x) for x in (factors[0].reshape(2, 3, K), factors[1]))
    d = rng.standard_normal((2, 3, N)).astype(np.float32)
    with tf.GradientTape() as tape:
        value = product(a, b, "bfloat16")
    d_a, d_b = tape.gradient(value, [a, b], d)
    rows, d = to_bfloat16(factors[0]), to_bfloat16(d).reshape(M, N)
    np.testing.assert_allclose(d_a, (d @ to_bfloat16(factors[1]).T).reshape(2, 3, K), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(d_b, rows.T @ d, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("compute_dtype", products.COMPUTE_DTYPES)
@pytest.mark.parametrize("columns", [1, 3, 4, 30])  # fewer than blocks, as many, and blocks of unequal width
def test_a_product_with_itself_by_blocks_is_the_whole_one(columns, compute_dtype, factors, monkeypatch):
    """Against float64 NumPy: symmetric to the last bit, as what is below the diagonal is a copy."""
    multiplied = []

    def counted(a, b):
        multiplied.append(a.shape[0] * b.shape[1])
        return multiply(a, b)

    monkeypatch.setattr(products, "multiply", counted)
    monkeypatch.setattr(products, "SELF_PRODUCT_COLUMNS", 4)
    a = np.random.default_rng(3).standard_normal((K, columns)).astype(np.float32)
    got = ops.convert_to_numpy(self_product(rounded(ops.convert_to_tensor(a), compute_dtype)))
    exact = to_bfloat16(a) if compute_dtype == "bfloat16" else a.astype(np.float64)
    np.testing.assert_allclose(got, exact.T @ exact, rtol=1e-5, atol=1e-4)
    assert got.dtype == np.float32
    if columns >= 4:
        assert np.array_equal(got, got.T)
        assert sum(multiplied) < 0.7 * columns**2  # 10 of 16 blocks


C, ATOMS, ROWS, T = 40, 24, 5, 3


def problem():
    rng = np.random.default_rng(2)
    A = rng.standard_normal((C, ATOMS)) / np.sqrt(C)
    x, S = rng.uniform(0, 1, (ROWS, T, C)), rng.uniform(0, 1, (ROWS, T, 1))
    return [value.astype(np.float32) for value in (A, x, S, rng.uniform(0, 0.1, (ROWS, ATOMS)))]


def codes_and_gradients(dtype, weights, form, monkeypatch):
    """Codes, and the gradients of sum(weights * codes) for A, alpha_0, gamma, lambda1 and lambda2."""
    import tensorflow as tf

    monkeypatch.setattr("models.sequence.gram_is_cheaper", lambda *_: form != "dictionary")
    monkeypatch.setattr("models.sequence.factors_are_cheaper", lambda *_: form == "both")
    A, x, S, alpha_0 = map(tf.Variable, problem())
    gamma, lambda1, lambda2 = map(tf.Variable, (6.0, 0.05, 0.7))
    with tf.GradientTape() as tape:
        stack = Stack(depth=3, compute_dtype=dtype)
        codes = sista(x, S, alpha_0, Parameters(A, gamma, lambda1, lambda2), stack)
        loss = tf.reduce_sum(codes * weights)
    return codes.numpy(), tape.gradient(loss, [A, alpha_0, gamma, lambda1, lambda2])


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="takes the gradient with TensorFlow")
@pytest.mark.parametrize("form", ["gram", "both", "dictionary"])
def test_the_recurrence_in_bfloat16_stays_beside_that_in_float32(form, monkeypatch):
    weights = np.random.default_rng(3).standard_normal((ROWS, T, ATOMS)).astype(np.float32)
    exact, exact_gradients = codes_and_gradients("float32", weights, form, monkeypatch)
    got, gradients = codes_and_gradients("bfloat16", weights, form, monkeypatch)
    # Each of the 3 T steps takes the products' relative error of 2 half units on into the codes.
    bound = 2 * HALF_ULP * 3 * T
    assert 1e-5 < np.linalg.norm(got - exact) / np.linalg.norm(exact) < bound
    assert got.dtype == np.float32
    for ours, expected in zip(gradients, exact_gradients, strict=True):
        assert ours.dtype == "float32"
        assert np.linalg.norm(ours - expected) <= bound * np.linalg.norm(expected)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="takes the gradient with TensorFlow")
def test_gradient_of_the_gram_matrix():
    import tensorflow as tf

    A = tf.Variable(problem()[0])
    upstream = np.random.default_rng(4).standard_normal((ATOMS, ATOMS)).astype(np.float32)
    with tf.GradientTape() as tape:
        G = gram(A, "bfloat16")
    exact = to_bfloat16(A.numpy())
    np.testing.assert_allclose(G, exact.T @ exact, rtol=1e-5, atol=1e-5)
    expected = exact @ to_bfloat16(upstream + upstream.T)
    np.testing.assert_allclose(tape.gradient(G, A, upstream), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_products_with_what_is_transposed(dtype):
    rng = np.random.default_rng(5)
    a, b = (rng.standard_normal(shape).astype(np.float32) for shape in ((6, 5), (4, 5)))
    rounded_a, rounded_b = (ops.cast(ops.convert_to_tensor(x), dtype) for x in (a, b))
    exact_a, exact_b = (ops.convert_to_numpy(ops.cast(x, "float32")) for x in (rounded_a, rounded_b))
    got = multiply_transposed(rounded_a, rounded_b)
    assert keras.backend.standardize_dtype(got.dtype) == "float32"
    np.testing.assert_allclose(ops.convert_to_numpy(got), exact_a @ exact_b.T, rtol=1e-5, atol=1e-5)
    turned = transposed(rounded_a)
    assert keras.backend.standardize_dtype(turned.dtype) == dtype
    np.testing.assert_array_equal(ops.convert_to_numpy(ops.cast(turned, "float32")), exact_a.T)
