"""Addresses of a cluster, certificates, the commands that `where` documents, and flags that do not fit."""

import re
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from data_prep.errors import InputError
from experiments.lab import cli
from experiments.lab.distributing import where
from experiments.lab.distributing.where import Where, connect, security_of

ROOT = Path(__file__).parents[1]


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
