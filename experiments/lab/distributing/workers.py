"""Tasks done side by side, by the processes of one machine or of a cluster.

A task writes files and returns nothing, so what comes back stays small however large the data is. One whose
process is killed is done again, and goes on from what it has written; one that fails keeps no other from
being done.
"""

import os
import time
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import joblib
from tqdm import tqdm

from data_prep.errors import InputError
from data_prep.terminal import told
from experiments.lab.distributing.where import ANSWER_SECONDS, Where, connect

if TYPE_CHECKING:
    from distributed import Client, Future, as_completed

POLL_SECONDS = 0.1

ATTEMPTS = 3  # at a task whose process is killed


class Task(Protocol):
    """What a worker is given: it travels, so it holds values alone; `name` says what it is in errors."""

    @property
    def name(self) -> str:
        """The task in words."""

    def __call__(self) -> None:
        """Do it. InputError or OSError for bad input."""


@dataclass(frozen=True)
class Outcome:
    """What became of task number `index`: done, or its fault, and the exception that it was."""

    index: int
    fault: str = ""
    kind: type[BaseException] | None = None


def carry_out(tasks: Sequence[Task], where: Where, title: str, unit: str) -> list[Outcome]:
    """Do all tasks, faults or not, under a progress bar; return the outcomes of those that failed, in order.

    Raises InputError: the cluster does not answer.
    """
    if where.cluster:
        source = cluster_outcomes(tasks, where)
    else:
        source = local_outcomes(tasks, min(where.jobs, len(tasks)))
    with tqdm(source, desc=title, total=len(tasks), unit=unit) as outcomes:
        return sorted((one for one in outcomes if one.fault), key=lambda outcome: outcome.index)


def refuse_faults(tasks: Sequence[Task], failed: Sequence[Outcome], unit: str) -> None:
    """Raise one error that names every task that failed, if there is one.

    It is an InputError, or a RuntimeError where one broke by a fault of ours.
    """
    if failed:
        listed = "; ".join(f"{unit} {tasks[outcome.index].name}: {outcome.fault}" for outcome in failed)
        is_bad_input = all(issubclass(outcome.kind, (InputError, OSError)) for outcome in failed)
        kind = InputError if is_bad_input else RuntimeError
        raise kind(f"{len(failed)} of {len(tasks)} {unit}s failed, the others are done; {listed}")


def attempted(index: int, task: Task) -> Outcome:
    """Do one task, in whichever process this is; return its outcome."""
    try:
        task()
    except (InputError, OSError) as fault:
        return Outcome(index, told(fault), type(fault))
    except Exception as fault:  # the other tasks are done first, then `refuse_faults` tells
        return Outcome(index, traceback.format_exc(), type(fault))
    return Outcome(index)


def local_outcomes(tasks: Sequence[Task], jobs: int) -> Iterator[Outcome]:
    """Yield the outcomes of all tasks as they come, `jobs` at a time, in processes where that is over 1."""
    left = dict(enumerate(tasks))
    for _ in range(ATTEMPTS):
        with worker_environment(jobs):
            workers = joblib.Parallel(jobs, batch_size=1, return_as="generator_unordered")
            try:
                for outcome in workers(joblib.delayed(attempted)(*item) for item in list(left.items())):
                    del left[outcome.index]
                    yield outcome
            except BrokenProcessPool:  # it takes the whole pool along: the next attempt is what is left
                continue
        return
    killed = f"its process was killed {ATTEMPTS} times; is the memory too small for --jobs?"
    for index in left:
        yield Outcome(index, killed, InputError)


@contextmanager
def worker_environment(jobs: int) -> Iterator[None]:
    """Let processes that start inside share the cores and draw no bars; only one process may draw."""
    wanted = {"TQDM_DISABLE": "1", "TF_NUM_INTRAOP_THREADS": str(max(1, os.cpu_count() // jobs))}
    before = {name: os.environ.get(name) for name in wanted}
    try:
        os.environ.update(wanted if jobs > 1 else {})
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            os.environ.update({} if value is None else {name: value})


def while_there_are_workers(client: "Client", completed: "as_completed", where: Where) -> Iterator["Future"]:
    """Yield futures as they complete. InputError: for `ANSWER_SECONDS` there has been no worker."""
    seen = time.monotonic()
    while not completed.is_empty():
        if completed.has_ready():
            yield next(completed)
            seen = time.monotonic()
            continue
        time.sleep(POLL_SECONDS)
        if time.monotonic() - seen < ANSWER_SECONDS:
            continue
        if client.status == "running" and not client.nthreads():
            raise InputError(
                f"--cluster {where.cluster}: lost its workers, and none came in {ANSWER_SECONDS} seconds; "
                "each is started from the folder of this code, see docs/scaling.md; the same command goes on"
            )
        seen = time.monotonic()


def cluster_outcomes(tasks: Sequence[Task], where: Where) -> Iterator[Outcome]:
    """Yield the outcomes of all tasks as they come from a Dask cluster, which moves those of lost workers."""
    from distributed import as_completed  # only a cluster needs it

    with connect(where) as client:
        # Not pure: what a task finds depends on files, so no result of an earlier command may stand for it.
        futures = {
            client.submit(attempted, index, task, pure=False): index for index, task in enumerate(tasks)
        }
        for future in while_there_are_workers(client, as_completed(futures), where):
            index = futures[future]
            if future.status == "finished":
                yield future.result()
            elif future.status == "error":
                yield Outcome(index, f"lost by the cluster, {future.exception()}", InputError)
            else:
                yield Outcome(index, f"{future.status} by the cluster; the same command goes on", InputError)
