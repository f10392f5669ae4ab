"""SISTA over a sequence: K steps a frame, each frame started at the codes of the one before.

Paper: Algorithm 1, Sec. 3.2 and 3.3. Matrix products are counted here: `x A` is taken for all frames at
once, `A^T A` once, and then each step costs one product with `A^T A`. Where steps are few, A^T and A in turn
cost less. The gradient is written out because autodiff adds up one N x N matrix a step; collected over all
steps it is a single product. Its rank is at most that of the rows of all steps: where these are few, the one
for A is taken from them, without the N x N matrix.
"""

from collections.abc import Callable

from keras import ops

from models.products import multiply, multiply_transposed, product, rounded, self_product, transposed
from models.recurrence import Frame, Parameters, Stack, Step, StepGradient, frame_steps, step_gradient
from models.tensor import Tensor

# A product of fewer rows takes as long as one of so many: as reading the matrix.
ROWS_OF_A_READ = 64


def sista(
    x: Tensor,
    similarity: Tensor,
    initial_codes: Tensor,
    parameters: Parameters,
    stack: Stack,
    expected_rows: int = 84,
) -> Tensor:
    """Return the codes a_t of every frame, float (rows, T, N). Paper: Algorithm 1.

    Args:
        x: features (rows, T, C).
        similarity: S_{t-1,t}, (rows, T, 1); 0 where a frame has no predecessor.
        initial_codes: a_{t-1} of the first frame, (rows, N).
        parameters: without A^T A, it is taken if that is cheaper.
        stack: the K layers.
        expected_rows: rows to count with where their number is not known while tracing, as inside `fit`.
    """
    n_rows, n_frames, n_features = x.shape
    n_atoms = parameters.dictionary.shape[1]
    # Copies, because a custom gradient may capture no variable.
    A, gamma, lambda1, lambda2 = map(ops.copy, parameters[:4])
    # Time first: each frame is then one contiguous block.
    x = ops.transpose(x, (1, 0, 2))
    S = ops.transpose(similarity, (1, 0, 2))
    xA = product(ops.reshape(x, (-1, n_features)), A, stack.compute_dtype)
    xA = ops.reshape(xA, (n_frames, -1, n_atoms))
    G, form = parameters.dictionary_gram, "gram"
    if G is None:
        n_steps = n_frames * stack.depth
        form = cheapest_form(n_features, n_atoms, n_rows or expected_rows, n_steps, stack.compute_dtype)
    if G is None and form == "gram":
        G = gram(A, stack.compute_dtype)
    codes_of = sequence_codes(stack, form)
    codes = codes_of(xA, A if G is None else G, S, initial_codes, gamma, lambda1, lambda2)
    return ops.transpose(codes, (1, 0, 2))


def gram_stands_in(n_features: int, n_atoms: int, compute_dtype: str) -> bool:
    """Return whether `A^T A` may stand in for A^T and A in turn along a clip, as far as rounding goes.

    With N > C there are changes of the codes that A takes to 0. `A^T A` rounded to bfloat16 does not: every
    step then moves the codes a little that way, nothing takes them back, and they drift from frame to frame.
    The decoder sees it. A^T and A, rounded alike, move them nowhere that A does not see.
    """
    return compute_dtype == "float32" or n_atoms <= n_features


def cheapest_form(
    n_features: int, n_atoms: int, n_rows: int, n_steps: int, compute_dtype: str = "float32"
) -> str:
    """Return the form of `sequence_codes` that takes the least time, forward and backward together.

    Where `A^T A` may not stand in for A it is "dictionary".
    """
    stands_in = gram_stands_in(n_features, n_atoms, compute_dtype)
    if not stands_in or not gram_is_cheaper(n_features, n_atoms, n_rows, n_steps):
        return "dictionary"
    return "both" if factors_are_cheaper(n_features, n_atoms, n_rows * n_steps) else "gram"


def gram_is_cheaper(n_features: int, n_atoms: int, n_rows: int, n_steps: int) -> bool:
    """Return whether `A^T A` and one product a step take less time than A^T and A in turn.

    Forward and backward together, in multiplications: `A^T A` costs 2 C N^2, and then each row and step 3 N^2
    (forward, its gradient, that of `A^T A`); A^T and A in turn cost 6 C N a row and step. But for the
    gradients of the matrices, which are taken over all steps at once, few rows count as `ROWS_OF_A_READ`.
    """
    rows = 2 * max(n_rows, ROWS_OF_A_READ) + n_rows
    with_gram = 2 * n_features * n_atoms**2 + n_steps * rows * n_atoms**2
    return with_gram < n_steps * 2 * rows * n_features * n_atoms


def factors_are_cheaper(n_features: int, n_atoms: int, n_rows: int) -> bool:
    """Return whether the gradient for A, through `A^T A`, takes less time from its factors.

    It is A (D + D^T) with D = left^T right of `n_rows` rows each: C N^2 multiplications and those of D; or
    (left A^T)^T right + (right A^T)^T left, four times C N a row.
    """
    return 4 * n_rows * n_features < n_atoms * (n_rows + n_features)


