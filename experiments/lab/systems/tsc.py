"""TSC on streams of features. Paper: Sec. 3.1 to 3.3."""

from collections.abc import Callable, Iterator
from dataclasses import asdict

from experiments.lab.settings.schema import Settings
from experiments.lab.systems.features import FeatureSource
from experiments.lab.training.alternation import Alternations
from experiments.lab.training.task import Task
from models.coding import Block
from models.srnn_ae import Streaming
from models.tsc import TSC, initial_dictionary


def tsc_task(source: FeatureSource, settings: Settings, seed: int) -> Task:
    """Return the task of TSC. Paper: Sec. 3.1 to 3.3."""
    options = settings.tsc

    def blocks() -> Iterator[Block]:
        return training_blocks(source, settings, seed)

    trainer = Alternations(
        blocks,
        lambda: build_tsc(blocks, settings, seed),
        options.tsc_alternations,
        options.tsc_update_steps,
        options.atom_norm,
        options.tsc_coding,
    )
    shared = {name: getattr(settings.model, name) for name in ("threshold", "compute_dtype")}
    config = {"model": {**asdict(options), **shared}, **source.sampling, **source.products}
    return Task("TSC", source.stream, seed, source.data, config, trainer, source.scorer(Streaming))


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
        settings.model.compute_dtype,
    )
    model.set_dictionary(initial_dictionary(blocks(), options.tsc_n_atoms, seed))
    return model


def training_blocks(source: FeatureSource, settings: Settings, seed: int) -> Iterator[Block]:
    """Yield the frames that TSC codes in every alternation: all, or the same `tsc_windows` random windows."""
    for x, n_valid, starts in source.blocks(settings.tsc.tsc_windows, seed):
        yield Block(x, n_valid, starts)
