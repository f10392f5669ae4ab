"""TSC: the objective, the dictionary update, a planted dictionary, and TSC run as a stacked RNN."""

import numpy as np
import pytest
from algorithm_1 import algorithm_1, gaussian
from keras import ops

from models.coding import Block, code_blocks
from models.dictionary import largest_eigenvalue, normalize_atoms, updated_dictionary
from models.sparse_solver import Problem
from models.srnn_ae import Streaming
from models.tsc import TSC, Statistics, alternate, initial_dictionary

C, N, ROWS, T = 16, 10, 6, 8
LAMBDA1, LAMBDA2, DELTA_SQUARED = 0.05, 0.5, 3.0


@pytest.fixture
def sequence():
    """Slowly changing combinations of two of N atoms, float32 (ROWS, T, C)."""
    rng = np.random.default_rng(0)
    return planted(rng, normalize_atoms(np.abs(rng.standard_normal((C, N))), "unit"), ROWS, T)


def planted(rng, A, rows, n_frames):
    """Rows whose codes have two atoms that last for the whole sequence, with changing weights."""
    x = np.zeros((rows, n_frames, A.shape[0]))
    for row in x:
        atoms = A[:, rng.choice(A.shape[1], 2, replace=False)]
        row[:] = rng.uniform(0.5, 1.5, (n_frames, 2)) @ atoms.T
    return (x + 0.01 * rng.standard_normal(x.shape)).astype(np.float32)


def model_on(x, seed=0, **options):
    """A TSC that starts from rows of x."""
    options = {"lambda1": LAMBDA1, "lambda2": LAMBDA2, "delta_squared": DELTA_SQUARED, **options}
    model = TSC(C, N, **options)
    model.set_dictionary(initial_dictionary([Block(x)], N, seed))
    return model


def in_numpy(A, x, gamma):
    """The codes of x by Algorithm 1 in float64, and S."""
    S = gaussian(x, DELTA_SQUARED)
    return algorithm_1(A.astype(float), x, S, np.zeros((ROWS, N)), (gamma, LAMBDA1, LAMBDA2), 30), S


def test_streaming_equals_algorithm_1_on_the_trained_dictionary(sequence):
    model = model_on(sequence, depth=30)
    for _ in alternate(model, lambda: [Block(sequence)], 2):
        pass
    A = model.dictionary.astype(np.float64)
    gamma = float(model.srnn.gamma)
    assert gamma == pytest.approx(np.linalg.norm(A, 2) ** 2 + LAMBDA2, rel=1e-3)
    assert gamma >= np.linalg.norm(A, 2) ** 2 + LAMBDA2
    codes, S = in_numpy(A, sequence, gamma)
    streaming = Streaming(model)
    state = streaming.initial_state(ROWS)
    error, similarity = [], []
    for first in range(0, T, 4):
        scores, state = streaming.step(sequence[:, first : first + 4], state)
        error.append(scores["error"])
        similarity.append(scores["similarity"])
    np.testing.assert_allclose(np.concatenate(similarity, 1), S[..., 0], atol=1e-5)
    np.testing.assert_allclose(np.concatenate(error, 1), np.square(sequence - codes @ A.T).sum(-1), atol=1e-5)
    np.testing.assert_allclose(state["codes"], codes[:, -1], atol=1e-5)
    assert (codes == 0).any()
    assert (codes > 0).any()


def test_call_and_decode(sequence):
    model = model_on(sequence)
    outputs = model(sequence)
    assert outputs["reconstruction"].shape == (ROWS, T, C)
    assert outputs["codes"].shape == (ROWS, T, N)
    assert outputs["similarity"].shape == (ROWS, T, 1)
    np.testing.assert_allclose(
        outputs["reconstruction"], ops.convert_to_numpy(outputs["codes"]) @ model.dictionary.T, atol=1e-5
    )
    assert not model.trainable_variables


