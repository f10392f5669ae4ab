"""Sweeps: points in one process, in several, on a Dask cluster; killed workers; faults; the exhibit."""

import csv
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from distributed import Client
from sklearn.metrics import roc_auc_score
from synthetic import write_dataset
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from data_prep.backbones import Backbone
from data_prep.errors import InputError
from data_prep.records import RECORDS
from experiments.lab import cli
from experiments.lab.context import Context
from experiments.lab.settings.schema import PAPER
from experiments.lab.sweeping import sweep
from experiments.lab.sweeping.sweep import Point, parse_grid, run_points
from experiments.lab.sweeping.sweep_exhibit import Sweep, points_of, run_sweep

ROOT = Path(__file__).parents[1]
SMALL = PAPER.override(
    n_atoms=8,
    similarity_units=4,
    iterations=4,
    checkpoint_every=2,
    log_every=2,
    learning_rate=1e-3,
)
DEPTHS = (1, 2)


@dataclass(frozen=True, eq=False)
class SyntheticContext(Context):
    """A context whose one dataset is the synthetic shards in `out/shards`; all else is the real one's."""

    datasets = {"walkway": SimpleNamespace(record=RECORDS["walkway"])}  # noqa: RUF012
    backbone = Backbone("none", None, 32, "last", 6, "", "none")

    def shards(self, dataset):
        return self.out / "shards"

    def sample_frames(self, dataset):
        return None


def context_in(out: Path, **settings) -> SyntheticContext:
    if not out.exists():
        write_dataset(out / "shards")
    return SyntheticContext("smoke", SMALL.override(**settings), out)


def points(**overrides) -> list[Point]:
    return [Point("walkway", "sRNN-AE", 0, {"depth": depth, **overrides}) for depth in DEPTHS]


def errors(seeded) -> np.ndarray:
    """Return the errors of all points, (points, frames, R)."""
    return np.stack([np.concatenate([clip.error for clip in runs["spatial"].scores()]) for runs in seeded])


