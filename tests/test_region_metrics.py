"""Region- and track-based criteria against answers counted pixel by pixel, and hand-worked cases."""

import numpy as np
import pytest
from scipy import ndimage

from experiments.lab.scoring.footprints import footprints
from experiments.lab.scoring.frame_truth import frame_truths
from experiments.lab.scoring.pixel_metrics import (
    DetectionCurves,
    area_to_one,
    curve_thresholds,
)
from tests.masks import LEVEL, SIDE, SIZE_PX, listen, pixel_map, random_clips, squares

EIGHT_NEIGHBOURS = np.ones((3, 3))


def curves_by_definition(masks, errors, joined):
    """Return thresholds, false positives a frame and both rates, counted on pixels at every threshold."""
    thresholds = np.unique(np.concatenate(errors))[::-1]
    tracks = [[truth.tracks for truth in frame_truths(clip, SIDE)] for clip in masks]
    n_frames = sum(map(len, masks))
    points = []
    for threshold in thresholds:
        false, found, of_track = 0, [], {}
        for c, clip in enumerate(masks):
            for f, mask in enumerate(clip):
                maps = [pixel_map(errors[c][f])]
                if not joined:  # each cell on its own
                    alone = np.where(np.eye(LEVEL**2), errors[c][f], -np.inf)
                    maps = [pixel_map(cells) for cells in alone]
                detections = []
                for errors_px in maps:
                    labels, count = ndimage.label(errors_px >= threshold, EIGHT_NEIGHBOURS)
                    detections += [labels == index + 1 for index in range(count)]
                labels, count = ndimage.label(mask, EIGHT_NEIGHBOURS)
                regions = [labels == index + 1 for index in range(count)]
                matches = np.array(
                    [[(d & r).sum() / (d | r).sum() >= 0.1 for r in regions] for d in detections], bool
                ).reshape(len(detections), len(regions))
                false += (~matches.any(axis=1)).sum()
                found += matches.any(axis=0).tolist()
                for track, hit in zip(tracks[c][f], matches.any(axis=0), strict=True):
                    of_track.setdefault((c, track), []).append(hit)
        points.append(
            (false / n_frames, np.mean(found), np.mean([np.mean(h) >= 0.1 for h in of_track.values()]))
        )
    return thresholds, *np.array(points).T


@pytest.mark.parametrize("joined", [True, False])
@pytest.mark.parametrize("seed", [0, 1])
def test_curves_are_those_counted_on_pixels(seed, joined):
    masks, errors = random_clips(seed, n_clips=2, n_frames=6)
    thresholds, false_positives, regions, tracks = curves_by_definition(masks, errors, joined)
    np.testing.assert_array_equal(curve_thresholds(errors), thresholds)
    (curves,) = listen(masks, errors, DetectionCurves(thresholds, footprints(SIDE, LEVEL), joined))
    np.testing.assert_allclose(np.cumsum(curves.false_positives) / curves.n_frames, false_positives)
    np.testing.assert_allclose(np.cumsum(curves.regions) / curves.n_regions, regions)
    np.testing.assert_allclose(curves.tracks / curves.n_tracks, tracks)
    expected = area_to_one(false_positives, regions), area_to_one(false_positives, tracks)
    assert curves.areas() == pytest.approx(expected)


def test_fewer_thresholds_are_points_of_the_same_curve():
    masks, errors = random_clips(2)
    exact, few = curve_thresholds(errors), curve_thresholds(errors, most=7)
    assert 5 <= few.size <= 7
    assert {exact[0], exact[-1]} <= set(few) <= set(exact)
    covers = footprints(SIDE, LEVEL)
    full, thin = listen(masks, errors, DetectionCurves(exact, covers), DetectionCurves(few, covers))
    at = np.searchsorted(-exact, -few)
    np.testing.assert_array_equal(np.cumsum(thin.false_positives), np.cumsum(full.false_positives)[at])
    np.testing.assert_array_equal(np.cumsum(thin.regions), np.cumsum(full.regions)[at])
    np.testing.assert_array_equal(thin.tracks, full.tracks[at])


