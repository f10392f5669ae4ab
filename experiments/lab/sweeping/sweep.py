"""Sweeps: a system trained once for each value of one setting, the points side by side or on many machines.

    python -m experiments.figure_08_depth --grid 1,3,10 --jobs 4

`--jobs N` runs N points at a time on this machine. The default is 1: one TensorFlow process fills a few cores
by itself, so more pays only where cores and memory are many. `--cluster tcp://HOST:PORT` runs the points on a
Dask cluster whose machines share the folder of outputs and the data. Start one scheduler, and a worker on
each machine from this folder, all under the names by which the machines reach each other:

    python -m dask scheduler --host HOST --dashboard-address 127.0.0.1:0
    python -m dask worker tcp://HOST:8786 --host OWN --nthreads 1 --dashboard-address 127.0.0.1:0

Whoever reaches a port of theirs runs code on that machine. `--host` keeps them to one network, 127.0.0.1 to
the machine itself; without it they listen on all. Where others are on the network, take tls://, which lets in
who holds a certificate: `--tls-ca-file CA --tls-cert CERT --tls-key KEY` on both, `--tls CA CERT KEY` here.

Either way features are extracted once, before the points start; finished points are trained runs and are not
trained again; a point whose process is killed runs again, from its last checkpoint; and one that fails keeps
no other from running.
"""

import functools
import os
import re
import traceback
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import joblib
from tqdm import tqdm

from data_prep.errors import InputError
from data_prep.files import one_line
from data_prep.terminal import told
from experiments.lab.context import Context
from experiments.lab.settings.memory import refuse_beyond_memory
from experiments.lab.training.runs import Run

if TYPE_CHECKING:
    from distributed import Client
    from distributed.security import Security

ATTEMPTS = 3  # of a point whose process is killed
ANSWER_SECONDS = 30  # for the scheduler, and for a first worker


@dataclass(frozen=True)
class Point:
    """One point: a system on one dataset with one seed, the swept setting first among its `overrides`."""

    dataset: str
    system: str
    seed: int
    overrides: Mapping[str, object]

    @property
    def name(self) -> str:
        """Return the point in words, as errors and logs name it."""
        changed = [f"{name}={value}" for name, value in self.overrides.items()]
        return " ".join([self.dataset, self.system, *changed, f"seed={self.seed}"])


def streams_of(context: Context) -> tuple[str, ...]:
    """Return the streams of every point."""
    settings = context.settings
    return ("spatial",) if settings.sweep.sweep_streams == "spatial" else settings.score.streams


@dataclass(frozen=True)
class Outcome:
    """What became of point number `index`: its runs by stream, or its fault."""

    index: int
    runs: Mapping[str, Run]
    fault: str = ""
    is_bad_input: bool = True


@dataclass(frozen=True)
class Portable:
    """A context that travels: pickled, it is its choices alone, and each process works the rest out once."""

    context: Context

    def __reduce__(self):
        """Return how a process that receives it gets its own."""
        choices = ((f.name, getattr(self.context, f.name)) for f in fields(self.context))
        absolute = ((key, value.absolute() if isinstance(value, Path) else value) for key, value in choices)
        return _received, (type(self.context), tuple(absolute))


@functools.lru_cache(maxsize=1)
def _received(kind: type[Context], choices: tuple) -> Portable:
    return Portable(kind(**dict(choices)))


def run_points(
    context: Context,
    points: Sequence[Point],
    jobs: int = 1,
    cluster: str | None = None,
    tls: Sequence[Path] | None = None,
) -> list[Mapping[str, Run]]:
    """Return the trained runs of each point by stream, in order, training those that are not there.

    Args:
        context: what the points run in.
        points: what to run.
        jobs: points at a time on this machine.
        cluster: address of a Dask scheduler, which then takes the place of `jobs`.
        tls: files of the authority's certificate, of ours, of its key, for an address tls://.

    Raises:
        InputError: points failed, which are named, or the cluster does not answer.
        RuntimeError: a point broke by a fault of ours. In both cases the other points have run by then.
    """
    for dataset in dict.fromkeys(point.dataset for point in points):
        if set(streams_of(context)) - {"flow"}:
            context.shards(dataset)
        if "flow" in streams_of(context):
            context.flow_shards(dataset)
    if cluster:
        source = cluster_outcomes(context, points, connect(cluster, tls))
    else:
        source = local_outcomes(context, points, min(jobs, len(points)))
    outcomes = {}
    with tqdm(total=len(points), desc="points of the sweep", unit="point") as bar:
        for outcome in source:
            outcomes[outcome.index] = outcome
            bar.update()
    refuse_faults(points, [outcomes[index] for index in range(len(points))])
    return [outcomes[index].runs for index in range(len(points))]


def refuse_faults(points: Sequence[Point], outcomes: Sequence[Outcome]) -> None:
    """Raise one error that names every point that failed, if there is one."""
    failed = [outcome for outcome in outcomes if outcome.fault]
    if failed:
        listed = "; ".join(f"point {points[outcome.index].name}: {outcome.fault}" for outcome in failed)
        kind = InputError if all(outcome.is_bad_input for outcome in failed) else RuntimeError
        raise kind(f"{len(failed)} of {len(points)} points failed, the others are done; {listed}")


