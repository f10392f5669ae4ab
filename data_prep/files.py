"""Files and folders that appear whole or not at all, and locks: one command at a time writes something."""

import errno
import functools
import glob
import io
import os
import re
import secrets
import shutil
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from data_prep.errors import InputError
from data_prep.memory import check_fits

_KINDS = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
_LFS_POINTER, _LONGEST_POINTER_BYTES = b"version https://git-lfs.github.com/spec/", 1024
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # what a file system without locks answers


def file_content(path: Path) -> bytes:
    """Return the bytes of a file. InputError: see `check_file`, one that cannot be read."""
    check_fits(path, check_file(path).st_size)
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read, {error.strerror}") from error


def check_file(path: Path) -> os.stat_result:
    """Return the state of a file.

    Raises InputError: a missing file, a link to one, a folder, what may never end (a pipe, a device), what
    Git LFS leaves in place of a file.
    """
    try:
        state = os.stat(path)
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL in it
        missing = "a link to a file that is missing" if os.path.islink(path) else one_line(error)
        raise InputError(f"{path}: cannot be read, {missing}") from error
    if not stat.S_ISREG(state.st_mode):
        raise InputError(f"{path}: expected a file, got {_KINDS.get(stat.S_IFMT(state.st_mode), 'a device')}")
    if state.st_size <= _LONGEST_POINTER_BYTES and _is_lfs_pointer(path):
        raise InputError(f"{path}: the pointer of Git LFS in place of the file, `git lfs pull` fetches it")
    return state


def _is_lfs_pointer(path: Path) -> bool:
    """Tell whether a file is what Git leaves in place of one that Git LFS has."""
    try:
        with open(path, "rb") as file:
            return file.read(len(_LFS_POINTER)) == _LFS_POINTER
    except OSError:  # told when it is read
        return False


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file so that it appears whole or not at all; the folder is made when it is absent."""
    with written_whole(path) as temporary, open(temporary, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def keep_beside(name: str, shards: Path, run: Path) -> None:
    """Put the file `name` of a folder of shards, if any, beside a run, which then needs no shards."""
    if (shards / name).exists() and not (run / name).exists():
        write_atomic(run / name, (shards / name).read_bytes())


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give a name beside `path` for a file or a folder to write; it becomes `path` when the block ends well.

    Otherwise nothing of it stays. A file takes the place of another; a folder of none that holds something
    (OSError). Whoever writes at the same time has another name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".tmp-{secrets.token_hex(8)}-{path.name}")
    try:
        with naming(path, temporary):
            yield temporary
            os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):  # the first fault is told
            _remove(temporary)
        raise


@contextmanager
def naming(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """Have an OSError name `path` where it names no file, as of a full disk, or the temporary one."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and str(error.filename) in ("None", str(temporary)):
            error.filename = str(path)
        raise


def _remove(temporary: Path) -> None:
    """Remove a file or a folder that this module named, if it is there."""
    if temporary.is_dir() and not temporary.is_symlink():
        shutil.rmtree(temporary)
    else:
        temporary.unlink(missing_ok=True)


def remove_leftovers(path: Path) -> None:
    """Remove what killed writers of `path` have left; call it with the lock of `path` held."""
    for temporary in path.parent.glob(f".tmp-{'[0-9a-f]' * 16}-{glob.escape(path.name)}"):
        _remove(temporary)


class Lock:
    """The sole right to write something; who is killed loses it.

    Where the file system has no locks, all get it, and a line says what to do.

    Args:
        what: the file or folder that is written.
        file: the lock file. It stays, or two processes could each lock a file of that name.
        again: whether this process may get the lock several times.

    Raises InputError: a lock file that cannot be written.
    """

    def __init__(self, what: Path, file: Path, again: bool = False):
        self.what = what
        # What one thread has locked, another may release, unless it may be had several times.
        self._lock = FileLock(file, thread_local=again, is_singleton=again, fallback_to_soft=False)

    def acquire(self, wait: bool = True) -> bool:
        """Return whether this process has got the lock; while it waits for it, a line says so."""
        try:
            Path(self._lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
            return self._acquire(wait)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise InputError(f"{self._lock.lock_file}: cannot be locked, {one_line(error)}") from error
            _say_no_locks(Path(self._lock.lock_file).parent)
            return True

    def _acquire(self, wait: bool) -> bool:
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            if not wait:
                return False
            print(
                f"{self.what}: another command is writing here, waiting for it", file=sys.stderr, flush=True
            )
            self._lock.acquire(poll_interval=0.2)
        return True

    def release(self) -> None:
        """Give the lock up, if this process has it."""
        self._lock.release()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder's lock (`folder/.lock`), so that one command at a time changes what is in it.

    It waits for another process without a limit, and says so in one line. What holds the lock may ask again.
    """
    lock = Lock(folder, folder / ".lock", again=True)
    lock.acquire()
    try:
        yield
    finally:
        lock.release()


@functools.cache
def _say_no_locks(folder: Path) -> None:
    """Say once that nothing can be locked in a folder, and what to do."""
    remedy = "run one command at a time here, or write to another"
    print(f"WARNING: {folder}: no locks on this file system; {remedy}", file=sys.stderr, flush=True)


class Disk(io.FileIO):
    """A new file that keeps its first fault to itself until `finish`.

    HDF5 may crash the process, then or later, when it cannot write all it wants to (full disk).

    Raises OSError: a file that cannot be made.
    """

    def __init__(self, path: Path):
        super().__init__(path, "x+")
        self.fault: OSError | None = None

    def write(self, data) -> int:
        """Write all of the data; return how much that was."""
        view = memoryview(data).cast("B")
        try:
            while self.fault is None and view:
                view = view[super().write(view) :]
        except OSError as error:
            self.fault = error
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        """Set the size of the file; return it."""
        try:
            return super().truncate(size)
        except OSError as error:
            self.fault = self.fault or error
            return size

    def finish(self) -> None:
        """Bring the file to the disk. Raises OSError: the first fault."""
        if self.fault is not None:
            raise self.fault
        os.fsync(self)


def one_line(error: Exception) -> str:
    """Return an error's message on one line, the name of its kind where it has none."""
    return " ".join(str(error).split()) or type(error).__name__


def natural_order(name: str) -> list[tuple[str, int]]:
    """Return a sort key that puts clip 10 behind clip 9, the order that label files follow."""
    return [(text, int(digits or 0)) for text, digits in re.findall(r"(\D*)(\d*)", name)]
