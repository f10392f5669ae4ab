"""Train one system on one stream of one dataset; the same call resumes or returns what is there.

A run's folder holds `config.json`, `last.keras` (weights, optimizer, step), `history.json` (the training
curves), `scores/step_NNNNNN.npz` (the test clips scored at every checkpoint), and at the end
`train_errors.npz` and `metrics.json`. Batches depend on (seed, step) alone, so a resumed run ends as an
unbroken one.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import keras
import numpy as np
from tqdm import tqdm

from data_prep.errors import InputError
from data_prep.files import write_atomic
from data_prep.provenance import made_with
from data_prep.shards import list_shards, read_info
from data_prep.windows import batches
from experiments.lab.publishing import plots
from experiments.lab.scoring.score import ClipScores, load_scores, micro_auc, regularity, save_scores
from experiments.lab.settings.schema import TrainSettings, config_hash
from experiments.lab.training.model_card import write_model_card
from experiments.lab.training.runs import MODEL_FILE, Run, load_model, scores_path
from experiments.lab.training.tensorboard import TensorBoardLog


def shards_identity(shards_folder: Path) -> dict:
    """Return what tells one set of training features from another: dataset, backbone, checksums."""
    infos = [read_info(path) for path in list_shards(shards_folder, "train")]
    fingerprint = hashlib.sha256()
    for info in infos:
        fingerprint.update(f"{info.clip} {info.n_frames} {info.checksum}\n".encode())
    first = infos[0]
    return {
        "dataset": first.dataset,
        "backbone": first.backbone,
        "features": {
            "layer": first.layer,
            "input_size_px": first.input_size_px,
            "pooling": first.pooling,
            "pyramid": first.pyramid,
            "normalization": first.normalization,
            "weights_sha256": first.weights_sha256,
            "training_shards": fingerprint.hexdigest()[:16],
            **({"flow": first.resizing} if "-flow" in first.backbone else {}),
        },
    }


@dataclass(frozen=True)
class Task:
    """What is trained, and on what.

    Attributes:
        system: as the paper names it.
        dataset, stream, seed: of the run.
        config: everything else that the weights depend on, plain values; nested once at most.
        train: iterations, checkpoints, learning rate.
        batch: step -> the training batch, which depends on the seed and the step alone.
        build: a sample batch -> the compiled model, its loss in `compute_loss`.
        scorer: the model -> a function (split -> scores of its clips under the model as it then is).
        sample_frames: (clip, frame indices) -> uint8 (n, H, W, 3), for pictures in TensorBoard.
    """

    system: str
    dataset: str
    stream: str
    seed: int
    config: dict
    train: TrainSettings
    batch: Callable[[int], np.ndarray]
    build: Callable[[np.ndarray], keras.Model]
    scorer: Callable[[keras.Model], Callable[[str], list[ClipScores]]]
    sample_frames: Callable[[str, np.ndarray], np.ndarray] | None = None

    @property
    def full_config(self) -> dict:
        """Return everything that the weights depend on."""
        names = ("system", "dataset", "stream", "seed")
        return {
            **{name: getattr(self, name) for name in names},
            "backend": keras.backend.backend(),
            **self.config,
            "train": asdict(self.train),
        }

    @property
    def name(self) -> str:
        """Return the name of the run's folder."""
        system = self.system.lower().replace("-", "_")
        return f"{system}-{self.stream}-seed{self.seed}-{config_hash(self.full_config)}"


