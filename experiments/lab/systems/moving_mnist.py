"""Moving-MNIST (Sec. 4.2): its files, and Conv-AE, TSC and sRNN-AE trained and scored on them.

A sequence is one row (R = 1). Its features are the C = 50,625 intensities of a frame, scaled to length 1
(TSC and sRNN-AE), or its pixels in [0, 1], resized (Conv-AE).

TSC and sRNN-AE hold only those pixels that some training sequence lights. This takes nothing away: were A, Z
and phi zero at a pixel that is dark in all training frames, their gradients would be zero too, and they would
stay zero. What a test frame has at such pixels is not reconstructed and adds to its error.
"""

import functools
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import keras
import numpy as np

from data_prep.errors import InputError
from data_prep.frames import resize
from data_prep.mnist_digits import load_digits
from data_prep.moving_mnist import SEQUENCE_FRAMES, MovingMNIST, generate, intensities
from experiments.lab.scoring.score import ClipScores, step_function
from experiments.lab.settings.schema import Settings, config_hash
from experiments.lab.systems.frame_systems import as_channels
from experiments.lab.systems.srnn_ae import build_srnn_ae
from experiments.lab.systems.tsc import alternations, tsc_config
from experiments.lab.training.gradients import Gradients
from experiments.lab.training.runs import Run
from experiments.lab.training.task import Data, Task
from experiments.lab.training.train import make_run
from models.blocks import jit_compile
from models.conv_ae import ConvAE, frame_errors
from models.srnn_ae import Streaming
from models.tsc import Block

SYSTEMS = ("Conv-AE", "TSC", "sRNN-AE")
SEQUENCES_AT_ONCE = 64
BLOCK_FRAMES = 5
DATASET = "moving_mnist"
digits = functools.cache(load_digits)


@dataclass(frozen=True)
class Files:
    """The training and the test sequences of one kind of anomaly, "spatial" or "temporal"."""

    kind: str
    train: Path
    test: Path

    @functools.cached_property
    def settings(self) -> dict[str, dict]:
        """Return what determines the sequences of each split."""
        found = {}
        for split in ("train", "test"):
            with MovingMNIST(getattr(self, split)) as reader:
                found[split] = asdict(reader.settings)
        return found

    @functools.cached_property
    def pixels(self) -> np.ndarray:
        """Return the numbers of the pixels that some training sequence lights, ascending."""
        with MovingMNIST(self.train) as reader:
            return np.flatnonzero(reader.lit)

    @property
    def data(self) -> Data:
        """Return the sequences as the data of a run: their settings tell them from others."""
        identity = {"dataset": DATASET, "backbone": "", "features": self.settings}
        return Data(identity, lambda split: config_hash(self.settings[split]), sample_frames(self))


def sequence_files(kind: str, settings: Settings, folder: Path, data_dir: Path | None) -> Files:
    """Return the files of a kind, generated in `folder` where they are not there.

    Raises InputError: no MNIST digits, or a file that cannot be written.
    """
    options = settings.moving_mnist
    counts = {"train": options.mnist_train_sequences, "test": options.mnist_test_sequences}
    paths = {}
    for split, n_sequences in counts.items():
        source = digits(data_dir, split)
        key = config_hash(
            {
                "n": n_sequences,
                "seed": options.mnist_seed,
                "step": options.mnist_step_px,
                "digits": source.sha256,
            }
        )
        path = folder / f"{kind}-{split}-{key}.h5"
        paths[split] = generate(
            path, kind, split, n_sequences, options.mnist_seed, source, step_px=options.mnist_step_px
        )
    return Files(kind, **paths)


class SequenceWindows:
    """Random windows of consecutive frames; batch number `step` depends on the seed and `step` alone.

    Every window of every sequence is equally likely.

    Args:
        path: file of the training sequences.
        features: pictures uint8 (B, T, 225, 225) -> what a batch holds of them.
        window_frames: T.
        batch_sequences: B.
        seed: seed of the draw.

    Raises InputError: windows longer than a sequence.
    """

    def __init__(self, path: Path, features: Callable, window_frames=10, batch_sequences=4, seed=0):
        if window_frames > SEQUENCE_FRAMES:
            raise InputError(
                f"window_frames: expected at most the {SEQUENCE_FRAMES} frames of a Moving-MNIST sequence, "
                f"got {window_frames}"
            )
        self.path, self.features, self.seed = path, features, seed
        self.window_frames, self.batch_sequences = window_frames, batch_sequences

    def batch(self, step: int) -> np.ndarray:
        """Return batch number `step`."""
        rng = np.random.default_rng([self.seed, step])
        with MovingMNIST(self.path) as reader:
            indices = rng.integers(len(reader.labels), size=self.batch_sequences)
            starts = rng.integers(SEQUENCE_FRAMES - self.window_frames + 1, size=self.batch_sequences)
            windows = [
                reader.window(index, start, self.window_frames)
                for index, start in zip(indices, starts, strict=True)
            ]
        return self.features(np.stack(windows))


