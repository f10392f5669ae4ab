"""Sweeps: a system trained once for each value of one setting.

    python -m experiments.figure_08_depth --grid 1,3,10 --jobs 4

Points run side by side, or on many machines, as those of other exhibits do (`distributing.where`).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from data_prep.errors import InputError, NotApplicableError
from experiments.lab.context import Context
from experiments.lab.distributing.points import Point, Seeded, flat, seeded_points
from experiments.lab.settings.changes import values
from experiments.lab.settings.flow_windows import IN_PLACE, reads_windows
from experiments.lab.settings.memory import refuse_beyond_memory
from experiments.lab.settings.schema import Settings
from experiments.lab.systems.catalogue import SYSTEMS
from experiments.lab.systems.reads import Reads

Cell = tuple[str, str, str]  # dataset, system, x


@dataclass(frozen=True)
class Sweep:
    """What one figure sweeps.

    Attributes:
        exhibit: its name.
        module: the script's, for the `command` column.
        settings: system, as the paper names it -> its setting that is swept.
        grids: profile -> default values.
        xlabel: of the figure.
        metrics: "auc", "sparsity" (share of zero codes of the test frames).
        with_chosen: whether the chosen settings are swept beside, in panels of their own.
    """

    exhibit: str
    module: str
    settings: Mapping[str, str]
    grids: Mapping[str, Sequence[float]]
    xlabel: str
    metrics: tuple[str, ...] = ("auc",)
    with_chosen: bool = False

    @property
    def reads(self) -> "SweepReads":
        """Return what the figure reads of the settings."""
        return SweepReads(tuple(self.settings), swept=self.settings)


@dataclass(frozen=True)
class SweepReads(Reads):
    """What a sweep reads: not the setting that it sweeps, nor those of which points have less.

    Attributes:
        swept: system -> its setting that is swept.
    """

    swept: Mapping[str, str] = field(default_factory=dict)

    def names(self, settings: Settings) -> set[str]:
        """Return the names of the settings that act on something under these settings."""
        streams = ("spatial",) if settings.sweep.sweep_streams == "spatial" else None
        swept = tuple(self.swept.values())
        names = Reads(self.systems, streams, also=("sweep_streams",), without=swept).names(settings)
        limits = {limit for system in self.swept for limit in limits_of(self.swept, system).values()}
        reduced = {name for system in self.swept for name in reductions(settings, self.swept, system)}
        return (names | limits) - reduced

    def walkway_is_read(self, context: Context) -> bool:
        """Return whether the embedded dataset is swept on."""
        return "walkway" in swept_datasets(context)


def swept_points(context: Context, sweep: Sweep, grid: Sequence[str] | None = None) -> list[Point]:
    """Return all points of a sweep; `grid` are values as texts, None for the profile's."""
    several = cells_of(context, sweep, grid)
    beside = cells_of(on_chosen(context.beside, sweep), sweep, grid) if has_beside(context, sweep) else {}
    return flat([*several.values(), *beside.values()])


def has_beside(context: Context, sweep: Sweep) -> bool:
    """Return whether the chosen settings are swept beside."""
    return sweep.with_chosen and context.beside is not None


def on_chosen(context: Context, sweep: Sweep) -> Context:
    """Return a context with the chosen settings in which a point is a full run on all streams."""
    limits = {limit for system in sweep.settings for limit in limits_of(sweep.settings, system).values()}
    return context.changed(sweep_streams="late_fusion", **dict.fromkeys(limits, 0))


def cells_of(context: Context, sweep: Sweep, grid: Sequence[str] | None) -> dict[Cell, Seeded]:
    """Return the points of every dataset, system and x. InputError: a bad grid."""
    for setting in sweep.settings.values():
        refuse_replaced(context, setting)
    texts = [str(value) for value in sweep.grids[context.profile]] if grid is None else grid
    grids = {system: parse_grid(context, setting, texts) for system, setting in sweep.settings.items()}
    return {
        (dataset, system, x): points_of(context, sweep, dataset, system, value)
        for dataset in swept_datasets(context)
        for system in sweep.settings
        for x, value in grids[system].items()
    }


def refuse_replaced(context: Context, setting: str) -> None:
    """Raise NotApplicableError for a sweep of what another setting replaces: all streams are flow windows."""
    if setting in IN_PLACE and all(reads_windows(one, context.settings) for one in streams_of(context)):
        raise NotApplicableError(
            f"a sweep of {setting} on flow windows alone: {IN_PLACE[setting]} is in its place"
        )


def points_of(context: Context, sweep: Sweep, dataset: str, system: str, value) -> Seeded:
    """Return the points of one x, for each seed one a stream."""
    own = context.changed(**overrides_of(context, sweep, system, value))
    return seeded_points(own, dataset, streams_of(context), context.n_ablation_seeds, system)


def overrides_of(context: Context, sweep: Sweep, system: str, value) -> dict[str, object]:
    """Return the settings of a point, the swept one first."""
    return {sweep.settings[system]: value, **reductions(context.settings, sweep.settings, system)}


def streams_of(context: Context) -> tuple[str, ...]:
    """Return the streams of every point."""
    settings = context.settings
    return ("spatial",) if settings.sweep.sweep_streams == "spatial" else settings.score.streams


def swept_datasets(context: Context) -> list[str]:
    """Return the datasets to sweep on: those asked for, all in the paper profile, else the first at hand."""
    names = list(context.datasets)
    return names if context.only_datasets or context.profile == "paper" else names[:1]


def limits_of(swept: Mapping[str, str], system: str) -> dict[str, str]:
    """Return the settings of which a point may have less than a full run -> the one that says how much."""
    limits = SYSTEMS[system].sweep_limits.items()
    return {name: limit for name, limit in limits if name != swept[system]}


def reductions(settings: Settings, swept: Mapping[str, str], system: str) -> dict[str, int]:
    """Return the settings in which a point is less than a full run, with their values (`SweepSettings`)."""
    full, limits = values(settings), limits_of(swept, system)
    reduced = {name: full[limit] for name, limit in limits.items() if 0 < full[limit] < full[name]}
    if "iterations" in reduced:
        reduced["checkpoint_every"] = reduced["iterations"]  # scored once, at the end
        reduced["log_every"] = math.gcd(reduced["iterations"], full["log_every"])
    return reduced


def parse_grid(context: Context, setting: str, grid: Sequence[str]) -> dict[str, float]:
    """Return the values of a grid by their text, the x of result rows ("3", "0.1"). InputError if bad."""
    parsed: dict[str, float] = {}
    for text in grid:
        try:
            given = context.settings.override(**{setting: text.strip()})
            refuse_beyond_memory(given)
        except InputError as fault:
            raise InputError(f"--grid {','.join(grid)}: {fault}") from None
        value = values(given)[setting]
        x = str(value) if isinstance(value, int) else f"{value:g}"
        if x in parsed:
            raise InputError(f"--grid {','.join(grid)}: expected each value once, got {x} twice")
        parsed[x] = value
    return parsed
