"""Rows of the systems that the paper quotes: their headline, the equal error rate, clips that change."""

from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

from data_prep.datasets import RECORDS
from experiments.lab.publishing import quoted_rows
from experiments.lab.scoring.score import ClipScores
from experiments.lab.settings.schema import PAPER

LABELS = [np.repeat([0, 1], [12, 8]), np.ones(15, int), np.repeat([1, 0], [5, 13])]
CELLS = 6


def run_of(labels, train_errors):
    rng = np.random.default_rng(0)
    clips = [
        ClipScores(
            f"{i:02d}", truth.astype(np.uint8), rng.gamma(3, size=(len(truth), CELLS)) + truth[:, None]
        )
        for i, truth in enumerate(labels)
    ]
    return SimpleNamespace(
        scores=lambda step=None: clips,
        train_errors=lambda kind="max": train_errors,
        steps=[1],
        ahead_frames=2,
        config={"backbone": "frames", "system": "", "seed": 0, "commit": "abc"},
        metrics={"steps": 1},
    )


@pytest.fixture
def rows_of(monkeypatch):
    """The rows of a system on Ped2 whose run has these labels."""

    def rows(system, labels=LABELS, train_errors=None):
        run = run_of(labels, np.arange(40.0) if train_errors is None else train_errors)
        monkeypatch.setattr(quoted_rows, "late_fusion_runs", lambda *_, **__: [{"cells": run}])
        context = SimpleNamespace(settings=PAPER, heading=lambda name: RECORDS[name].heading)
        found = quoted_rows.quoted_rows(context, "table_03", system, "ped2", "cmd")
        return run, found

    return rows


def worst_cells(run, clips=slice(None)):
    scores = [clip.error.max(axis=1) for clip in run.scores()[clips]]
    return np.concatenate([clip.labels for clip in run.scores()[clips]]), scores


def test_one_threshold_over_all_clips_is_the_headline_and_stands_beside_the_papers_number(rows_of):
    run, rows = rows_of("MPPCA")
    truth, scores = worst_cells(run)
    first = rows[0]
    assert (first.metric, first.column, first.paper) == ("auc", "Ped2", 0.693)
    assert "global normalization" in first.protocol
    np.testing.assert_allclose(first.ours, roc_auc_score(truth, np.concatenate(scores)))
    per_clip = next(row for row in rows if row.metric == "auc" and "per_clip" in row.protocol)
    scaled = [(s - s.min()) / np.ptp(s) for s in scores]
    np.testing.assert_allclose(per_clip.ours, roc_auc_score(truth, np.concatenate(scaled)))


def test_the_equal_error_rate_is_where_both_kinds_of_error_are_as_frequent(rows_of):
    run, rows = rows_of("MPPCA")
    (row,) = (row for row in rows if row.metric == "equal_error_rate")
    assert (row.column, row.dataset) == ("Ped2 EER", "Ped2")
    truth, scores = worst_cells(run)
    alarms, found, _ = roc_curve(truth, np.concatenate(scores), drop_intermediate=False)
    misses = 1 - found
    near = np.abs(alarms - misses).argmin()
    assert min(alarms[near], misses[near]) - 0.03 <= row.ours <= max(alarms[near], misses[near]) + 0.03
    assert not [row for row in rows_of("Unmasking")[1] if row.metric == "equal_error_rate"]


def test_what_compares_a_clip_with_itself_is_scored_without_clips_that_do_not_change(rows_of):
    run, rows = rows_of("Unmasking")
    own = [row for row in rows if row.column == "Ped2, clips that change"]
    assert ["global" in own[0].protocol, "per_clip" in own[1].protocol] == [True, True]
    assert all("1 of 3 clips left out, abnormal throughout" in row.protocol for row in own)
    assert all(row.paper is None for row in own)
    truth, scores = worst_cells(run, slice(None, None, 2))
    np.testing.assert_allclose(own[0].ours, roc_auc_score(truth, np.concatenate(scores)))
    assert not [row for row in rows_of("MPPCA")[1] if row.column == "Ped2, clips that change"]
    assert not [row for row in rows_of("Unmasking", LABELS[::2])[1] if "change" in row.column]


def test_training_errors_that_are_all_alike_give_no_limits(rows_of):
    assert any("train normalization" in row.protocol for row in rows_of("MPPCA")[1])
    assert not any("train " in row.protocol for row in rows_of("MPPCA", train_errors=np.zeros(40))[1])