@pytest.mark.parametrize("joined", [True, False])
def test_criteria_by_hand(joined):
    """Ten frames, the last five with one moving object in the first cell."""
    normal, abnormal = np.zeros(SIZE_PX, bool), squares((0, 0), height_px=8, width_px=8)
    masks = [np.stack([normal] * 5 + [abnormal] * 5)]

    def areas(errors):
        errors = [np.array(errors, float)]
        return listen(
            masks, errors, DetectionCurves(curve_thresholds(errors), footprints(SIDE, LEVEL), joined)
        )[0].areas()

    quiet = [0, 0, 0, 0]
    assert areas([quiet] * 5 + [[1, 0, 0, 0]] * 5) == (1, 1)  # perfect
    assert areas([quiet] * 9 + [[1, 0, 0, 0]])[1] == 1  # one in five regions is a track found
    # Elsewhere at first; at the lowest threshold everything is on: IoU 64/384 joined, 64/96 with one cell.
    # False positives then: 0.5 a frame joined; 20 + 15 cells single, 3.5 a frame.
    late = areas([quiet] * 5 + [[0, 0, 0, 1]] * 5)
    everything = areas([quiet] * 10)
    if joined:
        # (0.5, 0) from the wrong alarms, then (0.5, 1).
        assert late == (pytest.approx(0.5), pytest.approx(0.5))
        assert everything == (pytest.approx(0.25 + 0.5), pytest.approx(0.25 + 0.5))  # a line to (0.5, 1)
    else:
        # From (0.5, 0) straight to (3.5, 1): 1/6 at 1.
        assert late == (pytest.approx(0.5 * 0.5 / 3 / 2), pytest.approx(0.5 * 0.5 / 3 / 2))
        assert everything == (pytest.approx(1 / 3.5 / 2), pytest.approx(1 / 3.5 / 2))


def test_a_track_needs_a_tenth_of_its_regions():
    frames = np.stack([squares((0, 0), height_px=8, width_px=8)] * 20)
    for n_found, rate in ((1, 0.0), (2, 1.0)):
        errors = [np.zeros((20, 4))]
        errors[0][:n_found, 0] = 1
        (curves,) = listen([frames], errors, DetectionCurves(np.array([1.0]), footprints(SIDE, LEVEL)))
        assert curves.areas() == (pytest.approx(n_found / 20), rate)


def test_an_iou_of_exactly_a_tenth_counts():
    frames = np.stack([squares((2, 0), size_px=(20, 20), height_px=1, width_px=10)])  # 10 of a cell's 100 px
    errors = [np.array([[1.0, 0, 0, 0]])]
    (curves,) = listen([frames], errors, DetectionCurves(np.ones(1), footprints(SIDE, LEVEL)))
    assert curves.areas() == (1, 1)
    assert curves.false_positives.sum() == 0


def test_without_regions_there_are_no_areas():
    (curves,) = listen(
        [np.zeros((3, *SIZE_PX), bool)],
        [np.ones((3, 4))],
        DetectionCurves(np.ones(1), footprints(SIDE, LEVEL)),
    )
    assert np.isnan(curves.areas()).all()


@pytest.mark.parametrize(
    ("false_positives", "rates", "area"),
    [
        ([0.0], [1.0], 1.0),
        ([0.0, 0.5], [0.4, 0.4], 0.4),
        ([2.0], [1.0], 0.25),  # (0, 0) to (2, 1): 1/2 at 1
        ([0.5], [0.8], 0.2 + 0.4),  # a line up to 0.5, then level
        ([1.0, 3.0], [0.6, 1.0], 0.3),  # what lies beyond 1 does not count
        ([1.5, 2.0], [0.3, 1.0], 0.1),
        ([0.5, 0.2, 0.2], [0.5, 0.5, 0.3], 0.03 + 0.4),  # merged regions: back to 0.2, up to 0.5 there
        ([0.5, 1.0, 0.8], [0.8, 0.1, 0.2], 0.2 + 0.4),  # a worse threshold costs nothing
    ],
)
def test_area_to_one(false_positives, rates, area):
    assert area_to_one(np.array(false_positives), np.array(rates)) == pytest.approx(area)
