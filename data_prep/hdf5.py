"""HDF5 files that are written whole or not at all, and read without locks: none ever changes where it is."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from data_prep.errors import InputError
from data_prep.files import Disk, one_line, written_whole


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


@contextmanager
def readable(path: Path, what: str) -> Iterator[None]:
    """Turn what h5py raises on a damaged file into InputError, which says that `what` is damaged."""
    try:
        yield
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: damaged {what}, {one_line(error)}") from error
