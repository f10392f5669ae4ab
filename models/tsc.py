"""TSC: a dictionary learned by alternation, which then runs as a stacked RNN (Sec. 3.2 and 3.3).

The objective, summed over rows and frames (Eq. 2 in the form with halves that Algorithm 1 descends on), is

    1/2 ||x_t - A a_t||^2 + lambda1 ||a_t||_1 + (lambda2 / 2) S_t ||a_t - a_{t-1}||^2,   ||A(:, j)|| <= 1.

One alternation codes all frames with A fixed (Eq. 4, Algorithm 1), then updates A with the codes fixed
(Eq. 3, projected gradient). The update needs no more than B = sum a a^T (N, N) and D = sum x a^T (C, N),
gathered while coding: memory does not grow with the number of frames.

What is guaranteed: the update of A never raises the objective, for either `atom_norm`, as its step is
1 / ||B||_2. Coding minimizes frame by frame, given the frame before, and starts every sequence anew; so it
is sure to lower the sum (to within the solver's tolerance) only when lambda2 = 0 and `coding="exact"`:
K = 30 steps stop short of a frame's minimum, and with lambda2 > 0 a frame's codes also weigh on the next
frame. The objective is therefore measured in every alternation.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from models.blocks import squared_error
from models.coding import Block, Coded, code_blocks
from models.dictionary import MARGIN, largest_eigenvalue, normalize_atoms, updated_dictionary
from models.products import Factor, product
from models.sista import StackedRNN
from models.tensor import Tensor

CODINGS = ("sista", "exact")


@dataclass(frozen=True)
class Alternation:
    """One alternation: the mean objective of a row's frame, term by term, and what the update made of it.

    `reconstruction` (1/2 ||x - A a||^2), `sparsity` (lambda1 ||a||_1) and `coherence` are taken after coding;
    `updated_reconstruction` after the update of A, same codes. `n_used_atoms`: atoms that any frame used;
    `zeros`: share of zero codes; `gamma`: of the coding; `energy`: the mean of ||x||^2.
    """

    reconstruction: float
    sparsity: float
    coherence: float
    updated_reconstruction: float
    n_used_atoms: int
    zeros: float
    gamma: float
    energy: float

    @property
    def objective(self) -> float:
        """The mean objective after coding."""
        return self.reconstruction + self.sparsity + self.coherence

    @property
    def updated_objective(self) -> float:
        """The mean objective after the update of A."""
        return self.updated_reconstruction + self.sparsity + self.coherence


@keras.saving.register_keras_serializable("srnn_ae")
class TSC(keras.Model):
    """TSC as a stacked RNN: x_t -> codes a_t by Algorithm 1 -> x^_t = A a_t; nothing is trained by gradients.

    Paper: Sec. 3.2 and 3.3, Eqs. (5) to (8); K = 30, lambda2 = 2, delta^2 = 100.

    Args:
        n_features: C.
        n_atoms: N.
        depth: K.
        lambda1, lambda2: weights of sparsity and coherence; lambda2 = 0 is plain sparse coding.
        delta_squared: delta^2 of the Gaussian similarity.
        threshold: "nonnegative" or "two_sided", see `proximal.soft_threshold`.
        compute_dtype: of the matrix products in coding and decoding, see `products`.
        kwargs: `name` and `dtype`, as every Keras model takes them.
    """

    def __init__(
        self,
        n_features: int,
        n_atoms: int = 2048,
        depth: int = 30,
        lambda1: float = 0.1,
        lambda2: float = 2.0,
        delta_squared: float = 100.0,
        threshold: str = "nonnegative",
        compute_dtype: str = "float32",
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"name": "tsc", **kwargs})
        self.n_features = n_features
        self.srnn = StackedRNN(
            n_atoms=n_atoms,
            depth=depth,
            similarity="gaussian",
            delta_squared=delta_squared,
            threshold=threshold,
            compute_dtype=compute_dtype,
            weight_decay=0.0,
            lambda1=lambda1,
            lambda2=lambda2,
            dtype=self.dtype_policy,
            name="srnn",
        )
        self.options = self.srnn.options
        self.srnn.build((None, None, n_features))
        self.srnn.trainable = False
        self.built = True

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        names = ("n_atoms", "depth", "lambda1", "lambda2", "delta_squared", "threshold", "compute_dtype")
        options = {name: getattr(self.options, name) for name in names}
        return {"name": self.name, "dtype": self.dtype, "n_features": self.n_features, **options}

    @property
    def dictionary(self) -> np.ndarray:
        """A, float32 (C, N)."""
        return ops.convert_to_numpy(self.srnn.dictionary)

    def set_dictionary(self, dictionary: np.ndarray) -> None:
        """Set A (C, N), and gamma to ||A||_2^2 + lambda2, from which on Algorithm 1 descends (S <= 1)."""
        A = np.asarray(dictionary, np.float64)
        self.srnn.dictionary.assign(A)
        self.srnn.gamma.assign((largest_eigenvalue(A.T @ A) + self.options.lambda2) * (1 + MARGIN))

    @property
    def decoding(self) -> Tensor:
        """The matrix that codes are decoded with, A^T (N, C)."""
        return ops.transpose(self.srnn.dictionary)

    def decode(self, codes: Tensor, decoding: Factor | None = None) -> Tensor:
        """Return x^ = A a, (rows, T, C), of codes (rows, T, N); `decoding` is the model's own, if given."""
        matrix = self.decoding if decoding is None else decoding
        return product(codes, matrix, self.options.compute_dtype)

    def call(self, x: Tensor) -> dict[str, Tensor]:
        """Return the reconstruction (rows, T, C), codes (rows, T, N) and similarity (rows, T, 1) of x."""
        codes, similarity, _ = self.srnn(x)
        return {"reconstruction": self.decode(codes), "codes": codes, "similarity": similarity}


