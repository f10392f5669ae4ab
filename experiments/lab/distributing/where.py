"""Where the work of a command is done: in its own process, in several of this machine, or on a cluster.

    python -m experiments.table_03_methods --data DIR --jobs 4

`--jobs N` has N processes of this machine extract features, clip by clip, and train, run by run. The default
is 1: one TensorFlow process fills a few cores by itself, so more pays only where cores and memory are many.
`--cluster tcp://HOST:PORT` has a Dask cluster do it, whose machines share the folder of outputs and the data.
Start one scheduler, and a worker on each machine, from this folder, all under the names by which the machines
reach each other:

    python -m dask scheduler --host HOST --dashboard-address 127.0.0.1:0
    python -m dask worker tcp://HOST:8786 --host OWN --nthreads 1 --memory-limit 0 --dashboard-address 127.0.0.1:0

Whoever reaches a port of theirs runs code on that machine. `--host` keeps them to one network, 127.0.0.1 to
the machine itself; without it they listen on all. Where others are on the network, take tls://, which lets in
who holds a certificate: `--tls-ca-file CA --tls-cert CERT --tls-key KEY` on both, `--tls CA CERT KEY` here.
"""  # noqa: E501 - a command is one line

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from data_prep.errors import InputError
from data_prep.files import one_line
from data_prep.provenance import git_commit
from data_prep.terminal import MOST_JOBS, told

if TYPE_CHECKING:
    from distributed import Client
    from distributed.security import Security

LAST_PORT = 65535
ANSWER_SECONDS = 30  # for the scheduler, and for a first worker


@dataclass(frozen=True)
class Where:
    """Where work is done.

    Attributes:
        jobs: processes of this machine; 1: the command's own alone.
        cluster: address of a Dask scheduler, which then takes the place of `jobs`.
        tls: files of the authority's certificate, of ours, of its key, for an address tls://.

    Raises InputError: no process, an address that is none, files that do not fit it.
    """

    jobs: int = 1
    cluster: str | None = None
    tls: Sequence[Path] | None = None

    def __post_init__(self) -> None:
        """Check what was given, before anything is begun."""
        if not 1 <= self.jobs <= MOST_JOBS:
            raise InputError(f"--jobs: expected 1 to {MOST_JOBS}, got {self.jobs}")
        if self.cluster is not None:
            security_of(self.cluster, self.tls)
        elif self.tls is not None:
            raise InputError("--tls: expected --cluster tls://HOST:PORT beside it")

    @property
    def elsewhere(self) -> bool:
        """Whether other processes than the command's own do the work."""
        return self.jobs > 1 or self.cluster is not None


HERE = Where()


def connect(where: Where) -> "Client":
    """Return a client of the Dask scheduler. InputError: no answer, no worker, or workers of many threads."""
    from distributed import Client  # only a cluster needs it

    address = where.cluster
    security = security_of(address, where.tls)
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
    refuse_other_code(client, address)
    return client


def refuse_other_code(client: "Client", address: str) -> None:
    """Raise InputError, and close the client, where a worker has no code or that of another commit."""
    for worker, commit in client.run(git_commit, on_error="return").items():
        if commit != git_commit():
            client.close()
            got = f"no code, {one_line(commit)}" if isinstance(commit, Exception) else f"that of {commit}"
            raise InputError(
                f"--cluster {address}: expected workers with the code of {git_commit()}, {worker} has {got}; "
                "start it again from the folder of this code"
            )


def security_of(address: str, tls: Sequence[Path] | None) -> "Security | None":
    """Return what a connection is secured with, None for tcp://.

    Raises InputError: files without tls://, or the other way round; files that are no certificate and key.
    """
    found = re.fullmatch(r"(tcp|tls)://[^/]+:([0-9]{1,5})", address)
    if found is None or not 0 < int(found[2]) <= LAST_PORT:
        raise InputError(
            f"--cluster {address}: expected tcp://HOST:PORT or tls://HOST:PORT, a port from 1 to {LAST_PORT}"
        )
    if address.startswith("tcp://"):
        if tls is not None:
            raise InputError(f"--tls: expected --cluster tls://HOST:PORT beside it, got {address}")
        return None
    if tls is None:
        raise InputError(f"--cluster {address}: expected --tls CA CERT KEY beside it")
    from distributed.security import Security

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
