"""The stacked RNN: K steps of SISTA a frame, each frame started at the codes of the one before.

Paper: Algorithm 1 and Eqs. (5) to (8), Sec. 3.2 and 3.3. A row is one region of one clip; rows are
independent of each other and share A. One step, with a and x as row vectors:

    a <- soft(a - (1/gamma) [(a A^T - x_t) A + lambda2 S_t (a - a_{t-1})], lambda1 / gamma)

Matrix products are counted here: `x A` is taken for all frames at once, `A^T A` once, and then each
step costs one product with `A^T A`. Where C is small against the work of `A^T A`, A^T and A in turn
cost less. The gradient is written out because autodiff adds up one N x N matrix a step; collected
over all steps it is a single product.
"""

import keras
from keras import ops

from models.proximal import soft_threshold
from models.similarity import SIMILARITIES, GaussianSimilarity, LearnedSimilarity, initial_weights

FIRST_LAYERS = ("algorithm1", "eq7")
SMALLEST_POSITIVE = 1e-6


def gram_is_cheaper(n_features, n_atoms, n_rows, n_steps):
    """Return whether `A^T A` and one product a step take fewer multiplications than A^T and A in turn.

    Forward and backward together: `A^T A` costs 2 C N^2 and then each of the n_rows * n_steps row steps
    3 N^2 (forward, its gradient, that of `A^T A`); A^T and A in turn cost 6 C N a row step.
    """
    row_steps = n_rows * n_steps
    return 2 * n_features * n_atoms**2 + 3 * row_steps * n_atoms**2 < 6 * row_steps * n_features * n_atoms


@ops.custom_gradient
def gram(dictionary):
    """Return A^T A (N, N) of A (C, N); its gradient A (G + G^T) is one product where autodiff takes two."""

    def gradient(*args, upstream=None):
        G = args[0] if upstream is None else upstream
        return ops.matmul(dictionary, G + ops.transpose(G))

    return ops.matmul(ops.transpose(dictionary), dictionary), gradient


def sista(
    x,
    dictionary,
    similarity,
    initial_codes,
    gamma,
    lambda1,
    lambda2,
    depth,
    first_layer="algorithm1",
    threshold="nonnegative",
    dictionary_gram=None,
    expected_rows=84,
):
    """Return the codes a_t of every frame, float (rows, T, N).

    Paper: Algorithm 1. With `first_layer="eq7"` the first step uses W(1) = I - (lambda2/gamma) A^T A, as
    Eq. (7) prints it, in place of I - (1/gamma) A^T A; only the latter equals Algorithm 1.

    Args:
        x: features (rows, T, C).
        dictionary: A, (C, N).
        similarity: S_{t-1,t}, (rows, T, 1); 0 where a frame has no predecessor.
        initial_codes: alpha_{t-1} of the first frame, (rows, N).
        gamma: inverse step size, positive scalar; descent needs gamma >= ||A||_2^2 + lambda2 S_t.
        lambda1: weight of the l1 term, scalar.
        lambda2: weight of the temporal coherence term, scalar.
        depth: K, the number of steps a frame.
        first_layer: one of `FIRST_LAYERS`.
        threshold: "nonnegative" or "two_sided" (see `soft_threshold`).
        dictionary_gram: A^T A (N, N) where the caller has it; else it is taken if that is cheaper.
        expected_rows: rows to count with where their number is not known while tracing, as inside `fit`.
    """
    n_rows, n_frames, n_features = x.shape
    n_atoms = dictionary.shape[1]
    # Copies, because a custom gradient may capture no variable.
    dictionary, gamma, lambda1, lambda2 = map(ops.copy, (dictionary, gamma, lambda1, lambda2))
    # Time first: each frame is then one contiguous block.
    x = ops.transpose(x, (1, 0, 2))
    S = ops.transpose(similarity, (1, 0, 2))
    xA = ops.reshape(ops.matmul(ops.reshape(x, (-1, n_features)), dictionary), (n_frames, -1, n_atoms))
    if dictionary_gram is None and gram_is_cheaper(
        n_features, n_atoms, n_rows or expected_rows, n_frames * depth
    ):
        dictionary_gram = gram(dictionary)
    has_gram = dictionary_gram is not None
    recurrence = _recurrence(n_frames, depth, first_layer, threshold, has_gram)
    matrix = dictionary_gram if has_gram else dictionary
    codes = recurrence(xA, matrix, S, initial_codes, gamma, lambda1, lambda2)
    return ops.transpose(codes, (1, 0, 2))


