"""What a training step and a streamed frame cost: their products by count, their time as one size grows.

`python -m experiments.benchmark` writes the times to costs.csv. Each size is grown alone, from that of
the benchmark. Processor seconds, of all cores together, for the reason that `training_parts` gives.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from experiments.lab.settings.schema import Settings

STREAMED_FRAMES = 50
Shape = tuple[int, int]
# Work -> what grows, and by how much: regions, clips and cameras are rows that are taken side by side.
GROWN = {
    "training step": {"n_features": 2, "n_atoms": 2, "depth": 2, "rows": 2, "frames": 2},
    "streamed frame": {"n_features": 2, "n_atoms": 2, "depth": 2, "rows": 16},
}


@dataclass(frozen=True)
class Size:
    """C, N, K, the rows of a batch (regions times clips, or cameras), and the frames of a window."""

    n_features: int
    n_atoms: int
    depth: int
    rows: int
    frames: int


def training_products(n_features, n_atoms, units, depth, rows, frames) -> Iterator[tuple[Shape, Shape]]:
    """Yield the shapes of the two factors of each matrix product of one training step.

    They are those of the form that `models.sequence.cheapest_form` chooses for these sizes.
    """
    from models.products import column_blocks
    from models.sequence import cheapest_form

    C, N, n, steps = n_features, n_atoms, rows * frames, frames * depth
    form = cheapest_form(C, N, rows, steps)
    if form != "dictionary":
        for first, last in column_blocks(N):  # A^T A
            yield (last - first, C), (C, N - first)
    for _ in range(2 * steps):  # codes, and their gradients
        if form == "dictionary":
            yield (rows, N), (N, C)
            yield (rows, C), (C, N)
        else:
            yield (rows, N), (N, N)
    if form == "gram":
        yield (N, rows * steps), (rows * steps, N)  # the gradient of A^T A
        yield (C, N), (N, N)  # that of A through it
    else:
        if form == "both":
            yield (2 * rows * steps, N), (N, C)
        yield (C, 2 * rows * steps), (2 * rows * steps, N)  # that of A, from its factors
    yield (n, C), (C, N)  # x A
    yield (C, n), (n, N)  # its gradient, of A
    yield (n, N), (N, C)  # the decoder
    yield (n, C), (C, N)  # the gradient of the codes
    yield (N, n), (n, C)  # of the decoder
    yield (n, C), (C, units)  # phi
    yield (C, n), (n, units)  # its gradient


def training_operations(n_features, n_atoms, units, depth, rows, frames) -> float:
    """Return the floating point operations of `training_products`."""
    products = training_products(n_features, n_atoms, units, depth, rows, frames)
    return float(sum(2 * m * k * n for (m, k), (_, n) in products))


def weights_read(n_features, n_atoms, units, depth) -> int:
    """Return the matrix elements that one streamed frame is multiplied with: A, A^T A K times, decoder, phi.

    A^T A is kept. A cache that holds it reads it from memory once.
    """
    return 2 * n_features * n_atoms + depth * n_atoms**2 + n_features * units


def streamed(model, frames: np.ndarray, n_frames: int) -> Callable[[], object]:
    """Return what scores `n_frames` of the frames (rows, T, C), one after another.

    Many rows are multiplied as clips are that are scored side by side, few as a live frame is.
    """
    from experiments.lab.scoring.score import step_function
    from experiments.lab.systems.srnn_ae import frame_by_frame
    from models.sequence import ROWS_OF_A_READ
    from models.srnn_ae import Streaming

    streaming = frame_by_frame(model) if len(frames) < ROWS_OF_A_READ else Streaming(model)
    step = step_function(streaming)

    def stream():
        state = streaming.initial_state(len(frames))
        for index in range(n_frames):
            t = index % frames.shape[1]
            _, state = step(frames[:, t : t + 1], state)

    return stream


def costs(settings: Settings, n_features: int, regions: int) -> list[dict]:
    """Return a line for each work and size that grows: processor seconds before and after, and their ratio.

    `products` is the ratio of the operations of the matrix products.
    """
    model, train = settings.model, settings.train
    rows = {"training step": train.batch_clips * regions, "streamed frame": regions}
    lines = []
    for work, axes in GROWN.items():
        base = Size(n_features, model.n_atoms, model.depth, rows[work], train.window_frames)
        before = seconds_of(work, base, settings)
        for axis, factor in axes.items():
            size = replace(base, **{axis: factor * getattr(base, axis)})
            after = seconds_of(work, size, settings)
            grown = products_of(work, size, settings) / products_of(work, base, settings)
            lines.append(
                {
                    "work": work,
                    "axis": axis,
                    "from": getattr(base, axis),
                    "to": getattr(size, axis),
                    "processor_seconds": f"{before:.4g}",
                    "grown_processor_seconds": f"{after:.4g}",
                    "ratio": f"{after / before:.3f}",
                    "products": f"{grown:.3f}",
                }
            )
    return lines


def products_of(work: str, size: Size, settings: Settings) -> float:
    """Return the operations of the products of a work at a size."""
    sizes = (size.n_features, size.n_atoms, settings.model.similarity_units, size.depth)
    if work == "training step":
        return training_operations(*sizes, size.rows, size.frames)
    return 2.0 * size.rows * weights_read(*sizes)


def seconds_of(work: str, size: Size, settings: Settings) -> float:
    """Return the processor seconds of a work at a size; TensorFlow."""
    import tensorflow as tf

    from experiments.lab.benchmarks.training_parts import processor_seconds
    from experiments.lab.systems.srnn_ae import build_srnn_ae

    at_size = settings.override(n_atoms=size.n_atoms, depth=size.depth)
    model = build_srnn_ae(size.n_features, size.rows, at_size, seed=0)
    shape = (size.rows, size.frames, size.n_features)
    batch = np.random.default_rng(0).exponential(0.5, shape).astype(np.float32)
    if work == "streamed frame":
        return processor_seconds(streamed(model, batch, STREAMED_FRAMES)) / STREAMED_FRAMES
    x = tf.constant(batch)
    return processor_seconds(tf.function(lambda: model.train_step((x,))))
