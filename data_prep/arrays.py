"""NumPy's files, read with what they declare checked against what they hold."""

import io
import zipfile
from collections.abc import Collection
from math import prod
from pathlib import Path

import numpy as np

from data_prep.errors import InputError
from data_prep.files import check_file, file_content, one_line
from data_prep.memory import check_fits

_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_npy(path: Path) -> np.ndarray:
    """Return the array of a .npy file. InputError: not readable, objects, fewer bytes than it declares."""
    content = file_content(path)
    try:
        return _array_of(content)
    except Exception as error:  # on a damaged header NumPy raises whatever its parser trips over
        raise InputError(f"{path}: not a readable .npy file ({one_line(error)})") from error


def map_npy(path: Path) -> np.ndarray:
    """Return the array of a .npy file, left on disk until it is used. InputError as `read_npy`."""
    check_file(path)
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # as above
        raise InputError(f"{path}: not a readable .npy file ({one_line(error)})") from error


def read_npz(path: Path, what: str, names: Collection[str] | None = None) -> dict[str, np.ndarray]:
    """Return the arrays of an .npz file by name, where `names` are given those that are among them.

    Raises InputError, which says that `what` is damaged: not readable, objects, too large for this machine.
    """
    check_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            members = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
            wanted = [name for name in members if names is None or name in names]
            check_fits(path, sum(members[name].file_size for name in wanted))
            return {name: _array_of(archive.read(members[name])) for name in wanted}
    except InputError:
        raise
    except Exception as error:  # as above, and zipfile likewise
        raise InputError(f"{path}: damaged {what}, {one_line(error)}") from error


def _array_of(content: bytes) -> np.ndarray:
    """Return the array in the bytes of a .npy file; ValueError where they are not those of one."""
    file = io.BytesIO(content)
    version = np.lib.format.read_magic(file)
    if version not in _HEADERS:
        raise ValueError(f"expected format 1.0 or 2.0, got {version}")
    shape, is_fortran, dtype = _HEADERS[version](file)
    if dtype.hasobject:
        raise ValueError("expected numbers or text, got objects")
    if prod(shape) * dtype.itemsize > len(content) - file.tell():
        raise ValueError(f"expected {shape} of {dtype}, got {len(content) - file.tell()} bytes")
    return np.ndarray(shape, dtype, content, file.tell(), order="F" if is_fortran else "C").copy("K")
