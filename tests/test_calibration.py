"""Limits, threshold and false alarms from a run's own frames."""

import json

import numpy as np
import pytest

from data_prep.errors import InputError
from experiments.lab.scoring.calibration import ROUNDING, Calibration, calibrate, cell_boxes
from experiments.lab.scoring.protocol import Protocol
from experiments.lab.scoring.score import ClipScores
from experiments.lab.scoring.score_files import save_scores
from experiments.lab.training.runs import Run


def made_run(folder, errors, train_errors, labels):
    """A run as far as calibration reads it."""
    for path, clips in (("train_errors.npz", train_errors), ("scores/step_000010.npz", errors)):
        save_scores(
            folder / path,
            [
                ClipScores(str(i), y, x.astype(np.float32))
                for i, (x, y) in enumerate(zip(clips, labels, strict=True))
            ],
        )
    numbers = {"steps": 10, "loss": 1.0, "training_seconds": 1.0}
    (folder / "metrics.json").write_text(json.dumps(numbers))
    return Run(folder)


def test_calibration_is_that_of_the_training_frames(tmp_path):
    rng = np.random.default_rng(0)
    labels = [np.zeros(50, np.uint8), np.r_[np.zeros(40), np.ones(20)].astype(np.uint8)]
    none = [np.zeros_like(y) for y in labels]
    train = {s: [rng.uniform(1, 9, (len(y), 21)) for y in labels] for s in ("spatial", "temporal")}
    test = {s: [rng.uniform(1, 9.2, (len(y), 21)) for y in labels] for s in ("spatial", "temporal")}
    runs = {}
    for stream in train:
        made_run(tmp_path / stream, test[stream], train[stream], labels)
        runs[stream] = Run(tmp_path / stream)
    calibration = calibrate(runs, Protocol(temporal_weight=0.25), 90.0)

    limits = {}
    for stream, clips in train.items():
        worst = np.concatenate(clips).astype(np.float32).max(axis=1).astype(float)
        limits[stream] = worst.min(), np.percentile(worst, 99.9)

    def by_hand(streams):
        parts = {s: 1 - (np.max(x, axis=1) - limits[s][0]) / np.ptp(limits[s]) for s, x in streams.items()}
        return parts["spatial"] + 0.25 * parts["temporal"]

    trained = by_hand({s: (1 + ROUNDING) * np.concatenate(clips) for s, clips in train.items()})
    known = np.percentile(trained, 10)
    assert calibration.n_train_frames == sum(map(len, none))
    scored = by_hand({s: np.concatenate(clips) for s, clips in test.items()})
    larger = by_hand({s: (1 + ROUNDING) * np.concatenate(clips) for s, clips in test.items()})
    normal = larger[np.concatenate(labels) == 0]
    assert (calibration.n_held_out, calibration.n_false_alarms) == (90, (normal < known).sum())
    # The held-out frames reach further than those trained on: the 9th lowest of 90.
    assert np.sort(normal)[8] < known
    assert calibration.threshold == pytest.approx(np.sort(normal)[8], abs=1e-5)
    frame = {s: clips[0][7].astype(np.float32) for s, clips in test.items()}
    assert calibration.score(frame) == pytest.approx(scored[7], abs=1e-5)
    cells = sum(w * frame[s][5:] / np.ptp(limits[s]) for s, w in (("spatial", 1), ("temporal", 0.25)))
    boxes = np.arange(64.0).reshape(16, 4)
    places = dict.fromkeys(limits, (slice(5, None), boxes))
    np.testing.assert_array_equal(calibration.worst_box(frame, places), boxes[cells.argmax()])


