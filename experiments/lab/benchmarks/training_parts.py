"""Where the time of a training step of sRNN-AE goes: processor seconds of its parts, each on its own.

`python -m experiments.benchmark` writes them to training_parts.csv.

Processor time, of all cores together, tells more than the clock on a machine that others use too. The parts
do not add up to the step: what is left is the sums and thresholds of the recurrence, copies, the input.
"""

from collections.abc import Callable, Iterator
from time import process_time

import keras
import numpy as np

from experiments.lab.training.freed_memory import freed_memory_kept
from models.products import multiply, rounded

ROUNDS = 5


def parts_of(model: keras.Model, batch: np.ndarray) -> dict[str, float]:
    """Return part -> median processor seconds, of a compiled sRNN-AE and a batch (rows, T, C); TensorFlow."""
    import tensorflow as tf

    weights = [variable.value for variable in model.trainable_variables]
    gradients = [tf.ones_like(weight) for weight in weights]
    x = tf.constant(batch)
    factors = [tuple(tf.random.normal(shape) for shape in shapes) for shapes in set(product_shapes(model, x))]
    counts = [list(product_shapes(model, x)).count((a.shape, b.shape)) for a, b in factors]
    dtype = model.options.compute_dtype

    def products():
        for (a, b), count in zip(factors, counts, strict=True):
            shared = rounded(b, dtype)
            for _ in range(count):
                multiply(a, shared)

    def weight_decay():
        with tf.GradientTape() as tape:
            value = tf.add_n(model.losses)
        return tape.gradient(value, weights)

    works: dict[str, Callable] = {
        "step": tf.function(lambda: model.train_step((x,))),
        "forward": tf.function(lambda: model(x)),
        "products": products,
        "optimizer": tf.function(lambda: model.optimizer.apply(gradients, model.trainable_variables)),
        "weight decay": tf.function(weight_decay),
    }
    return {name: processor_seconds(work) for name, work in works.items()}


def processor_seconds(work: Callable[[], object]) -> float:
    """Return the median processor seconds of a call, after one that compiles it."""
    taken = []
    with freed_memory_kept():  # as a run has it
        work()
        for _ in range(ROUNDS):
            start = process_time()
            work()
            taken.append(process_time() - start)
    return float(np.median(taken))


def product_shapes(model: keras.Model, x) -> Iterator[tuple[tuple, tuple]]:
    """Yield the shapes of the factors of each product of a step, those of `benchmark.training_operations`."""
    options, C = model.options, model.n_features
    N, units, (rows, frames) = options.n_atoms, options.similarity_units, x.shape[:2]
    n, steps = rows * frames, frames * options.depth
    yield (N, C), (C, N)  # A^T A
    yield (C, N), (N, N)  # its gradient
    for _ in range(2 * steps):  # codes, and their gradients
        yield (rows, N), (N, N)
    yield (N, rows * steps), (rows * steps, N)  # the gradient of A^T A
    yield (n, C), (C, N)  # x A
    yield (n, N), (N, C)  # the decoder
    yield (n, C), (C, N)  # the gradient of the codes
    yield (C, n), (n, N)  # of A
    yield (N, n), (n, C)  # of the decoder
    yield (n, C), (C, units)  # phi
    yield (C, n), (n, units)  # its gradient
