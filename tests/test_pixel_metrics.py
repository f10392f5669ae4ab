"""Pixel-level AUC against answers counted pixel by pixel, and what must not grow."""

import tracemalloc
import weakref

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from data_prep.errors import InputError
from experiments.lab.scoring import metrics
from experiments.lab.scoring.footprints import cell_errors, footprints
from experiments.lab.scoring.pixel_metrics import (
    DetectionCurves,
    PixelScores,
    TruthCounts,
    curve_thresholds,
    region_anomaly,
    stream_masks,
)
from experiments.lab.scoring.protocol import Protocol
from experiments.lab.scoring.regularity import regularity
from tests.masks import LEVEL, SIDE, SIZE_PX, clip_scores, listen, named, pixel_map, random_clips, squares


def pixel_auc(masks, errors, overlap, side=SIDE, level=LEVEL):
    scores, truth = listen(
        masks,
        errors,
        PixelScores(footprints(side, level), overlap),
        TruthCounts(footprints(side, level)),
        side=side,
    )
    return metrics.frame_auc(scores.clips, truth.labels)


def pixel_auc_by_definition(masks, errors, overlap):
    """Count true and false positive frames at every threshold, pixel by pixel, and integrate the ROC."""
    maps = [pixel_map(cells) for clip in errors for cells in clip]
    truth = [mask for clip in masks for mask in clip]
    points = [(0.0, 0.0)]
    for threshold in np.unique(np.concatenate(errors))[::-1]:
        true = false = abnormal = 0
        for mask, errors_px in zip(truth, maps, strict=True):
            detected = errors_px >= threshold
            abnormal += mask.any()
            if mask.any():
                true += (detected & mask).sum() / mask.sum() >= overlap
            else:
                false += detected.any()
        points.append((false / (len(truth) - abnormal), true / abnormal))
    return np.trapezoid(*np.array(points).T[::-1])


