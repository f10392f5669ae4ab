"""Every setting acts where it is accepted (`test_settings_refused`: and is refused elsewhere).

Each command is run in a laboratory of fakes (`fake_lab`) with one setting after the other at another value: a
number that it writes must change, or the hash of the runs and counts behind a number. Texts do not count.
"""

import importlib
from pathlib import Path

import numpy as np
import pytest
from fake_lab import seeded

from experiments import ablations, table_03_methods, table_04_lv
from experiments.lab.context import Context
from experiments.lab.publishing import rows as result_rows
from experiments.lab.settings.schema import config_hash
from experiments.lab.sweeping import sweep_exhibit
from experiments.lab.systems.catalogue import SYSTEMS
from tests.settings_recorder import (
    BESIDE,
    COMMANDS,
    HASHED_ALONE,
    NAMES,
    SCORE,
    SMOKE,
    acting_settings,
    dead_settings,
    run_command,
    without_what_takes_time,
)


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
        if not asked:
            continue
        dead = dead_settings(name, settings, sorted(asked), patch, may_refuse=bool(what))
        assert (what, dead) == (what, [])


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
    assert dead_settings("table_03", settings, sorted(asked - SCORE), patch, bool(beside), **options) == []
    ignored = set(NAMES) - asked - SCORE - HASHED_ALONE.get(system, set())
    assert acting_settings("table_03", settings, sorted(ignored), patch, **options) == []


def test_every_setting_is_read_by_some_command():
    modules = [importlib.import_module(module) for module in COMMANDS.values()]
    everything = [SMOKE.override(**beside) for beside in BESIDE.values()]
    read = set().union(*(module.READS.names(settings) for module in modules for settings in everything))
    assert set(NAMES) - read == set()


def test_a_run_with_other_features_by_name_reads_them(lab):
    """They were ignored once: the run had other settings in its name and the same features."""
    context = Context("smoke", SMOKE, Path("nowhere"))
    usual = context.run("walkway", "spatial").config["features"]
    for changed in ({"pooling": "mean"}, {"layer": "conv4"}, {"feature_normalization": "l2"}):
        assert context.changed(**changed).run("walkway", "spatial").config["features"] != usual
    assert (
        context.changed(flow_warps=3).run("walkway", "flow").config != context.run("walkway", "flow").config
    )
    assert context.changed(depth=5).run("walkway", "spatial").config["features"] == usual
