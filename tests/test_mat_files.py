"""MATLAB files: what SciPy writes comes back as SciPy reads it; no changed byte does more than be refused."""

import struct
import zlib

import numpy as np
import pytest
import scipy.io

from data_prep.errors import InputError
from data_prep.labels import read_mat_intervals
from data_prep.mat_files import read_cells


def cell_array(*items, shape=None):
    cells = np.empty(len(items), object)
    cells[:] = items
    return cells.reshape(shape or (1, -1))


NUMBERS = [
    np.arange(6, dtype=dtype).reshape(2, 3)
    for dtype in ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8")
]


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize(
    "cells",
    [
        cell_array(*NUMBERS),
        cell_array(*NUMBERS[:6], shape=(2, 3)),
        cell_array("clip.avi", np.array([[7]]), "k\xe4se/mask.avi", shape=(3, 1)),
        cell_array(np.zeros((0, 0)), np.zeros((2, 0)), np.ones((3, 4, 5), bool)),
    ],
    ids=["kinds of numbers", "two rows", "text", "empty and three axes"],
)
def test_what_scipy_writes_is_read_as_scipy_reads_it(tmp_path, cells, compress):
    path = tmp_path / "a.mat"
    others = {"note": "text", "z": np.ones((2, 2)) * 1j, "record": {"a": 1}, "gt": cells, "more": np.eye(3)}
    scipy.io.savemat(path, others, do_compression=compress)
    expected = scipy.io.loadmat(path)["gt"]
    found = read_cells(path, "gt", "1 x n")
    assert found.shape == expected.shape
    for ours, theirs in zip(found.ravel(), expected.ravel(), strict=True):
        assert (ours.shape, ours.dtype.kind) == (theirs.shape, theirs.dtype.kind) or theirs.size == 0
        np.testing.assert_array_equal(ours, theirs)


def test_the_other_byte_order_is_read(tmp_path):
    """One cell, a row of doubles, as a machine of the other order writes it."""

    def element(kind, data):
        return struct.pack(">II", kind, len(data)) + data + bytes(-len(data) % 8)

    def matrix(array_class, shape, name, data):
        flags = element(6, struct.pack(">II", array_class, 0))
        return element(14, flags + element(5, struct.pack(">2i", *shape)) + element(1, name) + data)

    numbers = matrix(6, (1, 2), b"", element(9, struct.pack(">2d", 3, 4)))
    header = b"MATLAB 5.0".ljust(124) + struct.pack(">H", 0x0100) + b"MI"
    (tmp_path / "a.mat").write_bytes(header + matrix(1, (1, 1), b"gt", numbers))
    (cell,) = read_cells(tmp_path / "a.mat", "gt", "1 x n").ravel()
    np.testing.assert_array_equal(cell, [[3, 4]])
    np.testing.assert_array_equal(cell, scipy.io.loadmat(tmp_path / "a.mat")["gt"][0, 0])


@pytest.mark.parametrize("compress", [False, True])
def test_no_changed_byte_ends_the_process(tmp_path, compress):
    """SciPy's reader dies by a segmentation fault of some of these, where nothing is compressed."""
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"gt": cell_array(*[np.array([[2], [4]])] * 3)}, do_compression=compress)
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    refused = []
    for _ in range(400):
        changed = bytearray(content)
        changed[rng.integers(len(content))] = rng.integers(256)
        path.write_bytes(changed)
        try:
            read_mat_intervals(path)
        except InputError as error:
            refused.append(str(error))
    assert len(refused) > 60
    assert all(line.startswith(f"{path}: ") and "\n" not in line for line in refused)


def test_a_file_that_unpacks_to_more_than_the_machine_has_is_refused_unpacked(tmp_path, monkeypatch):
    header = b"MATLAB 5.0".ljust(124) + struct.pack("<H", 0x0100) + b"IM"
    flags = (
        struct.pack("<IIII", 6, 8, 1, 0)
        + struct.pack("<IIii", 5, 8, 1, 1)
        + struct.pack("<HH4s", 1, 2, b"gt")
    )
    packed = zlib.compress(struct.pack("<II", 14, 2**32 - 8) + flags + bytes(2**16))
    (tmp_path / "a.mat").write_bytes(header + struct.pack("<II", 15, len(packed)) + packed)
    monkeypatch.setattr("data_prep.memory.machine_bytes", lambda: 2**31)
    with pytest.raises(InputError, match=r"a\.mat: asks for 8\.6 GB of memory, expected at most .* 2\.1 GB"):
        read_cells(tmp_path / "a.mat", "gt", "1 x n")


def test_other_formats_are_named(tmp_path):
    scipy.io.savemat(tmp_path / "a.mat", {"gt": np.eye(2)}, format="4")
    with pytest.raises(
        InputError, match=r"a\.mat: not a readable \.mat file \(expected the header of MATLAB 5"
    ):
        read_cells(tmp_path / "a.mat", "gt", "1 x n")
    (tmp_path / "b.mat").write_bytes(b"MATLAB 7.3".ljust(124) + struct.pack("<H", 0x0200) + b"IM")
    with pytest.raises(InputError, match=r"b\.mat: not a readable \.mat file \(.*save\(\.\., '-v7'\)"):
        read_cells(tmp_path / "b.mat", "gt", "1 x n")
