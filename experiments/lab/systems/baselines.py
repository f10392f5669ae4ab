"""Nearest Subspace, OC-SVM and Nearest Neighbor: fit on a dataset's shards, score its test clips.

Paper: Sec. 4.3, "Baselines": appearance features, one vector a frame (the 1x1 region), no sRNN-AE. Nearest
Neighbor is ours. Of flow windows they take every row in which something moves.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from data_prep.shards import Shard, list_shards
from experiments.lab.scoring.score import ClipScores
from experiments.lab.settings.schema import Settings
from experiments.lab.systems.catalogue import task_of
from experiments.lab.systems.features import ShardFeatures, WindowFeatures
from experiments.lab.systems.inputs import LiveScores
from experiments.lab.training.fitting import Fit
from experiments.lab.training.runs import Run
from experiments.lab.training.task import Score, Task
from models.nearest_neighbor import NearestNeighbor
from models.nearest_subspace import NearestSubspace
from models.one_class_svm import OneClassSVM

# Frames reach the fit in this many passes over the clips, every n-th frame each: scenes come mixed.
N_PASSES = 8
BLOCK_FRAMES = 64
STREAM = "whole frame"
Fitted = NearestSubspace | OneClassSVM | NearestNeighbor


def whole_frames(shards: Sequence[Path], seed: int) -> Iterator[np.ndarray]:
    """Yield whole-frame features float32 (n, C) of all frames, clips and frames mixed, one clip at a time."""
    rng = np.random.default_rng(seed)
    for offset in rng.permutation(N_PASSES):
        for index in rng.permutation(len(shards)):
            with Shard(shards[index]) as shard:
                yield shard.whole_frames()[offset::N_PASSES]


def active_rows(shards: Sequence[Path], seed: int) -> Iterator[np.ndarray]:
    """Yield the rows of all frames that are not zeros, float32 (n, C), block by block, the blocks mixed."""
    blocks = []
    for path in shards:
        with Shard(path) as shard:
            blocks += [(path, start) for start in range(0, shard.n_frames, BLOCK_FRAMES)]
    for index in np.random.default_rng(seed).permutation(len(blocks)):
        path, start = blocks[index]
        with Shard(path) as shard:
            features = shard.features(start, start + BLOCK_FRAMES)
        yield features[features.any(axis=-1)]


def training_rows(source: ShardFeatures, seed: int) -> Iterator[np.ndarray]:
    """Yield what is fitted, float32 (n, C): whole frames, or the active rows of flow windows."""
    rows = active_rows if isinstance(source, WindowFeatures) else whole_frames
    return rows(list_shards(source.shards, "train"), seed)


def nearest_subspace_task(source: ShardFeatures, settings: Settings, seed: int) -> Task:
    """Return the task of Nearest Subspace. Paper: Sec. 4.3, baseline i)."""
    n_atoms = settings.baselines.n_subspace_atoms

    def fit() -> NearestSubspace:
        return NearestSubspace.fit(training_rows(source, seed), n_atoms, seed)

    trainer = Fit(fit, lambda fitted: {"rank": len(fitted.basis)})
    return row_task("Nearest Subspace", source, seed, {"n_subspace_atoms": n_atoms}, trainer)


def one_class_svm_task(source: ShardFeatures, settings: Settings, seed: int) -> Task:
    """Return the task of OC-SVM. Paper: Sec. 4.3, baseline ii)."""
    options = settings.baselines

    def fit() -> OneClassSVM:
        return OneClassSVM.fit(
            training_rows(source, seed),
            nu=options.svm_nu,
            exact_rows=options.svm_exact_rows,
            n_components=options.svm_components,
            seed=seed,
        )

    own = {name: getattr(options, name) for name in ("svm_nu", "svm_exact_rows", "svm_components")}
    return row_task("OC-SVM", source, seed, own, Fit(fit, lambda fitted: {"kind": fitted.kind}))


def nearest_neighbor_task(source: ShardFeatures, settings: Settings, seed: int) -> Task:
    """Return the task of Nearest Neighbor, which is not in the paper."""
    options = settings.baselines

    def fit() -> NearestNeighbor:
        rows = training_rows(source, seed)
        return NearestNeighbor.fit(rows, options.n_neighbors, options.neighbor_rows, seed)

    own = {name: getattr(options, name) for name in ("n_neighbors", "neighbor_rows")}
    return row_task("Nearest Neighbor", source, seed, own, Fit(fit))


def row_task(system: str, source: ShardFeatures, seed: int, own: dict, trainer: Fit) -> Task:
    """Return the task of a system that takes rows one by one: the 1x1 region, or windows; `own`: settings."""
    windows = isinstance(source, WindowFeatures)
    stream, errors_of = (source.stream, window_errors) if windows else (STREAM, whole_frame_errors)

    def scorer(fitted: Fitted) -> Score:
        def score(split: str) -> list[ClipScores]:
            scored = []
            for path in list_shards(source.shards, split):
                with Shard(path) as shard:
                    scored.append(ClipScores(shard.info.clip, shard.labels, errors_of(fitted, shard)))
            return scored

        return score

    return Task(system, stream, seed, source.data, {"model": own}, trainer, scorer)


def whole_frame_errors(fitted: Fitted, shard: Shard) -> np.ndarray:
    """Return one error a frame, (n_frames, 1), as precise as it is given."""
    return np.asarray(fitted.errors(shard.whole_frames()))[:, None]


def window_errors(fitted: Fitted, shard: Shard) -> np.ndarray:
    """Return the error of every window, float64 (n_frames, R): 0 at rest, and within OC-SVM's boundary."""
    errors = np.zeros((shard.n_frames, shard.n_regions))
    for start in range(0, shard.n_frames, BLOCK_FRAMES):
        features = shard.features(start, start + BLOCK_FRAMES)
        active = features.any(axis=-1)
        if active.any():
            errors[start : start + len(features)][active] = fitted.errors(features[active]).clip(min=0)
    return errors


def live(runs: Mapping[str, Run], settings: Settings, source: ShardFeatures) -> tuple[str, LiveScores]:
    """Return how a live camera is scored, and what gives the error (1,) of each frame's 1x1 region."""
    (run,) = runs.values()
    trainer: Fit = task_of(run.config["system"], source, settings, run.config["seed"]).trainer
    fitted = trainer.fit()  # anew: the run keeps scores alone

    def scores(frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        for features in frames:
            yield fitted.errors(features[:1])

    return "whole frames", scores
