"""Queues between threads: what one makes while another uses what was made before.

Nothing grows: a thread waits where its queue is full, or drops the oldest item.
"""

import queue
import threading
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass

POLL_SECONDS = 0.1
# A thread that waits for a camera cannot be ended: it is left behind after so long.
LEAVE_SECONDS = 1.0
_END = object()


@dataclass(frozen=True)
class _Fault:
    """What a thread raised, on its way to the thread that takes its items."""

    error: BaseException


def ahead(
    items: Generator, n_ahead: int, stop: threading.Event | None = None, newest: bool = False
) -> Iterator:
    """Yield the items in order while a thread makes the next `n_ahead`; its exceptions come out here.

    Args:
        items: a generator; it is closed when this one is.
        n_ahead: length of the queue; the thread waits where it is full.
        stop: given where the thread may wait forever, for a source that sends nothing: once it is set, the
            items end with those that are there.
        newest: drop the oldest waiting item where the queue is full, rather than let the source wait.
    """
    waiting: queue.Queue = queue.Queue(n_ahead)
    closed = threading.Event()
    thread = threading.Thread(target=_fill, args=(waiting, items, closed, newest), daemon=True)
    thread.start()
    try:
        while True:
            try:
                item = waiting.get(timeout=POLL_SECONDS)
            except queue.Empty:
                if stop is not None and stop.is_set():
                    return
                continue
            if isinstance(item, _Fault):
                if stop is not None and stop.is_set():  # what fed the source was stopped as well
                    return
                raise item.error
            if item is _END:
                return
            yield item
    finally:
        closed.set()
        thread.join(None if stop is None else LEAVE_SECONDS)


def _fill(waiting: queue.Queue, items: Generator, closed: threading.Event, newest: bool) -> None:
    """Put every item into the queue, then the end or what was raised; end early once `closed` is set."""
    last: object = _END
    try:
        while not closed.is_set() and (item := next(items, _END)) is not _END:
            _put(waiting, item, closed, newest)
        items.close()
    except BaseException as error:  # handed on, not swallowed: `ahead` raises it
        last = _Fault(error)
    _put(waiting, last, closed)


def _put(waiting: queue.Queue, item: object, closed: threading.Event, newest: bool = False) -> None:
    """Put one item, waiting for room, or making it, until `closed` is set."""
    while not closed.is_set():
        try:
            return waiting.put(item, timeout=0 if newest else POLL_SECONDS)
        except queue.Full:
            if newest:
                with suppress(queue.Empty):  # the taker may have been quicker
                    waiting.get_nowait()
