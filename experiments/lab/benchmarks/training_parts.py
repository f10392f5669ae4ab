"""Where the time of a training step of sRNN-AE goes: processor seconds of its parts, each on its own.

`python -m experiments.benchmark` writes them to training_parts.csv.

Processor time, of all cores together, tells more than the clock on a machine that others use too. The parts
do not add up to the step: what is left is the sums and thresholds of the recurrence, copies, the input.
"""

from collections import Counter
from collections.abc import Callable
from time import process_time

import keras
import numpy as np

from experiments.lab.benchmarks.costs import training_products
from experiments.lab.training.freed_memory import freed_memory_kept
from models.products import multiply, rounded

ROUNDS = 5


def parts_of(model: keras.Model, batch: np.ndarray) -> dict[str, float]:
    """Return part -> median processor seconds, of a compiled sRNN-AE and a batch (rows, T, C); TensorFlow."""
    import tensorflow as tf

    weights = [variable.value for variable in model.trainable_variables]
    gradients = [tf.ones_like(weight) for weight in weights]
    x = tf.constant(batch)
    options, (rows, frames) = model.options, batch.shape[:2]
    size = (model.n_features, options.n_atoms, options.similarity_units, options.depth, rows, frames)
    counts = Counter(training_products(*size))
    factors = {shapes: tuple(tf.random.normal(shape) for shape in shapes) for shapes in counts}

    def products():
        for shapes, (a, b) in factors.items():
            shared = rounded(b, options.compute_dtype)
            for _ in range(counts[shapes]):
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
