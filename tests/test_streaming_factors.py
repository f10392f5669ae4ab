"""Streaming frame by frame, with kept matrices, against the model on the whole sequence."""

import numpy as np
import pytest
from keras import ops

from data_prep import processor
from experiments.lab.scoring.score import step_function
from experiments.lab.systems.srnn_ae import frame_by_frame
from models.products import Factor, multiply, product
from models.srnn_ae import SRNNAE, Streaming
from models.tsc import TSC

C, N, ROWS, T = 12, 9, 5, 4


def model_of(kind, dtype):
    if kind == "TSC":
        model = TSC(C, N, depth=3, lambda1=0.4, compute_dtype=dtype)
        model.set_dictionary(np.random.default_rng(1).uniform(0, 0.5, (C, N)))
        return model
    return SRNNAE(C, n_atoms=N, similarity=kind, similarity_units=4, lambda1=0.01, compute_dtype=dtype)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", ["learned", "gaussian", "TSC"])
def test_frame_by_frame_scores_as_the_sequence_does(kind, dtype):
    model = model_of(kind, dtype)
    x = np.random.default_rng(0).uniform(0, 1, (ROWS, T, C)).astype(np.float32)
    outputs = {name: ops.convert_to_numpy(value) for name, value in model(x).items()}
    expected = np.square(x - outputs["reconstruction"]).sum(-1)
    assert 0 < (outputs["codes"] == 0).mean() < 1
    streaming = Streaming(model, frame_by_frame=True)
    step, state = step_function(streaming), streaming.initial_state(ROWS)
    for t in range(T):
        scores, state = step(x[:, t : t + 1], state)
        # Sums are taken in another order; a code that is then rounded may fall to the other side.
        closeness = {"rtol": 1e-5} if dtype == "float32" else {"rtol": 0.002}
        np.testing.assert_allclose(scores["error"][:, 0], expected[:, t], **closeness)
        np.testing.assert_allclose(scores["similarity"][:, 0], outputs["similarity"][:, t, 0], atol=1e-6)


def test_kept_matrices_are_of_the_compute_dtype_and_follow_the_model():
    for dtype in ("float32", "bfloat16"):
        model = model_of("learned", dtype)
        streaming = Streaming(model, frame_by_frame=True)
        assert {matrix.dtype for matrix in streaming.kept.values()} == {dtype}
        model.decoder.assign(2 * model.decoder)
        streaming.refresh()
        kept = ops.convert_to_numpy(ops.cast(streaming.kept["decoding_transposed"], "float32"))
        np.testing.assert_allclose(kept, ops.convert_to_numpy(model.decoder).T, rtol=2.0**-8)
    assert set(Streaming(model).kept) == {"gram"}  # scoring clips side by side holds no second A and Z


def test_several_frames_are_refused():
    streaming = Streaming(model_of("learned", "float32"), frame_by_frame=True)
    with pytest.raises(ValueError, match="factors: expected one frame, got 2"):
        streaming({"x": np.zeros((ROWS, 2, C), np.float32), **streaming.initial_state(ROWS)})


def test_a_factor_is_the_matrix():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 3, C)).astype(np.float32), rng.standard_normal((C, N)).astype(np.float32)
    np.testing.assert_allclose(product(a, Factor(b.T)), a @ b, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(multiply(a[0], Factor(b.T)), a[0] @ b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("vendor", "dtype", "transposed"),
    [
        ("GenuineIntel", "float32", True),
        ("AuthenticAMD", "float32", False),
        ("AuthenticAMD", "bfloat16", True),
        ("", "float32", False),
    ],
)
def test_matrices_are_kept_as_the_processor_likes_them(vendor, dtype, transposed, monkeypatch):
    monkeypatch.setattr(processor, "processor_says", lambda field: set(vendor.split()))
    for model in (model_of("learned", dtype), model_of("TSC", dtype)):
        kept = set(frame_by_frame(model).kept)
        assert ("dictionary_transposed" in kept) == transposed
