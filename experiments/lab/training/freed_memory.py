"""Memory that is freed stays with the process while a run is made: a step asks for the same again.

glibc gives large blocks back to the kernel when they are freed, and the kernel fills them with zeros when
they are asked for again. With 84 rows at C = N = 2048 that was 79,000 page faults and a fifth of the time of
a step in bfloat16.
"""

import contextlib
import ctypes
import sys
from collections.abc import Iterator

# The names and numbers of <malloc.h>.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4
KEPT = {M_MMAP_MAX: 0, M_TRIM_THRESHOLD: -1}  # -1: never
# What glibc comes to by itself once a block of 32 MiB was freed; it stops adapting when one is set.
USUAL = {M_MMAP_MAX: 65_536, M_MMAP_THRESHOLD: 32 * 2**20, M_TRIM_THRESHOLD: 64 * 2**20}


@contextlib.contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Keep freed memory meanwhile, and give it back at the end; nothing happens where there is no glibc."""
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None  # Windows takes no None
    if not hasattr(libc, "mallopt"):
        yield
        return
    for name, value in KEPT.items():
        libc.mallopt(name, value)
    try:
        yield
    finally:
        for name, value in USUAL.items():
            libc.mallopt(name, value)
        libc.malloc_trim(0)
