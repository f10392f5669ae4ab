"""Choosing TSC's lambda1: what codes lose, checked by hand, and the rule."""

import csv

import numpy as np
import pytest
from scipy.optimize import nnls
from tqdm import tqdm

from data_prep.errors import InputError
from data_prep.shards import Shard, list_shards
from experiments import choose_tsc_lambda1
from experiments.choose_tsc_lambda1 import largest_that_keeps, loss_of
from experiments.lab.context import Context
from experiments.lab.settings.profiles import PROFILES
from experiments.lab.systems.features import ShardFeatures
from experiments.lab.systems.tsc import build_tsc, training_blocks

SETTINGS = PROFILES["smoke"].override(
    input_size_px=32,
    layer="conv2",
    n_train_clips=1,
    n_test_clips=1,
    clip_frames=20,
    tsc_n_atoms=6,
    tsc_depth=40,
    tsc_windows=0,
    tsc_alternations=1,
)


@pytest.fixture(scope="module")
def context(tmp_path_factory) -> Context:
    return Context("smoke", SETTINGS, tmp_path_factory.mktemp("lambda1"), only_datasets=("walkway",))


def loss(context, **changed) -> dict:
    settings = context.settings.override(**changed)
    return loss_of(settings, context.shards("walkway"), tqdm(disable=True))


def test_a_lambda1_beyond_every_correlation_loses_everything(context):
    line = loss(context, tsc_lambda1=1e9)
    assert (line["energy_lost"], line["zeros"]) == (pytest.approx(1), 1)


def test_the_energy_is_that_of_every_training_row_and_the_loss_that_of_the_codes(context):
    """Next to no l1 and no coherence: exact codes are the best non-negative combination of the atoms."""
    options = {"tsc_lambda1": 1e-6, "tsc_lambda2": 0.0, "tsc_coding": "exact"}
    line, settings = loss(context, **options), context.settings.override(**options)
    shards = context.shards("walkway")
    with Shard(*list_shards(shards, "train")) as shard:
        rows = shard.features().reshape(-1, shard.features().shape[-1])
    assert line["mean_energy"] == pytest.approx(np.square(rows).sum(1).mean(), rel=1e-5)
    source = ShardFeatures(shards, "spatial", settings)
    A = build_tsc(lambda: training_blocks(source, settings, seed=0), settings, seed=0).dictionary
    left = sum(nnls(A.astype(float), row)[1] ** 2 for row in rows)
    assert line["energy_lost"] == pytest.approx(left / np.square(rows).sum(), rel=1e-3)


def test_the_command_tries_every_candidate_reads_no_test_clip_and_chooses_by_the_rule(
    context, monkeypatch, capsys
):
    monkeypatch.setattr(choose_tsc_lambda1, "CANDIDATES", (0.01, 1e9))
    monkeypatch.setattr(choose_tsc_lambda1, "MOST_LOST", 0.9)
    for path in list_shards(context.shards("walkway"), "test"):
        path.unlink()
    choose_tsc_lambda1.run(context)
    with (context.results_dir / "tsc_lambda1_walkway.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [float(line["lambda1"]) for line in lines] == [0.01, 1e9]
    assert float(lines[0]["energy_lost"]) < 0.9
    assert lines[0]["backbone"] == "thin_resnet50"
    assert "walkway: chosen --set tsc_lambda1=0.01; see" in capsys.readouterr().out


def test_the_largest_within_the_limit_is_chosen():
    lines = [{"lambda1": a, "energy_lost": b} for a, b in ((0.1, 0.01), (2.0, 0.05), (5.0, 0.0501))]
    assert largest_that_keeps(lines) == 2.0
    with pytest.raises(
        InputError, match=r"every candidate loses more than 5% of the energy, the least 5\.0%"
    ):
        largest_that_keeps(lines[2:])
