"""Localization metrics against answers counted pixel by pixel, hand-worked cases, and what must not grow."""

import tracemalloc
import weakref

import numpy as np
import pytest
from scipy import ndimage
from sklearn.metrics import roc_auc_score

from data_prep.backbones import load_backbone
from data_prep.datasets import find_datasets
from data_prep.errors import InputError
from experiments.lab.scoring import metrics
from experiments.lab.scoring.footprints import cell_errors, finest_level, footprints, map_side
from experiments.lab.scoring.frame_truth import entry_of_pixel, frame_truths
from experiments.lab.scoring.pixel_metrics import (
    DetectionCurves,
    PixelScores,
    TruthCounts,
    area_to_one,
    curve_thresholds,
    entry_errors,
    region_anomaly,
    stream_masks,
)
from experiments.lab.scoring.protocol import Protocol
from experiments.lab.scoring.regularity import regularity
from experiments.lab.scoring.score import ClipScores

SIDE, LEVEL, SIZE_PX = 4, 2, (16, 24)  # cells of 2 x 2 entries, entries of 4 x 6 px
EIGHT_NEIGHBOURS = np.ones((3, 3))


def squares(*corners, size_px=SIZE_PX, height_px=5, width_px=5):
    """Return a mask with a rectangle at each upper left corner (row, column)."""
    mask = np.zeros(size_px, bool)
    for row, column in corners:
        mask[row : row + height_px, column : column + width_px] = True
    return mask


def random_clips(seed, n_clips=3, n_frames=12):
    """Return masks (n, H, W) and errors (n, 4) of clips; many errors are equal, some frames are normal."""
    rng = np.random.default_rng(seed)
    masks = [np.zeros((n_frames, *SIZE_PX), bool) for _ in range(n_clips)]
    for clip in masks:
        for frame in range(n_frames):
            for _ in range(rng.integers(0, 3)):
                corner = rng.integers(0, 14), rng.integers(0, 20)
                height_px, width_px = rng.integers(1, 9, 2)
                clip[frame] |= squares(corner, height_px=height_px, width_px=width_px)
    errors = [np.round(rng.normal(size=(n_frames, LEVEL**2)), 1) for _ in range(n_clips)]
    return masks, errors


def named(clips):
    """Name clips by their numbers; what has names already stays."""
    return clips if isinstance(clips, dict) else {str(index): clip for index, clip in enumerate(clips)}


def listen(masks, errors, *listeners, side=SIDE):
    """Feed all clips to the listeners and return them."""
    clip_masks = {name: lambda clip=clip: iter(clip) for name, clip in named(masks).items()}
    stream_masks(clip_masks, side, [(one, named(errors)) for one in listeners])
    return listeners


def pixel_map(cells, side=SIDE, level=LEVEL, size_px=SIZE_PX):
    """Return the error of each pixel, (H, W), straight from the definition of the pooling's cells."""
    result = np.full(size_px, -np.inf)
    for y in range(size_px[0]):
        for x in range(size_px[1]):
            row, column = int((y + 0.5) * side / size_px[0]), int((x + 0.5) * side / size_px[1])
            for i in range(level):
                for j in range(level):
                    inside_rows = i * side // level <= row < -(-(i + 1) * side // level)
                    inside_columns = j * side // level <= column < -(-(j + 1) * side // level)
                    if inside_rows and inside_columns:
                        result[y, x] = max(result[y, x], cells[i * level + j])
    return result


# Where errors land in the image


def test_footprints_of_the_4x4_cells_on_a_7x7_map_overlap():
    rows = [{0, 1}, {1, 2, 3}, {3, 4, 5}, {5, 6}]
    covers = footprints(7, 4).reshape(4, 4, 7, 7)
    for i in range(4):
        for j in range(4):
            assert {tuple(e) for e in np.argwhere(covers[i, j])} == {(r, c) for r in rows[i] for c in rows[j]}
    assert footprints(7, 1).all()
    assert footprints(7, 1).shape == (1, 49)
    assert footprints(3, 4).any(axis=1).all()  # no cell is empty on a map smaller than the pyramid


