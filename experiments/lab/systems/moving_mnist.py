"""Moving-MNIST (Sec. 4.2) as what systems read: Conv-AE and the mean frame, TSC, sRNN-AE.

TSC and sRNN-AE read the C = 50,625 intensities of a frame, scaled to length 1; Conv-AE and the mean frame its
pixels in [0, 1], resized.

TSC and sRNN-AE hold only those pixels that some training sequence lights. This takes nothing away: were A, Z
and phi zero at a pixel that is dark in all training frames, their gradients would be zero too, and they would
stay zero. What a test frame has at such pixels is not reconstructed and adds to its error.
"""

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from data_prep.errors import InputError
from data_prep.frames import resize
from data_prep.moving_mnist import SEQUENCE_FRAMES, MovingMNIST, intensities
from experiments.lab.scoring.score import ClipScores, step_function
from experiments.lab.scoring.score_files import clips_of, load_scores, save_scores
from experiments.lab.settings.changes import names_of
from experiments.lab.settings.schema import Settings
from experiments.lab.systems.catalogue import SYSTEMS, task_of
from experiments.lab.systems.features import FeatureBlock
from experiments.lab.systems.gray_frames import WINDOWS_AT_ONCE, WindowErrors, steps_of_windows
from experiments.lab.systems.inputs import GrayFrames
from experiments.lab.systems.principal import directions_of
from experiments.lab.systems.sequences import (
    SEQUENCES_AT_ONCE,
    Files,
    SequenceWindows,
    refuse_longer_windows,
    score_sequences,
    unseen_energy,
)
from experiments.lab.training.fitting import Fit
from experiments.lab.training.runs import Run
from experiments.lab.training.task import Task
from models.blocks import BlockModel
from models.dictionary import largest_eigenvalue
from models.principal import signed_dictionary
from models.srnn_ae import SRNNAE
from models.tsc import TSC

BLOCK_FRAMES = 5
# Settings of systems -> those of `MovingMNISTSettings` that stand in their place.
IN_PLACE = {
    "n_atoms": "mnist_n_atoms",
    "similarity_units": "mnist_similarity_units",
    "lambda1": "mnist_lambda1",
    "weight_decay": "mnist_weight_decay",
    "iterations": "mnist_iterations",
    "checkpoint_every": "mnist_checkpoint_every",
    "batch_clips": "mnist_batch_sequences",
    "learning_rate": "mnist_learning_rate",
    "tsc_n_atoms": "mnist_n_atoms",
    "tsc_lambda1": "mnist_tsc_lambda1",
    "tsc_lambda2": "mnist_tsc_lambda2",
    "tsc_alternations": "mnist_tsc_alternations",
    "tsc_update_steps": "mnist_tsc_update_steps",
    "conv_ae_iterations": "mnist_conv_ae_iterations",
}
# Settings of systems that act on nothing here: those replaced, and those of a frame's regions and streams.
UNREAD = (*IN_PLACE, "features", "frame_error", "tsc_windows", "temporal_window_frames", "alignment")


def idle_settings(systems: Sequence[str]) -> tuple[str, ...]:
    """Return the settings of `MovingMNISTSettings` that act on none of some systems of the catalogue."""
    acting = {name for system in systems for name in names_of(*SYSTEMS[system].settings)}
    idle = set(IN_PLACE.values()) - {own for name, own in IN_PLACE.items() if name in acting}
    if not any(isinstance(SYSTEMS[system].reads, GrayFrames) for system in systems):
        idle.add("mnist_held_out_sequences")
    if not any(system in STARTED for system in systems):
        idle.add("mnist_start")
    return tuple(sorted(idle))


def task_on_sequences(system: str, files: Files, settings: Settings, seed: int) -> Task:
    """Return the task of a system of the catalogue.

    Args:
        system: as the paper names it.
        files: the sequences.
        settings: all settings; those of `moving_mnist` take the place of what they name.
        seed: seed of initial weights and batches.
    """
    settings = with_mnist_settings(settings)
    source = SYSTEMS[system].reads.sequences(files, settings)
    task = task_of(system, source, settings, seed)
    if settings.moving_mnist.mnist_start == "own" or system not in STARTED:
        return task
    trainer: Any = task.trainer  # both kinds have a `build`
    build = functools.partial(built_and_started, trainer.build, STARTED[system], source, settings, seed)
    config = {**task.config, "start": "principal directions"}
    return replace(task, config=config, trainer=replace(trainer, build=build))


