"""What a command writes in a laboratory of fakes, kept to be compared: every number, every curve."""

import contextlib
import importlib
from collections.abc import Sequence
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
from fake_lab import FakeLab

from data_prep.errors import InputError
from experiments import ablations
from experiments.lab.context import Context
from experiments.lab.publishing import rows as result_rows
from experiments.lab.settings.changes import names_of, values
from experiments.lab.settings.limits import AT_MOST, CHOICES, TILED
from experiments.lab.settings.profiles import PROFILES
from experiments.lab.settings.schema import PAPER
from experiments.lab.sweeping import sweep_exhibit
from experiments.run import exhibits

SMOKE = PROFILES["smoke"]
NAMES = list(values(PAPER))
SCORE = set(names_of("score"))
# Values that say more than the next one would.
OTHER = {
    "flow_input": "windows", "backbone": "resnet152", "layer": "conv4", "flow_weights": "weights.keras",
    "checkpoint_every": 20, "smoothing_frames": 5, "sweep_iterations": 10, "sweep_alternations": 1,
    "sweep_n_atoms": 8,
}  # fmt: skip
# Settings beside which others act that do not act at the profile's.
BESIDE = {
    "": {},
    "smoothed": {"smoothing_frames": 5},
    "log": {"fusion": "log"},
    "calibrated": {"fusion": "calibrated"},
    "flow": {"motion": "temporal+flow"},
    "windows": {"motion": "temporal+flow", "flow_input": "windows"},
    "windows alone": {"appearance": "none", "motion": "flow", "flow_input": "windows"},
    "late fusion": {"sweep_streams": "late_fusion"},
}
# In a run's configuration, without acting on it: those of sRNN-AE's training, or of what others stop at.
OF_RMSPROP = {"rho", "epsilon", "slot_start", "temporal_window_frames", "alignment"}
OF_STOPPING = set(names_of("frames")) - {"frames_hold_out_every"}
HASHED_ALONE = {
    "sRNN-AE": {"delta_squared"},
    "Conv-AE": OF_RMSPROP,
    "ConvLSTM-AE": OF_RMSPROP,
    "mean frame (error of Conv-AE)": OF_STOPPING,
    "mean frame (error of ConvLSTM-AE)": OF_STOPPING,
}
LAB: list[FakeLab] = []
COMMANDS = {
    **exhibits(),
    "ablations": "experiments.ablations",
    "moving_mnist_sizes": "experiments.moving_mnist_sizes",
}


def other(name: str, value):
    """Return another value of a setting."""
    if OTHER.get(name, value) != value:
        return OTHER[name]
    if name in CHOICES:
        return next(choice for choice in CHOICES[name] if choice != value)
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + TILED.get(name, (1, 0))[0]
    return value / 2 if value else min(0.5, AT_MOST.get(name, 1.0))


class Notebook:
    """What a command writes: every row of `publish`, every line of its own tables."""

    def __init__(self, module, patch):
        self.numbers: list = []
        for name, keep in (("publish", self.publish), ("write_csv", self.write_csv)):
            patch(module, name, keep)
            patch(sweep_exhibit, name, keep)
        patch(ablations, "write_atomic", lambda *_: None)

    def publish(self, context, exhibit, rows, command, note):
        self.numbers += [(row.ours, row.std, row.config_hash) for row in rows]
        return rows

    def write_csv(self, path, lines, *_):
        self.numbers += [tuple(line.values()) for line in lines]


class Pictures:
    """Draws nothing; keeps the curves that it is given."""

    def __init__(self):
        self.curves: list = []

    def __getattr__(self, name):
        def draw(*arguments, **_):
            for given in arguments:
                curves = given.values() if isinstance(given, dict) else [given]
                self.curves += [curve.tobytes() for curve in curves if isinstance(curve, np.ndarray)]

        return draw

    def new_figure(self, n_rows=1, n_columns=1, **_):
        """Return a figure and axes on which anything may be drawn."""
        axes = np.empty((n_rows, n_columns), dtype=object)
        for place in np.ndindex(axes.shape):
            axes[place] = MagicMock()
        return MagicMock(), axes


def open_lab(folder: Path, patch) -> FakeLab:
    """Return the laboratory in which commands run, with its shards in a folder, and no pictures drawn."""
    patch(sweep_exhibit, "draw", lambda *_: None)
    patch(sweep_exhibit, "log_hparams", lambda *_: None)
    LAB[:] = [FakeLab(folder, patch)]
    return LAB[0]


