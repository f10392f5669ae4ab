"""Sequences of Moving-MNIST with blobs of noise as digits, and settings for them: for tests."""

from pathlib import Path

import numpy as np

from data_prep.mnist_digits import Digits
from data_prep.moving_mnist import SPLITS, MovingMNIST, generate
from data_prep.moving_mnist import Settings as Drawn
from experiments.lab.settings.schema import PAPER
from experiments.lab.systems.sequences import Files

TINY = PAPER.override(
    mnist_train_sequences=5,
    mnist_test_sequences=3,
    mnist_held_out_sequences=2,
    mnist_n_atoms=4,
    mnist_similarity_units=3,
    mnist_iterations=4,
    mnist_batch_sequences=2,
    mnist_learning_rate=1e-3,
    mnist_tsc_alternations=2,
    mnist_conv_ae_iterations=4,
    depth=2,
    tsc_depth=3,
    tsc_update_steps=5,
    checkpoint_every=4,
    log_every=4,
    conv_ae_size_px=39,
    conv_ae_filters=8,
    conv_ae_batch_clips=8,
)


def noise_files(folder: Path) -> Files:
    """Return files of 5 training, 3 test and 3 control sequences, written to a folder; frames differ."""
    rng = np.random.default_rng(0)
    digits = Digits(rng.integers(0, 200, (9, 28, 28)).astype(np.uint8), "noise")
    paths = {
        split: generate(folder / f"{split}.h5", Drawn("spatial", split, n), digits, progress=False)
        for split, n in zip(SPLITS, (5, 3, 3), strict=True)
    }
    return Files("spatial", **paths)


def all_frames(path: Path) -> np.ndarray:
    """Return the pictures of a file, uint8 (n, 20, 225, 225)."""
    with MovingMNIST(path) as reader:
        return reader.frames()
