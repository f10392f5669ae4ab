"""Files appear whole or not at all."""

import subprocess
import sys
from pathlib import Path

import pytest

from data_prep import files

ROOT = Path(__file__).parents[1]


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


COUNT_UP = """
import sys, time
from pathlib import Path
from data_prep.files import locked
folder = Path(sys.argv[1])
for _ in range(20):
    with locked(folder), locked(folder):  # what holds it may ask again
        count = int((folder / "count").read_text())
        time.sleep(0.001)
        (folder / "count").write_text(str(count + 1))
"""


def test_a_locked_folder_is_changed_by_one_process_at_a_time(tmp_path):
    (tmp_path / "count").write_text("0")
    command = [sys.executable, "-c", COUNT_UP, str(tmp_path)]
    with files.locked(tmp_path):
        processes = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in "1234"]
        told = [process.stderr.readline() for process in processes]  # each has met the lock
    assert [process.wait() for process in processes] == [0] * 4
    assert (tmp_path / "count").read_text() == "80"
    assert told == [f"{tmp_path}: another command is writing here, waiting for it\n"] * 4