def gram(dictionary: Tensor, compute_dtype: str = "float32") -> Tensor:
    """Return A^T A (N, N) of A (C, N); its gradient A (G + G^T) is one product where autodiff takes two."""

    @ops.custom_gradient
    def gram_of(dictionary: Tensor) -> Tensor:
        A = rounded(dictionary, compute_dtype)

        def gradient(*args: Tensor, upstream: Tensor | None = None) -> Tensor:
            G = args[0] if upstream is None else upstream
            return multiply(A, G + ops.transpose(G))

        return self_product(A), gradient

    return gram_of(dictionary)


def sequence_codes(stack: Stack, form: str) -> Callable[..., Tensor]:
    """Return the function (x A, matrix, S, alpha_0, gamma, lambda1, lambda2) -> codes (T, rows, N).

    x A (T, rows, N), S (T, rows, 1). Its gradient is `sequence_gradient`.

    Args:
        stack: the K layers.
        form: "gram", `matrix` is A^T A (N, N); "dictionary", it is A (C, N), and A^T and A are used in turn;
            "both", it is A, and A^T A is taken of it.
    """

    @ops.custom_gradient
    def codes_of(
        xA: Tensor,
        matrix: Tensor,
        S: Tensor,
        initial_codes: Tensor,
        gamma: Tensor,
        lambda1: Tensor,
        lambda2: Tensor,
    ) -> Tensor:
        matrix = rounded(matrix, stack.compute_dtype)
        A, G = (None, matrix) if form == "gram" else (matrix, None)
        if form == "both":
            G = rounded(self_product(A), stack.compute_dtype)
        theta = Parameters(A, gamma, lambda1, lambda2, G)
        weights = stack.weights(lambda2)
        frames: list[Frame] = []
        steps: list[list[Step]] = []
        a = initial_codes
        for t in range(xA.shape[0]):
            frames.append(Frame(xA[t], S[t], a))
            steps.append(frame_steps(frames[t], theta, stack))
            a = steps[t][-1].after

        def gradient(*args: Tensor, upstream: Tensor | None = None) -> Tensor:
            upstream = args[0] if upstream is None else upstream
            return sequence_gradient(upstream, S, frames, steps, theta, weights)

        return ops.stack([steps_of_frame[-1].after for steps_of_frame in steps]), gradient

    return codes_of


def sequence_gradient(
    upstream: Tensor,
    S: Tensor,
    frames: list[Frame],
    steps: list[list[Step]],
    theta: Parameters,
    weights: list[Tensor],
) -> tuple[Tensor, ...]:
    """Return the gradients of the arguments of `sequence_codes`' function, in order, each in its shape.

    Args:
        upstream: of the codes, (T, rows, N).
        S: (T, rows, 1).
        frames, steps: what was computed, by frame and by frame and step.
        theta, weights: as in `sista_step`, w for each of the K steps.
    """
    d_a = d_previous = ops.zeros_like(frames[0].previous)
    d_xA, d_coherence = [], []
    done = []  # (step, its gradient, its w), from the last to the first
    for t in reversed(range(len(frames))):
        # A frame's codes go to the loss and to the next frame.
        d_a, d_previous = d_a + d_previous + upstream[t], 0.0
        d_xA.append(0.0)
        d_coherence.append(0.0)
        for step, w in zip(steps[t][::-1], weights[::-1], strict=True):
            d = step_gradient(d_a, step, frames[t], theta, w)
            d_a, d_previous = d.before, d_previous + d.previous
            d_xA[-1] = d_xA[-1] + d.minus_slope
            d_coherence[-1] = d_coherence[-1] + d.coherence
            done.append((step, d, w))
    d_coherence = ops.stack(d_coherence[::-1])
    d_matrix, d_gamma, d_lambda1, d_lambda2 = shared_gradient(done, theta)
    return (
        ops.stack(d_xA[::-1]),
        d_matrix,
        theta.lambda2 * d_coherence,
        d_a + d_previous,
        d_gamma,
        d_lambda1,
        ops.sum(S * d_coherence) + d_lambda2,
    )


def shared_gradient(
    done: list[tuple[Step, StepGradient, Tensor]], theta: Parameters
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients of the matrix, gamma, lambda1, and of lambda2 where it is w: sums over all steps.

    With a before and a' after each step, the matrix being A^T A (N, N), or A (C, N) where theta has it:

        d (A^T A) = -sum w a^T e,   d A = -sum w [(a A^T)^T e + (e A^T)^T a],
        d gamma = -sum <e, a' - a>,   d lambda1 = -sum <e, sign(a')>,   d w = -sum <a, e A^T A>

    Args:
        done: each step, its gradient and its w.
        theta: as in `sista_step`.
    """
    dtype = theta.compute_dtype
    e = ops.concatenate([d.minus_slope for _, d, _ in done])
    before = ops.concatenate([step.before for step, _, _ in done])
    after = ops.concatenate([step.after for step, _, _ in done])
    left, right = [w * step.left for step, _, w in done], e
    if theta.dictionary is not None:
        left += [w * d.left for _, d, w in done]
        right = ops.concatenate([e, before])
    left = rounded(-ops.concatenate(left), dtype)
    if theta.dictionary is not None and theta.dictionary_gram is not None:
        left = rounded(multiply_transposed(left, theta.dictionary), dtype)
    d_matrix = multiply(transposed(left), right)
    d_lambda2 = 0.0
    for step, d, w in done:
        if w is theta.lambda2:
            d_lambda2 = d_lambda2 - ops.sum(step.before * d.gram)
    return d_matrix, -ops.sum(e * (after - before)), -ops.sum(e * ops.sign(after)), d_lambda2
