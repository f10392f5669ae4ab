"""Files appear whole or not at all; one process at a time writes what is locked."""

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from data_prep import files
from data_prep.errors import InputError

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


def write_folder(path, fault=None):
    with files.written_whole(path) as temporary:
        temporary.mkdir()
        (temporary / "a").write_text("a")
        if fault:
            raise fault


def test_a_folder_is_written_whole_and_replaces_none_that_holds_something(tmp_path):
    write_folder(tmp_path / "new" / "folder")
    assert (tmp_path / "new" / "folder" / "a").read_text() == "a"
    with pytest.raises(OSError, match="not empty"):
        write_folder(tmp_path / "new")
    with pytest.raises(KeyboardInterrupt):
        write_folder(tmp_path / "other", KeyboardInterrupt)
    assert [path.name for path in tmp_path.rglob("*")] == ["new", "folder", "a"]


def test_leftovers_of_one_file_alone_are_removed(tmp_path):
    for name in ("0123456789abcdef-a[1].h5", "0123456789abcdef-b-a[1].h5", "0123456789abcdef-a1.h5"):
        (tmp_path / f".tmp-{name}").touch()
    (tmp_path / ".tmp-of-my-own-files-a[1].h5").mkdir()  # no name that is given here
    files.remove_leftovers(tmp_path / "a[1].h5")
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == [
        ".tmp-0123456789abcdef-a1.h5",
        ".tmp-0123456789abcdef-b-a[1].h5",
        ".tmp-of-my-own-files-a[1].h5",
    ]


def test_a_lock_is_had_once_and_handed_on(tmp_path, capfd):
    one, other = (files.Lock(tmp_path / "x", tmp_path / "locks" / ".x.lock") for _ in "12")
    assert one.acquire()
    assert not other.acquire(wait=False)
    one.release()
    one.release()
    assert other.acquire(wait=False)
    other.release()
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("fault", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_told_once_with_what_to_do(tmp_path, monkeypatch, capfd, fault):
    def refuse(*_):
        raise OSError(fault, os.strerror(fault))

    monkeypatch.setattr(fcntl, "flock", refuse)
    for _ in range(2):
        with files.locked(tmp_path):
            (tmp_path / "a").write_text("written")
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(
        f"WARNING: {tmp_path}: no locks on this file system; run one command at a time here"
    )


def test_a_folder_that_cannot_be_locked_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"file/\.lock: cannot be locked, "), files.locked(tmp_path / "file"):
        pass


HOLD = """
import sys, time
from pathlib import Path
from data_prep.files import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_killed_process_holds_no_lock(tmp_path, capfd):
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    assert not files.Lock(tmp_path, tmp_path / ".lock").acquire(wait=False)
    process.kill()
    process.communicate()
    with files.locked(tmp_path):
        assert capfd.readouterr().err == ""


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
