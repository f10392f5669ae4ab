"""Train one sRNN-AE on one stream of one dataset's shards; the same call resumes or returns what is there.

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
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import keras
import numpy as np
from tqdm import tqdm

from data_prep.errors import InputError
from data_prep.pooling import N_REGIONS
from data_prep.shards import list_shards, read_info
from data_prep.windows import WindowSampler
from experiments.lab import metrics, plots
from experiments.lab.results import git_commit, write_atomic
from experiments.lab.score import ClipScores, load_scores, micro_auc, regularity, save_scores, score_clips
from experiments.lab.settings import Settings, config_hash
from experiments.lab.tensorboard import TensorBoardLog
from models.srnn_ae import SRNNAE, Streaming, jit_compile

LIBRARIES = ("tensorflow", "keras", "numpy", "scikit-learn", "h5py")
MODEL_FILE = "last.keras"


@dataclass(frozen=True)
class Run:
    """A finished run: its folder and what is read from it."""

    folder: Path

    @property
    def config(self) -> dict:
        """Return the configuration that the run was trained with."""
        return json.loads((self.folder / "config.json").read_text())

    @property
    def history(self) -> list[dict]:
        """Return the training curves, one dict a logged step."""
        return json.loads((self.folder / "history.json").read_text())

    @property
    def metrics(self) -> dict:
        """Return the final metrics."""
        return json.loads((self.folder / "metrics.json").read_text())

    @property
    def steps(self) -> list[int]:
        """Return the steps at which the test clips were scored, ascending."""
        return sorted(int(path.stem.split("_")[1]) for path in (self.folder / "scores").glob("step_*.npz"))

    def scores(self, step: int | None = None) -> list[ClipScores]:
        """Return the test clips' scores at a checkpoint, the last by default."""
        return load_scores(scores_path(self.folder, self.steps[-1] if step is None else step))

    def train_errors(self, frame_error="max") -> np.ndarray:
        """Return the frame errors of all training frames, (n,), for `normalization="train"`."""
        return np.concatenate(
            [
                metrics.frame_error(clip.error, frame_error)
                for clip in load_scores(self.folder / "train_errors.npz")
            ]
        )

    def model(self) -> SRNNAE:
        """Return the trained model."""
        return keras.saving.load_model(self.folder / MODEL_FILE)


def scores_path(folder: Path, step: int) -> Path:
    """Return where the test scores of a step are."""
    return folder / "scores" / f"step_{step:06d}.npz"


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
            "weights_sha256": first.weights_sha256,
            "training_shards": fingerprint.hexdigest()[:16],
        },
    }


def library_versions() -> dict[str, str]:
    """Return the versions of the libraries that the numbers pass through."""
    return {library: version(library) for library in LIBRARIES}


def run_config(shards_folder: Path, stream: str, settings: Settings, seed: int) -> dict:
    """Return everything that the weights of a run depend on, as plain values."""
    return {
        "system": "sRNN-AE",
        "stream": stream,
        "seed": seed,
        "backend": keras.backend.backend(),
        **shards_identity(shards_folder),
        "model": asdict(settings.model),
        "train": asdict(settings.train),
    }


