"""Reading ahead: a thread computes the next items while the last one is used."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor


def read_ahead(items: Iterable, n_items: int) -> Iterator:
    """Yield the items in order while a thread computes the next `n_items`; its exceptions come out here."""
    iterator, end = iter(items), object()
    with ThreadPoolExecutor(max_workers=1) as thread:
        pending = deque(thread.submit(next, iterator, end) for _ in range(n_items))
        while (item := pending.popleft().result()) is not end:
            pending.append(thread.submit(next, iterator, end))
            yield item
