"""Queues between threads: order, bounds, dropping, ending; scores smoothed as they come."""

import threading
import time
from itertools import count

import numpy as np
import pytest

from data_prep.errors import InputError
from experiments.lab.scoring.fusion import smooth
from experiments.lab.scoring.protocol import Protocol
from experiments.lab.watching.live import smoothed
from experiments.lab.watching.queues import ahead


def test_ahead_keeps_the_order_and_raises_what_the_thread_raised():
    def faulty():
        yield from range(50)
        raise InputError("the end")

    items = ahead(iter(x for x in range(50)), 4)
    assert list(items) == list(range(50))
    taken = []
    with pytest.raises(InputError, match="the end"):
        taken.extend(ahead(faulty(), 4))  # keeps what came before
    assert taken == list(range(50))


def test_ahead_waits_where_the_queue_is_full_and_closes_its_source():
    made, closed = [], threading.Event()

    def source():
        try:
            for index in count():
                made.append(index)
                yield index
        finally:
            closed.set()

    items = ahead(ahead(source(), 3), 2)
    assert next(items) == 0
    time.sleep(0.3)
    assert len(made) <= 1 + (2 + 1) + (3 + 1)
    n_threads = threading.active_count()
    items.close()
    assert closed.is_set()
    assert threading.active_count() == n_threads - 2


def test_ahead_drops_the_oldest_of_a_source_that_cannot_wait():
    done = threading.Event()

    def source():
        yield from range(100)
        done.set()

    items = ahead(source(), 5, newest=True)
    first = next(items)
    assert done.wait(10)
    rest = list(items)
    assert rest == list(range(max(95, first + 1), 100))


def test_ahead_ends_on_request_where_the_source_sends_nothing():
    stop, never = threading.Event(), threading.Event()

    def source():
        yield 1
        never.wait(30)
        yield 2

    items = ahead(source(), 2, stop)
    assert next(items) == 1
    threading.Timer(0.2, stop.set).start()
    assert list(items) == []
    never.set()


@pytest.mark.parametrize("n_scores", [0, 1, 2, 3, 4, 5, 12])
@pytest.mark.parametrize("smoothing", ["centered", "causal"])
@pytest.mark.parametrize("n_frames", [1, 3, 5, 9])
def test_scores_are_smoothed_as_those_of_a_whole_clip(n_frames, smoothing, n_scores):
    protocol = Protocol(smoothing_frames=n_frames, smoothing=smoothing)
    n_after = n_frames // 2 if smoothing == "centered" else 0
    scores = np.random.default_rng(0).normal(size=n_scores)
    given = []

    def source():
        for pair in enumerate(scores):
            given.append(pair[0])
            yield pair

    found = []
    for item, score in smoothed(source(), protocol):
        assert len(given) == min(item + n_after + 1, n_scores)  # no later than it must be
        found.append((item, score))
    assert [item for item, _ in found] == list(range(n_scores))
    expected = smooth(scores, protocol) if n_scores else []
    np.testing.assert_allclose([score for _, score in found], expected, atol=1e-12)
