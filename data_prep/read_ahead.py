"""Items one after another: computed ahead by a thread or by several, or stacked in batches."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np

Map = Callable[[Callable, Iterable], Iterator]  # as the builtin `map`, over one iterable


def read_ahead(items: Iterable, n_items: int) -> Iterator:
    """Yield the items in order while a thread computes the next `n_items`; its exceptions come out here."""
    iterator, end = iter(items), object()
    with ThreadPoolExecutor(max_workers=1) as thread:
        pending = deque(thread.submit(next, iterator, end) for _ in range(n_items))
        while (item := pending.popleft().result()) is not end:
            pending.append(thread.submit(next, iterator, end))
            yield item


def map_ahead(pool: ThreadPoolExecutor, n_ahead: int, function: Callable, items: Iterable) -> Iterator:
    """Yield `function(item)` in order while the pool computes up to `n_ahead` of the next."""
    pending = deque()
    for item in items:
        pending.append(pool.submit(function, item))
        if len(pending) > n_ahead:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


def stack_batches(items: Iterable[np.ndarray], n_items: int) -> Iterator[np.ndarray]:
    """Yield arrays of one shape in stacks of `n_items`, the last one of what is left."""
    iterator = iter(items)
    while batch := list(islice(iterator, n_items)):
        yield np.stack(batch)