def train_run(
    shards_folder: Path,
    stream: str,
    settings: Settings,
    seed: int,
    out: Path,
    sample_frames: Callable[[str, np.ndarray], np.ndarray] | None = None,
) -> Run:
    """Return the finished run of these settings, training it, or the rest of it, where it is not there.

    Args:
        shards_folder: folder of the dataset's shards (`extract_dataset`).
        stream: "spatial", "temporal" or "early".
        settings: all settings; only those of features, model and training matter here.
        seed: seed of the initial weights and of the batches.
        out: root of the outputs; the run goes to `out/checkpoints/<dataset>/`, its logs to `out/logs/`.
        sample_frames: (clip, frame indices) -> uint8 (n, H, W, 3), for pictures in TensorBoard.

    Raises:
        InputError: bad settings, shards, or a checkpoint that cannot be read.
    """
    config = run_config(shards_folder, stream, settings, seed)
    name = f"srnn_ae-{stream}-seed{seed}-{config_hash(config)}"
    folder = out / "checkpoints" / config["dataset"] / name
    run = Run(folder)
    if (folder / "metrics.json").exists():
        return run
    train = settings.train
    if train.iterations % train.checkpoint_every or train.checkpoint_every % train.log_every:
        raise InputError(
            f"settings: expected iterations ({train.iterations}) a multiple of checkpoint_every "
            f"({train.checkpoint_every}), and that a multiple of log_every ({train.log_every})"
        )
    provenance = {"commit": git_commit(), "versions": library_versions()}
    write_json(folder / "config.json", {**config, **provenance})
    keras.utils.set_random_seed(seed)
    sampler = WindowSampler(
        list_shards(shards_folder, "train"),
        stream,
        train.window_frames,
        train.batch_clips,
        seed,
        train.temporal_window_frames,
        train.alignment,
    )
    model = resume_or_build(folder, sampler, settings, seed)
    step = int(model.optimizer.iterations.numpy()) if model.optimizer.built else 0
    recorder = Recorder(folder, out / "logs" / config["dataset"] / name, shards_folder, stream, settings)
    recorder.start(model, step, sampler.batch(0), sample_frames)
    if step < train.iterations:
        model.fit(
            sampler.batches(step),
            steps_per_epoch=train.log_every,
            initial_epoch=step // train.log_every,
            epochs=train.iterations // train.log_every,
            callbacks=[recorder],
            shuffle=False,  # the sampler draws
            verbose=0,
        )
    recorder.finish(config)
    return run


def build_model(n_features: int, settings: Settings, seed: int) -> SRNNAE:
    """Return a fresh, compiled sRNN-AE with RMSProp. Paper: Sec. 3.4 and 4.1."""
    train = settings.train
    rows = train.batch_clips * N_REGIONS
    model = SRNNAE(n_features, **asdict(settings.model), expected_rows=rows, seed=seed)
    optimizer = keras.optimizers.RMSprop(train.learning_rate, train.rho, epsilon=train.epsilon)
    model.compile(optimizer, jit_compile=jit_compile())
    optimizer.build(model.trainable_variables)
    for variable in optimizer.variables:
        if "velocity" in variable.path:
            variable.assign(np.full(variable.shape, train.slot_start, "float32"))
    return model


def resume_or_build(folder: Path, sampler: WindowSampler, settings: Settings, seed: int) -> SRNNAE:
    """Return the model of the newest checkpoint, else a fresh one."""
    path = folder / MODEL_FILE
    if not path.exists():
        return build_model(sampler.batch(0).shape[-1], settings, seed)
    try:
        return keras.saving.load_model(path)
    except (OSError, ValueError, KeyError) as fault:
        raise InputError(f"{path}: expected a checkpoint of this run, got {fault}; delete it") from None


