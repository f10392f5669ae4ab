"""What a command runs on and where it writes: datasets at hand, reasons of absence, pictures."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from data_prep.datasets import RECORDS, refuse_empty
from data_prep.errors import InputError
from experiments.lab import context as module
from experiments.lab.context import Context
from experiments.lab.settings.profiles import PROFILES

DATA = Path("data")


@pytest.fixture
def looked(monkeypatch):
    """Ped2 in whole and a sample of Avenue are on disk; return the folders that were looked into."""
    folders = []

    def find(folder):
        folders.append(folder)
        if folder != DATA:
            return {"walkway": found("walkway")}
        return {"ped2": found("ped2"), "avenue": found("avenue", complete=False), "yard": found("yard")}

    monkeypatch.setattr(module, "find_datasets", find)
    monkeypatch.setattr(module, "read_datasets", lambda folder: (find(folder), {}))
    monkeypatch.setattr(module.walkway, "generate", lambda *_, **__: None)
    return folders


def found(name, complete=True):
    record = RECORDS.get(name, SimpleNamespace(heading=name.title()))
    return SimpleNamespace(complete=complete, record=record)


def context_of(profile, *names):
    return Context(profile, PROFILES[profile], Path("out"), DATA, only_datasets=names)


@pytest.mark.parametrize(
    ("profile", "names", "runs_on", "looks"),
    [
        ("quick", (), ["ped2", "yard", "walkway"], True),
        ("quick", ("walkway",), ["walkway"], True),
        ("smoke", (), ["walkway"], False),
        ("smoke", ("walkway",), ["walkway"], False),
        ("smoke", ("ped2",), ["ped2"], True),
        ("smoke", ("yard",), ["yard"], True),
    ],
)
def test_smoke_runs_on_the_walkway_alone_unless_another_is_named(looked, profile, names, runs_on, looks):
    assert list(context_of(profile, *names).datasets) == runs_on
    assert (DATA in looked) == looks


def test_a_dataset_that_is_not_there_is_refused(looked):
    with pytest.raises(InputError, match="--datasets avenue: not at hand, expected some of ped2, yard"):
        context_of("smoke", "avenue").datasets  # noqa: B018


def test_a_dataset_that_is_not_run_on_says_why(looked):
    quick = context_of("quick", "walkway").absent_datasets
    assert quick["Ped2"] == ("not run", "Ped2 is not among --datasets")
    assert quick["Avenue"] == ("no data", "Avenue is not on disk")
    assert quick["Yard"] == ("not run", "Yard is not among --datasets")
    assert "Walkway" not in quick
    status, reason = context_of("smoke").absent_datasets["Ped2"]
    assert (status, "walkway alone" in reason) == ("not run", True)
    named = context_of("smoke", "yard").absent_datasets
    assert named["Ped2"] == ("not run", "Ped2 is not among --datasets")
    assert named["Avenue"] == ("no data", "Avenue is not on disk")


def test_the_picture_of_the_first_dataset_at_hand_has_no_suffix_whatever_is_asked_for(looked):
    for names in ((), ("ped2",), ("walkway",)):
        context = context_of("quick", *names)
        assert context.figure_path("figure_06", "ped2").name == "figure_06.png"
        assert context.figure_path("figure_06", "walkway").name == "figure_06_walkway.png"
    assert context_of("smoke").figure_path("figure_06", "walkway").name == "figure_06.png"


def test_a_dataset_that_cannot_be_read_stops_only_what_needs_it(looked, monkeypatch, capsys):
    """It is told once, is not "not on disk", and keeps its place when pictures are named."""
    faults = {"ped2": InputError("ped2: no labels"), "walkway": InputError("never used")}
    monkeypatch.setattr(module, "read_datasets", lambda folder: ({"yard": found("yard")}, dict(faults)))
    for _ in range(2):
        context = context_of("quick", "yard")
        assert list(context.datasets) == ["yard"]
    assert capsys.readouterr().err == "WARNING: ped2: no labels; ped2 is left out\n"
    assert context.absent_datasets["Ped2"] == ("not run", "Ped2 cannot be read: ped2: no labels")
    assert context.figure_path("figure_06", "yard").name == "figure_06_yard.png"
    for names in ((), ("yard", "ped2")):
        with pytest.raises(InputError, match="ped2: no labels"):
            context_of("quick", *names).datasets  # noqa: B018


def test_a_folder_in_no_known_layout_is_no_reason_to_refuse_the_rest(tmp_path):
    (tmp_path / "UCSDped1" / "x").mkdir(parents=True)
    with pytest.raises(InputError, match="no known layout"):
        refuse_empty(tmp_path)
    (tmp_path / "mnist.npz").touch()
    refuse_empty(tmp_path)
