"""LSTM-AE on streams of features. Paper: Sec. 4.5."""

from collections.abc import Mapping
from dataclasses import asdict, replace

import keras
import numpy as np

from experiments.lab.settings.schema import Settings, TrainSettings
from experiments.lab.systems.features import FeatureSource, live_streams
from experiments.lab.systems.inputs import LiveScores
from experiments.lab.training.gradients import Gradients
from experiments.lab.training.runs import Run
from experiments.lab.training.task import Task
from models.blocks import jit_compile
from models.lstm_ae import LSTMAE, LSTMStreaming


def lstm_ae_task(source: FeatureSource, settings: Settings, seed: int) -> Task:
    """Return the task of LSTM-AE: the features, windows and iterations of sRNN-AE. Paper: Sec. 4.5."""
    options = settings.lstm_ae
    train = replace(
        settings.train,
        learning_rate=options.lstm_learning_rate,
        epsilon=options.lstm_epsilon,
        slot_start=TrainSettings().slot_start,  # Keras's own, as the optimizer is
    )

    def build(sample: np.ndarray) -> LSTMAE:
        model = LSTMAE(sample.shape[-1], options.lstm_units, seed=seed)
        optimizer = keras.optimizers.RMSprop(train.learning_rate, train.rho, epsilon=train.epsilon)
        model.compile(optimizer, jit_compile=jit_compile())
        return model

    trainer = Gradients(train, source.sampler(train.window_frames, train.batch_clips, seed), build)
    config = {"model": asdict(options)}
    return Task("LSTM-AE", source.stream, seed, source.data, config, trainer, source.scorer(LSTMStreaming))


def live(runs: Mapping[str, Run], settings: Settings, source: FeatureSource) -> tuple[str, LiveScores]:
    """Return how LSTM-AE scores a live camera, see `features.live_streams`."""
    return live_streams(LSTMStreaming, runs, settings)
