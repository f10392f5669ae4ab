"""sRNN-AE on streams of features. Paper: Sec. 3.4."""

from collections.abc import Mapping
from dataclasses import asdict

import numpy as np

from data_prep.processor import few_rows_are_faster_transposed
from experiments.lab.settings.schema import Settings
from experiments.lab.systems.features import FeatureSource, live_streams
from experiments.lab.systems.inputs import LiveScores
from experiments.lab.training.gradients import Gradients
from experiments.lab.training.runs import Run
from experiments.lab.training.task import Task
from models.blocks import jit_compile
from models.rmsprop import RMSProp
from models.srnn_ae import SRNNAE, Streaming


def srnn_ae_task(source: FeatureSource, settings: Settings, seed: int) -> Task:
    """Return the task of sRNN-AE. Paper: Sec. 3.4 and 4.1."""
    train = settings.train
    trainer = Gradients(
        train,
        source.sampler(train.window_frames, train.batch_clips, seed),
        lambda sample: build_srnn_ae(sample.shape[-1], len(sample), settings, seed),
    )
    config = {"model": asdict(settings.model), **source.products}
    return Task("sRNN-AE", source.stream, seed, source.data, config, trainer, source.scorer(Streaming))


def build_srnn_ae(n_features: int, n_rows: int, settings: Settings, seed: int) -> SRNNAE:
    """Return a fresh sRNN-AE, compiled with RMSProp, for batches of `n_rows` rows."""
    train = settings.train
    model = SRNNAE(n_features, **asdict(settings.model), expected_rows=n_rows, seed=seed)
    optimizer = RMSProp(train.learning_rate, train.rho, epsilon=train.epsilon)
    model.compile(optimizer, jit_compile=jit_compile())
    optimizer.build(model.trainable_variables)
    for variable in optimizer.variables:
        if "velocity" in variable.path:
            variable.assign(np.full(variable.shape, train.slot_start, "float32"))
    return model


def live(runs: Mapping[str, Run], settings: Settings, source: FeatureSource) -> tuple[str, LiveScores]:
    """Return how sRNN-AE or TSC scores a live camera, see `features.live_streams`."""
    return live_streams(frame_by_frame, runs, settings)


def frame_by_frame(model: SRNNAE) -> Streaming:
    """Return sRNN-AE or TSC scoring frame after frame, its matrices kept as this processor likes them."""
    dtype = model.srnn.options.compute_dtype
    return Streaming(model, frame_by_frame=few_rows_are_faster_transposed(dtype))