def train_task(task: Task, out: Path) -> Run:
    """Return the finished run of a task, training it, or the rest of it, where it is not there.

    The run goes to `out/checkpoints/<dataset>/`, its logs to `out/logs/<dataset>/`.

    Raises:
        InputError: bad settings, training that diverges, or a checkpoint that cannot be read.
    """
    folder = out / "checkpoints" / task.dataset / task.name
    run = Run(folder)
    if (folder / "metrics.json").exists():
        return run
    train = task.train
    if train.checkpoint_every > train.iterations:  # a short run is scored at its end
        log_every = min(train.log_every, train.iterations)
        short = replace(train, checkpoint_every=train.iterations, log_every=log_every)
        return train_task(replace(task, train=short), out)
    if train.iterations % train.checkpoint_every or train.checkpoint_every % train.log_every:
        raise InputError(
            f"settings: expected iterations ({train.iterations}) a multiple of checkpoint_every "
            f"({train.checkpoint_every}), and that a multiple of log_every ({train.log_every})"
        )
    write_config(folder, task.full_config)
    keras.utils.set_random_seed(task.seed)
    sample = task.batch(0)
    model = load_model(folder) if (folder / MODEL_FILE).exists() else task.build(sample)
    step = int(model.optimizer.iterations.numpy()) if model.optimizer.built else 0
    model.optimizer.build(model.trainable_variables)  # else the first step is traced twice
    recorder = Recorder(folder, out / "logs" / task.dataset / task.name, task)
    recorder.start(model, step, sample)
    if step < train.iterations:
        model.fit(
            batches(task.batch, step),
            steps_per_epoch=train.log_every,
            initial_epoch=step // train.log_every,
            epochs=train.iterations // train.log_every,
            callbacks=[recorder],
            shuffle=False,  # the batches are drawn
            verbose=0,
        )
    recorder.finish()
    return run


def write_config(folder: Path, config: dict) -> None:
    """Write a run's configuration with the commit, the libraries and the device that it runs with.

    A run that goes on with others keeps those that it ran with before, under "earlier".
    """
    path, now = folder / "config.json", made_with()
    stored = json.loads(path.read_text()) if path.exists() else now
    before, earlier = {name: stored[name] for name in now}, stored.get("earlier", [])
    earlier += [before] if before != now else []
    write_json(path, {**config, **now, **({"earlier": earlier} if earlier else {})})


def hyper_parameters(config: dict) -> dict:
    """Return the plain values of a configuration, those of its groups beside its own, for HParams."""
    groups = [
        config,
        *(value for key, value in config.items() if isinstance(value, dict) and key != "features"),
    ]
    return {k: v for group in groups for k, v in group.items() if isinstance(v, (str, int, float, bool))}


