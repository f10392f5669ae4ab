"""Hinami-style: boxes and places by hand, detectors against NumPy, a planted stranger at its place."""

import numpy as np
import pytest
from sklearn.neighbors import KernelDensity

from models.quoted import hinami
from models.quoted.hinami import Objects, PlaceDetectors, object_boxes, objects_of

H, W, C = 240, 360, 12


def objects(n_frames, seed=0, stranger=(), place=5, per_frame=3):
    """Objects of two kinds, one on the left, one on the right; in frames of `stranger` a third kind."""
    rng = np.random.default_rng(seed)
    for t in range(n_frames):
        places = np.r_[np.full(per_frame, 4), np.full(per_frame, 5)]
        features = np.abs(rng.normal(0, 0.05, (2 * per_frame, C)))
        features[places == 4, 0] += 1
        features[places == 5, 1] += 1
        if t in stranger:
            places, features = np.r_[places, place], np.r_[features, np.eye(C)[7:8]]
        yield Objects(features / np.linalg.norm(features, axis=1, keepdims=True), places)


def test_boxes_are_the_large_parts_a_tenth_wider():
    mask = np.zeros((H, W), bool)
    mask[50:80, 100:120] = True  # 30 x 20
    mask[50:60, 200:214] = True  # 140 px: too small
    mask[220:240, 0:10] = True
    np.testing.assert_allclose(object_boxes(mask), [[98, 47, 122, 83], [0, 218, 11, 240]])
    assert object_boxes(np.zeros((H, W), bool)).shape == (0, 4)
    half = mask[::2, ::2]
    np.testing.assert_allclose(2 * object_boxes(half), object_boxes(mask))


def test_objects_have_the_maximum_of_the_entries_that_they_touch():
    feature_map = np.random.default_rng(0).random((14, 14, C))
    boxes = np.array([[100.0, 60, 140, 90], [359.5, 239.5, 360, 240], [0, 0, 360, 240]])
    found = objects_of(feature_map, boxes, (H, W))
    # 360 / 14 = 25.7 px and 240 / 14 = 17.1 px an entry
    for feature, entries in zip(
        found.features, (np.s_[3:6, 3:6], np.s_[13:14, 13:14], np.s_[:, :]), strict=True
    ):
        expected = feature_map[entries].max(axis=(0, 1))
        np.testing.assert_allclose(feature, expected / np.linalg.norm(expected), rtol=1e-6)
    np.testing.assert_array_equal(found.places, [0 * 4 + 1, 2 * 4 + 3, 1 * 4 + 2])
    assert objects_of(feature_map, np.zeros((0, 4)), (H, W)).features.shape == (0, C)


def test_nearest_is_the_mean_distance_to_ten():
    x, y = np.random.default_rng(1).random((2, 40, 5))
    distances = np.sort(np.linalg.norm(y[:, None] - x, axis=2), axis=1)[:, :10].mean(axis=1)
    np.testing.assert_allclose(hinami.nearest_detector(x)(y), distances)
    assert hinami.nearest_detector(x[:3])(y).shape == (40,)


def test_density_is_scikit_learns_up_to_a_constant():
    x, y = np.random.default_rng(2).random((2, 40, 5))
    distances = np.linalg.norm(x[:, None] - x, axis=2)
    bandwidth = np.median(distances[np.triu_indices(40, 1)])
    difference = hinami.density_detector(x)(y) + KernelDensity(bandwidth=bandwidth).fit(x).score_samples(y)
    np.testing.assert_allclose(difference, difference[0], rtol=1e-6)
    assert np.isfinite(hinami.density_detector(np.ones((3, 5)))(y)).all()


@pytest.mark.parametrize("detector", hinami.DETECTORS)
def test_a_stranger_is_found_at_its_place(detector):
    model = PlaceDetectors.fit([objects(60, seed) for seed in range(2)], detector)
    maps = np.stack(list(model.maps(objects(20, 9, stranger=range(8, 12)))))
    assert maps.shape == (20, 3, 4)
    scores = maps.max(axis=(1, 2))
    assert scores[8:12].min() > np.delete(scores, np.s_[8:12]).max()
    assert (maps[8:12].reshape(4, 12).argmax(axis=1) == 5).all()
    assert (maps[:, 0, 0] == model.empty).all()


def test_what_is_usual_elsewhere_is_unusual_here_unless_the_place_saw_little():
    left = next(objects(1))
    moved = Objects(left.features[:3], np.full(3, 5))
    model = PlaceDetectors.fit([objects(60)])
    (here,), (there,) = model.maps([Objects(moved.features, np.full(3, 4))]), model.maps([moved])
    assert there.max() > 5 * here.max()
    little = PlaceDetectors.fit([objects(20)])
    (here,), (there,) = little.maps([Objects(moved.features, np.full(3, 4))]), little.maps([moved])
    assert there.max() == pytest.approx(here.max())


def test_refuses_no_objects_and_other_detectors():
    with pytest.raises(ValueError, match="two objects"):
        PlaceDetectors.fit([[Objects(np.zeros((0, C)), np.zeros(0, int))]])
    with pytest.raises(ValueError, match="forest"):
        PlaceDetectors.fit([objects(3)], "forest")
