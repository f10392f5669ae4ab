"""Points on Moving-MNIST: runs on sequences, which are generated where they are not there."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from experiments.lab.context import Context
from experiments.lab.distributing.points import Point
from experiments.lab.distributing.workers import Task
from experiments.lab.systems.moving_mnist import task_on_sequences
from experiments.lab.systems.sequences import DATASET, Files, sequence_files
from experiments.lab.training import train
from experiments.lab.training.runs import Run


def files_of(context: Context, kind: str) -> Files:
    """Return the sequences of a kind of anomaly, "spatial" or "temporal", made where they are not there."""
    folder = context.generated_dir / "moving_mnist"
    return sequence_files(kind, context.settings, folder, context.data_dir)


@dataclass(frozen=True)
class SequencePoint(Point):
    """A run on Moving-MNIST; its stream is the kind of anomaly, "spatial" or "temporal"."""

    def run(self) -> Run:
        """Return the run, made first where it is not there."""
        files = files_of(self.context, self.stream)
        task = task_on_sequences(self.system, files, self.context.settings, self.seed)
        return train.make_run(task, self.context.out)

    def features(self) -> Mapping[object, Task]:
        """Return nothing: the sequences are read as they are."""
        return {}


def sequence_points(context: Context, kinds: Iterable[str], system: str, n_seeds: int = 1) -> list[Point]:
    """Return the points of a system on several kinds of anomalies, for seeds 0 .. n_seeds - 1."""
    return [SequencePoint(context, DATASET, kind, seed, system) for kind in kinds for seed in range(n_seeds)]
