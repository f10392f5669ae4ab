"""Points: the runs that a command needs, listed before it asks for them, so that others can make them.

A command that trains has a function `points` of its context and its own flags. With `--jobs` or `--cluster`
workers extract the features that these read, clip by clip, then train, run by run; after that the command
goes through as it always does and finds everything made. Nothing but files passes between them: features
and finished runs are never made again, and whatever was broken off goes on.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType

from data_prep.extraction import extract
from experiments.lab.context import Context
from experiments.lab.distributing.where import Where
from experiments.lab.distributing.workers import Task, carry_out, refuse_faults
from experiments.lab.scoring.score import DivergedError
from experiments.lab.settings.changes import changes
from experiments.lab.systems.catalogue import SYSTEMS
from experiments.lab.training.runs import Run


@dataclass(frozen=True)
class Point:
    """A run that a command needs, see `Context.run`. Called, it is made where it is not there."""

    context: Context
    dataset: str
    stream: str
    seed: int = 0
    system: str = "sRNN-AE"

    @property
    def name(self) -> str:
        """Return the point in words, with what its settings change of the profile's or the chosen ones."""
        profile, settings = self.context.profile, self.context.settings
        beside = ["chosen settings", *changes(profile, True, settings)]
        changed = min(changes(profile, False, settings), beside, key=len)
        return " ".join([self.dataset, self.system, self.stream, *changed, f"seed={self.seed}"])

    def __call__(self) -> None:
        """Make the run."""
        self.run()

    def run(self) -> Run:
        """Return the run, made first where it is not there."""
        return self.context.run(self.dataset, self.stream, self.seed, self.system)

    def features(self) -> Mapping[object, Task]:
        """Return what makes the features that it reads, a task a clip, each under what tells it from others.

        A system that reads the frames themselves has none.
        """
        recipe = SYSTEMS[self.system].reads.recipe_for(self.context, self.stream)
        if recipe is None:
            return {}
        dataset, root = self.context.place_of(self.dataset)
        clips = range(1, len(dataset.clips) + 1)
        return {(root, dataset.name, recipe.key, clip): ClipFeatures(self, clip) for clip in clips}


@dataclass(frozen=True)
class ClipFeatures:
    """The features of clip number `clip`, from 1, that a point reads."""

    point: Point
    clip: int

    @property
    def name(self) -> str:
        """Return what is extracted, in words."""
        dataset, _ = self.point.context.place_of(self.point.dataset)
        clip = dataset.clips[self.clip - 1]
        return f"{dataset.name} {clip.split} {clip.name}, for {self.point.name}"

    def __call__(self) -> None:
        """Extract them, where they are not there."""
        point = self.point
        dataset, root = point.context.place_of(point.dataset)
        recipe = SYSTEMS[point.system].reads.recipe_for(point.context, point.stream)
        part = (self.clip, len(dataset.clips))
        extract(dataset, recipe, root / "features", part, progress=False)


Seeded = list[dict[str, Point]]  # one {stream: point} a seed
RowPoints = Callable[[Context, str], Mapping[str, Seeded]]  # context, dataset -> the points of each row


def seeded_points(
    context: Context, dataset: str, streams: Iterable[str], n_seeds: int, system: str = "sRNN-AE"
) -> Seeded:
    """Return the points of a system on each stream, for seeds 0 .. n_seeds - 1."""
    return [
        {stream: Point(context, dataset, stream, seed, system) for stream in streams}
        for seed in range(n_seeds)
    ]


def late_fusion_points(
    context: Context, dataset: str, system: str = "sRNN-AE", n_seeds: int | None = None
) -> Seeded:
    """Return the points of every seed: the streams to be fused, or the one that a system has."""
    entry = SYSTEMS[system]
    n_seeds = (n_seeds or context.n_seeds) if entry.drawn else 1
    return seeded_points(context, dataset, entry.streams(context.settings), n_seeds, system)


def points_of_rows(context: Context, row_points: RowPoints) -> list[Point]:
    """Return the points of all rows of a table, of every dataset at hand."""
    return flat(seeded for dataset in context.datasets for seeded in row_points(context, dataset).values())


def runs_of(seeded: Seeded) -> list[dict[str, Run]]:
    """Return the runs of the points, made first where they are not there."""
    return [{stream: point.run() for stream, point in points.items()} for points in seeded]


def flat(several: Iterable[Seeded]) -> list[Point]:
    """Return all points of several lists."""
    return [point for seeded in several for points in seeded for point in points.values()]


def run_command(command: ModuleType, context: Context, where: Where, **options) -> None:
    """Run a command's script; what it needs is made first by others, where others do the work."""
    if where.elsewhere and hasattr(command, "points"):
        make(command.points(context, **options), where)
    command.run(context, **options)


def make(points: Sequence[Point], where: Where, may_diverge: bool = False) -> None:
    """Make all runs that are not there, the features that they read first.

    Args:
        points: the runs.
        where: who makes them.
        may_diverge: whether training that diverges is left to the command, which asks for these runs again.

    Raises:
        InputError: some failed, which are named, or the cluster does not answer.
        RuntimeError: one broke by a fault of ours. In both cases the others have been made by then.
    """
    points = list(dict.fromkeys(points))  # what several ask for is made once
    features: dict[object, Task] = {}
    for point in points if where.elsewhere else ():  # here, each run extracts what it reads
        features |= point.features()
    for tasks, unit in ((list(features.values()), "clip"), (points, "run")):
        if tasks:
            failed = carry_out(tasks, where, f"{unit}s", unit)
            told = [one for one in failed if not (may_diverge and issubclass(one.kind, DivergedError))]
            refuse_faults(tasks, told, unit)
