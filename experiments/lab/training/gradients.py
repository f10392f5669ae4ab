"""Training by gradients, with `model.fit`: batches, checkpoints, what TensorBoard shows of them."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import keras
import numpy as np
from tqdm import tqdm

from data_prep.errors import InputError
from data_prep.windows import batches
from experiments.lab.publishing import pictures
from experiments.lab.scoring.regularity import micro_auc, regularity
from experiments.lab.scoring.score import ClipScores, DivergedError
from experiments.lab.scoring.score_files import save_scores
from experiments.lab.settings.schema import TrainSettings
from experiments.lab.training.held_out import MEASURED, HeldOut
from experiments.lab.training.run_files import (
    MODEL_FILE,
    TRAIN_AGAIN,
    load_model,
    read_history,
    save_model,
    scores_path,
    write_json,
)
from experiments.lab.training.task import Score, Task
from experiments.lab.training.tensorboard import TensorBoardLog
from experiments.lab.training.train import has_both_classes


@dataclass(frozen=True)
class Gradients:
    """The trainer (see `task.Trainer`) of a Keras model.

    Attributes:
        train: iterations, checkpoints, learning rate; a run shorter than a checkpoint is scored at its end.
        batch: step -> the training batch, which depends on the seed and the step alone.
        build: a sample batch -> the compiled model, its loss in `compute_loss`.
        held_out: when to stop and what to keep; None: at the end of the iterations, the last.
    """

    train: TrainSettings
    batch: Callable[[int], np.ndarray]
    build: Callable[[np.ndarray], keras.Model]
    held_out: HeldOut | None = None
    keeps_model = True

    def __post_init__(self) -> None:
        """Shorten what a short run cannot have; InputError: iterations that do not fit the checkpoints."""
        train = self.train
        if train.checkpoint_every > train.iterations:
            log_every = min(train.log_every, train.iterations)
            train = replace(train, checkpoint_every=train.iterations, log_every=log_every)
            object.__setattr__(self, "train", train)
        if train.iterations % train.checkpoint_every or train.checkpoint_every % train.log_every:
            raise InputError(
                f"settings: expected iterations ({train.iterations}) a multiple of checkpoint_every "
                f"({train.checkpoint_every}), and that a multiple of log_every ({train.log_every})"
            )

    @property
    def config(self) -> dict:
        """Return what a run's configuration holds of the training."""
        return {"backend": keras.backend.backend(), "train": asdict(self.train)}

    def __call__(self, task: Task, folder: Path, log: TensorBoardLog) -> tuple[list[dict], Score]:
        """Train from the last checkpoint on, where there is one; score alone where training is over."""
        train = self.train
        keras.utils.set_random_seed(task.seed)
        begun = (folder / MODEL_FILE).exists()
        sample = self.batch(0)
        model = load_model(folder) if begun else self.build(sample)
        step = int(model.optimizer.iterations.numpy()) if model.optimizer.built else 0
        history = read_history(folder, ("loss",)) if begun else []
        if begun and self.is_over(history) and self.kept(history)["step"] == step:
            return history, task.scorer(model)
        model.optimizer.build(model.trainable_variables)  # else the first step is traced twice
        recorder = Recorder(folder, log, task, train, self.held_out)
        recorder.start(model, step, sample)
        with recorder.bar:
            if step < train.iterations:
                model.fit(
                    batches(self.batch, step),
                    steps_per_epoch=train.log_every,
                    initial_epoch=step // train.log_every,
                    epochs=train.iterations // train.log_every,
                    callbacks=[recorder],
                    shuffle=False,  # the batches are drawn
                    verbose=0,
                )
        if self.kept(recorder.history) is not recorder.history[-1]:
            return recorder.history, task.scorer(load_model(folder))
        return recorder.history, recorder.score

    def is_over(self, history: list[dict]) -> bool:
        """Return whether training ends with this history."""
        by_rule = self.held_out is not None and self.held_out.is_over(history)
        return by_rule or history[-1]["step"] == self.train.iterations

    def kept(self, history: list[dict]) -> dict:
        """Return the row of the checkpoint that is kept."""
        return self.held_out.gains(history)[-1] if self.held_out else history[-1]

    def summary(self, history: list[dict]) -> dict:
        """Return the final metrics that the history tells; "steps" and "loss" are the kept checkpoint's."""
        kept, seconds = self.kept(history), sum(row["seconds"] for row in history)
        return {
            "steps": kept["step"],
            "loss": kept["loss"],
            "training_seconds": seconds,
            "steps_per_second": history[-1]["step"] / seconds,
            **{name: kept[name] for name in MEASURED if name in kept},
        }