def test_pixels_belong_to_the_entry_that_holds_their_center():
    np.testing.assert_array_equal(
        entry_of_pixel((10, 7), 7)[:, 0], 7 * np.array([0, 1, 1, 2, 3, 3, 4, 5, 5, 6])
    )
    entries = entry_of_pixel((14, 21), 7)
    np.testing.assert_array_equal(entries, np.kron(np.arange(49).reshape(7, 7), np.ones((2, 3))))


@pytest.mark.parametrize(("side", "level"), [(7, 4), (7, 2), (3, 4), (4, 2), (14, 4)])
def test_the_map_is_that_of_the_definition(side, level):
    cells = np.random.default_rng(side).normal(size=level**2)
    on_pixels = entry_errors(cells, footprints(side, level))[entry_of_pixel((20, 30), side)]
    np.testing.assert_array_equal(on_pixels, pixel_map(cells, side, level, (20, 30)))


@pytest.mark.parametrize(("layer", "size_px"), [("last", 100), ("conv4", 100)])
def test_map_side_is_that_of_the_network(layer, size_px):
    backbone = load_backbone("thin_resnet50", input_size_px=size_px, layer=layer)
    side = map_side({"layer": layer, "input_size_px": size_px})
    assert backbone.model.output.shape[1:3] == (side, side)


def test_cells_stand_behind_the_coarser_regions():
    errors = {"07": np.arange(42.0).reshape(2, 21)}
    np.testing.assert_array_equal(cell_errors(errors)["07"][1], np.arange(26, 42))
    np.testing.assert_array_equal(cell_errors(errors, 2)["07"][0], np.arange(1, 5))
    np.testing.assert_array_equal(cell_errors(errors, 1)["07"], [[0], [21]])


@pytest.mark.parametrize(("n_regions", "level"), [(1, 1), (5, 2), (21, 4), (85, 8)])
def test_the_finest_cells_of_any_pyramid_come_last(n_regions, level):
    assert finest_level(n_regions) == level
    errors = {"07": np.arange(float(n_regions))[None]}
    np.testing.assert_array_equal(cell_errors(errors)["07"][0], np.arange(n_regions - level**2, n_regions))
    assert footprints(7, level).shape == (level**2, 49)
    assert footprints(7, level).any(axis=0).all()  # together they cover the map


# Scores of regions


def clip_scores(seed, n_clips=3):
    rng = np.random.default_rng(seed)
    errors = [rng.gamma(2.0, size=(10 + 3 * index, 21)).astype(np.float32) for index in range(n_clips)]
    labels = [(np.arange(len(error)) % 3 == 0).astype(np.uint8) for error in errors]
    return [
        ClipScores(str(index), label, error)
        for index, (label, error) in enumerate(zip(labels, errors, strict=True))
    ]


@pytest.mark.parametrize("normalization", ["per_clip", "global", "train"])
def test_the_region_of_the_frames_error_has_one_minus_the_regularity_score(normalization):
    streams = {"spatial": clip_scores(0)}
    options = Protocol(("spatial",), normalization=normalization), {"spatial": np.linspace(0, 5, 50)}
    anomaly = region_anomaly(streams, *options)
    for regions, score in zip(anomaly.values(), regularity(streams, *options), strict=True):
        np.testing.assert_allclose(regions.max(axis=1), 1 - score, atol=1e-12)


def test_streams_add_up_region_by_region():
    streams = {"temporal": clip_scores(1), "spatial": clip_scores(0)}
    fused = region_anomaly(streams, Protocol(temporal_weight=0.25))
    one, other = (region_anomaly({name: streams[name]}) for name in ("spatial", "temporal"))
    for clip, both in fused.items():
        np.testing.assert_allclose(both, one[clip] + 0.25 * other[clip])