@pytest.mark.parametrize("coding", ["sista", "exact"])
@pytest.mark.parametrize("lambda2", [0.0, LAMBDA2])
@pytest.mark.parametrize("atom_norm", ["at_most_one", "unit"])
def test_objective_falls_and_columns_keep_their_norm(sequence, coding, lambda2, atom_norm):
    model = model_on(sequence, lambda2=lambda2)
    records = []
    for record in alternate(model, lambda: [Block(sequence)], 6, atom_norm=atom_norm, coding=coding):
        records.append(record)
        norms = np.linalg.norm(model.dictionary, axis=0)
        assert norms.max() <= 1 + 1e-6
        if atom_norm == "unit":
            np.testing.assert_allclose(norms, 1, atol=1e-6)
        # The update never raises the objective of its own codes.
        assert record.updated_objective <= record.objective * (1 + 1e-6)
    assert records[-1].objective < records[0].objective
    if coding == "exact" and not lambda2:  # guaranteed from one alternation to the next, too
        objectives = [record.objective for record in records]
        assert (np.diff(objectives) <= 1e-4 * np.array(objectives[:-1])).all()
    assert (records[0].coherence > 0) == (lambda2 > 0)


def test_record_is_the_mean_objective(sequence):
    """The record's terms against `sparse_solver`'s objective at Algorithm 1's codes; a direct residual."""
    model = model_on(sequence)
    A, gamma = model.dictionary, float(model.srnn.gamma)
    (record,) = alternate(model, lambda: [Block(sequence)], 1)
    codes, S = in_numpy(A, sequence, gamma)
    previous = np.concatenate([np.zeros((ROWS, 1, N)), codes[:, :-1]], 1)
    problem = Problem(sequence.reshape(-1, C), A, LAMBDA1, LAMBDA2 * S.reshape(-1), previous.reshape(-1, N))
    assert record.objective == pytest.approx(problem.objective(codes.reshape(-1, N)).mean(), rel=1e-4)
    assert record.sparsity == pytest.approx(LAMBDA1 * np.abs(codes).sum(-1).mean(), rel=1e-4)
    assert record.zeros == pytest.approx((codes == 0).mean(), abs=0.01)
    assert record.n_used_atoms == (codes > 0).any((0, 1)).sum()
    assert record.gamma == gamma
    residual = sequence - codes @ model.dictionary.T
    assert record.updated_reconstruction == pytest.approx(0.5 * np.square(residual).sum(-1).mean(), rel=1e-3)


def test_update_equals_gradient_steps_on_all_codes(sequence):
    model = model_on(sequence)
    statistics = Statistics(model)
    (coded,) = code_blocks(model, [Block(sequence)])
    statistics.add(coded)
    x, a = sequence.reshape(-1, C).T.astype(np.float64), coded.codes.reshape(-1, N).T.astype(np.float64)
    A = model.dictionary.astype(np.float64)
    step = 1 / (np.linalg.norm(a, 2) ** 2 * (1 + 1e-4))
    for _ in range(5):
        A = A - step * (A @ a - x) @ a.T
        A = np.stack([column / max(1, np.linalg.norm(column)) for column in A.T], 1)
    found = updated_dictionary(model.dictionary, statistics.B, statistics.D, 5)
    np.testing.assert_allclose(found, A, atol=1e-5)
    assert statistics.reconstruction(A) == pytest.approx(0.5 * np.square(x - A @ a).sum(), rel=1e-4)


def test_planted_dictionary_is_recovered():
    rng = np.random.default_rng(1)
    true = normalize_atoms(np.maximum(rng.standard_normal((C, N)), 0), "unit")
    x = planted(rng, true, 150, 4)
    model = model_on(x, lambda2=0.1, lambda1=0.02)
    for _ in alternate(model, lambda: [Block(x)], 30, 100, "unit", "exact"):
        pass
    correlation = (true.T @ normalize_atoms(model.dictionary, "unit")).max(1)
    assert (correlation > 0.95).mean() >= 0.8


@pytest.mark.parametrize("coding", ["sista", "exact"])
def test_blocks_carry_the_state_and_padding_counts_for_nothing(sequence, coding):
    """One long block, and its pieces with padded frames and rows of zeros behind a row's end."""
    n_valid = np.array([8, 8, 5, 8, 3, 8])
    padded = sequence.copy()
    padded[np.arange(T) >= n_valid[:, None]] = 0
    pieces = [Block(padded[:, t : t + 4], np.clip(n_valid - t, 0, 4), starts=t == 0) for t in (0, 4)]
    whole = [Block(sequence[r : r + 1, : n_valid[r]]) for r in range(ROWS)]
    records, dictionaries = [], []
    for blocks in (pieces, whole):
        model = model_on(sequence)
        records += alternate(model, lambda blocks=blocks: blocks, 1, coding=coding)
        dictionaries.append(model.dictionary)
    assert records[0].objective == pytest.approx(records[1].objective, rel=1e-4)
    assert records[0].coherence > 0
    np.testing.assert_allclose(*dictionaries, atol=1e-3)