class Recorder(keras.callbacks.Callback):
    """Progress bar, TensorBoard, history and checkpoints of one run; an epoch is `log_every` steps."""

    def __init__(self, folder: Path, logs: Path, shards_folder: Path, stream: str, settings: Settings):
        super().__init__()
        self.folder, self.stream, self.settings = folder, stream, settings
        self.train_shards = list_shards(shards_folder, "train")
        self.test_shards = list_shards(shards_folder, "test")
        self.log = TensorBoardLog(logs)
        self.history: list[dict] = []

    def start(self, model: SRNNAE, step: int, sample: np.ndarray, sample_frames) -> None:
        """Set up at `step`: history up to it is kept, a batch is held for graph and histograms."""
        self.streaming = Streaming(model)
        self.sample, self.sample_frames = sample, sample_frames
        if step:
            stored = json.loads((self.folder / "history.json").read_text())
            self.history = [row for row in stored if row["step"] <= step]
        self.bar = tqdm(
            total=self.settings.train.iterations,
            initial=step,
            desc=f"{self.folder.parent.name} {self.stream} {self.folder.name.split('-')[2]}",
            unit="step",
            mininterval=1,
        )
        self.clock = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        """Advance the bar."""
        self.bar.update()

    def on_epoch_end(self, epoch, logs=None):
        """Record the means over the last `log_every` steps; at a checkpoint, score and save."""
        step = (epoch + 1) * self.settings.train.log_every
        srnn = self.model.srnn
        norms = np.linalg.norm(keras.ops.convert_to_numpy(srnn.dictionary), axis=0)
        values = {key: float(value) for key, value in logs.items()}
        for name in ("gamma", "lambda1", "lambda2"):
            values[name] = float(keras.ops.convert_to_numpy(getattr(srnn, name)))
        values |= {"atom_norm_mean": float(norms.mean()), "atom_norm_max": float(norms.max())}
        values["seconds"] = time.perf_counter() - self.clock
        if not np.isfinite(values["loss"]):
            raise InputError(f"{self.folder}: training diverged, the loss is {values['loss']} at step {step}")
        self.history.append({"step": step, **values})
        self.log.scalars(step, {f"train/{key}": value for key, value in values.items()})
        self.bar.set_postfix(loss=f"{values['loss']:.4g}", zeros=f"{values['sparsity']:.0%}")
        if step % self.settings.train.checkpoint_every == 0:
            self.checkpoint(step, norms)
        self.clock = time.perf_counter()

    def checkpoint(self, step: int, norms: np.ndarray) -> None:
        """Score the test clips, log, and save everything that resuming needs; the model goes last."""
        scores = self.score(self.test_shards)
        save_scores(scores_path(self.folder, step), scores)
        outputs = self.model.predict_on_batch(self.sample)
        self.log.histograms(
            step,
            {"codes": outputs["codes"], "similarity": outputs["similarity"], "atom_norm": norms},
        )
        if step == self.settings.train.checkpoint_every:
            self.log.graph(self.model, self.sample)
        if has_both_classes(scores):
            auc = micro_auc({self.stream: scores}, frame_error=self.settings.score.frame_error)
            self.log.scalars(step, {"test/auc_per_clip": auc})
        if self.sample_frames:
            self.log.image(step, "test/clip", self.score_strip(scores[0]))
        self.log.flush()
        write_json(self.folder / "history.json", self.history)
        save_model(self.model, self.folder / MODEL_FILE)

    def score(self, shards) -> list[ClipScores]:
        """Return the scores of the clips under the model as it is now."""
        train = self.settings.train
        return score_clips(self.streaming, shards, self.stream, train.temporal_window_frames, train.alignment)

    def score_strip(self, clip: ClipScores) -> np.ndarray:
        """Return a picture of eight frames of a clip with their scores, uint8 (H, W, 3)."""
        indices = np.linspace(0, len(clip.labels) - 1, 8).astype(int)
        score = regularity({self.stream: [clip]}, self.settings.score.frame_error)[0]
        frames = self.sample_frames(clip.clip, indices)
        return plots.figure_strip_image(frames, score[indices], clip.labels[indices])

    def finish(self, config: dict) -> None:
        """Score the training clips for `normalization="train"` and write the final metrics."""
        self.bar.close()
        last = self.history[-1]
        save_scores(self.folder / "train_errors.npz", self.score(self.train_shards))
        seconds = sum(row["seconds"] for row in self.history)
        result = {
            "steps": last["step"],
            "loss": last["loss"],
            "sparsity": last["sparsity"],
            "training_seconds": seconds,
            "steps_per_second": last["step"] / seconds,
        }
        scores = load_scores(scores_path(self.folder, last["step"]))
        if has_both_classes(scores):
            result["auc_per_clip"] = micro_auc(
                {self.stream: scores}, frame_error=self.settings.score.frame_error
            )
        names = ("dataset", "stream", "seed", "backbone")
        settings = {**{name: config[name] for name in names}, **config["model"], **config["train"]}
        self.log.hparams(settings, {f"final/{key}": value for key, value in result.items()}, last["step"])
        self.log.flush()
        write_json(self.folder / "metrics.json", result)


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
