"""What a command reads of the settings: one that it would not read is refused, never ignored.

A command has a value `READS`, or a function `reads` of its context and its own flags where these decide.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from data_prep.errors import InputError
from experiments.lab.settings.changes import names_of
from experiments.lab.settings.flow_windows import IN_PLACE, SET_TO_FIT, reads_windows
from experiments.lab.settings.honoured import idle_model_settings, idle_score_settings, idle_start_settings
from experiments.lab.settings.schema import Settings
from experiments.lab.systems.catalogue import ROLLING_MAXIMUM, SYSTEMS
from experiments.lab.systems.entry import System

if TYPE_CHECKING:  # `experiments.train` runs where nothing of a context is installed
    from experiments.lab.context import Context


@dataclass(frozen=True)
class Reads:
    """What a command reads.

    Attributes:
        systems: as the paper names them: the settings that act on each are read.
        streams: those of every system; None for what the settings say: late fusion, or a system's own one.
        together: whether the streams are fused; else each is scored alone.
        scored: whether anything is scored, so that settings of the score are read.
        also: groups of settings, or settings, that are read beside.
        without: groups or settings that are not: the command sets them itself.
        walkway: when it runs on the embedded dataset: "listed" where that is one of those to run on, "first"
            where it is the first of them, "always", or "never".
    """

    systems: tuple[str, ...] = ()
    streams: tuple[str, ...] | None = None
    together: bool = True
    scored: bool = True
    also: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    walkway: str = "listed"

    def names(self, settings: Settings) -> set[str]:
        """Return the names of the settings that act on something under these settings."""
        acting = set().union(*(self.names_for(SYSTEMS[system], settings) for system in self.systems))
        also = self.also if self.walkway == "never" else (*self.also, "walkway")
        idle = set() if "similarity" in self.without else set(idle_model_settings(settings.model))
        if "moving_mnist" in self.also:
            idle |= set(idle_start_settings(settings.moving_mnist))
        return (acting | set(names_of(*also))) - set(names_of(*self.without)) - idle

    def names_for(self, entry: System, settings: Settings) -> set[str]:
        """Return the names of the settings that act on one system."""
        streams = entry.streams(settings) if self.streams is None else self.streams
        own, score = set(names_of(*entry.settings)), set(names_of("score"))
        acting = _trained_with(entry, own - score, streams, settings)
        of_windows = [reads_windows(stream, settings) for stream in streams]
        if entry.unit != "iterations" or (any(of_windows) if self.together else all(of_windows)):
            own.discard("checkpoint")  # what is scored once, at its end, leaves no choice
        if self.streams is None and entry.takes_windows and settings.flow.flow_input == "windows":
            own |= {"appearance", "motion", "temporal_weight", "spatial_weight"}
        if not self.scored:
            own -= score
        if self.streams is not None:
            own -= {"appearance", "motion"}
        together = streams if self.together else streams[:1]
        return acting | (own & score - idle_score_settings(settings.score, together).keys())

    def walkway_is_read(self, context: "Context") -> bool:
        """Return whether the command runs on the embedded dataset."""
        if self.walkway in ("always", "never"):
            return self.walkway == "always"
        names = list(context.datasets)
        return "walkway" in (names[:1] if self.walkway == "first" else names)


def _trained_with(entry: System, own: set[str], streams: Sequence[str], settings: Settings) -> set[str]:
    """Return the settings that act before anything is scored; `own` are those of the system."""
    on_windows = [stream for stream in streams if reads_windows(stream, settings)]
    acting = own if len(on_windows) < len(streams) else set()
    if on_windows:
        replaced = {name for name in IN_PLACE if name in own}
        acting = acting | (own - replaced - SET_TO_FIT - set(names_of("features")))
        extraction = set(names_of("windows")) - set(IN_PLACE.values())
        acting |= extraction | {IN_PLACE[name] for name in replaced} | {"flow_input"}
    elif "flow" in streams:
        acting = acting | set(names_of("flow"))
    elif entry.takes_windows and "flow" in settings.score.streams:
        acting = acting | {"flow_input"}
    return acting if {"temporal", "early"} & set(streams) else acting - set(ROLLING_MAXIMUM)


def refuse_unread(
    given: Iterable[str],
    read: Sequence[Reads],
    settings: Settings,
    command: str,
    context: "Context | None" = None,
) -> None:
    """Raise InputError for the first setting that acts on nothing.

    Args:
        given: names of settings, those of `--set`.
        read: what the parts of the command read.
        settings: as they are with all that was given.
        command: its name, for the error.
        context: what it runs in; None for a command without datasets.
    """
    for name in given:
        reading = [reads for reads in read if name in reads.names(settings)]
        if not reading:
            raise InputError(f"--set {name}: acts on nothing that {command} does{_reason(name, settings)}")
        of_walkway = name in names_of("walkway") and context is not None
        if of_walkway and not any(reads.walkway_is_read(context) for reads in reading):
            raise InputError(f"--set {name}: acts on nothing that {command} does, which skips the walkway")


def _reason(name: str, settings: Settings) -> str:
    """Return why a setting acts on nothing where another one is the reason, else what it belongs to."""
    idle = idle_score_settings(settings.score, settings.score.streams) | idle_model_settings(settings.model)
    if name in idle:
        return f": {idle[name]}"
    if name in IN_PLACE and "flow" in settings.score.streams and settings.flow.flow_input == "windows":
        return f": on flow windows {IN_PLACE[name]} stands in its place"
    groups = (getattr(settings, group.name) for group in fields(settings))
    group = next(type(group) for group in groups if name in {f.name for f in fields(group)})
    title = (group.__doc__ or "").splitlines()[0].partition(";")[0].rstrip(".")
    return f'; it is of "{title}"'
