"""Every setting acts where it is accepted, and is refused elsewhere.

Each command is run in a laboratory of fakes (`fake_lab`) with one setting after the other at another value: a
number that it writes must change, or the hash of the runs and counts behind a number. Texts do not count.
"""

import contextlib
import importlib
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import pytest
from fake_lab import FakeLab, seeded

from data_prep.errors import InputError
from experiments import ablations, run, table_03_methods, table_04_lv
from experiments.lab import cli, durations
from experiments.lab.context import Context
from experiments.lab.publishing import rows as result_rows
from experiments.lab.settings.changes import names_of, values
from experiments.lab.settings.limits import AT_MOST, CHOICES, TILED
from experiments.lab.settings.profiles import PROFILES
from experiments.lab.settings.schema import PAPER, config_hash
from experiments.lab.sweeping import sweep_exhibit
from experiments.lab.systems.catalogue import SYSTEMS
from experiments.lab.systems.reads import refuse_unread
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


@pytest.fixture(scope="module")
def patch():
    with pytest.MonkeyPatch.context() as patches:
        yield lambda where, name, what: patches.setattr(where, name, what, raising=False)


@pytest.fixture(scope="module")
def lab(tmp_path_factory, patch):
    patch(sweep_exhibit, "draw", lambda *_: None)
    patch(sweep_exhibit, "log_hparams", lambda *_: None)
    LAB[:] = [FakeLab(tmp_path_factory.mktemp("shards"), patch)]
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


def dead_settings(name: str, settings, asked, patch, **options) -> list[str]:
    """Return those of the settings asked for that change no number of a command."""
    try:
        usual = run_command(name, settings, patch, **options)
    except InputError:  # what is asked beside is refused
        return []
    dead = []
    for one in asked:
        changed = settings.override(**{one: other(one, values(settings)[one])})
        with contextlib.suppress(InputError):  # refused when it is run: as good as a change
            if run_command(name, changed, patch, **options) == usual:
                dead.append(one)
    return dead


@pytest.fixture
def quick_auc(monkeypatch):
    """An AUC that tells runs apart and takes no time, for settings that act before anything is scored."""

    def auc(runs, protocol, step=None):
        return int(config_hash({"of": [runs[stream].key for stream in protocol.streams]}), 16) / 16**8

    for module in [result_rows, sweep_exhibit, *map(importlib.import_module, COMMANDS.values())]:
        monkeypatch.setattr(module, "auc", auc, raising=False)

    def pixel_scores(dataset, runs, protocols):
        """Return scores that tell runs apart, half of the frames abnormal."""
        found = {one: [seeded(auc(runs, one)).random(40)] for one in protocols}
        return found, [np.arange(40) % 2]

    monkeypatch.setattr(table_04_lv, "pixel_scores", pixel_scores)
    monkeypatch.setattr(result_rows, "auc_interval", lambda *_: None)
    monkeypatch.setattr(ablations, "SCORES", [])
    monkeypatch.setattr(ablations, "TRAINED", [])


@pytest.mark.parametrize("name", COMMANDS)
def test_what_is_read_before_scoring_acts(lab, patch, quick_auc, name):
    module = importlib.import_module(COMMANDS[name])
    without_what_takes_time(name, module, patch)
    asked = sorted(module.READS.names(SMOKE) - SCORE)
    assert asked
    assert dead_settings(name, SMOKE, asked, patch) == []


@pytest.mark.parametrize("name", COMMANDS)
def test_what_is_read_in_scoring_acts(lab, patch, monkeypatch, name):
    module = importlib.import_module(COMMANDS[name])
    without_what_takes_time(name, module, patch)
    monkeypatch.setattr(result_rows, "auc_interval", lambda *_: None)
    monkeypatch.setattr(ablations, "TRAINED", [])
    monkeypatch.setattr(table_04_lv, "systems_of", lambda _: ("TSC", "sRNN-AE"))  # cells lie elsewhere
    for what, beside in BESIDE.items():
        settings = SMOKE.override(**beside)
        asked = module.READS.names(settings) & SCORE
        if what:  # those that act in this company alone
            asked -= module.READS.names(SMOKE)
        assert (what, dead_settings(name, settings, sorted(asked), patch)) == (what, [])


