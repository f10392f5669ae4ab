"""The stacked RNN as a layer: features in, codes out. Paper: Sec. 3.3 and 3.4, Eqs. (6) to (8)."""

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import keras
from keras import ops

from models.products import Factor, multiply
from models.recurrence import Frame, Parameters, Stack, frame_steps
from models.sequence import gram_stands_in, sista
from models.similarity import SIMILARITIES, GaussianSimilarity, LearnedSimilarity, initial_weights
from models.tensor import Shape, State, Tensor
from models.weight_decay import WeightDecay

SMALLEST_POSITIVE = 1e-6


@dataclass(frozen=True)
class StackedRNNOptions:
    """What a stacked RNN is made with; the choice of initial values: DEVIATIONS.md.

    Attributes:
        n_atoms: N, columns of A.
        depth: K, steps a frame.
        similarity: "learned" (Eq. 11) or "gaussian" (Eq. 10).
        delta_squared: delta^2 of the Gaussian.
        similarity_units: width of the learned phi.
        first_layer, threshold, compute_dtype: see `recurrence.Stack`.
        weight_decay: weight of the L2 term on every parameter (Eq. 9).
        trainable_lambda2, trainable_initial_codes: whether lambda2 and alpha_0 are learned.
        gamma, lambda1, lambda2: initial values.
        positive_scalars: keep all three at 1e-6 or above; else training may turn them negative.
        expected_rows: rows of a batch, for counting products (see `sequence.sista`); changes no result.
        seed: seed of the initial A and phi.

    Raises ValueError: an unknown similarity, or what `recurrence.Stack` refuses.
    """

    n_atoms: int = 2048
    depth: int = 3
    similarity: str = "learned"
    delta_squared: float = 100.0
    similarity_units: int = 512
    first_layer: str = "algorithm1"
    threshold: str = "nonnegative"
    weight_decay: float = 0.005
    trainable_lambda2: bool = True
    trainable_initial_codes: bool = True
    gamma: float = 1.0
    lambda1: float = 0.1
    lambda2: float = 0.01
    positive_scalars: bool = True
    compute_dtype: str = "float32"
    expected_rows: int = 84
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what is not one of the choices."""
        if self.similarity not in SIMILARITIES:
            raise ValueError(f"similarity: expected one of {SIMILARITIES}, got {self.similarity!r}")
        _ = self.stack

    @property
    def stack(self) -> Stack:
        """The K layers."""
        return Stack(self.depth, self.first_layer, self.threshold, self.compute_dtype)


class Factors(NamedTuple):
    """The matrices of the layer as few rows are multiplied with them: A, A^T A and phi's kernel, if any."""

    dictionary: Factor
    gram: Factor | None
    kernel: Factor | None


