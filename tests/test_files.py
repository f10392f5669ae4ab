"""Files appear whole or not at all."""

import pytest

from data_prep import files


def test_write_atomic_leaves_nothing_behind(tmp_path, monkeypatch):
    path = tmp_path / "new" / "a.txt"
    files.write_atomic(path, b"old")

    def fail(*_):
        raise OSError("disk")

    monkeypatch.setattr(files.os, "replace", fail)
    with pytest.raises(OSError, match="disk"):
        files.write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert [file.name for file in path.parent.iterdir()] == ["a.txt"]
