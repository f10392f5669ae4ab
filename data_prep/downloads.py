"""A download that may fail, as those of Keras may: with a time limit, and told why."""

import io
import socket
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from typing import TypeVar

from data_prep.files import one_line

TIMEOUT_SECONDS = 10.0

T = TypeVar("T")


def attempt(fetch: Callable[[], T]) -> tuple[T | None, str]:
    """Return (what `fetch` returns, ""), or (None, why it failed) on one line.

    `fetch` runs with a time limit of TIMEOUT_SECONDS for each answer of the network; what it prints goes to
    stderr, as the progress of a download is no result. Its first line, which announces the download, waits
    for the next: of a download that never began, the caller's line is the only one.
    """
    previous = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT_SECONDS)
    try:
        with redirect_stdout(_Progress()):
            return fetch(), ""
    except Exception as error:  # Keras raises plain Exception; the caller prints and records the reason
        return None, one_line(error)
    finally:
        socket.setdefaulttimeout(previous)


class _Progress(io.TextIOBase):
    """Writes to stderr, the first line together with what follows it."""

    def __init__(self):
        self._held, self._begun = "", False

    def write(self, text: str) -> int:
        """Take a text; return its length."""
        self._held += text
        if self._begun or self._held.partition("\n")[2]:
            sys.stderr.write(self._held)
            self._held, self._begun = "", True
        return len(text)

    def flush(self) -> None:
        """Show what was written to stderr."""
        sys.stderr.flush()
