"""Moving-MNIST (Sec. 4.2) in the lab: its files, windows to train on, and the scores of every sequence.

A sequence is one row (R = 1) of 20 frames. The split "control" is the test split without its anomalies.
"""

import functools
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from data_prep import moving_mnist
from data_prep.errors import InputError
from data_prep.moving_mnist import SEQUENCE_FRAMES, SPLITS, MovingMNIST, generate
from experiments.lab.scoring.score import ClipScores, DivergedError
from experiments.lab.settings.schema import Settings, config_hash
from experiments.lab.training.task import Data

SEQUENCES_AT_ONCE = 64
DATASET = "moving_mnist"
digits = functools.cache(moving_mnist.digits_of)


@dataclass(frozen=True)
class Files:
    """The training, test and control sequences of one kind of anomaly, "spatial" or "temporal"."""

    kind: str
    train: Path
    test: Path
    control: Path

    @functools.cached_property
    def settings(self) -> dict[str, dict]:
        """Return what determines the sequences of each split."""
        found = {}
        for split in SPLITS:
            with MovingMNIST(getattr(self, split)) as reader:
                found[split] = asdict(reader.settings)
        return found

    @property
    def n_scored(self) -> int:
        """Return how many sequences of a split are scored: as many training ones as there are test ones."""
        return self.settings["test"]["n_sequences"]

    @functools.cached_property
    def pixels(self) -> np.ndarray:
        """Return the numbers of the pixels that some training sequence lights, ascending."""
        with MovingMNIST(self.train) as reader:
            return np.flatnonzero(reader.lit)

    @functools.cached_property
    def boxes_on_lit(self) -> np.ndarray:
        """Return which test sequences have a white box, and it on pixels that training lights, bool (n,)."""
        with MovingMNIST(self.train) as train, MovingMNIST(self.test) as test:
            side = test.settings.box_px
            under = [train.lit[y : y + side, x : x + side] for y, x in np.maximum(test.boxes, 0)]
            return np.array([part.all() for part in under]) & (test.boxes[:, 0] >= 0)

    @property
    def data(self) -> Data:
        """Return the sequences as the data of a run: the settings of a split tell it from others."""
        features = {split: self.settings[split] for split in ("train", "test")}
        identity = {"dataset": DATASET, "backbone": "", "features": features}
        clips = {split: config_hash(settings) for split, settings in self.settings.items()}
        return Data(identity, clips.__getitem__, sample_frames(self), code="Moving-MNIST")


def sequence_files(kind: str, settings: Settings, folder: Path, data_dir: Path | None) -> Files:
    """Return the files of a kind, generated in `folder` where they are not there.

    Raises InputError: no MNIST digits, or a file that cannot be written.
    """
    options = settings.moving_mnist
    try:
        moving_mnist.check_room(options.mnist_step_px)
    except InputError as fault:
        raise InputError(f"setting mnist_{fault}") from None
    counts = {"train": options.mnist_train_sequences, "test": options.mnist_test_sequences}
    paths = {}
    for split in SPLITS:
        source, n_sequences = digits(split, data_dir), counts.get(split, counts["test"])
        key = config_hash(
            {
                "n": n_sequences,
                "seed": options.mnist_seed,
                "step": options.mnist_step_px,
                "digits": source.sha256,
            }
        )
        drawn = moving_mnist.Settings(
            kind, split, n_sequences, options.mnist_seed, step_px=options.mnist_step_px
        )
        paths[split] = generate(folder / f"{kind}-{split}-{key}.h5", drawn, source)
    return Files(kind, **paths)


def unseen_energy(x: np.ndarray) -> np.ndarray:
    """Return what frames have at the pixels that x lacks, float32 (n, T), of intensities x (n, T, C).

    With all its pixels a frame has length 1; a black one is taken for one that has nothing at those of x.
    """
    return np.maximum(1 - np.einsum("ntc,ntc->nt", x, x), 0)


def refuse_longer_windows(window_frames: int) -> None:
    """Raise InputError for windows that are longer than a sequence."""
    if window_frames > SEQUENCE_FRAMES:
        raise InputError(
            f"window_frames: expected at most the {SEQUENCE_FRAMES} frames of a Moving-MNIST sequence, "
            f"got {window_frames}"
        )


class SequenceWindows:
    """Random windows of consecutive frames; batch number `step` depends on the seed and `step` alone.

    Every window of every sequence is equally likely.

    Args:
        path: file of the training sequences.
        features: pictures uint8 (B, T, 225, 225) -> what a batch holds of them.
        window_frames: T.
        batch_sequences: B.
        seed: seed of the draw.
        n_sequences: how many there are to draw from, the first so many; None for all.

    Raises InputError: windows longer than a sequence.
    """

    def __init__(
        self,
        path: Path,
        features: Callable,
        window_frames: int = 10,
        batch_sequences: int = 4,
        seed: int = 0,
        n_sequences: int | None = None,
    ):
        refuse_longer_windows(window_frames)
        self.path, self.features, self.seed, self.n_sequences = path, features, seed, n_sequences
        self.window_frames, self.batch_sequences = window_frames, batch_sequences

    def batch(self, step: int) -> np.ndarray:
        """Return batch number `step`."""
        rng = np.random.default_rng([self.seed, step])
        with MovingMNIST(self.path) as reader:
            indices = rng.integers(self.n_sequences or len(reader.labels), size=self.batch_sequences)
            starts = rng.integers(SEQUENCE_FRAMES - self.window_frames + 1, size=self.batch_sequences)
            windows = [
                reader.window(index, start, self.window_frames)
                for index, start in zip(indices, starts, strict=True)
            ]
        return self.features(np.stack(windows))


def score_sequences(
    path: Path, scores_of: Callable[[np.ndarray], dict], n_sequences: int
) -> list[ClipScores]:
    """Return the scores of the first sequences of a file, R = 1.

    Args:
        path: the file.
        scores_of: pictures uint8 (SEQUENCES_AT_ONCE, 20, 225, 225) -> scores (SEQUENCES_AT_ONCE, 20) by
            name; black sequences fill up the last group, so that a model is traced for one size.
        n_sequences: how many; all, where the file has fewer.

    Raises DivergedError: an error that is not finite.
    """
    scored = []
    with MovingMNIST(path) as reader:
        last = min(n_sequences, len(reader.labels))
        with tqdm(total=last, desc=f"scoring {path.stem}", unit="sequence", leave=False) as bar:
            for first in range(0, last, SEQUENCES_AT_ONCE):
                frames = reader.frames(first, min(first + SEQUENCES_AT_ONCE, last))
                labels = reader.labels[first : first + len(frames)]
                missing = SEQUENCES_AT_ONCE - len(frames)
                scores = scores_of(np.pad(frames, ((0, missing), (0, 0), (0, 0), (0, 0))))
                for index, truth in enumerate(labels):
                    columns = {name: values[index][:, None] for name, values in scores.items()}
                    if not np.isfinite(columns["error"]).all():
                        fault = f"sequence {first + index}: expected finite errors, got others"
                        raise DivergedError(f"{path}: {fault}")
                    scored.append(ClipScores(f"{first + index:05d}", truth, **columns))
                bar.update(len(frames))
    return scored


def sample_frames(files: Files) -> Callable[[str, np.ndarray], np.ndarray]:
    """Return the function (test sequence, frame indices) -> uint8 (n, 225, 225, 3)."""

    def frames(clip: str, indices: np.ndarray) -> np.ndarray:
        with MovingMNIST(files.test) as reader:
            return np.repeat(reader.frames(int(clip), int(clip) + 1)[0, indices, ..., None], 3, -1)

    return frames
