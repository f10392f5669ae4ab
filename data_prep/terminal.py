"""What every command takes from the terminal, and what it says there of a fault: one line, an exit code."""

import argparse
import contextlib
import errno
import functools
import gc
import io
import os
import re
import select
import signal
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn
from urllib.parse import unquote

from data_prep.errors import InputError
from data_prep.files import one_line
from data_prep.redaction import redacted, redacted_address

MOST_JOBS = 256  # beyond, a slip of the keyboard
READER_HAS_GONE = 128 + signal.SIGPIPE
_FILE_ADDRESS = ("file:///", "file://localhost/")
_WHOLE = r"(?:0|[1-9][0-9]*(?:_[0-9]+)*)"
_NUMBERS = {
    int: re.compile(rf"[+-]?{_WHOLE}"),
    float: re.compile(rf"[+-]?(?:{_WHOLE}(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"),
}


class Parser(argparse.ArgumentParser):
    """A parser that answers a bad command line as every fault is answered."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong in one line, an address in it without its secrets; exit with code 2."""
        for word in sys.argv[1:]:
            if "://" in word:
                message = message.replace(word, redacted_address(word))
        exit_with(lambda: refuse(f"{message}; --help lists what is expected"))


def given_path(text: str) -> Path:
    """Return a path given on the command line, one as file:///folder/clip.mp4 too.

    Raises ArgumentTypeError: none, another address, a name not in UTF-8.
    """
    if not text:
        raise argparse.ArgumentTypeError("expected a path, got nothing")
    if text.startswith(_FILE_ADDRESS):
        text = unquote(text.removeprefix("file://").removeprefix("localhost"))
    if "://" in text:
        raise argparse.ArgumentTypeError("expected a path, got an address")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError(f"expected a name in UTF-8, got {text!r}") from None
    return Path(text)


def number(text: str, kind: type):
    """Return a number as people and programs write it: digits 0 to 9, no spaces or zeros before it.

    Raises ValueError for any other text, as "٣", " 3", "003", "nan", which `int` or `float` would take.
    """
    if not _NUMBERS[kind].fullmatch(text):
        raise ValueError(f"expected {kind.__name__}, got {text!r}")
    return kind(text)


def given_int(text: str) -> int:
    """Return a whole number given on the command line, see `number`."""
    return _given(text, int)


def given_jobs(text: str) -> int:
    """Return a number of processes given on the command line, from 1 to `MOST_JOBS`."""
    jobs = given_int(text)
    if not 1 <= jobs <= MOST_JOBS:
        raise argparse.ArgumentTypeError(f"expected 1 to {MOST_JOBS}, got {jobs}")
    return jobs


def given_float(text: str) -> float:
    """Return a number given on the command line, see `number`."""
    return _given(text, float)


def _given(text: str, kind: type):
    try:
        return number(text, kind)
    except ValueError as fault:
        raise argparse.ArgumentTypeError(str(fault)) from None


@functools.cache
def say_once(message: str) -> None:
    """Print a line on stderr that a user is to know of, once however often it comes up."""
    print(redacted(_on_one_line(message)), file=sys.stderr, flush=True)


def exit_with(work: Callable[[], int | None]) -> NoReturn:
    """Exit with the code of `work`, see `exit_code`."""
    code = exit_code(work)
    # What a broken-off training holds is let go of here, while its threads still run: TensorFlow waits for
    # them, and would wait for ever once the interpreter ends.
    gc.collect()
    sys.exit(code)


def exit_code(work: Callable[[], int | None]) -> int:
    """Return what `work` returns: 0, or 2 with one clear line for bad input, a full disk or Ctrl-C (130).

    Where the reader of the output goes away (`| head`), nothing is said: 141 if work was left, as a shell has
    it for SIGPIPE.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that is not UTF-8 is shown, not a fault
            stream.reconfigure(errors="backslashreplace")
    try:
        code = work() or 0
        with contextlib.suppress(BrokenPipeError):
            sys.stdout.flush()  # a full disk behind it is told
        return code
    except OSError as fault:
        if fault.errno != errno.EPIPE:
            return refuse(told(fault))
        if _reader_has_gone():
            return READER_HAS_GONE
        raise
    except (InputError, MemoryError) as fault:
        return refuse(told(fault))
    except KeyboardInterrupt:
        return refuse("interrupted; the same command goes on where it stopped", 130)
    finally:
        _reader_has_gone()  # so that the interpreter has nothing left to write, and nothing to complain of


def told(fault: Exception) -> str:
    """Return what a fault says: bad input its message, the system the file and what was wrong with it."""
    if isinstance(fault, MemoryError):
        return f"not enough memory, {one_line(fault)}"
    if not isinstance(fault, OSError) or fault.errno is None:
        return str(fault)
    path = fault.filename if fault.filename2 is None else fault.filename2
    return f"{'output' if path is None else os.fsdecode(path)}: {os.strerror(fault.errno)}"


def refuse(message: str, code: int = 2) -> int:
    """Print one error line, which holds no secret of an address, and return the exit code."""
    print(f"error: {redacted(_on_one_line(message))}", file=sys.stderr)
    return code


def _on_one_line(message: str) -> str:
    """Return a message with what would break the line, or move the cursor, as its escape."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in message)


def _reader_has_gone() -> bool:
    """Write out what is buffered; return whether nobody reads stdout or stderr any more.

    What is left for such a reader is lost.
    """
    gone = False
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            pass  # asked below, of a pipe that nothing was written to as well
        except OSError:  # a full disk
            _give_up(stream.fileno())
        with contextlib.suppress(io.UnsupportedOperation):  # no file, as under a test: nobody can go away
            poll = select.poll()
            poll.register(stream.fileno(), 0)
            if any(event & select.POLLERR for _, event in poll.poll(0)):
                _give_up(stream.fileno())
                gone = True
    return gone


def leave_terminal() -> None:
    """Let what is still printed to a terminal be lost; a file or a pipe gets it."""
    for descriptor in (1, 2):
        if stat.S_ISCHR(os.fstat(descriptor).st_mode):
            _give_up(descriptor)


def _give_up(descriptor: int) -> None:
    """Let what is still written there be lost."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
