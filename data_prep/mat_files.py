"""Cell arrays of MATLAB files (version 5 to 7): ground truth is published so. Every length is checked.

SciPy's reader trusts the lengths that a file declares, and one changed byte of an uncompressed file can end
the process. This one reads cell arrays whose cells hold numbers or a line of text, and nothing else.
Source: MathWorks, "MAT-File Format": a header of 128 bytes, then elements, each a tag (type, bytes) and data
padded to 8 bytes; a matrix is an element that holds flags, shape, name and data as elements.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

from data_prep.errors import InputError
from data_prep.files import file_content, one_line
from data_prep.memory import check_fits

_HEADER_BYTES, _TAG_BYTES = 128, 8
_ENDIANS = {b"IM": "<", b"MI": ">"}
_VERSION_5 = 1  # HDF5 files, which "-v7.3" writes, have 2
_MATRIX, _COMPRESSED = 14, 15  # types of elements
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_TEXTS = {1: "latin-1", 2: "latin-1", 16: "utf-8", 4: "utf-16", 17: "utf-16", 18: "utf-32"}
_CELLS, _TEXT, _NUMERIC, _OPAQUE = 1, 4, range(6, 16), 17  # classes of matrices; the last has no shape
_COMPLEX = 0x800
_NAMED_BYTES = 4096  # of a matrix, in which its name is


@dataclass(frozen=True)
class _Element:
    """An element in a file: its type, its data, and how many bytes it takes with its tag and padding."""

    kind: int
    data: memoryview
    n_bytes: int


def read_cells(path: Path, key: str, expected: str) -> np.ndarray:
    """Return a cell array of a .mat file: an object array of its shape, of arrays or of str.

    Args:
        path: the file.
        key: name of the cell array.
        expected: its shape in words, for messages.

    Raises InputError: not a .mat file, damaged, no such key, something else than a cell array.
    """
    content = memoryview(file_content(path))
    names = []
    try:
        endian = _endian(content)
        for matrix in _matrices(path, content, endian):
            begun = matrix(_NAMED_BYTES)
            if _class(endian, begun)[0] == _OPAQUE:
                continue
            _, name, _ = _begin(endian, begun)
            names.append(name)
            if name == key and _class(endian, begun)[0] == _CELLS:
                return _cells(endian, matrix())
            if name == key:
                raise InputError(f"{path}: {key} is no cell array, expected {expected} cells")
    except (ValueError, struct.error, zlib.error, MemoryError) as fault:
        raise InputError(f"{path}: not a readable .mat file ({one_line(fault)})") from fault
    raise InputError(f"{path}: no labels, expected the key {key}, got {names}")


def _endian(content: memoryview) -> str:
    """Return the byte order of a file, "<" or ">"; ValueError for one of another version."""
    endian = _ENDIANS.get(bytes(content[126:_HEADER_BYTES]))
    if endian is None:
        raise ValueError("expected the header of MATLAB 5 to 7")
    (version,) = struct.unpack(f"{endian}H", content[124:126])
    if version >> 8 != _VERSION_5:
        raise ValueError("expected the format of MATLAB 5 to 7, as save(.., '-v7') writes it")
    return endian


def _matrices(path: Path, content: memoryview, endian: str) -> Iterator:
    """Yield, for each matrix of a file, a function that returns the data of its first bytes, or of all."""
    offset = _HEADER_BYTES
    while offset < len(content):
        element = _element(endian, content[offset:])
        offset += element.n_bytes
        if element.kind == _COMPRESSED:
            yield lambda most=None, packed=element.data: _unpacked(path, endian, packed, most)
        elif element.kind == _MATRIX:
            yield lambda most=None, data=element.data: data
        else:
            raise ValueError(f"expected matrices, got an element of type {element.kind}")


def _unpacked(path: Path, endian: str, packed: memoryview, most: int | None) -> memoryview:
    """Return the data of a compressed matrix: its first `most` bytes, or all, checked to their end."""
    unpacker = zlib.decompressobj()
    tag = unpacker.decompress(packed, _TAG_BYTES)
    kind, n_bytes = struct.unpack(f"{endian}II", tag)
    if kind != _MATRIX:
        raise ValueError(f"expected a compressed matrix, got an element of type {kind}")
    if most is not None:
        n_bytes = min(n_bytes, most)
    check_fits(path, 2 * n_bytes)
    data = unpacker.decompress(unpacker.unconsumed_tail, max(n_bytes, 1))
    if len(data) != n_bytes:
        raise ValueError(f"a matrix ends early: expected {n_bytes} bytes, got {len(data)}")
    if most is None and (unpacker.decompress(unpacker.unconsumed_tail, 1) or not unpacker.eof):
        raise ValueError(f"expected {n_bytes} bytes of a matrix, got more")
    return memoryview(data)


def _element(endian: str, data: memoryview) -> _Element:
    """Return the element that data begins with; ValueError where it is cut short."""
    kind, n_bytes = struct.unpack_from(f"{endian}II", data)
    start = _TAG_BYTES
    if kind >> 16:  # at most 4 bytes, inside the tag
        kind, n_bytes, start = kind & 0xFFFF, kind >> 16, 4
        end = _TAG_BYTES
        if n_bytes > 4:
            raise ValueError(f"expected at most 4 bytes inside a tag, got {n_bytes}")
    else:
        end = start + (n_bytes if kind == _COMPRESSED else n_bytes + -n_bytes % 8)
    if start + n_bytes > len(data):
        raise ValueError(f"an element ends early: expected {n_bytes} bytes, got {len(data) - start}")
    return _Element(kind, data[start : start + n_bytes], end)


def _class(endian: str, data: memoryview) -> tuple[int, int]:
    """Return the class of a matrix, and its flags, given its data."""
    (flags,) = struct.unpack_from(f"{endian}I", _element(endian, data).data)
    return flags & 0xFF, flags & 0xFF00


def _begin(endian: str, data: memoryview) -> tuple[tuple[int, ...], str, memoryview]:
    """Return the shape of a matrix, its name, and what follows; ValueError where it has none."""
    parts = []
    for _ in range(3):
        parts.append(_element(endian, data))
        data = data[parts[-1].n_bytes :]
    _, shape, name = parts
    sides = _numbers(endian, shape)
    if sides.dtype.kind != "i" or len(sides) < 2 or (sides < 0).any():
        raise ValueError(f"expected the shape of a matrix, got {sides.tolist()[:4]}")
    return tuple(sides.tolist()), bytes(name.data).decode("latin-1"), data


def _cells(endian: str, data: memoryview) -> np.ndarray:
    """Return the cell array that is the data of a matrix."""
    shape, _, data = _begin(endian, data)
    if prod(shape) * _TAG_BYTES > len(data):
        raise ValueError(f"expected {prod(shape)} cells, got {len(data)} bytes")
    cells = np.empty(prod(shape), object)
    for index in range(len(cells)):
        element = _element(endian, data)
        if element.kind != _MATRIX:
            raise ValueError(f"expected a matrix in cell {index + 1}, got an element of type {element.kind}")
        cells[index] = _value(endian, element.data)
        data = data[element.n_bytes :]
    return cells.reshape(shape, order="F")


def _value(endian: str, data: memoryview) -> np.ndarray:
    """Return what a cell holds: numbers (rows, columns, ..) as stored, or text: an array of one str."""
    if not data:
        return np.zeros((0, 0))
    (kind, flags), (shape, _, data) = _class(endian, data), _begin(endian, data)
    if kind not in (_TEXT, *_NUMERIC) or flags & _COMPLEX:
        raise ValueError(f"expected real numbers or text in each cell, got a matrix of class {kind}")
    if not prod(shape):
        return np.zeros(shape)
    element = _element(endian, data)
    if kind == _TEXT:
        return np.array([_text(endian, element)])
    numbers = _numbers(endian, element)
    if numbers.size != prod(shape):
        raise ValueError(f"expected {prod(shape)} numbers in a cell, got {numbers.size}")
    return numbers.reshape(shape, order="F")


def _numbers(endian: str, element: _Element) -> np.ndarray:
    """Return the numbers of an element, as stored."""
    if element.kind not in _NUMBERS:
        raise ValueError(f"expected numbers, got an element of type {element.kind}")
    return np.frombuffer(element.data, np.dtype(endian + _NUMBERS[element.kind]))


def _text(endian: str, element: _Element) -> str:
    """Return the text of an element."""
    if element.kind not in _TEXTS:
        raise ValueError(f"expected text, got an element of type {element.kind}")
    encoding = _TEXTS[element.kind]
    order = "" if encoding in ("latin-1", "utf-8") else {"<": "-le", ">": "-be"}[endian]
    return bytes(element.data).decode(encoding + order)