def run_on_sequences(system: str, files: Files, settings: Settings, seed: int, out: Path) -> Run:
    """Return the finished run of a system, trained first where it is not there.

    Args:
        system: one of `SYSTEMS`.
        files: the sequences.
        settings: all settings; those of `moving_mnist` take the place of what they name.
        seed: seed of initial weights and batches.
        out: root of the outputs.
    """
    settings = with_mnist_settings(settings)
    task = {"Conv-AE": conv_ae_task, "TSC": tsc_task, "sRNN-AE": srnn_ae_task}[system]
    return make_run(task(files, settings, seed), out)


def with_mnist_settings(settings: Settings) -> Settings:
    """Return the settings with those of TSC and sRNN-AE on Moving-MNIST in their usual places."""
    options = settings.moving_mnist
    return settings.override(
        n_atoms=options.mnist_n_atoms,
        similarity_units=options.mnist_similarity_units,
        lambda1=options.mnist_lambda1,
        weight_decay=options.mnist_weight_decay,
        iterations=options.mnist_iterations,
        batch_clips=options.mnist_batch_sequences,
        learning_rate=options.mnist_learning_rate,
        tsc_n_atoms=options.mnist_n_atoms,
        tsc_lambda1=options.mnist_tsc_lambda1,
        tsc_alternations=options.mnist_tsc_alternations,
    )


def srnn_ae_task(files: Files, settings: Settings, seed: int) -> Task:
    """Return the task of sRNN-AE. Paper: Sec. 3.4, 4.1 and 4.2."""
    train = settings.train
    windows = SequenceWindows(
        files.train,
        functools.partial(intensities, pixels=files.pixels),
        train.window_frames,
        train.batch_clips,
        seed,
    )
    return Task(
        "sRNN-AE",
        files.kind,
        seed,
        files.data,
        {"model": asdict(settings.model)},
        Gradients(
            train,
            windows.batch,
            lambda sample: build_srnn_ae(sample.shape[-1], len(sample), settings, seed),
        ),
        streaming_scorer(files),
    )


def tsc_task(files: Files, settings: Settings, seed: int) -> Task:
    """Return the task of TSC. Paper: Sec. 3.1 to 3.3 and 4.2."""

    def blocks() -> Iterator[Block]:
        with MovingMNIST(files.train) as reader:
            yield from map(Block, reader.batches(SEQUENCES_AT_ONCE, files.pixels))

    trainer = alternations(blocks, settings, seed)
    return Task("TSC", files.kind, seed, files.data, tsc_config(settings), trainer, streaming_scorer(files))


