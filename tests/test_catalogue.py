"""One entry makes a system: what asks the catalogue finds it, and nothing else lists systems."""

import importlib
import re
import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest
from synthetic import write_dataset

from experiments import table_03_methods, table_10_running_time
from experiments.lab import cli
from experiments.lab.context import Context
from experiments.lab.publishing import results
from experiments.lab.settings.profiles import PROFILES
from experiments.lab.settings.schema import PAPER
from experiments.lab.systems import code_versions
from experiments.lab.systems.catalogue import SYSTEMS, System, asked_for, named, run_system, systems_of
from experiments.lab.systems.inputs import Features
from experiments.lab.training.model_card import CARD

PAGE = Path(__file__).parents[1] / "docs" / "adding_a_system.md"
TINY = PROFILES["smoke"].override(input_size_px=32, n_train_clips=1, n_test_clips=1, clip_frames=30)


def page() -> dict[str, str]:
    """The blocks of Python of the page on adding a system, by the file that their first line names."""
    blocks = re.findall(r"```python\n# (\S+)\n(.*?)```", PAGE.read_text(), re.S)
    return dict(blocks)


@pytest.fixture
def alone(tmp_path, monkeypatch):
    """The catalogue with one system in it, that of the page on adding a system; return its entry."""
    blocks = page()
    entry = eval(blocks.pop("entry"), {"System": System, "Features": Features})
    for name, text in blocks.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
        package = sys.modules[str(Path(name).parent).replace("/", ".")]
        monkeypatch.setattr(package, "__path__", [*package.__path__, str((tmp_path / name).parent)])
    code_versions.is_module.cache_clear()
    importlib.invalidate_caches()
    monkeypatch.setitem(SYSTEMS, entry.name, replace(entry, live=f"{__name__}:live"))
    for name in [name for name in SYSTEMS if name != entry.name]:
        monkeypatch.delitem(SYSTEMS, name)
    yield entry
    for name in blocks:
        sys.modules.pop(name.removesuffix(".py").replace("/", "."), None)
    code_versions.is_module.cache_clear()


def live(runs, settings, source):
    """Farthest, live."""
    fitted = named(SYSTEMS["Farthest"].task)(source, settings, 0).trainer.fit()
    return "whole frames", lambda frames: (fitted.errors(x[:1]) for x in frames)


def test_one_entry_has_a_row_in_table_3_a_line_in_table_10_and_a_card(alone, tmp_path):
    context = Context("smoke", TINY, tmp_path, only_datasets=("walkway",))
    table_03_methods.run(context)
    table_10_running_time.run(context)
    rows = [row for row in results.read_rows(context.results_dir) if row.row == "Farthest" and row.measured]
    assert any(row.exhibit == "table_03" and row.metric == "auc" for row in rows)
    assert all(0 <= row.ours <= 1 for row in rows if row.metric == "auc")
    columns = {row.column for row in rows if row.exhibit == "table_10"}
    assert columns == {"Training", "Inference", "Inference with feature extraction"}
    for table in ("table_03", "table_10"):
        assert "| Farthest |" in (context.results_dir / f"{table}.md").read_text()
    (card,) = tmp_path.glob(f"checkpoints/walkway/farthest-*/{CARD}")
    assert alone.idea in card.read_text()
    assert "No model is kept: it is a mean." in card.read_text()


def test_a_system_whose_code_nobody_declared_is_named_by_it(alone, tmp_path, monkeypatch):
    monkeypatch.setattr(code_versions, "read_declared", dict)
    run = run_system("Farthest", write_dataset(tmp_path / "shards"), "whole frame", PAPER, 0, tmp_path)
    assert run.config["code"] == f"1+{code_versions.fingerprint('Farthest')[:8]}"


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_entry_leads_somewhere(name):
    entry = SYSTEMS[name]
    assert callable(named(entry.task))
    assert not entry.live or callable(named(entry.live))
    known = {f.name for group in fields(PAPER) for f in fields(getattr(PAPER, group.name))}
    assert {*entry.sweep_limits, *entry.sweep_limits.values()} <= known
    assert entry.depth in ("", *known)
    assert entry.tables
    assert all(name in systems_of(table) for table in entry.tables)


def test_what_is_declared_of_the_code_is_up_to_date():
    stale = code_versions.stale()
    systems = " ".join(f'"{name}"' for name in stale)
    assert not stale, (
        "code that these systems run through has changed; are their numbers the same?\n"
        f"  yes: python -m experiments.code_versions --same {systems}\n"
        f"  no:  python -m experiments.code_versions --changed {systems}"
    )


@pytest.mark.parametrize("between", [",", ", "])
def test_every_system_can_be_asked_for_on_the_command_line(between):
    for table in ("table_01", "table_03"):
        known = systems_of(table)
        assert asked_for(table, "smoke", cli.listed(between.join(known))) == known