class Recorder(keras.callbacks.Callback):
    """Progress bar, TensorBoard, history and checkpoints of one run; an epoch is `log_every` steps."""

    def __init__(
        self,
        folder: Path,
        log: TensorBoardLog,
        task: Task,
        train: TrainSettings,
        held_out: HeldOut | None = None,
    ):
        super().__init__()
        self.folder, self.log, self.task, self.train, self.held_out = folder, log, task, train, held_out
        self.history: list[dict] = []

    def start(self, model: keras.Model, step: int, sample: np.ndarray) -> None:
        """Set up at `step`: history up to it is kept, a batch is held for graph and histograms."""
        self.score = self.task.scorer(model)
        self.sample = sample
        if step:
            self.history = [row for row in read_history(self.folder, ("loss",)) if row["step"] <= step]
            if not self.history or self.history[-1]["step"] != step:
                raise InputError(
                    f"{self.folder / 'history.json'}: expected the steps up to {step}, that of "
                    f"{MODEL_FILE}, got others; {TRAIN_AGAIN}"
                )
        self.bar = tqdm(
            total=self.train.iterations, initial=step, desc=self.task.title, unit="step", mininterval=1
        )
        self.clock = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        """Advance the bar."""
        self.bar.update()

    def on_epoch_end(self, epoch, logs=None):
        """Record the means over the last `log_every` steps; at a checkpoint, score and save."""
        step = (epoch + 1) * self.train.log_every
        values = {key: float(value) for key, value in logs.items()}
        if hasattr(self.model, "srnn"):
            for name in ("gamma", "lambda1", "lambda2"):
                values[name] = float(keras.ops.convert_to_numpy(getattr(self.model.srnn, name)))
            norms = self.atom_norms()
            values |= {"atom_norm_mean": float(norms.mean()), "atom_norm_max": float(norms.max())}
        values["seconds"] = time.perf_counter() - self.clock
        if not np.isfinite(values["loss"]):
            told = f"training diverged, the loss is {values['loss']} at step {step}"
            raise DivergedError(f"{self.folder}: {told}")
        is_checkpoint = step % self.train.checkpoint_every == 0
        if is_checkpoint and self.held_out:
            values |= self.held_out.measure(self.model) | self.held_out.mean_frame()
        self.history.append({"step": step, **values})
        self.log.scalars(step, {f"train/{key}": value for key, value in values.items()})
        shown = {"loss": f"{values['loss']:.4g}"}
        if "sparsity" in values:
            shown["zeros"] = f"{values['sparsity']:.0%}"
        self.bar.set_postfix(shown)
        if is_checkpoint and self.held_out and self.held_out.gains(self.history)[-1]["step"] < step:
            self.log.flush()
            write_json(self.folder / "history.json", self.history)  # the model of the last gain is kept
            self.model.stop_training = self.held_out.is_over(self.history)
        elif is_checkpoint:
            self.checkpoint(step)
        self.clock = time.perf_counter()

    def atom_norms(self) -> np.ndarray:
        """Return the norms of A's columns, (N,)."""
        return np.linalg.norm(keras.ops.convert_to_numpy(self.model.srnn.dictionary), axis=0)

    def checkpoint(self, step: int) -> None:
        """Score the test clips, log, and save everything that resuming needs; the model goes last.

        Raises InputError: the folder was removed meanwhile.
        """
        if not (self.folder / "config.json").exists():
            raise InputError(f"{self.folder}: was removed while the run was trained")
        scores = self.score("test")
        save_scores(scores_path(self.folder, step), scores, self.task.clips["test"])
        if hasattr(self.model, "srnn"):
            outputs = self.model(self.sample)  # eagerly: it would be traced for this alone
            values = {name: keras.ops.convert_to_numpy(outputs[name]) for name in ("codes", "similarity")}
            self.log.histograms(step, {**values, "atom_norm": self.atom_norms()})
        if step == self.train.checkpoint_every:
            self.log.graph(self.model, self.sample)
        if has_both_classes(scores):
            self.log.scalars(step, {"test/auc_per_clip": micro_auc({self.task.stream: scores})})
        if self.task.data.sample_frames:
            self.log.image(step, "test/clip", self.score_strip(scores[0]))
        self.log.flush()
        write_json(self.folder / "history.json", self.history)
        save_model(self.model, self.folder / MODEL_FILE)

    def score_strip(self, clip: ClipScores) -> np.ndarray:
        """Return a picture of eight frames of a clip with their scores, uint8 (H, W, 3)."""
        indices = np.linspace(0, len(clip.labels) - 1, 8).astype(int)
        score = regularity({self.task.stream: [clip]})[0]
        frames = self.task.data.sample_frames(clip.clip, indices)
        return pictures.figure_strip_image(frames, score[indices], clip.labels[indices])
