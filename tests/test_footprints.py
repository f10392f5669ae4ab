"""Where the errors of cells land in the image, the scores of regions, and the regions and tracks of masks."""

import numpy as np
import pytest

from data_prep.backbones import load_backbone
from data_prep.datasets import find_datasets
from experiments.lab.scoring.footprints import cell_errors, finest_level, footprints, map_side
from experiments.lab.scoring.frame_truth import entry_of_pixel, frame_truths
from experiments.lab.scoring.pixel_metrics import (
    TruthCounts,
    entry_errors,
    region_anomaly,
)
from experiments.lab.scoring.protocol import Protocol
from experiments.lab.scoring.regularity import regularity
from experiments.lab.scoring.score import ClipScores
from tests.masks import LEVEL, SIDE, SIZE_PX, clip_scores, listen, pixel_map, squares


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
