"""Reddy et al.: features against counting, densities against SciPy, the sweep against sweeping by hand."""

import itertools

import numpy as np
import pytest
from scipy import stats

from models.quoted import reddy
from models.quoted.cell_maps import CellGrid
from models.quoted.reddy import CellFeatures, CellModels

ROWS, COLUMNS = 3, 4


def textured(n_frames, speed, size=(48, 64), seed=0):
    """A patch of noise that moves to the right over a flat background, and where it is."""
    rng = np.random.default_rng(seed)
    patch = rng.integers(0, 255, (20, 20)).astype(np.float32)
    patch = (patch + np.roll(patch, 1, 0) + np.roll(patch, 1, 1)) / 3
    frames = np.full((n_frames, *size), 100, np.uint8)
    masks = np.zeros((n_frames, *size), bool)
    for t in range(n_frames):
        place = (t, slice(14, 34), slice(8 + speed * t, 28 + speed * t))
        frames[place], masks[place] = patch, True
    return list(zip(frames, masks, strict=True))


def features(speed=0.0, size=0.0, texture=(1, 2, 3, 5)):
    """One frame whose cells all show the same."""
    grid = np.ones((ROWS, COLUMNS))
    return CellFeatures(speed * grid, size * grid, grid[..., None] * texture)


def test_sizes_are_counts_smoothed_over_cells():
    (_, mask), *_ = textured(1, 0)
    grid = CellGrid.of_cells(16, mask.shape)
    counts = np.pad(
        [[mask[16 * r : 16 * r + 16, 16 * c : 16 * c + 16].sum() for c in range(4)] for r in range(3)], 1
    )
    kernel = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16
    expected = [[(counts[r : r + 3, c : c + 3] * kernel).sum() for c in range(4)] for r in range(3)]
    np.testing.assert_allclose(reddy.cell_sizes(mask, grid), expected)


@pytest.mark.parametrize("speed", [1, 2])
def test_speed_is_the_movement_of_three_frames(speed):
    frame = list(reddy.cell_features(textured(5, speed)))[2]
    cell = (1, 1)  # the patch covers it throughout
    assert abs(frame.speed[cell] - 3 * speed) < 0.3
    assert frame.speed[0, 3] == 0


def test_features_of_partial_cells_and_single_frames():
    (frame,) = reddy.cell_features(textured(1, 0, (40, 50)))
    assert frame.texture.shape == (3, 4, 4)
    assert (frame.speed == 0).all()
    assert list(reddy.cell_features([])) == []


def test_gabor_is_the_formula():
    omega, kappa = 2 * np.pi / 3, np.pi
    for angle, turned in ((0, (1, 0)), (90, (0, 1))):
        kernel = reddy.gabor(angle)
        assert kernel.shape == (9, 9)
        for x, y in itertools.product(range(-4, 5), repeat=2):
            along = x * turned[0] + y * turned[1]
            across2 = x * x + y * y - along**2
            expected = omega / np.sqrt(2 * np.pi) / kappa
            expected *= np.exp(-(omega**2) / (8 * kappa**2) * (4 * along**2 + across2))
            expected *= np.cos(omega * along) - np.exp(-(kappa**2) / 2)
            expected = expected if x * x + y * y <= 16 else 0
            np.testing.assert_allclose(kernel[y + 4, x + 4], expected, atol=1e-12)
    np.testing.assert_allclose(reddy.gabor(45), np.fliplr(reddy.gabor(135)), atol=1e-12)


def test_texture_sees_the_direction_of_stripes():
    x = np.arange(64)
    vertical = np.broadcast_to(127 + 100 * np.cos(2 * np.pi * x / 3), (48, 64)).astype(np.uint8)
    sums = reddy.cell_textures(vertical, CellGrid.of_cells(16, vertical.shape))[1, 1]
    assert sums.argmax() == 0
    assert sums[0] > 5 * sums[2]


def test_density_is_a_kernel_estimate_on_the_grid():
    rng = np.random.default_rng(1)
    samples = rng.uniform(1, 6, 40)
    model = CellModels.fit([[features(speed=s) for s in samples]])
    expected = sum(stats.norm.pdf(reddy.SPEEDS, s, reddy.SPEED_BANDWIDTH) for s in samples)
    np.testing.assert_allclose(model.speed[1, 2], expected / expected.sum(), atol=1e-12)
    at = 3.3  # between the points 3.0 and 3.5
    p = model.densities(features(speed=at))
    np.testing.assert_allclose(p, (model.speed[0, 0, 6] + model.speed[0, 0, 7]) / 2)


