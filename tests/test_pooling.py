"""Pooling against plain NumPy loops, and the properties that the streams rely on."""

import math

import numpy as np
import pytest

from data_prep.pooling import level_regions, region_count, region_pyramid, rolling_temporal


def pyramid_by_hand(feature_map, reduce):
    """Pool each region with loops; the bounds are written as spatial pyramid pooling states them."""
    n, height, width, _ = feature_map.shape
    pooled = []
    for image in range(n):
        regions = []
        for level in (1, 2, 4):
            for i in range(level):
                top, bottom = math.floor(i * height / level), math.ceil((i + 1) * height / level)
                for j in range(level):
                    left, right = math.floor(j * width / level), math.ceil((j + 1) * width / level)
                    regions.append(reduce(feature_map[image, top:bottom, left:right], axis=(0, 1)))
        pooled.append(regions)
    return np.array(pooled)


@pytest.mark.parametrize("size", [(7, 7), (14, 14), (8, 5), (3, 9), (1, 1)])
@pytest.mark.parametrize(("mode", "reduce"), [("max", np.max), ("mean", np.mean)])
def test_pyramid_equals_loops(size, mode, reduce):
    feature_map = np.random.default_rng(0).normal(size=(3, *size, 5)).astype(np.float32)
    pooled = np.asarray(region_pyramid(feature_map, mode))
    assert pooled.shape == (3, 21, 5)
    assert pooled.dtype == np.float32
    np.testing.assert_allclose(pooled, pyramid_by_hand(feature_map, reduce), rtol=1e-6, atol=1e-7)


def test_other_pyramids_are_the_same_regions_and_finer_ones():
    feature_map = np.random.default_rng(0).normal(size=(2, 14, 14, 3)).astype(np.float32)
    finest = np.asarray(region_pyramid(feature_map, pyramid="1,2,4,8"))
    assert finest.shape == (2, 85, 3)
    for pyramid, regions in (("1", 1), ("1,2", 5), ("1,2,4", 21)):
        pooled = np.asarray(region_pyramid(feature_map, pyramid=pyramid))
        np.testing.assert_array_equal(pooled, finest[:, :regions])
        assert region_count(pyramid) == regions
    np.testing.assert_array_equal(finest[:, 21:29, 0][:, 3], feature_map[:, :2, 5:7, 0].max((1, 2)))
    assert level_regions(21) == {1: slice(0, 1), 2: slice(1, 5), 4: slice(5, 21)}


@pytest.mark.parametrize("options", [{"mode": "median"}, {"pyramid": "2,4"}])
def test_unknown_mode_or_pyramid(options):
    with pytest.raises(ValueError, match=f"{next(iter(options))}: expected one of"):
        region_pyramid(np.zeros((1, 4, 4, 1), np.float32), **options)


def test_regions_stand_in_the_stated_order():
    feature_map = np.zeros((1, 4, 4, 1), np.float32)
    feature_map[0, 1, 2] = 1.0  # row 1, column 2: top right quarter, cell 6 of the 4x4 level
    pooled = np.asarray(region_pyramid(feature_map))[0, :, 0]
    assert np.flatnonzero(pooled).tolist() == [0, 1 + 1, 5 + 6]


@pytest.mark.parametrize("size", [(7, 7), (14, 14), (5, 11)])
def test_maxima_of_coarse_regions_are_maxima_of_the_finer_ones(size):
    pooled = np.asarray(region_pyramid(np.random.default_rng(1).normal(size=(2, *size, 3)).astype("f4")))
    fine = pooled[:, 5:].reshape(2, 2, 2, 2, 2, 3).max(axis=(2, 4)).reshape(2, 4, 3)
    np.testing.assert_array_equal(fine, pooled[:, 1:5])
    np.testing.assert_array_equal(fine.max(axis=1), pooled[:, 0])


def test_every_pixel_counts_in_every_level():
    for row in range(7):
        for column in range(7):
            feature_map = np.zeros((1, 7, 7, 1), np.float32)
            feature_map[0, row, column] = 1.0
            pooled = np.asarray(region_pyramid(feature_map))[0, :, 0]
            assert pooled[0] == 1
            assert pooled[1:5].any()
            assert pooled[5:].any()


@pytest.mark.parametrize("window_frames", [1, 2, 3, 4, 9, 30])
@pytest.mark.parametrize("alignment", ["causal", "centered"])
def test_rolling_maximum_equals_loops(window_frames, alignment):
    features = np.random.default_rng(2).normal(size=(13, 21, 4)).astype(np.float32)
    first = -(window_frames - 1) if alignment == "causal" else -(window_frames // 2)
    last = first + window_frames - 1
    expected = [features[max(0, t + first) : t + last + 1].max(axis=0) for t in range(13)]
    original = features.copy()
    pooled = rolling_temporal(features, window_frames, alignment)
    np.testing.assert_array_equal(pooled, expected)
    np.testing.assert_array_equal(features, original)
    assert pooled.dtype == features.dtype


def test_causal_maximum_does_not_look_ahead():
    features = np.random.default_rng(3).normal(size=(20, 21, 2)).astype(np.float32)
    np.testing.assert_array_equal(rolling_temporal(features)[:11], rolling_temporal(features[:11]))


def test_space_and_time_commute():
    maps = np.random.default_rng(4).normal(size=(12, 7, 7, 6)).astype(np.float32)
    time_first = np.stack([maps[max(0, t - 3) : t + 1].max(axis=0) for t in range(12)])
    space_first = rolling_temporal(np.asarray(region_pyramid(maps)), 4)
    np.testing.assert_array_equal(space_first, np.asarray(region_pyramid(time_first)))


def test_no_frame_gives_no_frame():
    assert rolling_temporal(np.zeros((0, 21, 3), np.float32)).shape == (0, 21, 3)


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="mode: expected one of"):
        region_pyramid(np.zeros((1, 7, 7, 2), np.float32), "sum")
    with pytest.raises(ValueError, match="alignment: expected"):
        rolling_temporal(np.zeros((2, 21, 2)), 4, "centred")
    with pytest.raises(ValueError, match="window_frames: expected at least 1, got 0"):
        rolling_temporal(np.zeros((2, 21, 2)), 0)