def alternate(
    model: TSC,
    blocks: Callable[[], Iterable[Block]],
    n_alternations: int = 10,
    update_steps: int = 50,
    atom_norm: str = "at_most_one",
    coding: str = "sista",
) -> Iterator[Alternation]:
    """Yield the record of each alternation, having set the dictionary of `model` to the updated one.

    Paper: Sec. 3.2, Eqs. (2) to (4), and Sec. 4.1. All that one alternation hands to the next is the
    dictionary: a saved model resumes where it stopped.

    Args:
        model: starts from its dictionary, see `initial_dictionary`.
        blocks: gives the training blocks anew at each call.
        n_alternations: how many.
        update_steps: projected gradient steps on A in each.
        atom_norm: columns of A have norm "at_most_one" (Eq. 3) or "unit" (Sec. 4.1).
        coding: "sista", K steps of Algorithm 1, or "exact", each frame to its minimum (`sparse_solver`).

    Raises ValueError: an unknown setting, or blocks without a frame.
    """
    if coding not in CODINGS:
        raise ValueError(f"coding: expected one of {CODINGS}, got {coding!r}")
    model.set_dictionary(normalize_atoms(model.dictionary, atom_norm))
    for _ in range(n_alternations):
        statistics = Statistics(model)
        for coded in code_blocks(model, blocks(), coding):
            statistics.add(coded)
        if not statistics.n_frames:
            raise ValueError("blocks: expected at least one frame, got none")
        gamma = float(model.srnn.gamma)
        A = updated_dictionary(model.dictionary, statistics.B, statistics.D, update_steps, atom_norm)
        model.set_dictionary(A)
        yield statistics.summary(A, gamma)


class Statistics:
    """What the coded frames leave behind: B = sum a a^T, D = sum x a^T and the objective's terms, in float64.

    Args:
        model: whose codes are added.
    """

    def __init__(self, model: TSC) -> None:
        self.model = model
        n_features, n_atoms = model.dictionary.shape
        self.B = np.zeros((n_atoms, n_atoms))
        self.D = np.zeros((n_features, n_atoms))
        self.n_frames = self.n_zeros = 0
        self.energy = 0.0  # sum ||x||^2
        self.terms = np.zeros(3)  # reconstruction, sparsity, coherence

    def add(self, coded: Coded) -> None:
        """Add the real frames of a block."""
        block, codes, previous_codes, similarity = coded
        mask, options = block.mask, self.model.options
        x, a = block.x[mask], codes[mask]
        error = ops.convert_to_numpy(squared_error(x, self.model.decode(a)))
        moved = similarity[mask][:, 0] * np.square(a - previous_codes[mask]).sum(-1)
        self.B += a.T @ a
        self.D += x.T @ a
        self.n_frames += len(x)
        self.n_zeros += int((a == 0).sum())
        self.energy += np.square(x).sum(dtype=np.float64)
        self.terms += (
            0.5 * error.sum(dtype=np.float64),
            options.lambda1 * np.abs(a).sum(dtype=np.float64),
            0.5 * options.lambda2 * moved.sum(dtype=np.float64),
        )

    def reconstruction(self, A: np.ndarray) -> float:
        """Return the sum of 1/2 ||x - A a||^2 over all frames, for any A (C, N)."""
        return 0.5 * float(self.energy - 2 * np.vdot(A, self.D) + np.vdot(A, A @ self.B))

    def summary(self, A: np.ndarray, gamma: float) -> Alternation:
        """Return the record of an alternation that coded with `gamma` and updated the dictionary to A."""
        reconstruction, sparsity, coherence = (self.terms / self.n_frames).tolist()
        return Alternation(
            reconstruction,
            sparsity,
            coherence,
            updated_reconstruction=self.reconstruction(A) / self.n_frames,
            n_used_atoms=int((np.diag(self.B) > 0).sum()),
            zeros=self.n_zeros / (self.n_frames * len(self.B)),
            gamma=gamma,
            energy=self.energy / self.n_frames,
        )


def initial_dictionary(blocks: Iterable[Block], n_atoms: int, seed: int = 0) -> np.ndarray:
    """Return A, float32 (C, N): random frames' rows without repetition, scaled to norm <= 1, in random order.

    Every real row that is not zero is equally likely; memory holds `n_atoms` rows and a block.

    Raises ValueError: fewer such rows than atoms.
    """
    rng = np.random.default_rng(seed)
    keys, rows = np.zeros(0), np.zeros((0, 0), np.float32)
    for block in blocks:
        x = block.x[block.mask]
        x = x[x.any(-1)]
        keys = np.concatenate([keys, rng.random(len(x))])
        rows = np.concatenate([rows, x]) if len(rows) else x
        chosen = np.argsort(keys)[:n_atoms]  # those with the smallest keys are a fair draw
        keys, rows = keys[chosen], rows[chosen]
    if len(keys) < n_atoms:
        raise ValueError(f"blocks: expected at least {n_atoms} rows that are not zero, got {len(keys)}")
    return normalize_atoms(rows.T).astype(np.float32)