def start_srnn_ae(model: SRNNAE, dictionary: np.ndarray) -> None:
    """Set A and the decoder to a dictionary (C, N), and gamma to ||A||_2^2 + lambda2, as TSC has it."""
    model.srnn.dictionary.assign(dictionary)
    model.decoder.assign(dictionary.T)
    model.srnn.gamma.assign(largest_eigenvalue(dictionary.T @ dictionary) + model.options.lambda2)


STARTED: dict[str, Callable] = {"TSC": TSC.set_dictionary, "sRNN-AE": start_srnn_ae}


def built_and_started(
    build: Callable, start: Callable, source: "SequenceFeatures", settings: Settings, seed: int, *sample
) -> keras.Model:
    """Return what `build` gives, started at the principal directions of the first training sequences."""
    model = build(*sample)
    n_atoms, threshold = model.options.n_atoms, settings.model.threshold
    start(model, signed_dictionary(directions_of(source.files, n_atoms, threshold, seed), n_atoms, threshold))
    return model


def control_scores(task: Task, run: Run) -> list[ClipScores]:
    """Return the scores of the control sequences under a finished run's model, kept in the run's folder."""
    path, clips = run.folder / "control_scores.npz", task.data.clips("control")
    if clips_of(path) != clips:
        model = task.trainer.fit() if isinstance(task.trainer, Fit) else run.model()
        save_scores(path, task.scorer(model)("control"), clips)
    return load_scores(path, clips)


def with_mnist_settings(settings: Settings) -> Settings:
    """Return the settings with those of TSC and sRNN-AE on Moving-MNIST in their usual places."""
    options = settings.moving_mnist
    own = {name: getattr(options, own) for name, own in IN_PLACE.items()}
    return settings.override(**own, log_every=math.gcd(own["checkpoint_every"], settings.train.log_every))


class SequenceFeatures:
    """The intensities of the sequences' lit pixels, as a `features.FeatureSource`; R = 1."""

    def __init__(self, files: Files):
        self.files, self.data, self.stream = files, files.data, files.kind
        self.sampling, self.products = {}, {}

    def sampler(self, window_frames: int, batch_clips: int, seed: int) -> Callable[[int], np.ndarray]:
        """Return what draws windows, each equally likely."""
        features = functools.partial(intensities, pixels=self.files.pixels)
        return SequenceWindows(self.files.train, features, window_frames, batch_clips, seed).batch

    def blocks(self, n_windows: int, seed: int) -> Iterator[FeatureBlock]:
        """Yield all training sequences, each of them a window; `n_windows` does not apply."""
        with MovingMNIST(self.files.train) as reader:
            for x in reader.batches(SEQUENCES_AT_ONCE, self.files.pixels):
                yield x, None, True

    def scorer(self, streaming: Callable) -> Callable:
        """Return what scores many sequences side by side, frame by frame."""

        def scorer(model):
            live = streaming(model)

            def score(split: str) -> list[ClipScores]:
                live.refresh()
                return score_sequences(
                    getattr(self.files, split),
                    lambda frames: streamed(live, frames, self.files.pixels),
                    self.files.n_scored,
                )

            return score

        return scorer


