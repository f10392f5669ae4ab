"""One entry makes a system: what asks the catalogue finds it, and nothing else lists systems."""

from dataclasses import fields

import numpy as np
import pytest
from synthetic import write_dataset

from data_prep.shards import Shard, list_shards
from experiments import table_03_methods, table_10_running_time
from experiments.lab.context import Context
from experiments.lab.publishing import results
from experiments.lab.scoring.score import ClipScores
from experiments.lab.settings.profiles import PROFILES
from experiments.lab.settings.schema import PAPER
from experiments.lab.systems import code_versions
from experiments.lab.systems.catalogue import SYSTEMS, System, named, run_system, systems_of
from experiments.lab.systems.inputs import Features
from experiments.lab.training.fitting import Fit
from experiments.lab.training.model_card import CARD
from experiments.lab.training.task import Task

TINY = PROFILES["smoke"].override(input_size_px=32, n_train_clips=1, n_test_clips=1, clip_frames=30)


def farthest_task(source, settings, seed):
    """A system of no paper: the distance to the mean of normal frames, one error a frame."""

    def whole(path):
        with Shard(path) as shard:
            return shard.whole_frames(), shard.labels, shard.info.clip

    def fit():
        return np.concatenate([whole(path)[0] for path in list_shards(source.shards, "train")]).mean(0)

    def scorer(mean):
        def score(split):
            clips = [whole(path) for path in list_shards(source.shards, split)]
            return [ClipScores(c, y, np.linalg.norm(x - mean, axis=1)[:, None]) for x, y, c in clips]

        return score

    return Task("Farthest", "whole frame", seed, source.data, {"model": {}}, Fit(fit), scorer)


def live(runs, settings, source):
    mean = farthest_task(source, settings, 0).trainer.fit()
    return "whole frames", lambda frames: (np.linalg.norm(x[:1] - mean, axis=1) for x in frames)


FARTHEST = System(
    "Farthest",
    f"{__name__}:farthest_task",
    Features(),
    "Takes for abnormal what is far from the mean of normal frames.",
    ("features",),
    stream="whole frame",
    made_again="it is a mean",
    live=f"{__name__}:live",
    unit="fit",
)


@pytest.fixture
def alone(monkeypatch):
    """The catalogue with this one system in it."""
    for name in list(SYSTEMS):
        monkeypatch.delitem(SYSTEMS, name)
    monkeypatch.setitem(SYSTEMS, "Farthest", FARTHEST)


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
    assert FARTHEST.idea in card.read_text()
    assert "No model is kept: it is a mean." in card.read_text()


def test_a_system_whose_code_nobody_declared_is_named_by_it(alone, tmp_path):
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