@keras.saving.register_keras_serializable("srnn_ae")
class StackedRNN(keras.layers.Layer):
    """SISTA as a layer: features in, codes out, with A, gamma, lambda1, lambda2, alpha_0 and S learned.

    Paper: Sec. 3.3 and 3.4, Eqs. (6) to (8).

    Args:
        name, dtype, trainable: as every Keras layer takes them.
        options: the fields of `StackedRNNOptions`.
    """

    def __init__(
        self,
        name: str | None = None,
        dtype: Any = None,
        trainable: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(name=name, dtype=dtype, trainable=trainable)
        self.options = StackedRNNOptions(**options)
        if self.options.similarity == "gaussian":
            self.similarity = GaussianSimilarity(self.options.delta_squared, dtype=self.dtype_policy)
        else:
            self.similarity = LearnedSimilarity(
                self.options.similarity_units,
                self.options.weight_decay,
                self.options.seed + 1,
                self.options.compute_dtype,
                dtype=self.dtype_policy,
            )

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), **asdict(self.options)}

    def build(self, input_shape: Shape) -> None:
        """Create A (C, N), alpha_0 (N,) and the scalars gamma, lambda1, lambda2."""
        options = self.options
        decay = WeightDecay(options.weight_decay)
        self.dictionary = self.add_weight(
            name="dictionary",
            shape=(input_shape[-1], self.options.n_atoms),
            initializer=initial_weights(options.seed),
            regularizer=decay,
        )
        self.initial_codes = self.add_weight(
            name="initial_codes",
            shape=(self.options.n_atoms,),
            initializer="zeros",
            regularizer=decay,
            trainable=options.trainable_initial_codes,
        )

        def scalar(name: str, initial: float, trainable: bool = True) -> keras.Variable:
            return self.add_weight(
                name=name,
                shape=(),
                initializer=keras.initializers.Constant(initial),
                regularizer=decay,
                constraint=at_least_smallest_positive if options.positive_scalars else None,
                trainable=trainable,
            )

        self.gamma = scalar("gamma", options.gamma)
        self.lambda1 = scalar("lambda1", options.lambda1)
        self.lambda2 = scalar("lambda2", options.lambda2, options.trainable_lambda2)
        self.similarity.build(input_shape)

    @property
    def gram_stands_in(self) -> bool:
        """Whether A^T A may be kept and taken in place of A along a clip, see `sequence.gram_stands_in`."""
        n_features, n_atoms = self.dictionary.shape
        return gram_stands_in(n_features, n_atoms, self.options.compute_dtype)

    def initial_state(self, n_rows: Tensor) -> State:
        """Return the state before a clip's first frame: alpha_0 (rows, N), no embedding, nothing seen."""
        width = self.options.similarity_units
        if self.options.similarity == "gaussian":
            width = self.dictionary.shape[0]
        return {
            "codes": ops.broadcast_to(self.initial_codes, (n_rows, self.options.n_atoms)),
            "embedding": ops.zeros((n_rows, width), self.compute_dtype),
            "seen": ops.zeros((n_rows, 1), self.compute_dtype),
        }

    def call(
        self,
        x: Tensor,
        state: State | None = None,
        dictionary_gram: Tensor | None = None,
        factors: Factors | None = None,
    ) -> tuple[Tensor, Tensor, State]:
        """Return the codes (rows, T, N), S (rows, T, 1) and the state after the last frame.

        Args:
            x: features (rows, T, C); T = 1 is the streaming form.
            state: what the call on the frames before returned; None at a clip's start.
            dictionary_gram: A^T A (N, N), see `recurrence`.
            factors: of one frame, T = 1: the layer's own matrices, for few rows and without gradients.

        Raises ValueError: `factors` beside several frames.
        """
        if factors and x.shape[1] != 1:
            raise ValueError(f"factors: expected one frame, got {x.shape[1]}")
        state = self.initial_state(ops.shape(x)[0]) if state is None else state
        embedding = self.similarity(x, kernel=factors.kernel if factors else None)
        before = ops.concatenate([state["embedding"][:, None], embedding[:, :-1]], 1)
        S = self.similarity.compare(embedding, before)
        # A clip's first frame has no predecessor: S = 0 there.
        S = ops.concatenate([S[:, :1] * state["seen"][:, None], S[:, 1:]], 1)
        scalars = (self.gamma, self.lambda1, self.lambda2)
        if factors:
            theta = Parameters(factors.dictionary, *scalars, factors.gram)
            frame = Frame(multiply(x[:, 0], factors.dictionary), S[:, 0], state["codes"])
            codes = frame_steps(frame, theta, self.options.stack)[-1].after[:, None]
        else:
            theta = Parameters(self.dictionary, *scalars, dictionary_gram)
            codes = sista(x, S, state["codes"], theta, self.options.stack, self.options.expected_rows)
        after = {
            "codes": codes[:, -1],
            "embedding": embedding[:, -1],
            "seen": ops.ones_like(state["seen"]),
        }
        return codes, S, after


@keras.saving.register_keras_serializable("srnn_ae")
def at_least_smallest_positive(value: Tensor) -> Tensor:
    """Return the value clipped to at least 1e-6: the constraint that keeps gamma and lambda positive."""
    return ops.maximum(value, SMALLEST_POSITIVE)
