"""Figure 9: what is drawn and written are means and deviations over the seeds' histories."""

import csv
from types import SimpleNamespace

import numpy as np
import pytest

from experiments import figure_09_training_loss as figure_09
from experiments.lab.settings import PAPER

STREAMS = ("spatial", "temporal")


def history(seed: int, stream: str, steps=(50, 100, 150)):
    """A history of random numbers, of its own for each seed and stream, with a key that is not asked for."""
    rng = np.random.default_rng([seed, STREAMS.index(stream)])
    return [
        {"step": step, "seconds": 1.0, **dict(zip(figure_09.LOGGED, rng.uniform(1, 9, 5), strict=True))}
        for step in steps
    ]


def test_the_file_holds_the_mean_and_spread_of_every_stream(tmp_path):
    context = SimpleNamespace(
        settings=PAPER,
        n_seeds=3,
        datasets=["ped2"],
        run=lambda dataset, stream, seed, system: SimpleNamespace(
            history=history(seed, stream), config={"seed": seed, "stream": stream}
        ),
        backbone=SimpleNamespace(name="thin"),
        commit="abc",
        profile_name="paper",
        results_dir=tmp_path,
        command=lambda module: module,
        differences=lambda: "nothing",
    )
    figure_09.run(context)
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


def test_only_steps_that_every_seed_logged_are_compared():
    course = figure_09.training_course([history(0, "spatial"), history(1, "spatial", (75, 150))])
    assert [line["step"] for line in course] == [150]


def test_one_seed_has_no_spread():
    rows = history(0, "spatial")
    course = figure_09.training_course([rows])
    assert [line["loss"] for line in course] == [row["loss"] for row in rows]
    assert {line["gamma_std"] for line in course} == {""}
