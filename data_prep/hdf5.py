"""HDF5 files that are written whole or not at all, and read without locks: none ever changes where it is."""

import errno
import os
import resource
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path

import h5py

from data_prep.errors import InputError
from data_prep.files import NO_LOCKS, Disk, one_line, written_whole
from data_prep.memory import check_fits

_LOCKS_REMEDY = "HDF5_USE_FILE_LOCKING asks for locks, which this file system has not: unset it"
READ_SECONDS = 20  # of computing, within which a file of Keras is read: ResNet-152's takes less than one
WEIGHTS_COPIES = 4  # while Keras reads: unpacked, as arrays, in the model, in its optimizer


@contextmanager
def hdf5_written_whole(path: Path) -> Iterator[h5py.File]:
    """Give an HDF5 file that appears at `path` when the block ends well, and leaves nothing otherwise.

    Raises InputError: a file that cannot be written.
    """
    try:
        with written_whole(path) as temporary, Disk(temporary) as disk:
            with h5py.File(disk, "w", libver="latest") as file:
                yield file
            disk.finish()
    except OSError as error:
        raise InputError(f"{path}: cannot be written, {one_line(error)}") from error


def open_hdf5(path: Path) -> h5py.File:
    """Return the file opened for reading. Without its locks: network file systems may have none."""
    return h5py.File(path, "r", locking=False)


def check_stored(path: Path, dataset: h5py.Dataset) -> None:
    """Raise InputError for an array that declares more than was ever written: HDF5 would make up zeros."""
    if dataset.chunks is None:
        stored = dataset.id.get_storage_size()
    else:
        chunk_bytes = prod(dataset.chunks) * dataset.dtype.itemsize
        check_fits(path, chunk_bytes)
        stored = dataset.id.get_num_chunks() * chunk_bytes
    if stored < dataset.nbytes:
        raise InputError(
            f"{path}: damaged, {dataset.name} declares {dataset.nbytes:,} bytes and has {stored:,}"
        )


def stored_bytes(path: Path, file: h5py.File) -> int:
    """Return how much all arrays of a file hold. InputError, which names `path`, see `check_stored`."""
    arrays = [item for item in _inside(file) if isinstance(item, h5py.Dataset)]
    for array in arrays:
        check_stored(path, array)
    return sum(array.nbytes for array in arrays)


def check_ends(path: Path) -> None:
    """Raise InputError for a file that HDF5 reads without an end, or that ends the process that reads it.

    HDF5 follows whatever lengths a file declares. So another process reads it first; of any other fault it
    says nothing, as who reads the file meets it too.
    """
    command = [sys.executable, "-c", "from data_prep import hdf5; hdf5.read_all()", path, str(READ_SECONDS)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    code = subprocess.run(command, env=environment, capture_output=True).returncode
    if code == -signal.SIGXCPU:
        raise InputError(f"{path}: damaged, reading it does not end")
    if code < 0:
        raise InputError(f"{path}: damaged, reading it ends in {signal.Signals(-code).name}")


def read_all() -> None:
    """Read a file, all of it; its path and the seconds of computing are this process' arguments."""
    path, seconds = Path(sys.argv[1]), int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    with open_hdf5(path) as file:
        stored_bytes(path, file)
        for item in (file, *_inside(file)):
            dict(item.attrs)
            if isinstance(item, h5py.Dataset):
                item[()]


def _inside(file: h5py.File) -> list:
    """Return all groups and arrays of a file."""
    items = []
    file.visititems(lambda _, item: items.append(item))
    return items


def check_weights(path: Path) -> int:
    """Return how many bytes the arrays of a file of Keras, .h5 or .keras, hold.

    Raises InputError: weights that are not there or do not fit into memory.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            check_fits(path, WEIGHTS_COPIES * sum(member.file_size for member in archive.infolist()))
            with archive.open("model.weights.h5") as content, h5py.File(content) as file:
                return stored_bytes(path, file)
    with open_hdf5(path) as file:
        held = stored_bytes(path, file)
    check_fits(path, WEIGHTS_COPIES * held)
    return held


class UnreadableError(InputError):
    """A file that the system does not let be read: that says nothing of what is in it."""


@contextmanager
def readable(path: Path, what: str) -> Iterator[None]:
    """Turn what h5py raises on a damaged file into InputError, which says that `what` is damaged.

    Raises UnreadableError where a call of the system failed: its errors have a number, those of damage none.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise InputError(f"{path}: damaged {what}, {one_line(error)}") from error
        remedy = f"; {_LOCKS_REMEDY}" if error.errno in (*NO_LOCKS, errno.EAGAIN) else ""
        raise UnreadableError(f"{path}: cannot be read, {os.strerror(error.errno)}{remedy}") from error
    except (RuntimeError, LookupError, ArithmeticError, ValueError, TypeError, MemoryError) as error:
        raise InputError(f"{path}: damaged {what}, {one_line(error)}") from error
    except AttributeError as error:  # a group where an array is expected, or the other way round
        raise InputError(f"{path}: damaged {what}, {one_line(error)}") from error