@pytest.mark.parametrize("overlap", [0.2, 0.4, 1.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_pixel_auc_is_the_area_under_the_counted_curve(seed, overlap):
    masks, errors = random_clips(seed)
    assert pixel_auc(masks, errors, overlap) == pytest.approx(pixel_auc_by_definition(masks, errors, overlap))


def test_pixel_auc_asks_for_the_place():
    normal, abnormal = np.zeros(SIZE_PX, bool), squares((0, 0))  # inside the first cell
    masks = [np.stack([normal, abnormal])]
    quiet = [0.2, 0.1, 0.1, 0.1]
    for cells, expected in (
        ([0.9, 0.0, 0.0, 0.0], 1.0),  # found
        ([0.0, 0.9, 0.0, 0.0], 0.0),  # an alarm elsewhere: at frame level 1, here 0
        ([0.9, 0.9, 0.9, 0.9], 1.0),  # an alarm everywhere is found too
        ([0.2, 0.0, 0.0, 0.0], 0.5),  # a tie
    ):
        assert pixel_auc(masks, [np.array([quiet, cells])], 0.4) == expected


def test_the_overlap_counts_pixels():
    # 4 x 5 px: 8 in the left cell, 12 in the right one.
    abnormal = squares((0, 10), height_px=4, width_px=5)
    masks, errors = [np.stack([np.zeros(SIZE_PX, bool), abnormal])], [np.array([[0.5] * 4, [0.9, 0, 0, 0]])]
    assert pixel_auc(masks, errors, 0.4) == 1.0  # exactly 40 %
    assert pixel_auc(masks, errors, 0.41) == 0.0
    with pytest.raises(ValueError, match="overlap"):
        PixelScores(footprints(), 0.0)


def test_more_overlap_never_helps_and_the_frame_level_is_the_bound():
    masks, errors = random_clips(4)
    labels = [clip.any(axis=(1, 2)).astype(int) for clip in masks]
    frame_level = metrics.frame_auc([cells.max(axis=1) for cells in errors], labels)
    aucs = [pixel_auc(masks, errors, overlap) for overlap in (0.01, 0.2, 0.4, 0.8)]
    assert sorted(aucs, reverse=True) == aucs
    assert frame_level >= aucs[0] > aucs[-1]


@pytest.mark.parametrize("normalization", ["per_clip", "global", "train"])
@pytest.mark.parametrize("names", [("spatial",), ("spatial", "temporal")])
def test_pixel_auc_is_the_frame_auc_where_every_region_is_the_whole_frame(names, normalization):
    streams = {name: clip_scores(index) for index, name in enumerate(names)}
    protocol = Protocol(names, frame_error="frame", normalization=normalization)
    options = protocol, {name: np.linspace(0, 5, 50) for name in names}
    labels = [clip.labels for clip in streams["spatial"]]
    rng = np.random.default_rng(0)
    masks = [label[:, None, None] * (rng.random((len(label), *SIZE_PX)) < 0.5) > 0 for label in labels]
    cells = cell_errors(region_anomaly(streams, *options), level=1)
    frame_level = metrics.frame_auc([-score for score in regularity(streams, *options)], labels)
    assert pixel_auc(masks, cells, 0.4, level=1) == pytest.approx(frame_level, abs=1e-12)


def test_chance_is_one_half_on_whole_frames():
    rng = np.random.default_rng(0)
    labels = rng.random(4000) < 0.5
    masks = [label & squares((0, 0), size_px=(8, 8)) for label in labels]
    errors = [rng.random((4000, 1))]
    assert pixel_auc([masks], errors, 0.4, side=1, level=1) == pytest.approx(0.5, abs=0.03)
    constant = [np.zeros((4000, 1))]
    assert pixel_auc([masks], constant, 0.4, side=1, level=1) == 0.5


def test_masks_are_let_go_of():
    seen, alive = [], []

    class Mask(np.ndarray):
        pass

    def masks():
        for frame in range(50):
            mask = squares((frame % 10, 3)).view(Mask)
            seen.append(weakref.ref(mask))
            yield mask
            del mask
            alive.append(sum(reference() is not None for reference in seen))

    covers = footprints(SIDE, LEVEL)
    errors = np.zeros((50, 4))
    listeners = [PixelScores(covers, 0.4), TruthCounts(covers), DetectionCurves(np.zeros(1), covers)]
    stream_masks({"07": masks}, SIDE, [(one, {"07": errors}) for one in listeners])
    assert len(seen) == 50
    assert max(alive) <= 1  # the frame that was last asked for


def test_memory_does_not_grow_with_the_video():
    covers = footprints(SIDE, LEVEL)

    def peak_bytes(n_frames):
        rng = np.random.default_rng(0)
        errors = rng.random((n_frames, 4))
        listeners = [
            (listener, {"07": errors})
            for listener in (
                PixelScores(covers, 0.4),
                TruthCounts(covers),
                DetectionCurves(curve_thresholds([errors], 100), covers),
            )
        ]
        masks = (squares((frame % 11, frame % 17)) if frame % 7 else squares() for frame in range(n_frames))
        tracemalloc.start()
        stream_masks({"07": lambda: masks}, SIDE, listeners)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    peak_bytes(50)  # what is imported or cached once
    extra_frames = 1000
    mask_bytes = SIZE_PX[0] * SIZE_PX[1]
    assert peak_bytes(200 + extra_frames) - peak_bytes(200) < extra_frames * mask_bytes / 4


@pytest.mark.parametrize("n_masks", [3, 5])
def test_masks_and_scores_must_be_as_many(n_masks):
    covers = footprints(SIDE, LEVEL)
    masks = {"07": np.zeros((n_masks, *SIZE_PX), bool)}
    with pytest.raises(InputError, match="clip 07: expected as many masks as frames were scored"):
        listen(masks, {"07": np.zeros((4, 4))}, PixelScores(covers, 0.4))


def test_masks_and_scores_are_joined_by_name():
    """The clips in two orders; other clips are named."""
    masks, errors = random_clips(3)
    expected = listen(masks, errors, PixelScores(footprints(SIDE, LEVEL), 0.2))[0].clips
    backward = dict(reversed(named(errors).items()))
    (scores,) = listen(masks, backward, PixelScores(footprints(SIDE, LEVEL), 0.2))
    for one, other in zip(scores.clips, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    del backward["1"]
    with pytest.raises(InputError, match="clips 1, 9: expected masks and errors"):
        listen(masks, backward | {"9": errors[0]}, PixelScores(footprints(SIDE, LEVEL), 0.2))


def test_scikit_learn_agrees_on_the_pixel_level_scores():
    masks, errors = random_clips(7)
    scores, truth = listen(
        masks, errors, PixelScores(footprints(SIDE, LEVEL), 0.2), TruthCounts(footprints(SIDE, LEVEL))
    )
    pooled = np.concatenate(truth.labels), np.concatenate(scores.clips)
    assert roc_auc_score(*pooled) == pytest.approx(pixel_auc_by_definition(masks, errors, 0.2))