def conv_ae_task(files: Files, settings: Settings, seed: int) -> Task:
    """Return the task of Conv-AE: frames minus the mean training frame, scored in consecutive windows."""
    options = settings.frames
    wide, size_px = options.conv_ae_filters, options.conv_ae_size_px
    train = replace(
        settings.train,
        iterations=options.frames_iterations,
        batch_clips=options.frames_batch_clips,
        learning_rate=options.frames_learning_rate,
    )
    gray = functools.partial(gray_pixels, size_px=size_px)
    mean = mean_frame(files.train, size_px)
    windows = SequenceWindows(files.train, gray, train.window_frames, train.batch_clips, seed)

    def build(sample: np.ndarray) -> ConvAE:
        model = ConvAE(sample.shape[-1], (wide, wide // 2, wide // 4), size_px, seed=seed)
        model.compile(keras.optimizers.Adagrad(train.learning_rate), jit_compile=jit_compile())
        return model

    def scorer(model: ConvAE):
        def errors(frames: np.ndarray) -> dict[str, np.ndarray]:
            return {"error": window_errors(model, gray(frames) - mean, train.window_frames)}

        return lambda split: score_sequences(getattr(files, split), errors)

    return Task(
        "Conv-AE",
        files.kind,
        seed,
        files.data,
        {"model": asdict(options)},
        Gradients(train, lambda step: as_channels(windows.batch(step) - mean), build),
        scorer,
    )


def gray_pixels(frames: np.ndarray, size_px: int) -> np.ndarray:
    """Return pictures uint8 (n, T, 225, 225) as pixels in [0, 1], float32 (n, T, size_px ** 2)."""
    resized = np.stack([resize(frame, size_px) for frame in frames.reshape(-1, *frames.shape[2:])])
    return resized.reshape(*frames.shape[:2], -1) / np.float32(255)


def mean_frame(path: Path, size_px: int) -> np.ndarray:
    """Return the mean frame of a file, resized, float32 (size_px ** 2,)."""
    total = 0.0
    with MovingMNIST(path) as reader:
        n_sequences = len(reader.labels)
        for first in range(0, n_sequences, SEQUENCES_AT_ONCE):
            frames = reader.frames(first, first + SEQUENCES_AT_ONCE)
            total = total + frames.sum((0, 1), dtype=np.float64)
    mean = (total / (n_sequences * SEQUENCE_FRAMES * 255)).astype(np.float32)
    return resize(mean, size_px).ravel()


def window_errors(model: ConvAE, x: np.ndarray, window_frames: int) -> np.ndarray:
    """Return Conv-AE's errors (n, 20) of the frames x (n, 20, H * W); the last window ends with them."""
    errors = np.empty(x.shape[:2], np.float32)
    last = SEQUENCE_FRAMES - window_frames
    for start in [*range(0, last, window_frames), last]:
        window = as_channels(x[:, start : start + window_frames])
        found = frame_errors(window, model.predict_on_batch(window))
        errors[:, start : start + window_frames] = keras.ops.convert_to_numpy(found)
    return errors


def streaming_scorer(files: Files) -> Callable:
    """Return the `scorer` (see `Task`) of TSC and sRNN-AE: many sequences side by side, frame by frame."""

    def scorer(model):
        live = Streaming(model)

        def score(split: str) -> list[ClipScores]:
            live.refresh()
            return score_sequences(getattr(files, split), lambda frames: streamed(live, frames, files.pixels))

        return score

    return scorer


def streamed(live: Streaming, frames: np.ndarray, pixels: np.ndarray) -> dict[str, np.ndarray]:
    """Return the scores (n, 20) of pictures uint8 (n, 20, 225, 225) by name, as `ClipScores` has them.

    The model sees `pixels` alone: what the others hold of a frame's unit energy adds to its error.
    """
    x = intensities(frames, pixels)
    unseen = np.maximum(1 - np.einsum("ntc,ntc->nt", x, x), 0)
    step, state, blocks = step_function(live), live.initial_state(len(x)), []
    for start in range(0, SEQUENCE_FRAMES, BLOCK_FRAMES):
        scores, state = step(x[:, start : start + BLOCK_FRAMES], state)
        blocks.append(scores)
    scores = {name: np.concatenate([block[name] for block in blocks], 1) for name in blocks[0]}
    return {**scores, "error": scores["error"] + unseen}


def score_sequences(path: Path, scores_of: Callable[[np.ndarray], dict]) -> list[ClipScores]:
    """Return the scores of every sequence of a file, R = 1.

    Args:
        path: the file.
        scores_of: pictures uint8 (SEQUENCES_AT_ONCE, 20, 225, 225) -> scores (SEQUENCES_AT_ONCE, 20) by
            name; black sequences fill up the last group, so that a model is traced for one size.

    Raises InputError: an error that is not finite.
    """
    scored = []
    with MovingMNIST(path) as reader:
        for first in range(0, len(reader.labels), SEQUENCES_AT_ONCE):
            frames = reader.frames(first, first + SEQUENCES_AT_ONCE)
            labels = reader.labels[first : first + len(frames)]
            missing = SEQUENCES_AT_ONCE - len(frames)
            scores = scores_of(np.pad(frames, ((0, missing), (0, 0), (0, 0), (0, 0))))
            for index, truth in enumerate(labels):
                columns = {name: values[index][:, None] for name, values in scores.items()}
                if not np.isfinite(columns["error"]).all():
                    raise InputError(f"{path}: sequence {first + index}: expected finite errors, got others")
                scored.append(ClipScores(f"{first + index:05d}", truth, **columns))
    return scored


def sample_frames(files: Files) -> Callable[[str, np.ndarray], np.ndarray]:
    """Return the function (test sequence, frame indices) -> uint8 (n, 225, 225, 3)."""

    def frames(clip: str, indices: np.ndarray) -> np.ndarray:
        with MovingMNIST(files.test) as reader:
            return np.repeat(reader.frames(int(clip), int(clip) + 1)[0, indices, ..., None], 3, -1)

    return frames