@pytest.mark.parametrize("beside", ["", "windows"])
@pytest.mark.parametrize("name", COMMANDS)
def test_the_runs_that_are_planned_are_those_that_are_asked_for(lab, patch, quick_auc, name, beside):
    """Others make them where `--jobs` or `--cluster` is given; what was not planned, the command would."""
    module = importlib.import_module(COMMANDS[name])
    without_what_takes_time(name, module, patch)
    if not hasattr(module, "points"):
        pytest.skip("trains nothing")
    settings = SMOKE.override(**BESIDE[beside])
    lab.asked.clear()
    run_command(name, settings, patch)
    asked = set(lab.asked)
    lab.asked.clear()
    for point in module.points(Context("smoke", settings, Path("nowhere"))):
        point()
    assert asked
    assert lab.asked == asked


@pytest.mark.parametrize("beside", ["", "windows"])
@pytest.mark.parametrize("system", SYSTEMS)
def test_what_a_system_reads_acts_on_it_alone(lab, patch, quick_auc, system, beside):
    """`--systems` of one: the catalogue's entry says what acts on it, all of it and nothing else."""
    if "table_03" not in SYSTEMS[system].tables:
        pytest.skip("has no row in Table 3")
    settings = SMOKE.override(**BESIDE[beside])
    asked = table_03_methods.reads(Context("smoke", settings, Path("nowhere")), (system,)).names(settings)
    options = {"systems": (system,), "with_chosen": False}
    without_what_takes_time("table_03", table_03_methods, patch)
    assert dead_settings("table_03", settings, sorted(asked - SCORE), patch, **options) == []
    usual = run_command("table_03", settings, patch, **options)
    ignored = set(NAMES) - asked - set(names_of("score"))
    acting = []
    for one in ignored - HASHED_ALONE.get(system, set()):
        changed = settings.override(**{one: other(one, values(settings)[one])})
        with contextlib.suppress(InputError):
            if run_command("table_03", changed, patch, **options) != usual:
                acting.append(one)
    assert sorted(acting) == []


def test_every_setting_is_read_by_some_command():
    modules = [importlib.import_module(module) for module in COMMANDS.values()]
    everything = [SMOKE.override(**beside) for beside in BESIDE.values()]
    read = set().union(*(module.READS.names(settings) for module in modules for settings in everything))
    assert set(NAMES) - read == set()


@pytest.mark.parametrize("name", COMMANDS)
def test_what_is_not_read_is_refused_in_one_line(lab, name):
    module = importlib.import_module(COMMANDS[name])
    context, unread = Context("smoke", SMOKE, Path("nowhere")), set(NAMES) - module.READS.names(SMOKE)
    assert unread
    for one in unread:
        with pytest.raises(InputError, match=rf"^--set {one}: acts on nothing that {name} does.*$"):
            refuse_unread([one], [module.READS], SMOKE, name, context)
    refuse_unread(module.READS.names(SMOKE), [module.READS], SMOKE, name, context)


