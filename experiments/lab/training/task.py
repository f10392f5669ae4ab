"""One run before it is made: a system, its data, and all that its numbers depend on."""

import functools
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import keras
import numpy as np

from data_prep.clip_list import SPLITS
from data_prep.errors import InputError
from data_prep.flow_windows.extraction import NAME as FLOW_WINDOWS
from data_prep.flow_windows.place import FILE, load_place
from data_prep.shards import ShardInfo, list_shards, read_info
from experiments.lab.scoring.score import ClipScores
from experiments.lab.settings.schema import config_hash
from experiments.lab.systems.code_versions import code_name
from experiments.lab.training.tensorboard import TensorBoardLog

Score = Callable[[str], list[ClipScores]]  # split -> scores of its clips


# What all shards of a run share, see `ShardInfo`; clips of other sizes are resized in other ways.
MADE_ALIKE = (
    "dataset", "backbone", "weights_sha256", "layer", "input_size_px", "pooling", "pyramid", "normalization",
    "dtype",
)  # fmt: skip


@dataclass(frozen=True)
class Data:
    """What a run is trained and scored on.

    Attributes:
        identity: "dataset", "backbone" and "features" of the run's configuration; the weights depend on it.
        clips: split -> what tells its clips, their order, features and labels from others.
        sample_frames: (clip, frame indices) -> uint8 (n, H, W, 3) of test clips, for pictures in TensorBoard.
        code: what `code_versions.DATA` calls the code that opens it, where that is not the system's.
    """

    identity: dict
    clips: Callable[[str], str]
    sample_frames: Callable[[str, np.ndarray], np.ndarray] | None = None
    code: str = ""


class Trainer(Protocol):
    """How a system is trained: by gradients, or otherwise.

    `config` is what it adds to the run's configuration; `keeps_model` says whether it leaves `last.keras`.
    """

    config: dict
    keeps_model: bool

    def __call__(self, task: "Task", folder: Path, log: TensorBoardLog) -> tuple[list[dict], Score]:
        """Train, or train on; leave `history.json` and the model; return the history and what scores."""

    def summary(self, history: list[dict]) -> dict:
        """Return the final metrics that the history tells: "steps", "loss", "training_seconds", ..."""


@dataclass(frozen=True)
class Task:
    """What is trained, and on what.

    Attributes:
        system: as the paper names it.
        stream, seed: of the run.
        data: see `Data`.
        config: what else the numbers depend on, plain values; nested once at most.
        trainer: see `Trainer`.
        scorer: the model -> what scores the clips of a split under the model as it then is.
    """

    system: str
    stream: str
    seed: int
    data: Data
    config: dict
    trainer: Trainer
    scorer: Callable[[keras.Model], Score]

    @property
    def dataset(self) -> str:
        """Return the name of the dataset."""
        return self.data.identity["dataset"]

    @functools.cached_property
    def clips(self) -> dict[str, str]:
        """Return what tells the clips of each split from others."""
        return {split: self.data.clips(split) for split in ("train", "test")}

    @property
    def full_config(self) -> dict:
        """Return everything that the numbers depend on."""
        run = {"system": self.system, "stream": self.stream, "seed": self.seed}
        codes = {"code": self.system, "code_of_data": self.data.code}
        run |= {key: code for key, name in codes.items() if name and (code := code_name(name))}
        return {**run, **self.data.identity, **self.config, **self.trainer.config}

    @property
    def name(self) -> str:
        """Return the name of the run's folder."""
        system = re.sub(r"\W+", "_", self.system.lower()).strip("_")
        name = f"{system}-{self.stream}-seed{self.seed}-{config_hash(self.full_config)}"
        return name.replace(" ", "_")

    @property
    def title(self) -> str:
        """Return the run in words, for its progress bar."""
        return f"{self.dataset} {self.system} {self.stream} seed {self.seed}"


def shards_data(shards: Path, sample_frames=None) -> Data:
    """Return a dataset's shards as the data of a run; `sample_frames` as in `Data`.

    Raises InputError: training shards that were made in different ways, flow windows of different places.
    """
    paths = list_shards(shards, "train")
    first = read_info(paths[0])
    for path in paths[1:]:
        refuse_other_ways(path, first)
    if first.backbone == FLOW_WINDOWS:
        refuse_other_places(shards)
    identity = {
        "dataset": first.dataset,
        "backbone": first.backbone,
        "features": {
            "layer": first.layer,
            "input_size_px": first.input_size_px,
            "pooling": first.pooling,
            "pyramid": first.pyramid,
            "normalization": first.normalization,
            "weights_sha256": first.weights_sha256,
            "training_shards": clips_identity(shards, "train"),
            **({"flow": first.resizing} if "flow" in first.backbone else {}),
        },
    }
    return Data(identity, functools.partial(clips_identity, shards), sample_frames)


def refuse_other_ways(path: Path, first: ShardInfo) -> None:
    """Raise InputError where a shard was not made as the first one was."""
    info = read_info(path)
    for name in MADE_ALIKE:
        if (got := getattr(info, name)) != (expected := getattr(first, name)):
            raise InputError(
                f"{path}: {name} {got}, expected {expected} as in the folder's first shard; it is of other "
                "features, extract it again"
            )


def refuse_other_places(shards: Path) -> None:
    """Raise InputError where a shard was made with another place than its folder holds."""
    place = str(load_place(shards))
    for path in (path for split in SPLITS for path in list_shards(shards, split)):
        if (got := read_info(path).resizing) != place:
            raise InputError(
                f"{path}: made with {got}, expected {place} as in {FILE}; run the extraction to its end"
            )


def clips_identity(shards: Path, split: str) -> str:
    """Return what tells the shards of a split from others: 16 hex digits over their checksums, in order.

    A shard's checksum covers its features and its labels.
    """
    fingerprint = hashlib.sha256()
    for path in list_shards(shards, split):
        info = read_info(path)
        fingerprint.update(f"{info.clip} {info.n_frames} {info.checksum}\n".encode())
    return fingerprint.hexdigest()[:16]
