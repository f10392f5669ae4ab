"""Nearest Subspace and OC-SVM on whole-frame features: fit on a dataset's shards, score its test clips.

Paper: Sec. 4.3, "Baselines": appearance features, one vector a frame (the 1x1 region), no sRNN-AE.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from data_prep.shards import Shard, list_shards
from experiments.lab.scoring.score import ClipScores
from experiments.lab.settings.schema import Settings
from experiments.lab.systems.catalogue import task_of
from experiments.lab.systems.features import ShardFeatures
from experiments.lab.systems.inputs import LiveScores
from experiments.lab.training.fitting import Fit
from experiments.lab.training.runs import Run
from experiments.lab.training.task import Score, Task
from models.nearest_subspace import NearestSubspace
from models.one_class_svm import OneClassSVM

# Frames reach the fit in this many passes over the clips, every n-th frame each: scenes come mixed.
N_PASSES = 8
STREAM = "whole frame"


def whole_frames(shards: Sequence[Path], seed: int) -> Iterator[np.ndarray]:
    """Yield whole-frame features float32 (n, C) of all frames, clips and frames mixed, one clip at a time."""
    rng = np.random.default_rng(seed)
    for offset in rng.permutation(N_PASSES):
        for index in rng.permutation(len(shards)):
            with Shard(shards[index]) as shard:
                yield shard.whole_frames()[offset::N_PASSES]


def nearest_subspace_task(source: ShardFeatures, settings: Settings, seed: int) -> Task:
    """Return the task of Nearest Subspace. Paper: Sec. 4.3, baseline i)."""
    n_atoms = settings.baselines.n_subspace_atoms

    def fit() -> NearestSubspace:
        return NearestSubspace.fit(whole_frames(list_shards(source.shards, "train"), seed), n_atoms, seed)

    trainer = Fit(fit, lambda fitted: {"rank": len(fitted.basis)})
    return whole_frame_task("Nearest Subspace", source, seed, {"n_subspace_atoms": n_atoms}, trainer)


def one_class_svm_task(source: ShardFeatures, settings: Settings, seed: int) -> Task:
    """Return the task of OC-SVM. Paper: Sec. 4.3, baseline ii)."""
    options = settings.baselines

    def fit() -> OneClassSVM:
        return OneClassSVM.fit(
            whole_frames(list_shards(source.shards, "train"), seed),
            nu=options.svm_nu,
            exact_rows=options.svm_exact_rows,
            n_components=options.svm_components,
            seed=seed,
        )

    own = {name: getattr(options, name) for name in ("svm_nu", "svm_exact_rows", "svm_components")}
    return whole_frame_task("OC-SVM", source, seed, own, Fit(fit, lambda fitted: {"kind": fitted.kind}))


def whole_frame_task(system: str, source: ShardFeatures, seed: int, own: dict, trainer: Fit) -> Task:
    """Return the task of a system that takes the 1x1 region of a frame; `own` are its settings."""
    return Task(system, STREAM, seed, source.data, {"model": own}, trainer, whole_frame_scorer(source.shards))


def whole_frame_scorer(shards: Path) -> Callable[[NearestSubspace | OneClassSVM], Score]:
    """Return the `scorer` (see `Task`) of what gives one error a frame: R = 1, as precise as it is given."""

    def scorer(fitted) -> Score:
        def score(split: str) -> list[ClipScores]:
            scored = []
            for path in list_shards(shards, split):
                with Shard(path) as shard:
                    error = np.asarray(fitted.errors(shard.whole_frames()))[:, None]
                    scored.append(ClipScores(shard.info.clip, shard.labels, error))
            return scored

        return score

    return scorer


def live(runs: Mapping[str, Run], settings: Settings, source: ShardFeatures) -> tuple[str, LiveScores]:
    """Return how a live camera is scored, and what gives the error (1,) of each frame's 1x1 region."""
    (run,) = runs.values()
    trainer: Fit = task_of(run.config["system"], source, settings, run.config["seed"]).trainer
    fitted = trainer.fit()  # anew: the run keeps scores alone

    def scores(frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        for features in frames:
            yield fitted.errors(features[:1])

    return "whole frames", scores