@pytest.mark.parametrize(
    ("percentile", "n_held_out", "expected"), [(99.5, 199, 200), (99.5, 200, 0), (90, 10, 0), (100, 199, 200)]
)
def test_footage_that_is_too_little_is_told(percentile, n_held_out, expected):
    told = str(Calibration(Protocol(), {}, percentile, 0.2, 1.0, 236, n_held_out, n_held_out // 2))
    assert f"as many of {n_held_out} held-out normal ones (by the training frames alone" in told
    assert ("WARNING" in told) == bool(expected)
    assert (f"expected {expected} or more" in told) == bool(expected)


def test_calibration_refuses_other_clips_and_errors_that_say_nothing(tmp_path):
    labels = [np.zeros(5, np.uint8)]
    flat, varied = [np.ones((5, 21))], [np.arange(105.0).reshape(5, 21)]
    spatial = made_run(tmp_path / "s", varied, varied, labels)
    temporal = made_run(tmp_path / "t", varied * 2, varied * 2, labels * 2)
    with pytest.raises(InputError, match="expected runs trained on the same clips"):
        calibrate({"spatial": spatial, "temporal": temporal}, Protocol(), 99)
    constant = made_run(tmp_path / "c", flat, flat, labels)
    with pytest.raises(InputError, match="c: no threshold can be taken from its training frames"):
        calibrate({"spatial": constant}, Protocol(), 99)


def test_no_frame_that_was_trained_on_is_abnormal_where_errors_are_negative(tmp_path):
    errors = [np.random.default_rng(0).uniform(-90, -30, (50, 21))]
    run = made_run(tmp_path / "s", errors, errors, [np.zeros(50, np.uint8)])
    calibration = calibrate({"spatial": run}, Protocol(streams=("spatial",)), 100.0)
    scores = [calibration.score({"spatial": frame}) for frame in run.scores()[0].error]
    assert min(scores) > calibration.threshold


@pytest.mark.parametrize("fusion", ["calibrated", "log"])
def test_a_frame_as_it_comes_is_scored_as_among_its_clip(tmp_path, fusion):
    rng = np.random.default_rng(0)
    labels, runs = [np.zeros(50, np.uint8)], {}
    for stream in ("spatial", "flow"):
        clips = [rng.uniform(1, 9, (50, 21))]
        runs[stream] = made_run(tmp_path / stream, clips, clips, labels)
    calibration = calibrate(runs, Protocol(fusion=fusion), 90.0)

    def by_hand(errors, sample):
        z = (errors - np.median(sample)) / (np.quantile(sample, 0.9) - np.median(sample))
        return np.sign(z) * np.log(1 + np.abs(z)) if fusion == "log" else z

    errors = {stream: run.scores()[0].error.astype(float) for stream, run in runs.items()}
    weights = {"spatial": 0.25 if fusion == "log" else 1, "flow": 1}
    parts = {s: weights[s] * by_hand(e, e.max(axis=1)) for s, e in errors.items()}
    frame = {stream: e[7] for stream, e in errors.items()}
    assert calibration.score(frame) == pytest.approx(-sum(part[7].max() for part in parts.values()))
    cells, windows = np.arange(64.0).reshape(16, 4), np.arange(84.0).reshape(21, 4) + 100
    same = dict.fromkeys(parts, (slice(5, None), cells))
    together = sum(part[7, 5:] for part in parts.values())
    np.testing.assert_array_equal(calibration.worst_box(frame, same), cells[together.argmax()])
    apart = {"spatial": (slice(5, None), cells), "flow": (slice(None), windows)}
    expected = windows[parts["flow"][7].argmax()]
    if parts["spatial"][7, 5:].max() > parts["flow"][7].max():
        expected = cells[parts["spatial"][7, 5:].argmax()]
    np.testing.assert_array_equal(calibration.worst_box(frame, apart), expected)
    larger = {
        s: weights[s] * by_hand((1 + ROUNDING) * e.max(axis=1), e.max(axis=1)) for s, e in errors.items()
    }
    assert calibration.threshold == pytest.approx(np.percentile(-sum(larger.values()), 10, method="lower"))


@pytest.mark.parametrize("fusion", ["paper", "calibrated", "log"])
def test_footage_in_which_nothing_moves_calls_none_of_its_frames_abnormal(tmp_path, fusion):
    """Its errors settle within a few frames; the same frames come live, with features of more bits."""
    errors = 4755.0 - 9 * np.exp(-np.arange(60.0)) + np.random.default_rng(0).normal(0, 1e-3, 60)
    clips = [np.repeat(errors[:, None], 21, axis=1)]
    labels = [np.zeros(60, np.uint8)]
    runs = {stream: made_run(tmp_path / stream, clips, clips, labels) for stream in ("spatial", "flow")}
    calibration = calibrate(runs, Protocol(fusion=fusion), 99.5)
    assert calibration.n_false_alarms == 0

    def n_abnormal(larger):
        scores = [calibration.score(dict.fromkeys(runs, frame * larger)) for frame in clips[0]]
        return sum(score < calibration.threshold for score in scores)

    assert n_abnormal(1 + 1e-5) == n_abnormal(1 - 1e-5) == 0
    assert n_abnormal(1.005) > 50  # what does differ is found


def test_cell_boxes_are_what_the_cells_pool():
    boxes = cell_boxes(7) * 7
    edges = [(0, 2), (1, 4), (3, 6), (5, 7)]
    expected = [(left, top, right, bottom) for top, bottom in edges for left, right in edges]
    np.testing.assert_allclose(boxes, expected)
