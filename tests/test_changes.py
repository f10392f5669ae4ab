"""What differs from a profile, as a folder's name; what differs from the paper, and who gave that."""

from dataclasses import fields
from pathlib import Path

import pytest

from experiments.lab.context import Context
from experiments.lab.settings import changes
from experiments.lab.settings.chosen import CHOSEN
from experiments.lab.settings.profiles import PROFILES
from experiments.lab.settings.schema import PAPER
from experiments.lab.systems.catalogue import SYSTEMS


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        ({}, "quick"),
        ({"depth": 3, "iterations": 150}, "quick"),  # the profile's own
        ({"depth": 5}, "quick,depth=5"),
        ({"lambda1": 0.5, "depth": 5}, "quick,depth=5,lambda1=0.5"),
        ({"pyramid": "1,2"}, "quick,pyramid=1,2"),
    ],
)
def test_results_have_a_folder_named_by_what_is_set(overrides, name):
    assert changes.results_name("quick", False, PROFILES["quick"].override(**overrides)) == name


def test_results_of_the_chosen_settings_have_their_own_folder():
    chosen = PROFILES["quick"].override(**CHOSEN)
    assert changes.results_name("quick", True, chosen) == "quick-chosen"
    assert changes.results_name("quick", True, chosen.override(depth=5)) == "quick-chosen,depth=5"
    other = chosen.override(backbone="resnet50")
    assert changes.results_name("quick", True, other) == "quick-chosen,backbone=resnet50"


def test_a_folders_name_is_safe_short_and_still_one_for_each_setting():
    def name_of(**overrides):
        return changes.results_name("quick", False, PROFILES["quick"].override(**overrides))

    unsafe = [name_of(flow_weights=path) for path in ("/a/../b c.h5", "/a/../b_c.h5", "/a/..\n/b\0c.h5")]
    many = {name: 7 for name in ("n_atoms", "depth", "iterations", "log_every", "lstm_units", "tsc_depth")}
    long = [name_of(**many, similarity_units=units) for units in (7, 8)]
    for names in (unsafe, long):
        assert len(set(names)) == len(names)
        for name in names:
            assert Path(name).name == name
            assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789_.,=~")
            assert len(name) < 100


def test_the_folder_is_that_of_the_context_and_its_name_stands_on_everything():
    context = Context("quick", PROFILES["quick"].override(depth=5), Path("out"))
    assert context.results_dir == Path("out/results/quick,depth=5")
    assert context.profile_name == "quick, depth=5"
    assert Context("quick", PROFILES["quick"], Path("out")).results_dir == Path("out/results/quick")


def test_the_paper_is_credited_with_what_it_gives_alone():
    ours = PAPER.override(iterations=150, tsc_alternations=4, lstm_units=256, conv_ae_size_px=99, log_every=2)
    names = ["iterations", "tsc_alternations", "lstm_units", "conv_ae_size_px", "log_every", "depth"]
    assert changes.differences(ours, names) == (
        "Settings: iterations 150 (paper: 20,000); "
        "tsc_alternations 4 (choice of ours at full size: 10); "
        "lstm_units 256 (choice of ours at full size: 2,048); "
        "conv_ae_size_px 99 (Hasan et al. 2016: 227)."
    )
    assert changes.differences(ours, ["depth"]) == "Settings: all at full size."


@pytest.mark.parametrize(
    ("system", "has", "lacks"),
    [
        ("OC-SVM", {"svm_nu", "pooling"}, {"iterations", "depth", "tsc_depth", "n_subspace_atoms"}),
        ("TSC", {"tsc_depth", "threshold"}, {"depth", "iterations", "learning_rate", "lstm_units"}),
        ("sRNN-AE", {"depth", "learning_rate"}, {"tsc_depth", "lstm_units", "conv_ae_filters"}),
        ("Conv-AE", {"conv_ae_filters", "frames_least_gain"}, {"pooling", "conv_lstm_filters", "n_atoms"}),
    ],
)
def test_a_system_has_its_own_settings(system, has, lacks):
    names = set(changes.names_of(*SYSTEMS[system].settings))
    assert names >= has
    assert not names & lacks


def test_every_setting_of_a_system_exists():
    known = {f.name for group in fields(PAPER) for f in fields(getattr(PAPER, group.name))}
    for system, entry in SYSTEMS.items():
        assert set(changes.names_of(*entry.settings)) <= known, system