def without_what_takes_time(name: str, module, patch) -> None:
    """Leave out of an exhibit its pictures and its timings."""
    if name in ("table_01", "figure_04", "moving_mnist_sizes"):
        patch(module, "make_run", lambda *what: FakeLab.make_run(LAB[0], *what))
        patch(module, "control_scores", lambda task, run: run.scores())
    if name == "moving_mnist_sizes":
        patch(module, "draw", lambda *_: None)
    if name == "table_02":
        patch(module, "dataset_counts", counts)
        patch(module, "PROTOCOLS", dict.fromkeys(module.PROTOCOLS, ""))
    if name == "table_07":
        patch(module, "speed_rows", lambda *_: [])
    if name == "table_10":
        patch(module, "speed_row", lambda of, *_: of([1.0], column="", metric="fps", protocol=""))
        patch(module.Camera, "of", classmethod(lambda *_: MagicMock()))
        patch(module, "named", lambda function: lambda *_: ("", None))
        patch(module, "draw_speed", lambda *_: None)
        patch(module, "map_rows", map_rows)
    if name == "figure_02":
        patch(module, "draw_network", lambda *_: None)
        patch(module, "weight_shapes", lambda model: {"A": (2, 3)})
    if name == "figure_04":
        patch(module, "sequence_sample", lambda *_: MagicMock(labels=np.zeros(20)))
    if name == "figure_05":
        patch(module, "picture", lambda *_: None)
    if name == "figure_10":
        patch(module, "clip_similarities", lambda layers, path: dict.fromkeys(layers, np.ones((23, 1))))
        patch(module, "draw_pairs", lambda *_: None)
        patch(module, "mean_rows", mean_rows)
    patch(module, "print", lambda *_, **__: None)


def map_rows(context, dataset, name, cell):
    run = context.run(dataset, "cells", 0, name)
    return [cell([1.0], row=name, column="", metric="fps", **result_rows.identity_of([{"cells": run}]))]


def counts(dataset) -> dict[str, int]:
    train, test = (len(dataset.split(split)) for split in ("train", "test"))
    length = len(next(iter(dataset.test_labels.values())))
    n_abnormal = sum(int(labels.sum()) for labels in dataset.test_labels.values())
    return {"n_train_frames": train * length, "n_test_frames": test * length, "n_abnormal_frames": n_abnormal}


def mean_rows(context, dataset, shards, similarities, identity):
    return [MagicMock(ours=0, std=None, **identity)]


def run_command(name: str, settings, patch, **options):
    """Return all numbers that a command writes under these settings, and the curves that it draws."""
    module = importlib.import_module(COMMANDS[name])
    book = Notebook(module, patch)
    context = Context("smoke", settings, Path("nowhere"))
    pictures = Pictures()
    for drawing in ("plots", "pictures"):
        patch(module, drawing, pictures)
    module.run(context, **options)
    assert book.numbers
    return book.numbers + pictures.curves


def acting_settings(name: str, settings, ignored: Sequence[str], patch, **options) -> list[str]:
    """Return those of the settings that change a number of a command, though it is said to ignore them.

    All are changed at once; where something changes, or is refused, each half of them.
    """
    usual = run_command(name, settings, patch, **options)

    def acting(names: Sequence[str]) -> list[str]:
        refused = False
        try:
            changed = settings.override(**{one: other(one, values(settings)[one]) for one in names})
            if run_command(name, changed, patch, **options) == usual:
                return []
        except InputError:
            refused = True
        if len(names) == 1:
            return [] if refused else list(names)
        half = len(names) // 2
        return acting(names[:half]) + acting(names[half:])

    return acting(ignored)


def dead_settings(name: str, settings, asked, patch, may_refuse=False, **options) -> list[str]:
    """Return those of the settings asked for that change no number of a command.

    `may_refuse`: whether the command may refuse what the settings have beside, and then says nothing of them.
    """
    try:
        usual = run_command(name, settings, patch, **options)
    except InputError:
        if not may_refuse:
            raise
        return []
    dead = []
    for one in asked:
        changed = settings.override(**{one: other(one, values(settings)[one])})
        with contextlib.suppress(InputError):  # refused when it is run: as good as a change
            if run_command(name, changed, patch, **options) == usual:
                dead.append(one)
    return dead
