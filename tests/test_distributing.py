"""Runs made in one process, in several, on a Dask cluster; killed workers; faults; Table 3 as an example."""

import os
import pickle
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from distributed import Client

from data_prep.errors import InputError
from data_prep.shards import read_info
from experiments import choose_on_scenes, run, table_03_methods
from experiments.lab import cli
from experiments.lab.context import Context
from experiments.lab.distributing import where
from experiments.lab.distributing import workers as workers_module
from experiments.lab.distributing.points import Point, make
from experiments.lab.distributing.where import HERE, Where, connect, security_of
from experiments.lab.publishing.exhibit import run_exhibit
from experiments.lab.publishing.results import read_rows
from experiments.lab.scoring.score import DivergedError
from experiments.lab.settings.profiles import PROFILES
from tests.synthetic_lab import SMALL, context_in, files_in

ROOT = Path(__file__).parents[1]
DEPTHS = (1, 2)


def points(context) -> list[Point]:
    return [Point(context.changed(depth=depth), "walkway", "spatial") for depth in DEPTHS]


def errors(several) -> np.ndarray:
    """Return the errors of all points, which are there, (points, frames, R)."""
    return np.stack([np.concatenate([clip.error for clip in one.run().scores()]) for one in several])


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A context, and points of it that were made one after another in this process."""
    context = context_in(tmp_path_factory.mktemp("runs") / "out")
    made = points(context)
    make(made, HERE)
    return context, made


def kill_when_training(out: Path, busy_processes) -> threading.Thread:
    """Return a started thread that kills one busy process as soon as a run has begun and none is finished."""

    def wait_and_kill():
        while not list(out.glob("checkpoints/*/*/config.json")) or not (pids := busy_processes()):
            time.sleep(0.01)
        os.kill(pids[0], signal.SIGKILL)

    thread = threading.Thread(target=wait_and_kill, daemon=True)
    thread.start()
    return thread


def test_each_point_is_a_run_of_its_settings(finished):
    context, made = finished
    assert [one.run().config["model"]["depth"] for one in made] == list(DEPTHS)
    assert len(list(context.out.glob("checkpoints/*/*/metrics.json"))) == len(DEPTHS)


def test_finished_runs_are_not_trained_again(finished):
    context, _ = finished
    before = files_in(context.out)
    make(points(context), HERE)
    assert files_in(context.out) == before


def test_a_failing_point_is_named_and_the_others_finish(finished):
    context, _ = finished
    changed = (context.changed(depth=1, iterations=n) for n in (13, 2))
    bad, good = (Point(own, "walkway", "spatial") for own in changed)
    before = set(context.out.glob("checkpoints/*/*/metrics.json"))
    with pytest.raises(
        InputError, match=r"1 of 2 runs failed.* walkway sRNN-AE spatial .*iterations=13.* seed=0:"
    ):
        make([bad, good], HERE)
    assert len(set(context.out.glob("checkpoints/*/*/metrics.json")) - before) == 1


def test_training_that_diverges_is_left_to_a_command_that_can_do_without(finished, monkeypatch):
    context, _ = finished

    def diverge(self):
        raise DivergedError("clip.h5: expected finite reconstruction errors")

    monkeypatch.setattr(Point, "run", diverge)
    make(points(context), HERE, may_diverge=True)
    with pytest.raises(InputError, match="2 of 2 runs failed"):
        make(points(context), HERE)


def test_a_run_of_exhibits_that_train_nothing_refuses_others_to_train(tmp_path, monkeypatch, capsys):
    flags = ["--profile", "smoke", "--out", str(tmp_path), "--only", "table_02,figure_05", "--jobs", "2"]
    monkeypatch.setattr(sys, "argv", ["run", *flags])
    with pytest.raises(SystemExit) as ended:
        run.main()
    assert ended.value.code == 2
    assert "--jobs, --cluster: nothing is trained by table_02, figure_05" in capsys.readouterr().err


def test_a_fault_of_ours_is_told_with_its_traceback(tmp_path):
    unknown = Point(context_in(tmp_path / "out"), "walkway", "spatial", system="no such system")
    with pytest.raises(RuntimeError, match=r"(?s)no such system spatial .*seed=0: Traceback.*KeyError"):
        make([unknown], HERE)


def test_a_context_travels_as_its_choices_and_each_process_has_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    context = Context("smoke", SMALL, Path("out"), Path("data"), ("ped2",), n_seeds=2)
    sent = pickle.dumps([Point(context, "ped2", stream) for stream in ("spatial", "temporal")])
    first, second = pickle.loads(sent)
    assert first.context is second.context
    got = first.context
    assert (got.out, got.data_dir, got.n_seeds) == (tmp_path / "out", tmp_path / "data", 2)
    assert got.settings == context.settings
    assert len(pickle.dumps(Point(context, "ped2", "spatial"))) < 10_000  # whatever the data


def test_an_exhibit_finds_its_points_made(finished):
    """Those it declares, by others where others do the work; its own flags reach both."""
    context, _ = finished
    calls = []
    exhibit = SimpleNamespace(
        EXHIBIT="figure_00",
        points=lambda here, **own: calls.append(("points", own)) or [],
        run=lambda here, **own: calls.append(("run", own)),
    )
    context.results_dir.mkdir(parents=True, exist_ok=True)
    (context.results_dir / "results.csv").touch()
    with pytest.MonkeyPatch.context() as patches:
        patches.setattr("experiments.lab.publishing.exhibit.read_rows", lambda _: [])
        patches.setattr("experiments.lab.publishing.exhibit.text_table", lambda *_: "")
        run_exhibit(context, exhibit, HERE, grid=["1"])
        assert calls == [("run", {"grid": ["1"]})]
        run_exhibit(context, exhibit, Where(jobs=2), grid=["1"])
        del exhibit.points  # it trains nothing, beside others that do
        run_exhibit(context, exhibit, Where(jobs=2), grid=["1"])
    assert calls[1:] == [("points", {"grid": ["1"]}), *[("run", {"grid": ["1"]})] * 2]


def test_a_command_that_makes_what_it_needs_as_it_goes_is_told_where(monkeypatch, tmp_path):
    told = []
    monkeypatch.setattr(choose_on_scenes, "run", lambda context, **own: told.append(own["where"]))
    flags = ["--profile", "smoke", "--out", str(tmp_path), "--development", str(tmp_path), "--jobs", "2"]
    monkeypatch.setattr(sys, "argv", ["choose", *flags])
    with pytest.raises(SystemExit) as ended:
        cli.main("experiments.choose_on_scenes", cli.scenes_parser(""))
    assert (ended.value.code, told) == (0, [Where(jobs=2)])


def test_processes_give_the_same_and_lose_no_run_when_one_is_killed(finished, tmp_path):
    """Killed while it trains: the pool breaks, and what is left runs in a new one."""
    context = context_in(tmp_path / "out")

    def workers():
        children = psutil.Process().children()
        return [child.pid for child in children if any("popen_loky" in word for word in child.cmdline())]

    killer = kill_when_training(context.out, workers)
    make(points(context), Where(jobs=2))
    killer.join()
    before = files_in(context.out)
    np.testing.assert_allclose(errors(points(context)), errors(finished[1]), rtol=1e-5)
    assert files_in(context.out) == before


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

        killer = kill_when_training(context.out, busy)
        make(table_03_methods.points(context, **flags), Where(cluster=address))
        killer.join()
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
    with pytest.raises(InputError, match=r"--cluster tcp://127.0.0.1:9: expected a Dask scheduler"):
        make(points(context_in(tmp_path / "out")), Where(cluster="tcp://127.0.0.1:9"))


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


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """An authority's certificate, which is ours as well, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        key,
        "-out",
        certificate,
    ]
    subprocess.run([*map(str, command), *subject], check=True, capture_output=True)
    return certificate, certificate, key