def _recurrence(n_frames, depth, first_layer, threshold, has_gram):
    """Return the function (x A, matrix, S, alpha_0, gamma, lambda1, lambda2) -> codes (T, rows, N).

    `matrix` is A^T A (N, N) with `has_gram`, else A (C, N).
    """

    def product(codes, matrix):
        """Return (left, codes A^T A); the gradient of `matrix` is an outer product with `left`."""
        left = codes if has_gram else ops.matmul(codes, ops.transpose(matrix))
        return left, ops.matmul(left, matrix)

    @ops.custom_gradient
    def codes_of(xA, matrix, S, initial_codes, gamma, lambda1, lambda2):
        weights = [lambda2 if first_layer == "eq7" and k == 0 else 1.0 for k in range(depth)]
        steps = []  # (t, k, codes before, codes after, codes of the frame before, left) in order
        codes = []
        previous = initial_codes
        for t in range(n_frames):
            alpha = previous
            for k in range(depth):
                left, alpha_gram = product(alpha, matrix)
                slope = weights[k] * alpha_gram - xA[t] + lambda2 * S[t] * (alpha - previous)
                after = soft_threshold(alpha - slope / gamma, lambda1 / gamma, threshold)
                steps.append((t, k, alpha, after, previous, left))
                alpha = after
            previous = alpha
            codes.append(alpha)

        def gradient(*args, upstream=None):
            """Return the gradients of all arguments; `e` is that of -slope, (rows, N), at each step."""
            upstream = args[0] if upstream is None else upstream
            d_alpha = d_previous = ops.zeros_like(initial_codes)
            d_xA, d_S, d_eq7, e_of, left_of, left_e_of = [], [], 0.0, [], [], []
            for t, k, alpha, after, previous, left in reversed(steps):
                if k == depth - 1:  # a frame's codes go to the loss and to the next frame
                    d_alpha, d_previous = d_alpha + d_previous + upstream[t], 0.0
                    d_xA.append(0.0)
                    d_S.append(0.0)
                d_step = ops.where(after != 0, d_alpha, 0.0)
                e = d_step / gamma
                left_e, e_gram = product(e, matrix)
                coherence = lambda2 * S[t] * e
                d_alpha = d_step - weights[k] * e_gram - coherence
                d_previous = d_previous + coherence
                d_xA[-1] = d_xA[-1] + e
                d_S[-1] = d_S[-1] - ops.sum((alpha - previous) * e, -1, keepdims=True)
                if first_layer == "eq7" and k == 0:
                    d_eq7 = d_eq7 - ops.sum(alpha * e_gram)
                e_of.append(e)
                left_of.append(weights[k] * left)
                left_e_of.append(weights[k] * left_e)
            e = ops.concatenate(e_of)
            before = ops.concatenate([step[2] for step in reversed(steps)])
            after = ops.concatenate([step[3] for step in reversed(steps)])
            d_matrix = -ops.matmul(ops.transpose(ops.concatenate(left_of)), e)
            if not has_gram:
                d_matrix = d_matrix - ops.matmul(ops.transpose(ops.concatenate(left_e_of)), before)
            d_S = ops.stack(d_S[::-1])
            return (
                ops.stack(d_xA[::-1]),
                d_matrix,
                lambda2 * d_S,
                d_alpha + d_previous,
                -ops.sum(e * (after - before)),
                -ops.sum(e * ops.sign(after)),
                ops.sum(S * d_S) + d_eq7,
            )

        return ops.stack(codes), gradient

    return codes_of