def files_in(out: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in (out / "checkpoints").rglob("*")}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The points of one sweep, run one after another in this process."""
    context = context_in(tmp_path_factory.mktemp("sweep") / "out")
    return context, run_points(context, points())


def kill_when_training(out: Path, busy_processes) -> threading.Thread:
    """Return a started thread that kills one busy process as soon as a run has begun and none is finished."""

    def wait_and_kill():
        while not list(out.glob("checkpoints/*/*/config.json")) or not (pids := busy_processes()):
            time.sleep(0.01)
        os.kill(pids[0], signal.SIGKILL)

    thread = threading.Thread(target=wait_and_kill, daemon=True)
    thread.start()
    return thread


def test_each_point_is_a_run_of_its_settings_in_the_order_of_the_points(finished):
    _, seeded = finished
    assert [list(runs) for runs in seeded] == [["spatial"]] * 2  # Sec. 4.4: appearance features alone
    assert [runs["spatial"].config["model"]["depth"] for runs in seeded] == list(DEPTHS)
    assert len({runs["spatial"].folder for runs in seeded}) == 2


def test_late_fusion_trains_both_streams(finished):
    context = context_in(finished[0].out, sweep_streams="late_fusion")
    (runs,) = run_points(context, points()[:1])
    assert {stream: run.config["stream"] for stream, run in runs.items()} == {
        "spatial": "spatial",
        "temporal": "temporal",
    }


def test_finished_points_are_not_trained_again(finished):
    context, seeded = finished
    before = files_in(context.out)
    again = run_points(context, points())
    assert files_in(context.out) == before
    assert [runs["spatial"].folder for runs in again] == [runs["spatial"].folder for runs in seeded]


def test_a_failing_point_is_named_and_the_others_finish(finished):
    context, _ = finished
    bad, good = (Point("walkway", "sRNN-AE", 0, {"depth": 1, "iterations": n}) for n in (13, 2))
    before = set(context.out.glob("checkpoints/*/*/metrics.json"))
    with pytest.raises(
        InputError, match=r"1 of 2 points failed.* walkway sRNN-AE depth=1 iterations=13 seed=0:"
    ):
        run_points(context, [bad, good])
    assert len(set(context.out.glob("checkpoints/*/*/metrics.json")) - before) == 1


def test_a_fault_of_ours_is_told_with_its_traceback(tmp_path):
    context = context_in(tmp_path / "out")
    unknown = Point("walkway", "no such system", 0, {"depth": 1})
    with pytest.raises(RuntimeError, match=r"(?s)no such system depth=1 seed=0: Traceback.*KeyError"):
        run_points(context, [unknown])


def test_processes_give_the_same_and_lose_no_point_when_one_is_killed(finished, tmp_path):
    """Killed while it trains: the pool breaks, and what is left runs in a new one."""
    context = context_in(tmp_path / "out")

    def workers():
        children = psutil.Process().children()
        return [child.pid for child in children if any("popen_loky" in word for word in child.cmdline())]

    killer = kill_when_training(context.out, workers)
    seeded = run_points(context, points(), jobs=2)
    killer.join()
    np.testing.assert_allclose(errors(seeded), errors(finished[1]), rtol=1e-5)


@pytest.fixture
def cluster():
    """A Dask scheduler and two workers as processes: (address, {worker's address: process})."""
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
        for _ in range(2):
            worker = start(
                "distributed.cli.dask_worker", address, "--no-nanny", "--nthreads", "1", "--no-dashboard"
            )
            threading.Thread(target=worker.stderr.read, daemon=True).start()
        yield address, processes[1:]
    finally:
        for process in processes:
            process.kill()
            process.wait()


def test_cluster_loses_no_point_when_a_worker_is_killed(finished, cluster, tmp_path):
    address, workers = cluster
    context = context_in(tmp_path / "out")
    with Client(address) as client:
        client.wait_for_workers(2, timeout=60)
        pids = client.run(os.getpid)
        assert set(pids.values()) == {worker.pid for worker in workers}

        def busy():
            return [pids[worker] for worker, tasks in client.processing().items() if tasks]

        killer = kill_when_training(context.out, busy)
        seeded = run_points(context, points(), cluster=address)
        killer.join()
    assert sorted(worker.poll() is None for worker in workers) == [False, True]
    np.testing.assert_allclose(errors(seeded), errors(finished[1]), rtol=1e-5)


def test_cluster_that_does_not_answer_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(sweep, "ANSWER_SECONDS", 0.5)
    with pytest.raises(InputError, match=r"--cluster tcp://127.0.0.1:9: expected a Dask scheduler"):
        run_points(context_in(tmp_path / "out"), points(), cluster="tcp://127.0.0.1:9")


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
            sweep.security_of(address, tls)
    assert sweep.security_of("tcp://host:8786", None) is None


def documented_commands(**words):
    """The scheduler's and the worker's command as the module documents them, `words` in place of others."""
    lines = [line.split() for line in sweep.__doc__.splitlines() if "-m dask" in line]
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
        with sweep.connect(address, certificates if secure else None) as client:
            assert list(client.nthreads().values()) == [1]
        roots = [psutil.Process(process.pid) for process in started]
        processes = [*roots, *(child for root in roots for child in root.children(recursive=True))]
        assert len(processes) > 2  # the worker is a child of its nanny
        sockets = [socket for process in processes for socket in process.net_connections("inet")]
        hosts = {socket.laddr.ip for socket in sockets if socket.status == psutil.CONN_LISTEN}
        assert hosts == {"127.0.0.1"}
        if secure:
            with pytest.raises(InputError, match="expected a Dask scheduler"):
                sweep.connect(address.replace("tls", "tcp"), None)
    finally:
        for process in reversed(started):
            process.terminate()
            process.communicate()


def test_grid_gives_typed_values_by_the_text_of_result_columns():
    context = Context("smoke", SMALL, Path())
    assert parse_grid(context, "depth", ["3", " 10"]) == {"3": 3, "10": 10}
    assert parse_grid(context, "tsc_lambda1", ["0.10", "2"]) == {"0.1": 0.1, "2": 2.0}


def test_a_grid_beyond_the_memory_is_refused_as_a_setting_is():
    with pytest.raises(InputError, match=r"--grid 8,1000000000: setting .*n_atoms.* of memory, expected"):
        parse_grid(Context("smoke", SMALL, Path()), "n_atoms", ["8", "1000000000"])


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ("3,x", "--grid 3,x: setting depth: expected int, got 'x'"),
        ("0.5", "--grid 0.5: setting depth: expected int"),
        ("0", "--grid 0: setting depth: expected at least 1, got 0"),
        ("", "argument --grid: expected names or values between commas, got ''"),
        ("3,03", "--grid 3,03: setting depth: expected int, got '03'"),
        ("3, 3", "--grid 3, 3: expected each value once, got 3 twice"),
    ],
)
def test_bad_grid_is_exit_code_2_and_one_line(grid, message, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        sys, "argv", ["sweep", "--profile", "smoke", "--out", str(tmp_path), f"--grid={grid}"]
    )
    with pytest.raises(SystemExit) as ended:
        cli.main("experiments.figure_08_depth", cli.sweep_parser(""))
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {message}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--jobs", "0"], "--jobs: expected at least 1, got 0"),
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


