"""Files that appear whole or not at all; HDF5 files have `shards.written_whole`."""

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file so that it appears whole or not at all; the folder is made when it is absent."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # mkstemp makes it private
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder's lock (`folder/.lock`), so that one command at a time changes what is in it.

    It waits for another process without a limit, and says so in one line. What holds the lock may ask again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock", is_singleton=True)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"{folder}: another command is writing here, waiting for it", file=sys.stderr, flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def one_line(error: Exception) -> str:
    """Return an error's message on one line."""
    return " ".join(str(error).split())


def natural_order(name: str) -> list[tuple[str, int]]:
    """Return a sort key that puts clip 10 behind clip 9, the order that label files follow."""
    return [(text, int(digits or 0)) for text, digits in re.findall(r"(\D*)(\d*)", name)]
