"""What fits into the memory of this machine: what a file declares is compared with it before it is taken."""

import os
import resource
from pathlib import Path

from data_prep.errors import InputError

_CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")  # "max" where there is none


def machine_bytes() -> int:
    """Return the memory of this machine, or of the container or the process where that has a lower limit."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA):
        limit, _ = resource.getrlimit(kind)
        if limit != resource.RLIM_INFINITY:
            limits.append(limit)
    if _CONTAINER_LIMIT.is_file() and (text := _CONTAINER_LIMIT.read_text().strip()).isdecimal():
        limits.append(int(text))
    return min(limits)


def check_fits(what: object, n_bytes: int) -> None:
    """Raise InputError where `what` (a file, or a setting) asks for more memory than this machine has."""
    if n_bytes > (most := machine_bytes()):
        raise InputError(
            f"{what}: asks for {n_bytes / 1e9:.1f} GB of memory, expected at most what this machine has, "
            f"{most / 1e9:.1f} GB"
        )
