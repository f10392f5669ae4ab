"""What windows cover; pixel-level numbers of a run on flow windows against pixels counted one by one."""

import json
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from data_prep.errors import InputError
from data_prep.flow_windows.place import load_place
from experiments import evaluate
from experiments.lab.context import Context
from experiments.lab.scoring.evaluation import columns_of
from experiments.lab.scoring.footprints import WINDOWS_SIDE, box_footprints
from experiments.lab.scoring.frame_truth import FrameTruth
from experiments.lab.scoring.geometry import geometry_of
from experiments.lab.scoring.pixel_metrics import DetectionCurves, curve_thresholds, stream_masks
from experiments.lab.scoring.protocol import Protocol
from experiments.lab.scoring.score import ClipScores
from experiments.lab.settings.profiles import PROFILES

SETTINGS = PROFILES["smoke"].override(
    appearance="none",
    motion="flow",
    flow_input="windows",
    n_train_clips=1,
    n_test_clips=2,
    clip_frames=40,
    input_size_px=32,
)


@pytest.fixture(scope="module")
def context(tmp_path_factory):
    return Context("smoke", SETTINGS, tmp_path_factory.mktemp("out"))


@pytest.fixture(scope="module")
def run(context):
    return context.run("walkway", "flow", system="Nearest Neighbor")


def test_boxes_cover_the_entries_whose_middle_they_hold():
    boxes = np.array([[0, 0, 1, 1], [0.0, 0.5, 0.26, 1.0], [0.6, 0.1, 0.9, 0.4]])
    covers = box_footprints(boxes, side=10).reshape(3, 10, 10)
    assert covers[0].all()
    assert np.argwhere(covers[1]).tolist() == [[row, column] for row in range(5, 10) for column in range(3)]
    assert np.argwhere(covers[2]).tolist() == [[row, column] for row in (1, 2, 3) for column in (6, 7, 8)]


def entry_maps(run, shape):
    """The error of each entry of every frame: the largest of the windows that hold its middle."""
    left, top, right, bottom = load_place(run.folder).boxes(shape).T
    middles = (np.arange(WINDOWS_SIDE) + 0.5) / WINDOWS_SIDE
    rows = [(top <= y) & (y < bottom) for y in middles * shape[0]]
    columns = [(left <= x) & (x < right) for x in middles * shape[1]]
    for clip in run.scores():
        maps = [[[errors[r & c].max() for c in columns] for r in rows] for errors in clip.error]
        yield clip.clip, np.array(maps)


def test_pixel_auc_of_windows_is_that_counted_on_pixels(context, run, tmp_path, monkeypatch, capsys):
    data = context.walkway_root
    command = ["evaluate", "--run", run.folder, "--data", data, "--resamples", 3, "--out", tmp_path]
    monkeypatch.setattr(sys, "argv", [str(part) for part in command])
    with pytest.raises(SystemExit):
        evaluate.main()
    text = capsys.readouterr().out
    assert "an oracle that picks single windows has RBDC" in text
    found = json.loads(open(text.splitlines()[-1].removeprefix("wrote ")).read())["results"]["global"]["last"]
    dataset = context.datasets["walkway"]
    clips = {clip.name: clip for clip in dataset.split("test")}
    scores, labels = [], []
    for name, maps in entry_maps(run, (160, 240)):
        for entries, mask in zip(maps, dataset.pixel_masks(clips[name]), strict=True):
            rows, columns = (((2 * np.arange(size) + 1) * WINDOWS_SIDE) // (2 * size) for size in mask.shape)
            pixels = entries[rows][:, columns]
            labels.append(mask.any())
            of_pixels = np.sort(pixels[mask])[::-1] if mask.any() else pixels.ravel()
            needed = int(np.ceil(0.4 * mask.sum())) - 1 if mask.any() else of_pixels.argmax()
            scores.append(of_pixels[needed])
    assert found["pixel_auc_40"] == pytest.approx(roc_auc_score(labels, scores))
    # Against every distinct error as a threshold.
    anomaly = {clip.clip: clip.error for clip in run.scores()}
    geometry = geometry_of({"flow": run}, dataset)
    every = curve_thresholds(anomaly.values(), most=10**9)
    exact = DetectionCurves(every, geometry.covers, joined=False)
    masks = {clip.name: partial(dataset.pixel_masks, clip) for clip in dataset.split("test")}
    stream_masks(masks, geometry.entries, [(exact, anomaly)])
    assert (found["rbdc_single"], found["tbdc_single"]) == pytest.approx(exact.areas(), abs=0.01)


def test_cells_that_are_no_square_are_told(context, tmp_path, monkeypatch, capsys):
    """HOFM's grid of a frame of 160 x 240 is no square; its components are those of rows and columns."""
    cells = context.run("walkway", "cells", system="HOFM")
    grid = geometry_of({"cells": cells}, context.datasets["walkway"])
    assert grid.map_shape[0] != grid.map_shape[1]
    command = ["evaluate", "--run", cells.folder, "--data", context.walkway_root, "--resamples", 3]
    monkeypatch.setattr(sys, "argv", [str(part) for part in (*command, "--out", tmp_path)])
    with pytest.raises(SystemExit) as done:
        evaluate.main()
    assert not done.value.code
    assert "RBDC, joined cells" in capsys.readouterr().out


def test_maps_of_several_sizes_say_nothing_about_where():
    """Flow of 112 px and frames of 224 have 21 regions each, whose cells cover other parts of the frame."""

    def run(size_px):
        error = np.zeros((3, 21), np.float32)
        clips = [ClipScores("1", np.zeros(3, np.uint8), error)]
        config = {"features": {"layer": "last", "input_size_px": size_px}}
        return SimpleNamespace(folder=Path("nowhere"), config=config, scores=lambda: clips)

    assert geometry_of({"spatial": run(224), "temporal": run(224)}, None).entries == 7
    with pytest.raises(InputError, match="cells of maps of one size say where, got maps of 4x4 and 7x7"):
        geometry_of({"spatial": run(224), "flow": run(112)}, None)


def test_joined_cells_are_neighbours_in_rows_and_columns():
    """Of 2 x 5 entries, 4 and 5 follow each other and are at the two ends of the map."""
    truth = FrameTruth(np.zeros((0, 10), int), (), np.full(10, 100))
    curves = DetectionCurves(np.ones(1), np.eye(10, dtype=bool), map_shape=(2, 5))
    curves.add(np.isin(np.arange(10), (4, 5)).astype(float), truth)
    curves.add(np.isin(np.arange(10), (4, 9)).astype(float), truth)
    assert curves.false_positives.tolist() == [3]


def test_streams_without_a_common_step_have_their_last_alone():
    runs = {name: SimpleNamespace(steps=steps) for name, steps in (("spatial", [75, 150]), ("flow", [300]))}
    columns = columns_of(runs, Protocol(("spatial", "flow")))
    assert {checkpoint for _, checkpoint in columns} == {"last"}
    runs["flow"].steps = [150, 300]  # one is no choice
    assert {checkpoint for _, checkpoint in columns_of(runs, Protocol(("spatial", "flow")))} == {"last"}
    runs["flow"].steps = [75, 150, 300]
    assert {checkpoint for _, checkpoint in columns_of(runs, Protocol(("spatial", "flow")))} == {
        "last",
        "best_on_test",
    }


def test_regions_of_two_kinds_are_told(context, run):
    spatial = context.changed(appearance="spatial").run("walkway", "whole frame", system="Nearest Neighbor")
    with pytest.raises(InputError, match="regions of one kind say where, got 1 and"):
        geometry_of({"whole frame": spatial, "flow": run}, context.datasets["walkway"])
