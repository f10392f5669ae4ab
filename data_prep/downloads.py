"""A download that may fail, as those of Keras may: with a time limit, and told why."""

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
    stderr, as the progress of a download is no result.
    """
    previous = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT_SECONDS)
    try:
        with redirect_stdout(sys.stderr):
            return fetch(), ""
    except Exception as error:  # Keras raises plain Exception; the caller prints and records the reason
        return None, one_line(error)
    finally:
        socket.setdefaulttimeout(previous)