def test_exhibit_has_rows_figure_and_a_session_a_point(finished):
    context, seeded = finished
    plan = Sweep("figure_08", "module", {"sRNN-AE": "depth"}, {}, "K", ("auc", "sparsity"))
    before = files_in(context.out)
    run_sweep(context, plan, [str(depth) for depth in DEPTHS], 1, None)
    assert files_in(context.out) == before
    with (context.results_dir / "results.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["dataset"] == "Walkway"]
    assert [(row["column"], row["metric"]) for row in rows] == [
        (str(depth), metric) for depth in DEPTHS for metric in ("auc", "sparsity")
    ]
    assert {row["row"] for row in rows} == {"sRNN-AE"}
    assert all("not a selection" in row["protocol"] for row in rows)
    for row, runs in zip(rows[::2], seeded, strict=True):
        clips = runs["spatial"].scores()
        labels = np.concatenate([clip.labels for clip in clips])
        error = [clip.error.max(1) for clip in clips]
        scaled = np.concatenate([(e - e.min()) / (e.max() - e.min()) for e in error])
        assert float(row["ours"]) == pytest.approx(roc_auc_score(labels, scaled), abs=1e-6)
    for row, runs in zip(rows[1::2], seeded, strict=True):
        sparsity = np.concatenate([clip.sparsity for clip in runs["spatial"].scores()])
        assert float(row["ours"]) == pytest.approx(sparsity.mean(), abs=1e-6)
    assert (context.results_dir / "figure_08.png").read_bytes().startswith(b"\x89PNG")
    sessions = sorted((context.out / "logs" / "sweeps" / "figure_08").iterdir())
    assert len(sessions) == 2
    events = EventAccumulator(str(sessions[0]), {"tensors": 0}).Reload()
    assert "_hparams_/session_start_info" in events.summary_metadata
    assert {"final/auc", "final/sparsity"} <= set(events.Tags()["tensors"])


def test_points_are_cut_down_as_the_sweep_settings_say():
    limits = {"sweep_n_atoms": 4, "sweep_iterations": 2, "sweep_alternations": 10}
    context = SyntheticContext("smoke", SMALL.override(**limits), Path())
    depth = Sweep("figure_08", "module", {"sRNN-AE": "depth"}, {}, "K")
    size = Sweep("figure_07c", "module", {"TSC": "tsc_n_atoms", "sRNN-AE": "n_atoms"}, {}, "N")
    shorter = {"iterations": 2, "checkpoint_every": 2}
    assert points_of(context, depth, "walkway", "sRNN-AE", 3)[0].overrides == {
        "depth": 3,
        "n_atoms": 4,
        **shorter,
    }
    assert points_of(context, size, "walkway", "sRNN-AE", 16)[0].overrides == {"n_atoms": 16, **shorter}
    assert points_of(context, size, "walkway", "TSC", 16)[0].overrides == {"tsc_n_atoms": 16}
    whole = SyntheticContext("paper", PAPER, Path(), n_ablation_seeds=2)
    assert [(p.seed, p.overrides) for p in points_of(whole, depth, "walkway", "sRNN-AE", 3)] == [
        (0, {"depth": 3}),
        (1, {"depth": 3}),
    ]
