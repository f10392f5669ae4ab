"""Social force: flows whose force is known, and the sum of maps against NumPy."""

import numpy as np
import pytest

from models.quoted.social_force import Standardized, force_maps, forces, node_forces

SHAPE = (80, 120, 2)


def uniform(*velocities):
    return [np.broadcast_to(np.float32(velocity), SHAPE) for velocity in velocities]


def test_steady_uniform_flow_has_no_force():
    for force in forces(uniform(*[(2, 1)] * 6)):
        np.testing.assert_allclose(force, 0, atol=1e-5)


def test_uniform_acceleration_is_the_force():
    """O = a t: in the middle the average over time is O itself, and F = -a."""
    found = list(forces(uniform(*[(0.3 * t, 0.4 * t) for t in range(12)])))
    for force in found[4:8]:
        np.testing.assert_allclose(force, 0.5, rtol=1e-4)


def test_a_steady_stream_in_a_still_place_is_pulled_by_its_surroundings():
    """Nothing changes in time: |F| = |O - v| / 2, by a Gaussian average that SciPy computes."""
    from scipy.ndimage import gaussian_filter

    flow = np.zeros(SHAPE, np.float32)
    flow[30:50, 40:80] = (3, -1)
    average = np.stack([gaussian_filter(flow[..., axis], 2.5, mode="mirror") for axis in (0, 1)], axis=-1)
    expected = np.linalg.norm(flow - average, axis=-1) / 2
    for force in forces([flow] * 4):
        np.testing.assert_allclose(force, expected, atol=0.01)


def test_maps_stream_and_peak_where_the_flow_changes():
    flow = np.zeros(SHAPE, np.float32)
    flow[:30, :30] = 4
    maps = np.stack(list(force_maps(node_forces([flow] * 3 + [np.zeros(SHAPE, np.float32)] * 5, 40))))
    assert maps.shape == (8, 2, 3)
    assert np.unravel_index(maps.argmax(), maps.shape)[1:] == (0, 0)
    assert maps.max(axis=(1, 2))[3] > 2 * maps.max(axis=(1, 2))[7]
    assert list(force_maps(node_forces([]))) == []


def test_sum_of_maps_by_their_means_and_deviations():
    rng = np.random.default_rng(0)
    clips = [[(rng.normal(1e4, 2, (2, 3)), rng.normal(-1, 0.1, (2, 3))) for _ in range(9)] for _ in range(2)]
    scales = Standardized.fit(clips)
    both = np.array([frame for clip in clips for frame in clip])  # (18, 2, 2, 3)
    np.testing.assert_allclose(scales.means, both.mean(axis=(0, 2, 3)))
    np.testing.assert_allclose(scales.deviations, both.std(axis=(0, 2, 3)))
    z = (both - both.mean(axis=(0, 2, 3), keepdims=True)) / both.std(axis=(0, 2, 3), keepdims=True)
    found = np.stack(list(scales.maps([tuple(frame) for frame in both])))
    np.testing.assert_allclose(found, z.sum(axis=1), atol=1e-9)


def test_refuses_no_maps_and_constant_ones():
    with pytest.raises(ValueError, match="got none"):
        Standardized.fit([])
    with pytest.raises(ValueError, match="constant"):
        Standardized.fit([[(np.ones((2, 2)), np.zeros((2, 2)))]])
