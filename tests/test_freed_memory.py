"""Freed memory stays with the process inside, and goes back to the system at the end."""

import ctypes
import sys
from pathlib import Path

import numpy as np
import pytest

from experiments.lab.training.freed_memory import freed_memory_kept

N_BYTES, TIMES = 64 * 2**20, 6

GLIBC = sys.platform == "linux" and hasattr(ctypes.CDLL(None), "mallopt")
needs_glibc = pytest.mark.skipif(not GLIBC, reason="needs glibc and Linux")


def page_faults():
    """How many pages the kernel has had to hand out so far."""
    import resource  # not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def faults_of_blocks():
    """The page faults of taking and freeing a large block some times, after a first time."""
    np.ones(N_BYTES, np.uint8)
    before = page_faults()
    for _ in range(TIMES):
        np.ones(N_BYTES, np.uint8)
    return page_faults() - before


def resident_bytes():
    import resource

    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@needs_glibc
def test_a_block_that_is_taken_again_has_its_pages():
    outside = faults_of_blocks()
    with freed_memory_kept():
        inside = faults_of_blocks()
        np.ones(4 * N_BYTES, np.uint8)
        kept = resident_bytes()
    assert inside < outside / 4
    assert faults_of_blocks() > 4 * inside  # and outside it is as before
    assert resident_bytes() < kept - 2 * N_BYTES


@needs_glibc
def test_memory_is_given_back_after_an_error():
    kept = []

    def fails():
        np.ones(4 * N_BYTES, np.uint8)
        kept.append(resident_bytes())
        raise KeyError

    with pytest.raises(KeyError), freed_memory_kept():
        fails()
    assert resident_bytes() < kept[0] - 2 * N_BYTES


def test_elsewhere_nothing_happens(monkeypatch):
    """Windows has no library by the name of None."""
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(ctypes, "CDLL", lambda name: pytest.fail(f"asked for {name}"))
    with freed_memory_kept():
        pass
