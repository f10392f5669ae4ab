"""Nearest Subspace and OC-SVM on whole-frame features: fit on a dataset's shards, score its test clips.

Paper: Sec. 4.3, "Baselines": appearance features, one vector a frame (the 1x1 region), no sRNN-AE.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from data_prep.errors import InputError
from data_prep.files import write_atomic
from data_prep.provenance import made_with
from data_prep.shards import Shard, list_shards
from experiments.lab.scoring.score import ClipScores
from experiments.lab.settings.schema import BaselineSettings, config_hash
from experiments.lab.training.task import shards_data
from models.nearest_subspace import NearestSubspace
from models.one_class_svm import OneClassSVM

# Frames reach the fit in this many passes over the clips, every n-th frame each: scenes come mixed.
N_PASSES = 8


@dataclass(frozen=True)
class Baseline:
    """One fitted baseline: the scores of the test clips, one error a frame. It is read as a `Run` is.

    `details` is what the fit says of itself, `config` what it depends on and what it was made with.
    """

    clips: list[ClipScores]
    details: dict
    config: dict
    steps = (0,)  # the fit
    ahead_frames = 0

    def scores(self, step: int | None = None) -> list[ClipScores]:
        """Return the test clips' scores."""
        return self.clips

    def train_errors(self, frame_error: str) -> np.ndarray:
        """Raise InputError: those of the training frames are not kept."""
        raise InputError(
            f"{self.config['system']} keeps no errors of training frames, which normalization train and the "
            "fusions calibrated and log read"
        )


def whole_frames(shards: Sequence[Path], seed: int) -> Iterator[np.ndarray]:
    """Yield whole-frame features float32 (n, C) of all frames, clips and frames mixed, one clip at a time."""
    rng = np.random.default_rng(seed)
    for offset in rng.permutation(N_PASSES):
        for index in rng.permutation(len(shards)):
            with Shard(shards[index]) as shard:
                yield shard.whole_frames()[offset::N_PASSES]


def fit_nearest_subspace(shards, settings: BaselineSettings, seed: int):
    """Return (errors function, details) of Nearest Subspace."""
    fitted = NearestSubspace.fit(whole_frames(shards, seed), settings.n_subspace_atoms, seed)
    return fitted.errors, {"rank": len(fitted.basis)}


def fit_one_class_svm(shards, settings: BaselineSettings, seed: int):
    """Return (errors function, details) of OC-SVM."""
    fitted = OneClassSVM.fit(
        whole_frames(shards, seed), settings.svm_nu, settings.svm_exact_rows, settings.svm_components, seed
    )
    return fitted.errors, {"kind": fitted.kind}


BASELINES: dict[str, Callable] = {"Nearest Subspace": fit_nearest_subspace, "OC-SVM": fit_one_class_svm}


def run_baseline(
    name: str, shards_folder: Path, settings: BaselineSettings, seed: int, out: Path
) -> Baseline:
    """Return a baseline's errors on the test clips, fitting it where they are not there.

    Args:
        name: key of `BASELINES`, as the paper names it.
        shards_folder: folder of the dataset's shards.
        settings: settings of both baselines.
        seed: seed of the fit and of the order of frames.
        out: root of the outputs; results are kept in `out/checkpoints/<dataset>/`.

    Raises:
        InputError: settings that do not suit the features, such as a subspace that holds all of them.
    """
    identity = shards_data(shards_folder).identity
    config = {"system": name, "seed": seed, **identity, "settings": asdict(settings)}
    key = name.lower().replace(" ", "_").replace("-", "_")
    folder = out / "checkpoints" / identity["dataset"] / f"{key}-seed{seed}-{config_hash(config)}"
    test_shards = list_shards(shards_folder, "test")
    if not (folder / "metrics.json").exists():
        start = time.perf_counter()
        try:
            errors_of, details = BASELINES[name](list_shards(shards_folder, "train"), settings, seed)
        except ValueError as fault:
            raise InputError(f"{name} on {shards_folder}: {fault}") from None
        details["training_seconds"] = time.perf_counter() - start
        errors = {}
        for path in test_shards:
            with Shard(path) as shard:
                errors[path.stem] = errors_of(shard.whole_frames())
        write_atomic(folder / "errors.json", json.dumps({k: v.tolist() for k, v in errors.items()}).encode())
        write_atomic(folder / "config.json", json.dumps({**config, **made_with()}, indent=1).encode())
        write_atomic(folder / "metrics.json", json.dumps(details).encode())
    errors = json.loads((folder / "errors.json").read_text())
    clips = []
    for path in test_shards:
        with Shard(path) as shard:
            error = np.array(errors[path.stem])[:, None]
            clips.append(ClipScores(shard.info.clip, shard.labels, error))
    details = json.loads((folder / "metrics.json").read_text())
    config = json.loads((folder / "config.json").read_text())
    return Baseline(clips, details, config)
