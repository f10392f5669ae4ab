"""Coding frames with TSC's dictionary fixed (Eq. 4, Algorithm 1), block after block."""

import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from keras import ops

from models.blocks import BlockModel, jit_compile
from models.sparse_solver import Problem, solve_codes
from models.tensor import State, Tensor

if TYPE_CHECKING:  # it codes with this module
    from models.tsc import TSC


@dataclass(frozen=True)
class Block:
    """Consecutive frames of several sequences side by side.

    Attributes:
        x: features float32 (rows, T, C).
        n_valid: how many of the T frames each row really has, int (rows,); None for all.
        starts: whether sequences begin here; else the rows continue those of the block before.
    """

    x: np.ndarray
    n_valid: np.ndarray | None = None
    starts: bool = True

    @property
    def mask(self) -> np.ndarray:
        """Which frames are real, bool (rows, T)."""
        rows, n_frames, _ = self.x.shape
        n_valid = np.full(rows, n_frames) if self.n_valid is None else self.n_valid
        return np.arange(n_frames) < n_valid[:, None]


class Coded(NamedTuple):
    """A block and its codes.

    Attributes:
        block: the block.
        codes: a_t, float32 (rows, T, N).
        previous_codes: a_{t-1}, float32 (rows, T, N).
        similarity: S_{t-1,t}, float32 (rows, T, 1).
    """

    block: Block
    codes: np.ndarray
    previous_codes: np.ndarray
    similarity: np.ndarray


def code_blocks(model: "TSC", blocks: Iterable[Block], coding: str = "sista") -> Iterator[Coded]:
    """Yield the codes of each block.

    Paper: Eq. (4), Algorithm 1. Each frame starts at the codes of the one before, across blocks too.
    """
    if coding == "sista":
        coder = _coder_of(model)
        coder.refresh()
        codes_of = coder.code
    else:
        codes_of = functools.partial(_exact_codes, model, _gram_of(model))
    state = None
    for block in blocks:
        if block.starts or state is None:
            state = model.srnn.initial_state(len(block.x))
        first = ops.convert_to_numpy(state["codes"])
        codes, similarity, state = codes_of(block.x, state)
        yield Coded(block, codes, np.concatenate([first[:, None], codes[:, :-1]], 1), similarity)


def _gram_of(model: "TSC") -> np.ndarray:
    """Return A^T A, float64 (N, N)."""
    A = model.dictionary.astype(np.float64)
    return A.T @ A


class Coder(BlockModel):
    """What codes frame after frame: the K steps of one as a graph, with A^T A, if used, taken before.

    One by one, K = 30 steps of few atoms took five times as long.

    Args:
        model: whose codes are taken.
    """

    def __init__(self, model: "TSC") -> None:
        super().__init__(name="coder", dtype=model.dtype_policy)
        self.model = model
        n_atoms = model.options.n_atoms
        self.gram = None
        if model.srnn.gram_stands_in:
            self.gram = self.add_weight(name="gram", shape=(n_atoms, n_atoms), trainable=False)
        self.compile(jit_compile=jit_compile())
        self.built = True

    def refresh(self) -> None:
        """Take A^T A again, after the dictionary has been updated."""
        if self.gram is not None:
            self.gram.assign(_gram_of(self.model))

    def call(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return S and the state after one frame, its codes among it, of {"x": ..., and the state before}."""
        state = {key: inputs[key] for key in ("codes", "embedding", "seen")}
        G = None if self.gram is None else ops.convert_to_tensor(self.gram)
        _, similarity, after = self.model.srnn(inputs["x"], state, G)
        return {"similarity": similarity, **after}

    def code(self, x: np.ndarray, state: State) -> tuple[np.ndarray, np.ndarray, State]:
        """Return what `model.srnn(x, state)` returns; NumPy."""
        codes, similarity = [], []
        for t in range(x.shape[1]):
            frame, state = self.step(x[:, t : t + 1], state)
            codes.append(state["codes"])
            similarity.append(frame["similarity"])
        return np.stack(codes, 1), np.concatenate(similarity, 1), state


@functools.lru_cache(maxsize=1)
def _coder_of(model: "TSC") -> Coder:
    """Return the coder of a model, made once for all its alternations."""
    return Coder(model)


def _exact_codes(
    model: "TSC", G: np.ndarray, x: np.ndarray, state: State
) -> tuple[np.ndarray, np.ndarray, State]:
    """Return what `model.srnn(x, state)` returns, each frame's codes at their minimum; NumPy."""
    before = np.concatenate([ops.convert_to_numpy(state["embedding"])[:, None], x[:, :-1]], 1)
    S = ops.convert_to_numpy(model.srnn.similarity.compare(x, before)).copy()
    S[:, 0] *= ops.convert_to_numpy(state["seen"])
    options, a, codes = model.options, ops.convert_to_numpy(state["codes"]), []
    for t in range(x.shape[1]):
        coherence = options.lambda2 * S[:, t, 0]
        problem = Problem(x[:, t], model.dictionary, options.lambda1, coherence, a, options.threshold, G)
        a = solve_codes(problem).codes.astype(np.float32)
        codes.append(a)
    after = {"codes": a, "embedding": x[:, -1], "seen": np.ones_like(ops.convert_to_numpy(state["seen"]))}
    return np.stack(codes, 1), S, after
