"""A laboratory without frames, networks and training: an exhibit runs in a tenth of a second.

What is asked for decides what is found: shards are named and filled by the options of their extraction, a
run scores as the hash of its configuration says. So a setting acts if, and only if, some of this changes, or
what is done with the scores does.
"""

import functools
import hashlib
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
from synthetic import write_clip

from data_prep import extraction
from data_prep.backbones import Backbone
from data_prep.datasets import RECORDS, Clip, Dataset
from experiments import figure_09_training_loss as figure_09
from experiments.lab import context as context_module
from experiments.lab.context import Context
from experiments.lab.scoring.metrics import frame_error
from experiments.lab.scoring.score import ClipScores
from experiments.lab.settings.schema import config_hash
from experiments.lab.systems import catalogue, sequences
from experiments.lab.systems.quoted import hinami, sources, unmasking
from experiments.lab.training import task as task_module
from experiments.lab.training import train
from experiments.lab.training.task import clips_identity

N_REGIONS, N_CELLS, STEPS = 21, 6, (10, 20)
RISE = {
    10: 1.0,
    20: 0.3,
}  # of the errors in abnormal frames: the best checkpoint on the test clips is the first


def seeded(*what) -> np.random.Generator:
    """Return the random numbers that belong to something."""
    return np.random.default_rng(list(hashlib.sha256(repr(what).encode()).digest()))


class FakeRun:
    """A finished run whose errors follow from its configuration."""

    def __init__(self, task, labels):
        self.config, self.labels = {**task.full_config, "commit": "abc"}, labels
        self.key = config_hash(task.full_config)
        self.steps, self.ahead_frames, self.folder = list(STEPS), 0, Path(task.dataset) / self.key
        whole = task.stream in ("frames", "numbers", "whole frame") or task.dataset == sequences.DATASET
        self.n_regions = 1 if whole else N_CELLS if task.stream == "cells" else N_REGIONS
        self.metrics = {"steps": STEPS[-1], "training_seconds": float(seeded(self.key).integers(1e6))}

    @property
    def history(self):
        rng = seeded(self.key, "history")
        return [{"step": step, **dict(zip(figure_09.LOGGED, rng.random(5), strict=True))} for step in STEPS]

    @functools.cache  # noqa: B019
    def scores(self, step=None):
        step = step or STEPS[-1]
        clips = []
        for name, labels in self.labels.items():
            rng = seeded(self.key, step, name)
            shape = len(labels), self.n_regions
            error = rng.gamma(4.0, size=shape) + RISE[step] * labels[:, None]
            clips.append(ClipScores(name, labels, error, *rng.random((3, *shape))))
        return clips

    def train_errors(self, kind="max"):
        return frame_error(seeded(self.key, "train").gamma(4.0, size=(50, self.n_regions)), kind)

    def model(self):
        return MagicMock()


