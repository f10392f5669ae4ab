"""Streaming frame by frame, with kept matrices, against the model on the whole sequence."""

import numpy as np
import pytest
from keras import ops

from data_prep import processor
from experiments.lab.scoring.score import step_function
from experiments.lab.systems.srnn_ae import frame_by_frame
from models.coding import Block, code_blocks
from models.products import Factor, multiply, multiply_transposed, product
from models.sista import StackedRNN
from models.srnn_ae import SRNNAE, Streaming
from models.tsc import TSC

C, N, ROWS, T = 12, 9, 5, 4


def model_of(kind, dtype, n_atoms=N):
    if kind == "TSC":
        model = TSC(C, n_atoms, depth=3, lambda1=0.4, compute_dtype=dtype)
        model.set_dictionary(np.random.default_rng(1).uniform(0, 0.5, (C, n_atoms)))
        return model
    return SRNNAE(C, n_atoms=n_atoms, similarity=kind, similarity_units=4, lambda1=0.01, compute_dtype=dtype)


@pytest.mark.parametrize("n_atoms", [N, C + 3])  # with more than C, bfloat16 takes A^T and A in turn
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", ["learned", "gaussian", "TSC"])
def test_frame_by_frame_scores_as_the_sequence_does(kind, dtype, n_atoms):
    model = model_of(kind, dtype, n_atoms)
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
    overcomplete = Streaming(model_of("learned", "bfloat16", C + 3), frame_by_frame=True)
    kept = {"dictionary", "dictionary_transposed", "decoding_transposed", "kernel_transposed"}
    assert set(overcomplete.kept) == kept


def test_rounding_does_not_pile_up_along_a_clip(monkeypatch):
    """With more atoms than features, and next to no threshold: as training ends at the paper's size.

    Errors of 200 frames in bfloat16 against those in float32, at the clip's beginning and at its end; then
    with A^T A, rounded, in place of A^T and A in turn.
    """
    n_features, n_atoms, n_frames = 16, 48, 200
    rng = np.random.default_rng(0)
    A, Z = rng.standard_normal((2, n_features, n_atoms)) / np.sqrt(n_features)
    walk = np.cumsum(0.1 * rng.standard_normal((ROWS, n_frames, n_features)), 1)
    x = np.abs(1 + walk).astype(np.float32)

    def errors(dtype):
        model = SRNNAE(n_features, n_atoms=n_atoms, lambda1=1e-6, lambda2=1e-6, compute_dtype=dtype)
        model.srnn.dictionary.assign(A)
        model.decoder.assign(Z.T)
        model.srnn.gamma.assign(np.linalg.norm(A, 2) ** 2)
        streaming = Streaming(model)
        state, blocks = streaming.initial_state(ROWS), []
        for block in np.split(x, 20, axis=1):
            scores, state = streaming.step(block, state)
            blocks.append(scores["error"])
        return np.concatenate(blocks, 1)

    expected = errors("float32")

    def distance(frames):
        return np.median(np.abs(ours[:, frames] - expected[:, frames]) / expected[:, frames])

    ours = errors("bfloat16")
    assert max(distance(slice(20)), distance(slice(-20, None))) < 0.005
    monkeypatch.setattr(StackedRNN, "gram_stands_in", True)
    ours = errors("bfloat16")
    assert distance(slice(20)) < 0.01
    assert distance(slice(-20, None)) > 0.02


def test_several_frames_are_refused():
    streaming = Streaming(model_of("learned", "float32"), frame_by_frame=True)
    with pytest.raises(ValueError, match="factors: expected one frame, got 2"):
        streaming({"x": np.zeros((ROWS, 2, C), np.float32), **streaming.initial_state(ROWS)})


def test_tsc_codes_do_not_drift_either():
    """As above, of the codes that TSC trains on, taken frame after frame with K = 30 steps each."""
    n_features, n_atoms, n_frames = 16, 48, 100
    rng = np.random.default_rng(0)
    A = rng.uniform(0, 1, (n_features, n_atoms))
    x = np.abs(1 + np.cumsum(0.1 * rng.standard_normal((ROWS, n_frames, n_features)), 1)).astype(np.float32)
    codes = {}
    for dtype in ("float32", "bfloat16"):
        model = TSC(n_features, n_atoms, lambda1=1e-3, lambda2=1e-3, compute_dtype=dtype)
        model.set_dictionary(A / np.linalg.norm(A, axis=0))
        codes[dtype] = np.concatenate([block.codes for block in code_blocks(model, [Block(x)])], 1)
    off = np.linalg.norm(codes["bfloat16"] - codes["float32"], axis=-1)
    off = np.median(off / np.linalg.norm(codes["float32"], axis=-1), 0)
    assert max(off[:20].max(), off[-20:].max()) < 0.012


def test_a_factor_is_the_matrix():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 3, C)).astype(np.float32), rng.standard_normal((C, N)).astype(np.float32)
    np.testing.assert_allclose(product(a, Factor(b.T)), a @ b, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(multiply(a[0], Factor(b.T)), a[0] @ b, rtol=1e-5, atol=1e-5)
    codes = rng.standard_normal((3, N)).astype(np.float32)
    np.testing.assert_allclose(multiply_transposed(codes, Factor(b.T, b)), codes @ b.T, rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match="keeps the matrix itself"):
        multiply_transposed(codes, Factor(b.T))


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
