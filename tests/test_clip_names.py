"""Clips named 1 to 12: by name 10 comes before 2, and nothing is paired by its place in a list.

The scores of a detector that knows the labels are written in the order of a sorted listing, which is not the
dataset's; every command that joins scores with labels, masks or another stream must find it perfect.
"""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from data_prep import walkway
from data_prep.datasets import Dataset, find_datasets
from data_prep.errors import InputError
from data_prep.files import write_atomic
from data_prep.shards import Shard, list_shards
from experiments import (
    ablations,
    evaluate,
    figure_06_clip_curves,
    figure_09_training_loss,
    figure_11_temporal_weight,
    table_03_methods,
    table_04_lv,
    table_08_streams,
)
from experiments.lab.context import Context
from experiments.lab.publishing.results import read_rows
from experiments.lab.scoring.calibration import calibrate
from experiments.lab.scoring.protocol import Protocol
from experiments.lab.scoring.score import ClipScores
from experiments.lab.scoring.score_files import save_scores
from experiments.lab.settings.profiles import PROFILES
from experiments.lab.systems import baselines
from experiments.lab.systems.catalogue import systems_of
from experiments.lab.training.runs import Run

NAMES = [str(number) for number in range(1, 13)]
N_FRAMES = 24
STREAMS = ("spatial", "temporal")
OTHER_STREAMS = ("flow", "cells")  # of the chosen settings; of the systems that the paper quotes


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """A walkway whose twelve test clips are named as a careless person names them."""
    root = tmp_path_factory.mktemp("data")
    walkway.generate(root, n_train_clips=1, n_test_clips=12, clip_frames=N_FRAMES)
    for path in [*(root / "walkway" / "testing").glob("*/*")]:
        path.rename(path.with_name(path.name.lstrip("0")))
    return root


@pytest.fixture(scope="module")
def dataset(data) -> Dataset:
    return find_datasets(data)["walkway"]


def write_run(folder: Path, stream: str, of_clip: dict[str, np.ndarray]) -> Run:
    """Write the run of a detector that knows the labels: clips as a sorted listing has them, or backward."""
    clips = []
    for name in sorted(of_clip, reverse=stream != "spatial"):
        labels = of_clip[name]
        known = np.repeat(labels[:, None], 21, axis=1).astype(np.float32)
        clips.append(ClipScores(name, labels, 1 + known, 1 - known, known, known))
    save_scores(folder / "scores" / "step_000010.npz", clips)
    errors = 1 + np.arange(50 * 21, dtype=np.float32).reshape(50, 21) / 1e6
    save_scores(folder / "train_errors.npz", [ClipScores("1", np.zeros(50, np.uint8), errors)])
    features = dict.fromkeys(("pooling", "pyramid", "normalization", "weights_sha256"), "")
    config = {
        "system": "sRNN-AE", "dataset": "walkway", "stream": stream, "seed": 0, "backbone": "thin_resnet50",
        "features": {"layer": "last", "input_size_px": 96, **features},
        "train": {"iterations": 10, "window_frames": 4, "temporal_window_frames": 4, "alignment": "causal"},
        "commit": "abc", "versions": {},
    }  # fmt: skip
    history = [{"step": 10, "seconds": 1.0, **dict.fromkeys(figure_09_training_loss.LOGGED, 1.0)}]
    metrics = {"steps": 10, "loss": 1.0, "training_seconds": 1.0}
    for name, content in (("config", config), ("history", history), ("metrics", metrics)):
        write_atomic(folder / f"{name}.json", json.dumps(content).encode())
    return Run(folder)


@pytest.fixture
def runs(dataset, tmp_path) -> dict[str, Run]:
    return {stream: write_run(tmp_path / stream, stream, dataset.test_labels) for stream in STREAMS}


@pytest.fixture
def context(dataset, runs, tmp_path, monkeypatch) -> Context:
    """A context whose one dataset this is and whose every run is that detector's."""
    others = {name: write_run(tmp_path / name, name, dataset.test_labels) for name in OTHER_STREAMS}
    monkeypatch.setattr(Context, "datasets", {"walkway": dataset})
    monkeypatch.setattr(Context, "run", lambda self, dataset, stream, *_, **__: {**runs, **others}[stream])
    return Context("smoke", PROFILES["smoke"], tmp_path)


def test_the_dataset_is_in_its_own_order(dataset):
    assert [clip.name for clip in dataset.split("test")] == NAMES
    share = [labels.mean() for labels in dataset.test_labels.values()]
    assert len({tuple(labels) for labels in dataset.test_labels.values()}) > 6  # pairing others would show
    assert 0 < np.mean(share) < 1


@pytest.mark.parametrize(
    "exhibit", [table_04_lv, table_08_streams, figure_11_temporal_weight], ids=lambda module: module.EXHIBIT
)
def test_a_perfect_detector_is_found_perfect(context, exhibit):
    exhibit.run(context)
    rows = [row for row in read_rows(context.results_dir) if row.metric.startswith("auc") and row.measured]
    assert {row.ours for row in rows} == {1.0}