@keras.saving.register_keras_serializable("srnn_ae")
class StackedRNN(keras.layers.Layer):
    """SISTA as a layer: features in, codes out, with A, gamma, lambda1, lambda2, alpha_0 and S learned.

    Paper: Sec. 3.3 and 3.4, Eqs. (6) to (8). Initial values: SPEC section 2.

    Args:
        n_atoms: N, columns of A.
        depth: K, steps a frame.
        similarity: "learned" (Eq. 11) or "gaussian" (Eq. 10).
        delta_squared: delta^2 of the Gaussian.
        similarity_units: width of the learned phi.
        first_layer, threshold: see `sista`.
        weight_decay: weight of the L2 term on every parameter (Eq. 9).
        trainable_lambda2, trainable_initial_codes: whether lambda2 and alpha_0 are learned.
        gamma, lambda1, lambda2: initial values.
        positive_scalars: keep all three at 1e-6 or above; else training may turn them negative.
        expected_rows: rows of a batch, for counting products (see `sista`); changes no result.
        seed: seed of the initial A and phi.
    """

    def __init__(
        self,
        n_atoms=2048,
        depth=3,
        similarity="learned",
        delta_squared=100.0,
        similarity_units=512,
        first_layer="algorithm1",
        threshold="nonnegative",
        weight_decay=0.005,
        trainable_lambda2=True,
        trainable_initial_codes=True,
        gamma=1.0,
        lambda1=0.1,
        lambda2=0.01,
        positive_scalars=True,
        expected_rows=84,
        seed=0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if similarity not in SIMILARITIES:
            raise ValueError(f"similarity: expected one of {SIMILARITIES}, got {similarity!r}")
        if first_layer not in FIRST_LAYERS:
            raise ValueError(f"first_layer: expected one of {FIRST_LAYERS}, got {first_layer!r}")
        self.options = {
            "n_atoms": n_atoms,
            "depth": depth,
            "similarity": similarity,
            "delta_squared": delta_squared,
            "similarity_units": similarity_units,
            "first_layer": first_layer,
            "threshold": threshold,
            "weight_decay": weight_decay,
            "trainable_lambda2": trainable_lambda2,
            "trainable_initial_codes": trainable_initial_codes,
            "gamma": gamma,
            "lambda1": lambda1,
            "lambda2": lambda2,
            "positive_scalars": positive_scalars,
            "expected_rows": expected_rows,
            "seed": seed,
        }
        self.n_atoms = n_atoms
        if similarity == "gaussian":
            self.similarity = GaussianSimilarity(delta_squared, dtype=self.dtype_policy)
        else:
            self.similarity = LearnedSimilarity(
                similarity_units, weight_decay, seed + 1, dtype=self.dtype_policy
            )

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), **self.options}

    def build(self, input_shape):
        """Create A (C, N), alpha_0 (N,) and the scalars gamma, lambda1, lambda2."""
        options = self.options
        decay = keras.regularizers.L2(options["weight_decay"])
        self.dictionary = self.add_weight(
            name="dictionary",
            shape=(input_shape[-1], self.n_atoms),
            initializer=initial_weights(options["seed"]),
            regularizer=decay,
        )
        self.initial_codes = self.add_weight(
            name="initial_codes",
            shape=(self.n_atoms,),
            initializer="zeros",
            regularizer=decay,
            trainable=options["trainable_initial_codes"],
        )

        def scalar(name, trainable=True):
            return self.add_weight(
                name=name,
                shape=(),
                initializer=keras.initializers.Constant(options[name]),
                regularizer=decay,
                constraint=at_least_smallest_positive if options["positive_scalars"] else None,
                trainable=trainable,
            )

        self.gamma = scalar("gamma")
        self.lambda1 = scalar("lambda1")
        self.lambda2 = scalar("lambda2", options["trainable_lambda2"])
        self.similarity.build(input_shape)

    def initial_state(self, n_rows):
        """Return the state before a clip's first frame: alpha_0 (rows, N), no embedding, nothing seen."""
        width = self.options["similarity_units"]
        if self.options["similarity"] == "gaussian":
            width = self.dictionary.shape[0]
        return {
            "codes": ops.broadcast_to(self.initial_codes, (n_rows, self.n_atoms)),
            "embedding": ops.zeros((n_rows, width), self.compute_dtype),
            "seen": ops.zeros((n_rows, 1), self.compute_dtype),
        }

    def call(self, x, state=None, dictionary_gram=None):
        """Return the codes (rows, T, N), S (rows, T, 1) and the state after the last frame.

        Args:
            x: features (rows, T, C); T = 1 is the streaming form.
            state: what the call on the frames before returned; None at a clip's start.
            dictionary_gram: A^T A (N, N), see `sista`.
        """
        state = self.initial_state(ops.shape(x)[0]) if state is None else state
        embedding = self.similarity(x)
        before = ops.concatenate([state["embedding"][:, None], embedding[:, :-1]], 1)
        S = self.similarity.compare(embedding, before)
        # A clip's first frame has no predecessor: S = 0 there.
        S = ops.concatenate([S[:, :1] * state["seen"][:, None], S[:, 1:]], 1)
        codes = sista(
            x,
            self.dictionary,
            S,
            state["codes"],
            self.gamma,
            self.lambda1,
            self.lambda2,
            self.options["depth"],
            self.options["first_layer"],
            self.options["threshold"],
            dictionary_gram,
            self.options["expected_rows"],
        )
        after = {
            "codes": codes[:, -1],
            "embedding": embedding[:, -1],
            "seen": ops.ones_like(state["seen"]),
        }
        return codes, S, after


@keras.saving.register_keras_serializable("srnn_ae")
def at_least_smallest_positive(value):
    """Return the value clipped to at least 1e-6: the constraint that keeps gamma and lambda positive."""
    return ops.maximum(value, SMALLEST_POSITIVE)
