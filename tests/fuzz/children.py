"""Cases in child processes whose memory is bounded; whatever ends one but success and InputError is told."""

import multiprocessing
import os
import re
import resource
import signal
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from multiprocessing.connection import Connection, wait
from pathlib import Path

from data_prep.errors import InputError

MOST_BYTES = 2 * 2**30  # that a case may take
CASES_A_CHILD = 150
HANG_SECONDS = 120.0
HANGS, ENDS = "hangs", "ends the process"


@dataclass
class Child:
    """A process at work, the cases that are left to it, and the one that it is at."""

    process: multiprocessing.Process
    connection: Connection
    left: list[int]


def faults(
    run_case: Callable[[int], object],
    cases: Iterator[int],
    n_children: int,
    hang_seconds: float = HANG_SECONDS,
) -> Iterator[tuple[int, str]]:
    """Run cases by number; yield each number with what went wrong, empty for success and for InputError.

    Args:
        run_case: runs one.
        cases: their numbers; it may end when it likes.
        n_children: processes at a time.
        hang_seconds: a case that takes longer hangs.
    """
    children: list[Child] = []
    while True:
        while len(children) < n_children and (batch := list(islice(cases, CASES_A_CHILD))):
            children.append(started(run_case, batch))
        if not children:
            return
        ready = wait([child.connection for child in children], hang_seconds)
        for child in [child for child in children if child.connection in ready or not ready]:
            number = child.left[0]
            fault = answer_of(child) if ready else HANGS
            if not ready:
                child.process.kill()
            child.left.pop(0)
            yield number, fault
            has_ended = fault == HANGS or fault.startswith(ENDS)
            if has_ended or not child.left:
                child.process.join()
                children.remove(child)
            if has_ended and child.left:
                children.append(started(run_case, child.left))


def started(run_case: Callable[[int], object], batch: list[int]) -> Child:
    """Return a child that is at work on a batch."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=work, args=(run_case, list(batch), theirs), daemon=True)
    process.start()
    theirs.close()
    return Child(process, ours, list(batch))


def answer_of(child: Child) -> str:
    """Return what a child says of its case, or how it ended."""
    try:
        return child.connection.recv()
    except EOFError:
        child.process.join()
        code = child.process.exitcode
        return f"{ENDS} by {signal.Signals(-code).name if code < 0 else f'exit code {code}'}"


def work(run_case: Callable[[int], object], batch: list[int], connection: Connection) -> None:
    """Run cases in this process, its memory bounded, and say of each what went wrong."""
    used = int(re.search(r"VmData:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024
    resource.setrlimit(resource.RLIMIT_DATA, (used + MOST_BYTES, used + MOST_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # what libraries say
    for number in batch:
        connection.send(fault_of(run_case, number))


def fault_of(run_case: Callable[[int], object], number: int) -> str:
    """Return what goes wrong in a case; empty for success and for an InputError of one line."""
    try:
        run_case(number)
    except InputError as refusal:
        return f"refuses in several lines: {refusal}" if "\n" in str(refusal) else ""
    except BaseException as error:
        frames = [f"{Path(f.filename).name}:{f.lineno}" for f in traceback.extract_tb(error.__traceback__)]
        return f"raises {type(error).__name__}: {str(error)[:200]!r} at {' '.join(frames[-6:])}"
    return ""