class SequenceFrames:
    """The sequences' frames in gray, resized, as a `gray_frames.FrameSource`; the last are held out.

    Args:
        files: the sequences.
        size_px: side of the frames.
        settings: all settings.

    Raises InputError: as many sequences held out as there are to train on, windows longer than a sequence.
    """

    def __init__(self, files: Files, size_px: int, settings: Settings):
        options = settings.moving_mnist
        self.files, self.size_px, self.stream = files, size_px, files.kind
        features = {
            **files.data.identity["features"],
            "held_out": options.mnist_held_out_sequences,
            "size_px": size_px,
        }
        self.data = replace(files.data, identity={**files.data.identity, "features": features})
        self.gray = functools.partial(gray_pixels, size_px=size_px)
        self.n_sequences = options.mnist_train_sequences - options.mnist_held_out_sequences
        refuse_longer_windows(settings.train.window_frames)
        if self.n_sequences < 1:
            raise InputError(
                f"setting mnist_held_out_sequences: expected less than the {options.mnist_train_sequences} "
                f"training sequences, got {options.mnist_held_out_sequences}"
            )

    @functools.cached_property
    def mean(self) -> np.ndarray:
        """Return the mean training frame, resized, float32 (size_px ** 2,)."""
        total = np.zeros(())
        with MovingMNIST(self.files.train) as reader:
            for first in range(0, self.n_sequences, SEQUENCES_AT_ONCE):
                frames = reader.frames(first, min(first + SEQUENCES_AT_ONCE, self.n_sequences))
                total = total + frames.sum((0, 1), dtype=np.uint32).astype(np.float64)
        mean = total / (self.n_sequences * SEQUENCE_FRAMES * 255)
        return resize(mean.astype(np.float32), self.size_px).ravel()

    def sampler(self, window_frames: int, batch_clips: int, seed: int) -> Callable[[int], np.ndarray]:
        """Return what draws windows, each equally likely."""
        drawn = (window_frames, batch_clips, seed, self.n_sequences)
        return SequenceWindows(self.files.train, self.gray, *drawn).batch

    def held_out(self, window_frames: int) -> Iterator[np.ndarray]:
        """Yield the windows of the sequences held out that fit, one after another."""
        starts = range(0, SEQUENCE_FRAMES - window_frames + 1, window_frames)
        at_once = max(1, WINDOWS_AT_ONCE // len(starts))
        with MovingMNIST(self.files.train) as reader:
            for first in range(self.n_sequences, len(reader.labels), at_once):
                frames = self.gray(reader.frames(first, first + at_once))
                yield np.concatenate([frames[:, start : start + window_frames] for start in starts])

    def score(
        self, split: str, errors_of: WindowErrors, window_frames: int, step_frames: int
    ) -> list[ClipScores]:
        """Return the scores of a split's sequences."""

        def scores_of(frames: np.ndarray) -> dict[str, np.ndarray]:
            x = self.gray(frames)
            error = np.empty(x.shape[:2], np.float32)
            for start, scored, places in steps_of_windows(SEQUENCE_FRAMES, window_frames, step_frames):
                error[:, scored] = errors_of(x[:, start : start + window_frames])[:, places]
            return {"error": error}

        return score_sequences(getattr(self.files, split), scores_of, self.files.n_scored)


def gray_pixels(frames: np.ndarray, size_px: int) -> np.ndarray:
    """Return pictures uint8 (n, T, 225, 225) as pixels in [0, 1], float32 (n, T, size_px ** 2)."""
    resized = np.stack([resize(frame, size_px) for frame in frames.reshape(-1, *frames.shape[2:])])
    return resized.reshape(*frames.shape[:2], -1) / np.float32(255)


def streamed(live: BlockModel, frames: np.ndarray, pixels: np.ndarray) -> dict[str, np.ndarray]:
    """Return the scores (n, 20) of pictures uint8 (n, 20, 225, 225) by name, as `ClipScores` has them.

    The model sees `pixels` alone: what the others hold of a frame's unit energy adds to its error.
    """
    x = intensities(frames, pixels)
    unseen = unseen_energy(x)
    step, state, blocks = step_function(live), live.initial_state(len(x)), []
    for start in range(0, SEQUENCE_FRAMES, BLOCK_FRAMES):
        scores, state = step(x[:, start : start + BLOCK_FRAMES], state)
        blocks.append(scores)
    scores = {name: np.concatenate([block[name] for block in blocks], 1) for name in blocks[0]}
    return {**scores, "error": scores["error"] + unseen}


def error_maps(model: keras.Model, frames: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Return the squared error of each pixel, float32 in the shape of `frames`: a frame's error is their sum.

    Args:
        model: TSC or sRNN-AE, which sees `pixels` alone; the others it takes for dark.
        frames: pictures uint8 (n, 20, 225, 225).
        pixels: the numbers of those that some training sequence lights.
    """
    x = intensities(frames)
    reconstruction = np.zeros_like(x)
    reconstruction[..., pixels] = keras.ops.convert_to_numpy(model(x[..., pixels])["reconstruction"])
    return np.square(x - reconstruction).reshape(frames.shape)