@pytest.mark.parametrize("fusion", ["calibrated", "log"])
def test_regions_go_through_the_fusion_of_their_frame(fusion):
    """Where all regions of a frame are alike, each has the frame's anomaly, -s."""
    streams = {
        stream: [ClipScores(c.clip, c.labels, c.error[:, :1].repeat(21, axis=1)) for c in clip_scores(seed)]
        for seed, stream in enumerate(("spatial", "temporal"))
    }
    options = Protocol(fusion=fusion), {stream: np.linspace(0, 5, 50) for stream in streams}
    for regions, score in zip(
        region_anomaly(streams, *options).values(), regularity(streams, *options), strict=True
    ):
        np.testing.assert_allclose(regions, np.tile(-score[:, None], 21), atol=1e-12)


def test_a_constant_clip_has_no_anomaly():
    clip = ClipScores("c", np.array([0, 1], np.uint8), np.full((2, 21), 3.0, np.float32))
    np.testing.assert_array_equal(region_anomaly({"spatial": [clip]})["c"], np.zeros((2, 21)))


# Ground truth


def test_regions_are_connected_components_counted_in_entries():
    mask = squares((0, 0), (9, 14))
    mask[5, 5] = True  # touches the first square by a corner
    (truth,) = frame_truths([mask], SIDE)
    assert truth.tracks == (0, 1)
    np.testing.assert_array_equal(truth.regions_px.sum(axis=1), [26, 25])
    assert truth.regions_px[0].reshape(SIDE, SIDE)[0, 0] == 20  # rows 0-3 of an entry of 4 x 6 px
    np.testing.assert_array_equal(truth.entries_px, np.full(16, 24))
    (empty,) = frame_truths([np.zeros(SIZE_PX, bool)], SIDE)
    assert empty.tracks == ()
    assert empty.regions_px.shape == (0, 16)


def test_tracks_follow_the_largest_overlap():
    frames = [
        squares((0, 0), (10, 0)),
        squares((0, 2), (10, 3)),  # both move
        squares((10, 5)),  # the upper one leaves
        squares((0, 2), (10, 7)),  # one comes back: a new track
        squares((9, 7), height_px=7, width_px=12),  # grows
        squares((9, 7), width_px=3)
        | squares((9, 12), width_px=7),  # splits: the larger share keeps the track
        np.zeros(SIZE_PX, bool),
        squares((9, 14)),  # after a gap: a new track
    ]
    tracks = [truth.tracks for truth in frame_truths(frames, SIDE)]
    # Components are numbered by rows, then columns.
    assert tracks == [(0, 1), (0, 1), (1,), (2, 1), (1,), (3, 1), (), (4,)]


def test_truth_counts_know_how_far_the_cells_reach():
    # A cell has 8 x 12 = 96 px: 10 px are in reach of one cell, 9 px (IoU 9/96) are not.
    frames = [
        squares((0, 0), height_px=2, width_px=5),
        squares((0, 13), height_px=3, width_px=3),
        np.zeros(SIZE_PX, bool),
        squares((0, 0), (8, 12), height_px=8, width_px=12),
    ]
    (counts,) = listen([frames], [np.zeros((4, 4))], TruthCounts(footprints(SIDE, LEVEL)))
    np.testing.assert_array_equal(counts.labels[0], [1, 1, 0, 1])
    # The two squares of the last frame touch by a corner: one region, of IoU 1/2 with either cell.
    assert (counts.oracle.n_regions, counts.oracle.n_tracks, counts.oracle.n_frames) == (3, 3, 4)
    assert counts.oracle.areas() == (pytest.approx(2 / 3), pytest.approx(2 / 3))


def test_ped2_has_the_tracks_that_one_sees(real_data):
    ped2 = find_datasets(real_data)["ped2"]
    clips = {clip.name: clip for clip in ped2.split("test")}
    for name, n_tracks in (("03", 2), ("11", 3)):
        truths = list(frame_truths(ped2.pixel_masks(clips[name])))
        assert len({track for truth in truths for track in truth.tracks}) == n_tracks
        np.testing.assert_array_equal([bool(t.tracks) for t in truths], ped2.frame_labels(clips[name]))


# Pixel-level AUC


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


# Region- and track-based criteria


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
    assert few.size == 7
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


# Streaming


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