def test_what_is_not_tested_and_what_is_beyond_the_grid():
    model = CellModels.fit([[features(speed=2, size=100)] * 5])
    assert (model.densities(features(speed=0.4, size=5)) == 1).all()
    assert (model.densities(features(speed=40)) == 0).all()
    (cells,) = model.maps([features(speed=40)])
    np.testing.assert_allclose(cells, -np.log(reddy.LEAST_DENSITY))


def test_the_last_point_of_the_grid_is_on_it():
    """A cell that is all foreground, as it was in training."""
    model = CellModels.fit([[features(size=256)] * 5])
    p = model.densities(features(size=256, texture=(2, -3, 1, 0)))  # of no known texture
    np.testing.assert_allclose(p, (model.size[0, 0, -2] + model.size[0, 0, -1]) / 2)
    assert (p > 0).all()


def test_a_known_texture_excuses_a_size_but_no_speed():
    model = CellModels.fit([[features(speed=2, size=30)] * 5])
    assert (model.densities(features(size=200)) == 1).all()
    assert (model.densities(features(size=200, texture=(2, -3, 1, 0))) < 1e-9).all()
    assert (model.densities(features(speed=9, size=30)) < 1e-9).all()


def test_variant_for_lv_needs_both():
    clips = [[features(speed=2, size=30)] * 5]
    unknown = (2, -3, 1, 0)
    either, both = CellModels.fit(clips), CellModels.fit(clips, 0.95, both=True)
    fast = features(speed=9, size=30, texture=unknown)
    assert (either.densities(fast) < 1e-9).all()
    np.testing.assert_allclose(both.densities(fast), either.densities(features(size=30, texture=unknown)))


def test_codebook_joins_what_correlates_and_keeps_the_mean():
    known = []
    first, alike, other = np.array([1.0, 2, 3, 5]), np.array([2.0, 4, 6, 11]), np.array([5.0, 1, 4, 0])
    assert abs(np.corrcoef(first, alike)[0, 1]) > 0.8 > abs(np.corrcoef(first, other)[0, 1])
    for texture in (first, alike, other):
        reddy.learn_texture(known, texture)
    assert len(known) == 2
    np.testing.assert_allclose(known[0][0], (first + alike) / 2)
    np.testing.assert_allclose(
        reddy.unit(np.stack([alike, other])) @ reddy.unit(first),
        [np.corrcoef(first, alike)[0, 1], np.corrcoef(first, other)[0, 1]],
    )
    assert not reddy.unit(np.ones((1, 4))).any()


def flags_that_stay(flags):
    """The filter as it is stated: some 3x3 slice among t-1, t, t+1 holds two flags."""
    n = len(flags)
    padded = np.pad(flags, ((0, 0), (1, 1), (1, 1)))
    stay = np.zeros_like(flags)
    for t, r, c in np.argwhere(flags):
        slices = range(max(0, t - 1), min(n, t + 2))
        stay[t, r, c] = any(padded[s, r : r + 3, c : c + 3].sum() >= 2 for s in slices)
    return stay


def test_score_is_the_sweep_of_the_threshold():
    """At every T, the frames with a flag that stays are those whose score reaches -log T."""
    rng = np.random.default_rng(2)
    p = rng.choice(np.linspace(0.001, 1, 60), (12, ROWS, COLUMNS))
    p[rng.random(p.shape) < 0.6] = 1
    model = CellModels(None, None, [])
    model.densities = lambda index: p[index]
    maps = np.stack(list(model.maps(range(len(p)))))
    thresholds = np.unique(p)[:-1]
    for T in thresholds:
        stay = flags_that_stay(p <= T)
        np.testing.assert_array_equal(maps >= -np.log(T) - 1e-12, stay)
        np.testing.assert_array_equal(maps.max(axis=(1, 2)) >= -np.log(T) - 1e-12, stay.any(axis=(1, 2)))
    assert 0 < flags_that_stay(p <= thresholds[5]).sum() < (p <= thresholds[5]).sum()


def test_planted_runner_scores_highest():
    clips = [reddy.cell_features(textured(12, 1, seed=seed)) for seed in range(4)]
    model = CellModels.fit(clips)
    normal, fast = (
        np.stack(list(model.maps(reddy.cell_features(textured(8, speed, seed=9))))).max() for speed in (1, 3)
    )
    assert fast > normal


def test_refuses_no_frames_and_frames_of_two_sizes():
    with pytest.raises(ValueError, match="got none"):
        CellModels.fit([])
    larger = CellFeatures(np.ones((5, 5)), np.ones((5, 5)), np.ones((5, 5, 4)))
    with pytest.raises(ValueError, match="one size"):
        CellModels.fit([[features(), larger]])
