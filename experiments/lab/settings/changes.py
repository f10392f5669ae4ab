"""What a command changes of its profile, as a folder's name; what differs from the paper, in words."""

import re
from collections.abc import Iterable
from dataclasses import asdict, fields
from typing import Any

from experiments.lab.settings.chosen import CHOSEN
from experiments.lab.settings.profiles import PROFILES
from experiments.lab.settings.schema import PAPER, Settings, config_hash

LONGEST_NAME = 80
# How often a run is written down: it changes no number.
RECORDING = ("checkpoint_every", "log_every")


def values(settings: Settings) -> dict[str, Any]:
    """Return the settings of all groups by name, in the order of the schema."""
    return {name: value for group in asdict(settings).values() for name, value in group.items()}


def changed(settings: Settings, base: Settings) -> dict[str, object]:
    """Return the settings that differ from those of `base`, by name."""
    usual = values(base)
    return {name: value for name, value in values(settings).items() if value != usual[name]}


def changes(profile: str, chosen: bool, settings: Settings) -> list[str]:
    """Return what differs from the profile or, with `chosen`, from the chosen settings: ["depth=5"]."""
    base = PROFILES[profile].override(**CHOSEN) if chosen else PROFILES[profile]
    return [f"{name}={value}" for name, value in changed(settings, base).items()]


def results_name(profile: str, chosen: bool, settings: Settings) -> str:
    """Return the name of the folder of a command's results: `quick`, `quick-chosen`, `quick,depth=5`.

    Every setting that is not the profile's, or not the chosen one, is in it. Where it gets long, or holds
    what a file's name may not, it is cut and ends in a hash.
    """
    what = changes(profile, chosen, settings)
    name = ",".join([f"{profile}-chosen" if chosen else profile, *what])
    safe = re.sub(r"[^A-Za-z0-9_.,=+-]", "_", name)[:LONGEST_NAME]
    return safe if safe == name else f"{safe}~{config_hash({'changes': what})}"


def names_of(*groups_or_names: str) -> tuple[str, ...]:
    """Return the names of settings: those of each group named, and each setting named, in this order."""
    groups = {group.name: [f.name for f in fields(getattr(PAPER, group.name))] for group in fields(PAPER)}
    return tuple(name for given in groups_or_names for name in groups.get(given, [given]))


def source_of(name: str) -> str:
    """Return what gives a setting's default: "paper", another source by its name, or a choice of ours."""
    every = (f for group in fields(PAPER) for f in fields(getattr(PAPER, group.name)))
    return next(f.metadata.get("source", "paper") for f in every if f.name == name)


def differences(settings: Settings, names: Iterable[str]) -> str:
    """Return a sentence on those of the named settings that differ from full size, and who gave that.

    "Settings: iterations 150 (paper: 20,000); tsc_alternations 4 (choice of ours at full size: 10)."
    """
    full, ours = values(PAPER), changed(settings, PAPER)
    told = [
        f"{name} {_text(ours[name])} ({source_of(name)}: {_text(full[name])})"
        for name in dict.fromkeys(names)
        if name in ours and name not in RECORDING
    ]
    return f"Settings: {'; '.join(told)}." if told else "Settings: all at full size."


def _text(value: object) -> str:
    """Return a setting's value as people read it."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value) or "none"
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"