def test_what_does_not_fit_an_address_is_refused(certificates):
    for address, tls, fault in [
        ("tls://127.0.0.1:9", None, "--cluster tls://127.0.0.1:9: expected --tls CA CERT KEY beside it"),
        ("tcp://127.0.0.1:9", certificates, "--tls: expected --cluster tls://HOST:PORT beside it"),
        ("udp://127.0.0.1:9", None, "--cluster udp://127.0.0.1:9: expected tcp://HOST:PORT or tls://"),
        ("127.0.0.1", None, "--cluster 127.0.0.1: expected tcp://HOST:PORT"),
        ("tls://127.0.0.1:9", [Path(__file__)] * 3, "--tls: expected PEM files of certificates, got"),
        (
            "tls://127.0.0.1:9",
            [Path("nowhere")] * 3,
            "--tls: expected PEM files of certificates, got nowhere",
        ),
    ]:
        with pytest.raises(InputError, match=re.escape(fault)):
            security_of(address, tls)
    assert security_of("tcp://host:8786", None) is None


def documented_commands(**words):
    """The scheduler's and the worker's command as the module documents them, `words` in place of others."""
    lines = [line.split() for line in where.__doc__.splitlines() if "-m dask" in line]
    assert [line[3] for line in lines] == ["scheduler", "worker"]
    return [[sys.executable, *(words.get(word, word) for word in line[1:])] for line in lines]


