"""TSC on streams of features. Paper: Sec. 3.1 to 3.3."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from data_prep.shards import list_shards
from data_prep.windows import clip_blocks
from experiments.lab.scoring.score import CLIPS_AT_ONCE
from experiments.lab.settings.schema import Settings
from experiments.lab.systems.features import sampler, sampling, streaming_scorer
from experiments.lab.training.alternation import Alternations
from experiments.lab.training.task import Task, shards_data
from models.srnn_ae import Streaming
from models.tsc import TSC, Block, initial_dictionary


def tsc_task(shards: Path, stream: str, settings: Settings, seed: int, sample_frames=None) -> Task:
    """Return the task of TSC. Paper: Sec. 3.1 to 3.3."""

    def blocks() -> Iterator[Block]:
        return training_blocks(shards, stream, settings, seed)

    windows = {**sampling(stream, settings), "window_frames": settings.train.window_frames}
    return Task(
        "TSC",
        stream,
        seed,
        shards_data(shards),
        {**tsc_config(settings), "sampling": windows},
        alternations(blocks, settings, seed),
        streaming_scorer(shards, stream, settings, Streaming),
    )


def tsc_config(settings: Settings) -> dict:
    """Return what a run's configuration holds of TSC's settings."""
    return {"model": {**asdict(settings.tsc), "threshold": settings.model.threshold}}


def alternations(blocks: Callable[[], Iterator[Block]], settings: Settings, seed: int) -> Alternations:
    """Return the trainer of TSC on training blocks."""
    options = settings.tsc
    how = (options.tsc_alternations, options.tsc_update_steps, options.atom_norm, options.tsc_coding)
    return Alternations(blocks, lambda: build_tsc(blocks, settings, seed), *how)


def build_tsc(blocks: Callable[[], Iterator[Block]], settings: Settings, seed: int) -> TSC:
    """Return TSC with a dictionary of random rows of the training blocks."""
    options = settings.tsc
    model = TSC(
        next(iter(blocks())).x.shape[-1],
        options.tsc_n_atoms,
        options.tsc_depth,
        options.tsc_lambda1,
        options.tsc_lambda2,
        options.tsc_delta_squared,
        settings.model.threshold,
    )
    model.set_dictionary(initial_dictionary(blocks(), options.tsc_n_atoms, seed))
    return model


def training_blocks(shards: Path, stream: str, settings: Settings, seed: int) -> Iterator[Block]:
    """Yield the frames that TSC codes in every alternation: all, or the same `tsc_windows` random windows."""
    train, n_windows = settings.train, settings.tsc.tsc_windows
    if n_windows:
        side_by_side = min(n_windows, CLIPS_AT_ONCE)
        windows = sampler(shards, stream, replace(train, batch_clips=side_by_side), settings, seed)
        for step in range(-(-n_windows // side_by_side)):
            yield Block(windows.batch(step))
        return
    paths = list_shards(shards, "train")
    for first in range(0, len(paths), CLIPS_AT_ONCE):  # rows enough for efficient products, as in scoring
        group = paths[first : first + CLIPS_AT_ONCE]
        blocks = clip_blocks(group, block_frames=train.window_frames, **sampling(stream, settings))
        for index, (x, n_valid) in enumerate(blocks):
            yield Block(x, np.repeat(n_valid, len(x) // len(group)), starts=index == 0)