def test_exact_coding_is_what_many_steps_tend_to(sequence):
    """On a first frame, by its objective: atoms that are rows are too alike for the codes to be unique."""
    objectives = []
    for depth, coding in ((30, "sista"), (500, "sista"), (30, "exact")):
        model = model_on(sequence, depth=depth)
        ((_, codes, previous, S),) = code_blocks(model, [Block(sequence[:, :1])], coding)
        assert not S.any()
        problem = Problem(sequence[:, 0], model.dictionary, LAMBDA1, 0.0, previous[:, 0])
        objectives.append(problem.objective(codes[:, 0]))
    short, long, exact = objectives
    assert (exact <= long * (1 + 1e-4)).all()
    np.testing.assert_allclose(long, exact, rtol=1e-2)
    assert (long - exact).sum() < (short - exact).sum()
    similarity = [
        next(code_blocks(model, [Block(sequence)], coding)).similarity for coding in ("sista", "exact")
    ]
    np.testing.assert_allclose(*similarity, atol=1e-6)


def test_initial_dictionary_is_a_fair_draw_of_real_rows():
    x = np.arange(1, 41, dtype=np.float32).reshape(2, 20, 1) * np.array([1, 0.001], np.float32)
    x[..., 1] = np.arange(40).reshape(2, 20)  # the ratio of both features tells the row
    x[:, 0] = 0
    blocks = [Block(x[:, :10]), Block(x[:, 10:], np.array([10, 4]), False)]
    A = initial_dictionary(blocks, 20, seed=1)
    assert A.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(A, axis=0), 1, rtol=1e-6)
    real = np.concatenate([x[0, 1:], x[1, 1:14]])
    real = real / np.linalg.norm(real, axis=1, keepdims=True)
    match = (np.abs(A.T[:, None] - real) < 1e-6).all(-1)
    assert (match.sum(1) == 1).all()
    assert (match.sum(0) <= 1).all()
    np.testing.assert_array_equal(A, initial_dictionary(blocks, 20, seed=1))
    assert (A != initial_dictionary(blocks, 20, seed=2)).any()
    counts = sum(
        (np.abs(initial_dictionary(blocks, 4, seed).T[:, None] - real) < 1e-6).all(-1).any(0)
        for seed in range(400)
    )
    assert 25 < counts.min()  # 50 expected of each of the 32 rows, standard deviation 6.6
    assert counts.max() < 80


def test_norms_eigenvalue_and_refusals(sequence):
    rng = np.random.default_rng(2)
    A = rng.standard_normal((5, 4)) * np.array([0.01, 1, 5, 0])
    norms = np.linalg.norm(A, axis=0)
    np.testing.assert_allclose(np.linalg.norm(normalize_atoms(A), axis=0), np.minimum(norms, 1))
    np.testing.assert_allclose(np.linalg.norm(normalize_atoms(A, "unit"), axis=0), [1, 1, 1, 0])
    B = A.T @ A
    for matrix in (B, B[:1, :1], np.zeros((3, 3)), B[:2, :2]):
        assert largest_eigenvalue(matrix) == pytest.approx(np.linalg.eigvalsh(matrix)[-1])
    model = model_on(sequence)
    with pytest.raises(ValueError, match="atom_norm: expected"):
        next(alternate(model, lambda: [Block(sequence)], atom_norm="two"))
    with pytest.raises(ValueError, match="coding: expected"):
        next(alternate(model, lambda: [Block(sequence)], coding="lars"))
    with pytest.raises(ValueError, match="at least one frame"):
        next(alternate(model, list))
    with pytest.raises(ValueError, match="at least 49 rows"):
        initial_dictionary([Block(sequence)], 49)


def test_a_model_of_doubles_codes_in_doubles():
    """Frame after frame as a graph, as the layer does with all frames at once."""
    model = TSC(C, N, 30, LAMBDA1, LAMBDA2, DELTA_SQUARED, dtype="float64")
    rng = np.random.default_rng(4)
    model.set_dictionary(normalize_atoms(rng.standard_normal((C, N))))
    x = rng.random((ROWS, T, C))
    (coded,) = code_blocks(model, [Block(x)])
    expected, _, _ = model.srnn(ops.convert_to_tensor(x, "float64"))
    np.testing.assert_allclose(coded.codes, ops.convert_to_numpy(expected), atol=1e-12)
