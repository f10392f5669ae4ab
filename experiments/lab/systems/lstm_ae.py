"""LSTM-AE on streams of features. Paper: Sec. 4.5."""

from dataclasses import asdict, replace
from pathlib import Path

import keras
import numpy as np

from experiments.lab.settings.schema import Settings
from experiments.lab.systems.features import sampler, streaming_scorer
from experiments.lab.training.gradients import Gradients
from experiments.lab.training.task import Task, shards_data
from models.blocks import jit_compile
from models.lstm_ae import LSTMAE, LSTMStreaming


def lstm_ae_task(shards: Path, stream: str, settings: Settings, seed: int, sample_frames=None) -> Task:
    """Return the task of LSTM-AE: the features, windows and optimizer of sRNN-AE. Paper: Sec. 4.5."""
    options = settings.lstm_ae
    train = replace(settings.train, learning_rate=options.lstm_learning_rate, epsilon=options.lstm_epsilon)

    def build(sample: np.ndarray) -> LSTMAE:
        model = LSTMAE(sample.shape[-1], options.lstm_units, seed=seed)
        optimizer = keras.optimizers.RMSprop(train.learning_rate, train.rho, epsilon=train.epsilon)
        model.compile(optimizer, jit_compile=jit_compile())
        return model

    return Task(
        "LSTM-AE",
        stream,
        seed,
        shards_data(shards, sample_frames),
        {"model": asdict(options)},
        Gradients(train, sampler(shards, stream, train, settings, seed).batch, build),
        streaming_scorer(shards, stream, settings, LSTMStreaming),
    )
