"""The shapes and dtypes that the docstrings of models/ state, at sizes that differ from each other."""

import numpy as np
import pytest
from keras import ops

from models.blocks import squared_error
from models.coding import Block, code_blocks
from models.dictionary import atom_scale, normalize_atoms, updated_dictionary
from models.lstm_ae import LSTMAE, LSTMStreaming
from models.nearest_subspace import NearestSubspace
from models.one_class_svm import OneClassSVM
from models.recurrence import Frame, Parameters, sista_step, step_gradient
from models.sequence import gram
from models.similarity import GaussianSimilarity, LearnedSimilarity
from models.sista import StackedRNN
from models.sparse_solver import Problem, solve_codes
from models.srnn_ae import SRNNAE, Streaming
from models.tsc import TSC, Statistics, initial_dictionary

C, N, ROWS, T, UNITS = 6, 9, 8, 5, 4
FLOAT32, FLOAT64 = "float32", "float64"


def features(*shape) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 1, shape).astype(FLOAT32)


def described(values):
    """(shape, dtype) of every array, by name or in order."""
    if isinstance(values, dict):
        return {name: described(value) for name, value in values.items()}
    if isinstance(values, tuple | list):
        return [described(value) for value in values]
    value = ops.convert_to_numpy(values)
    return value.shape, value.dtype.name


@pytest.mark.parametrize("has_gram", [True, False])
def test_step_and_gradient(has_gram):
    A = features(C, N)
    theta = Parameters(A, 2.0, 0.1, 0.5, gram(ops.convert_to_tensor(A)) if has_gram else None)
    frame = Frame(features(ROWS, N), features(ROWS, 1), features(ROWS, N))
    step = sista_step(features(ROWS, N), frame, theta, 1.0, "nonnegative")
    codes, left = ((ROWS, N), FLOAT32), ((ROWS, N if has_gram else C), FLOAT32)
    assert described(step._asdict()) == {"before": codes, "after": codes, "left": left}
    assert described(step_gradient(features(ROWS, N), step, frame, theta, 1.0)._asdict()) == {
        **{"minus_slope": codes, "before": codes, "previous": codes, "coherence": ((ROWS, 1), FLOAT32)},
        **{"left": left, "gram": codes},
    }
    assert described(gram(ops.convert_to_tensor(A))) == ((N, N), FLOAT32)


@pytest.mark.parametrize(("kind", "width"), [("learned", UNITS), ("gaussian", C)])
def test_similarity_and_layer(kind, width):
    similarity = LearnedSimilarity(UNITS) if kind == "learned" else GaussianSimilarity()
    similarity.build((None, None, C))
    embedding = similarity(features(ROWS, T, C))
    assert described(embedding) == ((ROWS, T, width), FLOAT32)
    assert described(similarity.compare(embedding, embedding)) == ((ROWS, T, 1), FLOAT32)
    layer = StackedRNN(n_atoms=N, similarity=kind, similarity_units=UNITS)
    codes, S, state = layer(features(ROWS, T, C))
    assert described([codes, S]) == [((ROWS, T, N), FLOAT32), ((ROWS, T, 1), FLOAT32)]
    assert described(state) == described(layer.initial_state(ROWS)) == {
        **{"codes": ((ROWS, N), FLOAT32), "embedding": ((ROWS, width), FLOAT32)},
        **{"seen": ((ROWS, 1), FLOAT32)},
    }  # fmt: skip
    weights = {weight.name: described(weight) for weight in layer.weights}
    assert weights["dictionary"] == ((C, N), FLOAT32)
    assert weights["initial_codes"] == ((N,), FLOAT32)


@pytest.mark.parametrize("kind", ["sRNN-AE", "TSC"])
def test_models_with_codes(kind):
    x, per_frame = features(ROWS, T, C), ((ROWS, T), FLOAT32)
    model = SRNNAE(C, n_atoms=N, similarity_units=UNITS) if kind == "sRNN-AE" else TSC(C, N, 2)
    assert described(model(x)) == {
        **{"reconstruction": ((ROWS, T, C), FLOAT32), "codes": ((ROWS, T, N), FLOAT32)},
        **{"similarity": ((ROWS, T, 1), FLOAT32)},
    }
    assert described(squared_error(x, x)) == per_frame
    streaming = Streaming(model)
    scores, state = streaming.step(x, streaming.initial_state(ROWS))
    assert described(scores) == dict.fromkeys(("error", "similarity", "code_distance", "sparsity"), per_frame)
    assert described(state) == described(streaming.initial_state(ROWS))


def test_lstm_ae():
    x, model = features(ROWS, T, C), LSTMAE(C, UNITS, n_layers=2)
    assert described(model(x)) == {"reconstruction": ((ROWS, T, C), FLOAT32)}
    streaming = LSTMStreaming(model)
    scores, state = streaming.step(x, streaming.initial_state(ROWS))
    assert described(scores) == {"error": ((ROWS, T), FLOAT32)}
    assert described(state) == dict.fromkeys(
        ("hidden_0", "cell_0", "hidden_1", "cell_1"), ((ROWS, UNITS), FLOAT32)
    )


def test_dictionary_and_its_statistics():
    block = Block(features(ROWS, T, C), np.full(ROWS, 3))
    assert described(block.mask) == ((ROWS, T), "bool")
    A = initial_dictionary([block], N)
    model = TSC(C, N, 2)
    model.set_dictionary(A)
    assert described([A, model.dictionary]) == [((C, N), FLOAT32)] * 2
    for coding in ("sista", "exact"):
        (coded,) = code_blocks(model, [block], coding)
        codes = ((ROWS, T, N), FLOAT32)
        assert described(coded[1:]) == [codes, codes, ((ROWS, T, 1), FLOAT32)]
        statistics = Statistics(model)
        statistics.add(coded)
        assert described([statistics.B, statistics.D]) == [((N, N), FLOAT64), ((C, N), FLOAT64)]
        assert statistics.n_frames == 3 * ROWS
    assert described(updated_dictionary(A, statistics.B, statistics.D, 2)) == ((C, N), FLOAT64)
    assert described([normalize_atoms(A), atom_scale(A, "unit")]) == [((C, N), FLOAT64), ((N,), FLOAT64)]


def test_exact_solver():
    problem = Problem(features(ROWS, C), features(C, N), 0.1)
    solution = solve_codes(problem)
    assert described([solution.codes, solution.gap]) == [((ROWS, N), FLOAT64), ((ROWS,), FLOAT64)]
    assert described(problem.objective(solution.codes)) == ((ROWS,), FLOAT64)


def test_baselines():
    rows = features(50, C)
    subspace = NearestSubspace.fit([rows], 4)
    assert subspace.atoms.shape == (4, C)
    assert described(subspace.basis) == ((4, C), FLOAT64)
    for system in (subspace, OneClassSVM.fit([rows])):
        assert described(system.errors(rows)) == ((50,), FLOAT64)