class Recorder(keras.callbacks.Callback):
    """Progress bar, TensorBoard, history and checkpoints of one run; an epoch is `log_every` steps."""

    def __init__(self, folder: Path, logs: Path, task: Task):
        super().__init__()
        self.folder, self.task = folder, task
        self.log = TensorBoardLog(logs)
        self.history: list[dict] = []

    def start(self, model: keras.Model, step: int, sample: np.ndarray) -> None:
        """Set up at `step`: history up to it is kept, a batch is held for graph and histograms."""
        self.score = self.task.scorer(model)
        self.sample = sample
        if step:
            stored = json.loads((self.folder / "history.json").read_text())
            self.history = [row for row in stored if row["step"] <= step]
        self.bar = tqdm(
            total=self.task.train.iterations,
            initial=step,
            desc=" ".join((self.task.dataset, self.task.system, self.task.stream, f"seed {self.task.seed}")),
            unit="step",
            mininterval=1,
        )
        self.clock = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        """Advance the bar."""
        self.bar.update()

    def on_epoch_end(self, epoch, logs=None):
        """Record the means over the last `log_every` steps; at a checkpoint, score and save."""
        step = (epoch + 1) * self.task.train.log_every
        values = {key: float(value) for key, value in logs.items()}
        if hasattr(self.model, "srnn"):
            for name in ("gamma", "lambda1", "lambda2"):
                values[name] = float(keras.ops.convert_to_numpy(getattr(self.model.srnn, name)))
            norms = self.atom_norms()
            values |= {"atom_norm_mean": float(norms.mean()), "atom_norm_max": float(norms.max())}
        values["seconds"] = time.perf_counter() - self.clock
        if not np.isfinite(values["loss"]):
            raise InputError(f"{self.folder}: training diverged, the loss is {values['loss']} at step {step}")
        self.history.append({"step": step, **values})
        self.log.scalars(step, {f"train/{key}": value for key, value in values.items()})
        shown = {"loss": f"{values['loss']:.4g}"}
        if "sparsity" in values:
            shown["zeros"] = f"{values['sparsity']:.0%}"
        self.bar.set_postfix(shown)
        if step % self.task.train.checkpoint_every == 0:
            self.checkpoint(step)
        self.clock = time.perf_counter()

    def atom_norms(self) -> np.ndarray:
        """Return the norms of A's columns, (N,)."""
        return np.linalg.norm(keras.ops.convert_to_numpy(self.model.srnn.dictionary), axis=0)

    def checkpoint(self, step: int) -> None:
        """Score the test clips, log, and save everything that resuming needs; the model goes last."""
        scores = self.score("test")
        save_scores(scores_path(self.folder, step), scores)
        if hasattr(self.model, "srnn"):
            outputs = self.model(self.sample)  # eagerly: it would be traced for this alone
            values = {name: keras.ops.convert_to_numpy(outputs[name]) for name in ("codes", "similarity")}
            self.log.histograms(step, {**values, "atom_norm": self.atom_norms()})
        if step == self.task.train.checkpoint_every:
            self.log.graph(self.model, self.sample)
        if has_both_classes(scores):
            self.log.scalars(step, {"test/auc_per_clip": micro_auc({self.task.stream: scores})})
        if self.task.sample_frames:
            self.log.image(step, "test/clip", self.score_strip(scores[0]))
        self.log.flush()
        write_json(self.folder / "history.json", self.history)
        save_model(self.model, self.folder / MODEL_FILE)

    def score_strip(self, clip: ClipScores) -> np.ndarray:
        """Return a picture of eight frames of a clip with their scores, uint8 (H, W, 3)."""
        indices = np.linspace(0, len(clip.labels) - 1, 8).astype(int)
        score = regularity({self.task.stream: [clip]})[0]
        frames = self.task.sample_frames(clip.clip, indices)
        return plots.figure_strip_image(frames, score[indices], clip.labels[indices])

    def finish(self) -> None:
        """Score the training clips for `normalization="train"` and write the final metrics."""
        self.bar.close()
        last = self.history[-1]
        save_scores(self.folder / "train_errors.npz", self.score("train"))
        seconds = sum(row["seconds"] for row in self.history)
        result = {
            "steps": last["step"],
            "loss": last["loss"],
            "training_seconds": seconds,
            "steps_per_second": last["step"] / seconds,
        }
        finish_run(self.folder, self.log, self.task.full_config, result, last)


def finish_run(folder: Path, log: TensorBoardLog, config: dict, result: dict, last: dict) -> None:
    """Write `metrics.json` and the HParams entry of a run: `result`, and what its last step tells."""
    if "sparsity" in last:
        result["sparsity"] = last["sparsity"]
    scores = load_scores(scores_path(folder, last["step"]))
    if has_both_classes(scores):
        result["auc_per_clip"] = micro_auc({config["stream"]: scores})
    log.hparams(
        hyper_parameters(config), {f"final/{key}": value for key, value in result.items()}, last["step"]
    )
    log.close()
    write_model_card(folder, result)
    write_json(folder / "metrics.json", result)  # last: it says that the run is finished


def has_both_classes(scores: list[ClipScores]) -> bool:
    """Return whether an AUC is defined: there are normal and abnormal frames."""
    return len(np.unique(np.concatenate([clip.labels for clip in scores]))) == 2


def save_model(model: keras.Model, path: Path) -> None:
    """Save weights, optimizer and step as .keras, whole or not at all."""
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        model.save(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value) -> None:
    """Write plain values as JSON, atomically."""
    write_atomic(path, (json.dumps(value, indent=1) + "\n").encode())