@pytest.mark.parametrize("secure", [False, True])
def test_workers_as_documented_listen_on_the_named_host_alone(secure, certificates):
    """And only who holds a certificate of the authority gets in, where there is one."""
    flags = [
        f"--tls-{name}={path}" for name, path in zip(("ca-file", "cert", "key"), certificates, strict=True)
    ]
    started = []

    def start(command, said):
        command = [*command, *(flags if secure else [])]
        started.append(subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True))
        return next(line.split()[-1] for line in started[-1].stderr if said in line)

    scheme = "tls" if secure else "tcp"
    try:
        scheduler, _ = documented_commands(HOST="127.0.0.1")
        address = start([*scheduler, "--port", "0"], "Scheduler at:")
        assert address.startswith(f"{scheme}://127.0.0.1:")
        _, worker = documented_commands(OWN="127.0.0.1", **{"tcp://HOST:8786": address})
        start(worker, "Start worker at:")
        with connect(Where(cluster=address, tls=certificates if secure else None)) as client:
            assert list(client.nthreads().values()) == [1]
        roots = [psutil.Process(process.pid) for process in started]
        processes = [*roots, *(child for root in roots for child in root.children(recursive=True))]
        assert len(processes) > 2  # the worker is a child of its nanny
        sockets = [socket for process in processes for socket in process.net_connections("inet")]
        hosts = {socket.laddr.ip for socket in sockets if socket.status == psutil.CONN_LISTEN}
        assert hosts == {"127.0.0.1"}
        if secure:
            with pytest.raises(InputError, match="expected a Dask scheduler"):
                connect(Where(cluster=address.replace("tls", "tcp")))
    finally:
        for process in reversed(started):
            process.terminate()
            process.communicate()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--jobs", "0"], "--jobs: expected 1 to 256, got 0"),
        (["--jobs", "2", "--cluster", "tcp://127.0.0.1:9"], "not allowed with argument"),
        (["--cluster", "tls://127.0.0.1:9"], "expected --tls CA CERT KEY beside it"),
        (["--cluster", "127.0.0.1"], "expected tcp://HOST:PORT or tls://HOST:PORT"),
        (["--tls", "a", "b", "c"], "--tls: expected --cluster tls://HOST:PORT beside it"),
    ],
)
def test_bad_flags_are_exit_code_2(flags, message, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["sweep", *flags])
    with pytest.raises(SystemExit) as ended:
        cli.main("experiments.figure_08_depth", cli.sweep_parser(""))
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
