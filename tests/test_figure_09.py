"""Figure 9: what is drawn and written are means and deviations over the seeds' histories."""

import csv
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from data_prep.errors import InputError
from experiments import figure_09_training_loss as figure_09
from experiments.lab.scoring.score import ClipScores
from experiments.lab.settings.schema import PAPER

STREAMS = ("spatial", "temporal")


def history(seed: int, stream: str, steps=(50, 100, 150)):
    """A history of random numbers, of its own for each seed and stream, with a key that is not asked for."""
    rng = np.random.default_rng([seed, STREAMS.index(stream)])
    return [
        {"step": step, "seconds": 1.0, **dict(zip(figure_09.LOGGED, rng.uniform(1, 9, 5), strict=True))}
        for step in steps
    ]


def clips(seed: int, stream: str, step: int) -> list[ClipScores]:
    """Two test clips of random errors and similarities, five regions a frame."""
    rng = np.random.default_rng([seed, STREAMS.index(stream), step])
    labels = np.repeat([0, 1], 10).astype(np.uint8)
    return [
        ClipScores(name, labels, rng.uniform(1, 2, (20, 5)) + labels[:, None] / 2, rng.uniform(0, 1, (20, 5)))
        for name in ("01", "02")
    ]


def fused_auc(seed: int, step: int, streams=STREAMS) -> float:
    """A seed's AUC, written out: maxima over regions, each clip to [0, 1], spatial + 0.5 temporal."""
    scores, labels = [], []
    for index in range(2):
        total = 0.0
        for weight, stream in zip((1.0, 0.5), streams, strict=False):
            error = clips(seed, stream, step)[index].error.max(1)
            total = total + weight * (error - error.min()) / (error.max() - error.min())
        scores.append(total)
        labels.append(clips(seed, streams[0], step)[index].labels)
    return roc_auc_score(np.concatenate(labels), np.concatenate(scores))


def context_of(tmp_path):
    return SimpleNamespace(
        settings=PAPER,
        n_seeds=3,
        datasets=["ped2"],
        heading=str.title,
        run=lambda dataset, stream, seed, system: SimpleNamespace(
            history=history(seed, stream),
            config={"seed": seed, "stream": stream, "commit": "abc"},
            steps=[100, 150] if seed else [50, 100, 150],
            scores=lambda step: clips(seed, stream, step),
        ),
        backbone=SimpleNamespace(name="thin"),
        commit="abc",
        profile_name="paper",
        results_dir=tmp_path,
        absent_datasets={},
        command=lambda module: module,
        differences=lambda system: "nothing",
    )


def test_the_files_hold_the_mean_and_spread_of_every_stream(tmp_path):
    figure_09.run(context_of(tmp_path))
    with open(tmp_path / "figure_09.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [(line["stream"], line["step"]) for line in lines] == [
        (stream, step) for stream in STREAMS for step in ("50", "100", "150")
    ]
    for index, line in enumerate(lines):
        rows = [history(seed, line["stream"])[index % 3] for seed in range(3)]
        for name in figure_09.LOGGED:
            values = np.array([row[name] for row in rows])
            assert float(line[name]) == pytest.approx(values.mean())
            assert float(line[f"{name}_std"]) == pytest.approx(values.std(ddof=1))
    assert (tmp_path / "figure_09.png").stat().st_size > 0
    with open(tmp_path / "figure_09_checkpoints.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["step"] for line in lines] == ["100", "150"]
    for line in lines:
        step = int(line["step"])
        expected = np.array([fused_auc(seed, step) for seed in range(3)])
        assert float(line["auc_per_clip"]) == pytest.approx(expected.mean())
        assert float(line["auc_per_clip_std"]) == pytest.approx(expected.std(ddof=1))
        for stream in STREAMS:
            alone = np.mean([fused_auc(seed, step, (stream,)) for seed in range(3)])
            assert float(line[f"auc_{stream}"]) == pytest.approx(alone)
            S = np.mean([clip.similarity for seed in range(3) for clip in clips(seed, stream, step)])
            assert float(line[f"similarity_{stream}"]) == pytest.approx(S)


def test_only_steps_that_every_seed_logged_are_compared():
    course = figure_09.training_course([history(0, "spatial"), history(1, "spatial", (75, 150))])
    assert [line["step"] for line in course] == [150]


def test_one_seed_has_no_spread():
    rows = history(0, "spatial")
    course = figure_09.training_course([rows])
    assert [line["loss"] for line in course] == [row["loss"] for row in rows]
    assert {line["gamma_std"] for line in course} == {None}


def test_a_history_without_a_curve_is_named():
    rows = history(0, "spatial")
    run = SimpleNamespace(history=rows, folder=Path("run"))
    assert figure_09.history_of(run) == rows
    for value in (None, "low", float("nan")):
        broken = SimpleNamespace(history=[*rows[:1], rows[1] | {"sparsity": value}], folder=Path("run"))
        with pytest.raises(
            InputError, match=r"run/history\.json: damaged, expected \[1\]\.sparsity as a finite"
        ):
            figure_09.history_of(broken)