def fake_dataset(root: Path) -> Dataset:
    """Return a walkway as its settings, which its folder is named after, ask for."""
    seed, n_train, n_test, n_frames = map(int, root.name.split("-"))
    clips = [("train", n) for n in range(n_train)] + [("test", n) for n in range(n_test)]
    labels = {}
    for number in range(n_test):
        first = seeded(seed, number).integers(2, n_frames // 2)
        labels[f"{number:02d}"] = (np.arange(n_frames) // first % 2).astype(np.uint8)
    return Dataset(
        RECORDS["walkway"], root, "re-packed",
        tuple(Clip("walkway", split, f"{number:02d}", root / f"{number}") for split, number in clips),
        labels, dict.fromkeys(labels, root), "made up",
    )  # fmt: skip


def frame_labels(dataset: Dataset, clip: Clip) -> np.ndarray:
    """Return the labels of a clip, those of training clips zero."""
    labels = dataset.test_labels[clip.name if clip.split == "test" else "00"]
    return labels if clip.split == "test" else np.zeros_like(labels)


def clip_masks(dataset: Dataset, clip: Clip):
    """Yield masks (8, 8): the left half of abnormal frames."""
    for label in dataset.test_labels[clip.name]:
        yield np.repeat(np.arange(8)[None] < 4 * label, 8, axis=0)


def sequence_settings(files) -> dict:
    """Return what tells sequences apart: their files' names."""
    facts = {"digits": "none", "step_px": 0, "n_sequences": 0, "kind": files.kind}
    splits = ("train", "test", "control")
    return {split: {"file": getattr(files, split).name, "split": split, **facts} for split in splits}


def facts_of(recipe) -> dict:
    """Return what tells the shards of recipes apart: their folder's name, and what they say of themselves."""
    return {"key": recipe.key, "attributes": getattr(recipe, "attributes", "")}


class FakeLab:
    """Patches what is slow, see the module. `data` is the folder of what little is written."""

    def __init__(self, data: Path, patch):
        self.data = data
        self.asked: set[str] = set()  # the runs that were asked for, by the hash of their configuration
        self.labels: dict = {}  # of the test clips behind a folder of shards, and behind its fingerprint
        patch(context_module, "_backbone", self.backbone)
        patch(context_module, "find_datasets", lambda root: {"walkway": fake_dataset(root)})
        patch(
            context_module,
            "frames_of",
            lambda dataset: lambda clip, at: np.zeros((len(at), 8, 8, 3), np.uint8),
        )
        for module in (context_module, extraction):
            patch(module, "extract", lambda dataset, recipe, _: self.shards(dataset, **facts_of(recipe)))
        patch(context_module, "normalize_shards", lambda shards, method: self.shards(shards, method=method))
        patch(Context, "extractor", lambda *_, **__: None)
        patch(context_module.walkway, "generate_under", self.walkway)
        patch(Dataset, "pixel_masks", clip_masks)
        patch(Dataset, "frame_labels", frame_labels)
        patch(catalogue, "keep_beside", lambda *_: None)
        patch(train, "make_run", self.make_run)
        patch(task_module, "code_name", lambda *_: "")
        for module in (hinami, unmasking):
            patch(module, "feature_function", lambda *_, **__: None)
        patch(sources.Frames, "identity", lambda frames, split: f"{frames.dataset.root.name} {split}")
        for source in (sources.Frames, sources.CellShards):
            patch(source, "frame_shape", (16, 24))
        patch(sequences, "digits", lambda *_: SimpleNamespace(sha256="", name="none"))
        patch(sequences, "generate", lambda path, *_: Path(path.name))
        patch(sequences.Files, "settings", property(sequence_settings))
        patch(sequences.Files, "pixels", np.arange(5))
        patch(sequences.Files, "boxes_on_lit", np.array([True, False]))  # of two sequences, see `make_run`
        patch(Context, "commit", "abc")

    def walkway(self, parent: Path, settings) -> Path:
        return self.data / "-".join(str(value) for value in list(asdict(settings).values())[:4])

    def backbone(self, *options, compute_dtype) -> Backbone:
        name, weights, input_size_px, layer, *flow_input = (*options, "last")[: max(4, len(options))]
        channels = 3 if flow_input != ["stack"] else 20
        return Backbone(
            name=f"{name} {weights} {layer} {flow_input} {compute_dtype}",
            input_size_px=input_size_px, layer=layer, requested=name,
            fallback_reason="", channels=6, weights_sha256="",
            model=SimpleNamespace(
                input=SimpleNamespace(shape=(None, None, None, channels)),
                output=SimpleNamespace(shape=(None, 3, 3, 6)),
            ),
        )  # fmt: skip

    def shards(self, source, **how) -> Path:
        """Return the folder of shards that such an extraction would leave, filled by their digest."""
        of = source.root if isinstance(source, Dataset) else source
        folder = self.data / config_hash({"of": of.name, **how})
        if not folder.exists():
            rng = seeded(folder.name)
            for split in ("train", "test"):
                write_clip(folder, split, "01", rng.random((24, 1, 4)))
        self.labels[folder] = source.test_labels if isinstance(source, Dataset) else self.labels[source]
        self.labels[clips_identity(folder, "train")] = self.labels[folder]
        return folder

    def make_run(self, task, out) -> FakeRun:
        """Return the run of a task on the test clips of the dataset whose shards it has, or on sequences."""
        self.asked.add(config_hash(task.full_config))
        features = task.data.identity["features"]
        if "training_clips" in features:
            return FakeRun(task, fake_dataset(Path(features["training_clips"].split()[0])).test_labels)
        of_sequences = {f"{number:05d}": np.repeat([0, 1], 10).astype(np.uint8) for number in range(2)}
        return FakeRun(task, self.labels.get(features.get("training_shards"), of_sequences))
