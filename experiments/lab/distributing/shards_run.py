"""Runs on a folder of shards alone, without a context: what `experiments.train` makes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.lab.distributing.where import Where
from experiments.lab.distributing.workers import carry_out, refuse_faults
from experiments.lab.settings.schema import Settings
from experiments.lab.systems.catalogue import run_system

if TYPE_CHECKING:
    from experiments.lab.training.runs import Run


@dataclass(frozen=True)
class ShardsRun:
    """A run of a system on shards, see `run_system`. Called, it is made where it is not there."""

    system: str
    shards: Path
    settings: Settings
    out: Path
    stream: str
    seed: int

    @property
    def name(self) -> str:
        """Return the run in words."""
        return f"{self.system} {self.stream} seed={self.seed}"

    def __call__(self) -> None:
        """Make the run."""
        self.run()

    def run(self) -> "Run":
        """Return the run, made first where it is not there."""
        return run_system(self.system, self.shards, self.stream, self.settings, self.seed, self.out)


def make_elsewhere(runs: Sequence[ShardsRun], where: Where) -> None:
    """Have others make all runs that are not there. InputError or RuntimeError as `points.make` raises it."""
    found_anywhere = [replace(one, shards=one.shards.absolute(), out=one.out.absolute()) for one in runs]
    refuse_faults(runs, carry_out(found_anywhere, where, "runs", "run"), "run")