def test_table_4_asks_for_the_place_of_the_named_clip(context, monkeypatch):
    """The same detector under the labels of other clips is not perfect: the test can fail."""
    labels = context.datasets["walkway"].test_labels
    others = dict(zip(labels, [*list(labels.values())[1:], labels["1"]], strict=True))
    every = (*STREAMS, *OTHER_STREAMS)
    wrong = {stream: write_run(context.out / "wrong" / stream, stream, others) for stream in every}
    monkeypatch.setattr(Context, "run", lambda self, dataset, stream, *_, **__: wrong[stream])
    table_04_lv.run(context)
    rows = [row for row in read_rows(context.results_dir) if row.measured]
    assert all(row.ours < 0.9 for row in rows if "frame level" not in row.protocol)
    assert {row.row for row in rows} == set(systems_of("table_04"))


def test_table_3_scores_a_fitted_baseline_on_the_labels_of_each_clip(dataset, tmp_path, monkeypatch):
    """From frames to AUC with nothing made up but the errors, which go by a clip's features."""
    monkeypatch.setattr(Context, "datasets", {"walkway": dataset})
    monkeypatch.setattr(Context, "walkway_root", tmp_path / "walkway")
    context = Context("smoke", PROFILES["smoke"].override(input_size_px=32), tmp_path)
    known = {}
    for path in list_shards(context.shards("walkway"), "test"):
        with Shard(path) as shard:
            known[shard.whole_frames().tobytes()] = dataset.test_labels[shard.info.clip].astype(float)

    def errors(features):
        return known.get(features.tobytes(), np.arange(len(features)) / len(features))

    fitted = SimpleNamespace(kind="exact", errors=errors)
    monkeypatch.setattr(baselines, "OneClassSVM", SimpleNamespace(fit=lambda *_, **__: fitted))
    table_03_methods.run(context, ("OC-SVM",))
    rows = [row for row in read_rows(context.results_dir) if row.row == "OC-SVM" and row.metric == "auc"]
    assert {row.ours for row in rows if row.measured} == {1.0}


def test_figure_6_draws_the_frames_of_the_clip_that_it_names(context, monkeypatch):
    drawn = {}
    monkeypatch.setattr(
        figure_06_clip_curves.pictures, "clip_curves", lambda *arguments: drawn.update(enumerate(arguments))
    )
    figure_06_clip_curves.run(context)
    _, frames, shown, curves, labels, title = drawn.values()
    fused, chosen, *_ = curves.values()
    name = title.split("test clip ")[1].split()[0]
    np.testing.assert_array_equal(labels, context.datasets["walkway"].test_labels[name])
    np.testing.assert_array_equal(frames, context.sample_frames("walkway")(name, shown - 1))
    np.testing.assert_array_equal(fused, 1.5 * (1 - labels))
    np.testing.assert_array_equal(chosen > chosen.mean(), labels == 0)
    means = {(row.row, row.metric): row.ours for row in read_rows(context.results_dir)}
    assert means["normal frames", "similarity"] == means["abnormal frames", "code_distance"] == 1
    assert means["abnormal frames", "similarity"] == means["normal frames", "code_distance"] == 0


def test_figure_6_needs_a_clip_of_both_kinds(context):
    runs = {stream: context.run("walkway", stream) for stream in STREAMS}
    clips = [
        ClipScores(name, labels * 0, labels[:, None])
        for name, labels in context.datasets["walkway"].test_labels.items()
    ]
    with pytest.raises(InputError, match="Walkway: expected a test clip with normal and abnormal frames"):
        figure_06_clip_curves.draw_clip(context, "walkway", runs, clips, None)


def test_the_course_of_training_and_ablations(context, monkeypatch):
    figure_09_training_loss.run(context)
    lines = (context.results_dir / "figure_09_checkpoints.csv").read_text().splitlines()
    values = dict(zip(lines[0].split(","), lines[1].split(","), strict=True))
    assert {values[f"auc_{way}"] for way in ("per_clip", "global", *STREAMS)} == {"1.0"}
    monkeypatch.setattr(ablations, "TRAINED", [])
    ablations.run(context)
    lines = (context.results_dir / "ablations.csv").read_text().splitlines()[1:]
    assert {line.split(",")[3] for line in lines} == {"100.00"}


def test_evaluate(data, runs, monkeypatch, capsys):
    folders = [str(run.folder) for run in runs.values()]
    arguments = ["--run", *folders, "--data", str(data), "--resamples", "5"]
    monkeypatch.setattr(sys, "argv", ["evaluate", *arguments])
    with pytest.raises(SystemExit) as done:
        evaluate.main()
    assert not done.value.code
    written = capsys.readouterr().out.splitlines()[-1].removeprefix("wrote ")
    for of_way in json.loads(Path(written).read_text())["results"].values():
        for numbers in of_way.values():
            assert {numbers[key] for key in ("frame_auc", "macro_auc", "pixel_auc_40", "pixel_auc_20")} == {1}


def test_the_threshold_of_watch(runs, dataset):
    n_normal = sum(int((labels == 0).sum()) for labels in dataset.test_labels.values())
    calibration = calibrate(runs, Protocol(), 99.5)
    assert (calibration.n_held_out, calibration.n_false_alarms) == (n_normal, 0)
