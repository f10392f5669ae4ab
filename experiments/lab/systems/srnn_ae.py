"""sRNN-AE on streams of features. Paper: Sec. 3.4."""

from dataclasses import asdict
from pathlib import Path

import keras
import numpy as np

from experiments.lab.settings.schema import Settings
from experiments.lab.systems.features import sampler, streaming_scorer
from experiments.lab.training.gradients import Gradients
from experiments.lab.training.task import Task, shards_data
from models.blocks import jit_compile
from models.srnn_ae import SRNNAE, Streaming


def srnn_ae_task(shards: Path, stream: str, settings: Settings, seed: int, sample_frames=None) -> Task:
    """Return the task of sRNN-AE. Paper: Sec. 3.4 and 4.1."""

    def build(sample: np.ndarray) -> SRNNAE:
        return build_srnn_ae(sample.shape[-1], len(sample), settings, seed)

    return Task(
        "sRNN-AE",
        stream,
        seed,
        shards_data(shards, sample_frames),
        {"model": asdict(settings.model)},
        Gradients(settings.train, sampler(shards, stream, settings.train, settings, seed).batch, build),
        streaming_scorer(shards, stream, settings, Streaming),
    )


def build_srnn_ae(n_features: int, n_rows: int, settings: Settings, seed: int) -> SRNNAE:
    """Return a fresh sRNN-AE, compiled with RMSProp, for batches of `n_rows` rows."""
    train = settings.train
    model = SRNNAE(n_features, **asdict(settings.model), expected_rows=n_rows, seed=seed)
    optimizer = keras.optimizers.RMSprop(train.learning_rate, train.rho, epsilon=train.epsilon)
    model.compile(optimizer, jit_compile=jit_compile())
    optimizer.build(model.trainable_variables)
    for variable in optimizer.variables:
        if "velocity" in variable.path:
            variable.assign(np.full(variable.shape, train.slot_start, "float32"))
    return model