def run_point(portable: Portable, index: int, point: Point) -> Outcome:
    """Return the outcome of one point, in whichever process this is."""
    context = portable.context
    try:
        runs = {
            stream: context.run(
                point.dataset, stream, point.seed, system=point.system, **dict(point.overrides)
            )
            for stream in streams_of(context)
        }
    except (InputError, OSError) as fault:
        return Outcome(index, {}, told(fault))
    except Exception:  # the other points run first, then `refuse_faults` tells
        return Outcome(index, {}, traceback.format_exc(), is_bad_input=False)
    return Outcome(index, runs)


def local_outcomes(context: Context, points: Sequence[Point], jobs: int) -> Iterator[Outcome]:
    """Yield the outcomes of all points as they come, `jobs` at a time, in processes where that is over 1."""
    left = dict(enumerate(points))
    task = functools.partial(joblib.delayed(run_point), Portable(context))
    for _ in range(ATTEMPTS):
        with worker_environment(jobs):
            workers = joblib.Parallel(jobs, batch_size=1, return_as="generator_unordered")
            try:
                for outcome in workers(task(index, point) for index, point in list(left.items())):
                    del left[outcome.index]
                    yield outcome
            except BrokenProcessPool:  # it takes the whole pool along: the next attempt is what is left
                continue
        return
    for index in left:
        yield Outcome(
            index, {}, f"its process was killed {ATTEMPTS} times; is the memory too small for --jobs?"
        )


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


def cluster_outcomes(context: Context, points: Sequence[Point], client: "Client") -> Iterator[Outcome]:
    """Yield the outcomes of all points as they come from a Dask cluster, which moves those of lost ones."""
    from distributed import as_completed  # only a cluster needs it

    with client:
        # Not pure: what a point gives depends on files, so no result of an earlier sweep may stand for it.
        futures = {
            client.submit(run_point, Portable(context), index, point, pure=False): index
            for index, point in enumerate(points)
        }
        for future in as_completed(futures):
            if future.status == "finished":
                yield future.result()
            elif future.status == "error":
                yield Outcome(futures[future], {}, f"lost by the cluster, {future.exception()}")
            else:
                yield Outcome(
                    futures[future], {}, f"{future.status} by the cluster; the same command goes on"
                )


def connect(address: str, tls: Sequence[Path] | None) -> "Client":
    """Return a client of the Dask scheduler. InputError: no answer, no worker, or workers of many threads."""
    from distributed import Client

    security = security_of(address, tls)
    try:
        client = Client(address, timeout=ANSWER_SECONDS, security=security)
    except (OSError, ValueError) as fault:
        raise InputError(f"--cluster {address}: expected a Dask scheduler, got {told(fault)}") from None
    try:
        client.wait_for_workers(1, timeout=ANSWER_SECONDS)
    except TimeoutError:
        client.close()
        raise InputError(
            f"--cluster {address}: expected workers, got none in {ANSWER_SECONDS} seconds"
        ) from None
    n_threads = max(client.nthreads().values())
    if n_threads > 1:  # seeds and graphs are a process's, not a thread's
        client.close()
        raise InputError(
            f"--cluster {address}: expected workers with --nthreads 1, got one with {n_threads} threads"
        )
    return client


def security_of(address: str, tls: Sequence[Path] | None) -> "Security | None":
    """Return what a connection is secured with, None for tcp://.

    Raises InputError: files without tls://, or the other way round; files that are no certificate and key.
    """
    from distributed.security import Security

    if re.fullmatch(r"(tcp|tls)://[^/]+:[0-9]+", address) is None:
        raise InputError(f"--cluster {address}: expected tcp://HOST:PORT or tls://HOST:PORT")
    if address.startswith("tcp://"):
        if tls is not None:
            raise InputError(f"--tls: expected --cluster tls://HOST:PORT beside it, got {address}")
        return None
    if tls is None:
        raise InputError(f"--cluster {address}: expected --tls CA CERT KEY beside it")
    authority, certificate, key = map(str, tls)
    security = Security(tls_ca_file=authority, tls_client_cert=certificate, tls_client_key=key)
    try:
        security.get_connection_args("client")
    except OSError as fault:  # ssl.SSLError is one
        files = ", ".join(map(str, tls))
        raise InputError(
            f"--tls: expected PEM files of certificates, got {files}: {one_line(fault)}"
        ) from None
    return security


def parse_grid(context: Context, setting: str, grid: Sequence[str]) -> dict[str, float]:
    """Return the values of a grid by their text, the x of result rows ("3", "0.1"). InputError if bad."""
    values = {}
    for text in grid:
        try:
            settings = context.settings.override(**{setting: text.strip()})
            refuse_beyond_memory(settings)
        except InputError as fault:
            raise InputError(f"--grid {','.join(grid)}: {fault}") from None
        groups = (getattr(settings, group.name) for group in fields(settings))
        value = next(getattr(group, setting) for group in groups if hasattr(group, setting))
        x = str(value) if isinstance(value, int) else f"{value:g}"
        if x in values:
            raise InputError(f"--grid {','.join(grid)}: expected each value once, got {x} twice")
        values[x] = value
    return values
