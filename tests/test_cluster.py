"""Table 3 made on a Dask cluster, a worker killed; clusters that do not answer or are lost; other code."""

import os
import subprocess
import sys
import threading
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import distributed
import pytest
from distributed import Client

from data_prep.errors import InputError
from data_prep.shards import read_info
from experiments import table_03_methods
from experiments.lab.context import Context
from experiments.lab.distributing import where
from experiments.lab.distributing import workers as workers_module
from experiments.lab.distributing.points import Point, make
from experiments.lab.distributing.where import Where
from experiments.lab.publishing.results import read_rows
from experiments.lab.settings.profiles import PROFILES
from tests.synthetic_lab import context_in, files_in, kill_when_training

ROOT = Path(__file__).parents[1]


@pytest.fixture
def cluster():
    """A Dask scheduler and three workers as processes: (address, {worker's address: process})."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    processes = []

    def start(*arguments):
        command = [sys.executable, "-m", *arguments]
        processes.append(
            subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
        )
        return processes[-1]

    try:
        scheduler = start(
            "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"
        )
        address = next(line.split()[-1] for line in scheduler.stderr if "Scheduler at:" in line)
        threading.Thread(target=scheduler.stderr.read, daemon=True).start()
        for _ in range(3):
            worker = start(
                "distributed.cli.dask_worker", address, "--no-nanny", "--nthreads", "1", "--no-dashboard"
            )
            threading.Thread(target=worker.stderr.read, daemon=True).start()
        yield address, processes[1:]
    finally:
        for process in processes:
            process.kill()
            process.wait()


TABLE = {
    **{"input_size_px": 32, "n_atoms": 8, "similarity_units": 8, "n_subspace_atoms": 4, "clip_frames": 20},
    **{"iterations": 40, "checkpoint_every": 20, "log_every": 20},
}
SYSTEMS = ("Nearest Subspace", "sRNN-AE", "Reddy et al.")


def table_in(out: Path) -> Context:
    return Context("smoke", PROFILES["smoke"].override(**TABLE), out, only_datasets=("walkway",))


def shards_in(out: Path) -> dict[str, str]:
    paths = (path for path in out.rglob("features/**/*.h5"))
    return {path.relative_to(out).as_posix(): read_info(path).checksum for path in paths}


def test_table_03_on_a_cluster_is_that_of_one_process_though_a_worker_is_killed(cluster, tmp_path):
    address, workers = cluster
    context, alone = table_in(tmp_path / "cluster"), table_in(tmp_path / "alone")
    flags = {"systems": SYSTEMS, "with_chosen": False}
    with Client(address) as client:
        client.wait_for_workers(3, timeout=60)
        pids = client.run(os.getpid)
        assert set(pids.values()) == {worker.pid for worker in workers}

        def busy():
            return [pids[worker] for worker, tasks in client.processing().items() if tasks]

        check_killed = kill_when_training(context.out, busy)
        make(table_03_methods.points(context, **flags), Where(cluster=address))
        check_killed()
    assert sorted(worker.poll() is None for worker in workers) == [False, True, True]
    before = files_in(context.out)
    table_03_methods.run(context, **flags)
    assert files_in(context.out) == before  # there was nothing left to train
    table_03_methods.run(alone, **flags)
    assert shards_in(context.out) == shards_in(alone.out)
    rows, expected = read_rows(context.results_dir), read_rows(alone.results_dir)
    assert {row.row for row in rows if row.measured} == set(SYSTEMS)
    for row, other in zip(rows, expected, strict=True):
        assert row.ours == pytest.approx(other.ours, abs=1e-6)
        assert replace(row, ours=other.ours) == other


def test_cluster_that_does_not_answer_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(where, "ANSWER_SECONDS", 0.5)
    point = Point(context_in(tmp_path / "out"), "walkway", "spatial")
    with pytest.raises(InputError, match=r"--cluster tcp://127.0.0.1:9: expected a Dask scheduler"):
        make([point], Where(cluster="tcp://127.0.0.1:9"))


def test_a_cluster_that_has_lost_its_workers_is_told(monkeypatch):
    monkeypatch.setattr(workers_module, "ANSWER_SECONDS", 0.3)
    left = ["future"]
    workers = [{"tcp://a": 1}, {"tcp://a": 1}, {}]  # at work; then gone
    client = SimpleNamespace(status="running", nthreads=lambda: workers.pop(0))
    completed = SimpleNamespace(is_empty=lambda: not left, has_ready=lambda: False)
    with pytest.raises(InputError, match=r"--cluster tcp://a:1: lost its workers, and none came in 0.3"):
        list(workers_module.while_there_are_workers(client, completed, Where(cluster="tcp://a:1")))
    assert not workers


@pytest.mark.parametrize(
    ("commit", "fault"),
    [
        ("1234567", "has that of 1234567"),
        (ModuleNotFoundError("No module named 'x'"), "has no code, No module"),
    ],
)
def test_workers_of_other_code_are_refused(commit, fault):
    closed = []
    client = SimpleNamespace(
        run=lambda function, on_error: {"tcp://own": function(), "tcp://other": commit},
        close=lambda: closed.append(True),
    )
    with pytest.raises(InputError, match=f"tcp://other {fault}"):
        where.refuse_other_code(client, "tcp://a:1")
    assert closed


def test_tasks_whose_processes_are_killed_again_and_again_are_named(monkeypatch):
    pools = []

    class Killed:
        def __init__(self, *_, **__):
            pools.append(self)

        def __call__(self, tasks):
            raise BrokenProcessPool

    monkeypatch.setattr(workers_module.joblib, "Parallel", Killed)
    tasks = [SimpleNamespace(name="one"), SimpleNamespace(name="two")]
    failed = workers_module.carry_out(tasks, Where(jobs=2), "runs", "run")
    assert len(pools) == workers_module.ATTEMPTS
    with pytest.raises(InputError, match=r"2 of 2 runs .* run one: .*is the memory too small for --jobs"):
        workers_module.refuse_faults(tasks, failed, "run")


def test_tasks_that_the_cluster_loses_are_named(monkeypatch):
    """One of three is done; of the others one is lost with its workers, and one was cancelled."""

    class Future:
        def __init__(self, **told):
            self.__dict__.update(told)

    futures = [
        Future(status="finished", result=lambda: workers_module.Outcome(0)),
        Future(status="error", exception=lambda: OSError("its workers died")),
        Future(status="cancelled"),
    ]

    @contextmanager
    def connect(where):
        yield SimpleNamespace(submit=lambda *_, **__: futures.pop(0))

    monkeypatch.setattr(workers_module, "connect", connect)
    monkeypatch.setattr(distributed, "as_completed", list)
    monkeypatch.setattr(workers_module, "while_there_are_workers", lambda client, completed, where: completed)
    failed = workers_module.carry_out(["a", "b", "c"], Where(cluster="tcp://a:1"), "runs", "run")
    assert [outcome.index for outcome in failed] == [1, 2]
    assert failed[0].fault == "lost by the cluster, its workers died"
    assert failed[1].fault == "cancelled by the cluster; the same command goes on"


@pytest.mark.parametrize(
    ("n_threads", "fault"),
    [({}, "expected workers, got none in"), ({"tcp://w": 4}, "--nthreads 1, got one with 4 threads")],
)
def test_a_cluster_without_workers_or_with_threads_is_refused(monkeypatch, n_threads, fault):
    closed = []

    def wait_for_workers(count, timeout):
        if len(n_threads) < count:
            raise TimeoutError

    client = SimpleNamespace(
        wait_for_workers=wait_for_workers, nthreads=lambda: n_threads, close=lambda: closed.append(True)
    )
    monkeypatch.setattr(distributed, "Client", lambda *_, **__: client)
    with pytest.raises(InputError, match=f"--cluster tcp://a:1: .*{fault}"):
        where.connect(Where(cluster="tcp://a:1"))
    assert closed