@pytest.mark.parametrize(
    ("module", "flags", "message"),
    [
        ("table_03_methods", "--set mnist_step_px=2", 'mnist_step_px: .* it is of "Moving-MNIST'),
        ("table_03_methods", "--set temporal_weight=0.3 --set fusion=log", "temporal_weight: .*fusion paper"),
        (
            "table_03_methods",
            "--set normalization=global --set fusion=calibrated",
            "normalization: .*training",
        ),
        ("table_03_methods", "--set smoothing=causal", "smoothing: .*smoothing_frames is 1"),
        ("table_03_methods", "--set flow_warps=1", "flow_warps"),
        ("table_03_methods", "--systems OC-SVM --set depth=5", "depth"),
        ("table_10_running_time", "--set checkpoint=best_on_test", "checkpoint"),
        ("figure_08_depth", "--set depth=5", "depth"),
        ("figure_08_depth", "--set sweep_iterations=4 --set iterations=40", "iterations"),
        ("figure_11_temporal_weight", "--set temporal_weight=0.3", "temporal_weight"),
        ("benchmark", "--set iterations=4", "iterations"),
    ],
)
def test_commands_refuse_before_they_run(lab, monkeypatch, capsys, tmp_path, module, flags, message):
    command = importlib.import_module(f"experiments.{module}")
    monkeypatch.setattr(command, "run", lambda *_, **__: pytest.fail("ran"))
    parser = cli.sweep_parser("") if module.startswith("figure_08") else cli.parser("")
    if module.startswith("table_03"):
        parser.add_argument("--systems", type=cli.listed)
    arguments = [*flags.split(), "--profile", "smoke", "--out", str(tmp_path)]
    monkeypatch.setattr("sys.argv", [module, *arguments])
    with pytest.raises(SystemExit, match="2"):
        cli.main(f"experiments.{module}", parser)
    told = capsys.readouterr().err
    assert re.search(f"error: --set {message}", told)
    assert told.count("\n") == 1


def test_the_run_of_all_takes_what_any_exhibit_reads(lab, monkeypatch, capsys, tmp_path):
    def refused(*flags):
        arguments = ["run", "--profile", "smoke", "--out", str(tmp_path), *flags]
        monkeypatch.setattr("sys.argv", arguments)
        with pytest.raises(SystemExit) as done:
            run.main()
        return done.value.code, capsys.readouterr().err

    monkeypatch.setattr(run, "print_plan", lambda *_: sys.exit("goes on"))
    monkeypatch.setattr(durations, "n_frames", lambda dataset: 100)
    assert refused("--only", "table_02,figure_02", "--set", "depth=5") == ("goes on", "")
    assert refused("--set", "mnist_step_px=2")[0] == "goes on"
    code, told = refused("--only", "table_02,figure_05", "--set", "depth=5")
    assert code == 2
    assert "--set depth: acts on nothing that experiments.run does" in told


def test_commands_without_exhibits_say_what_they_read():
    from experiments import choose_tsc_lambda1, train
    from experiments.lab.watching import session

    assert {"tsc_depth", "layer"} <= choose_tsc_lambda1.READS.names(SMOKE)
    assert not {"tsc_lambda1", "depth", "alignment"} & choose_tsc_lambda1.READS.names(SMOKE)
    there, footage = (
        session.reads(SimpleNamespace(train=train, system="sRNN-AE")).names(SMOKE)
        for train in (None, Path("a"))
    )
    quoted = session.reads(SimpleNamespace(train=Path("a"), system="Reddy et al.")).names(SMOKE)
    assert "reddy_known" in quoted
    assert not {"n_atoms", "normalization"} & quoted
    assert {"n_atoms", "motion"} <= footage
    assert not {"n_atoms", "motion", "normalization", "checkpoint"} & there
    assert {"layer", "temporal_weight", "frame_error"} <= there
    with pytest.raises(InputError, match=r"--set layer: acts on nothing that experiments\.train does"):
        train.run(
            SimpleNamespace(
                set=["layer=conv4"],
                profile="smoke",
                chosen=False,
                shards=Path("."),
                out=Path("."),
                seed=[0],
                system="TSC",
                stream=None,
            )
        )


def test_a_run_with_other_features_by_name_reads_them(lab):
    """They were ignored once: the run had other settings in its name and the same features."""
    context = Context("smoke", SMOKE, Path("nowhere"))
    usual = context.run("walkway", "spatial").config["features"]
    for changed in ({"pooling": "mean"}, {"layer": "conv4"}, {"feature_normalization": "l2"}):
        assert context.run("walkway", "spatial", **changed).config["features"] != usual
    assert context.run("walkway", "flow", flow_warps=3).config != context.run("walkway", "flow").config
    assert context.run("walkway", "spatial", depth=5).config["features"] == usual
