"""A context on synthetic shards: real training of small models, without frames and networks."""

import os
import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

from data_prep.backbones import Backbone
from data_prep.records import RECORDS
from experiments.lab.context import Context
from experiments.lab.settings.schema import PAPER
from tests.synthetic import write_dataset

SMALL = PAPER.override(
    n_atoms=8,
    similarity_units=4,
    iterations=4,
    checkpoint_every=2,
    log_every=2,
    learning_rate=1e-3,
)


@dataclass(frozen=True, eq=False)
class SyntheticContext(Context):
    """A context whose one dataset is the synthetic shards in `out/shards`; all else is the real one's."""

    datasets = {"walkway": SimpleNamespace(record=RECORDS["walkway"], name="walkway", clips=())}  # noqa: RUF012
    backbone = Backbone("none", None, 32, "last", 6, "", "none")

    def root_of(self, dataset):
        return self.out

    def shards(self, dataset):
        return self.out / "shards"

    def sample_frames(self, dataset):
        return None


def context_in(out: Path, **settings) -> SyntheticContext:
    if not out.exists():
        write_dataset(out / "shards")
    return SyntheticContext("smoke", SMALL.override(**settings), out)


def files_in(out: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in (out / "checkpoints").rglob("*")}


def kill_when_training(out: Path, busy_processes):
    """Kill one busy process as soon as a run has begun; the returned function fails if none was killed."""
    killed = []

    def wait_and_kill():
        while not list(out.glob("checkpoints/*/*/config.json")) or not (pids := busy_processes()):
            time.sleep(0.01)
        os.kill(pids[0], signal.SIGKILL)
        killed.append(pids[0])

    def check():
        thread.join(timeout=10)
        assert killed

    thread = threading.Thread(target=wait_and_kill, daemon=True)
    thread.start()
    return check
