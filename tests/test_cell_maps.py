"""Cell maps: smoothing against SciPy on the whole clip, cells of pixels against counting, the reservoir."""

import numpy as np
import pytest
from scipy import ndimage

from models.quoted.cell_maps import CellGrid, around, frame_scores, smoothed
from models.quoted.reservoir import Reservoir


@pytest.mark.parametrize("n_frames", [1, 2, 4, 9])
@pytest.mark.parametrize("reduce", [ndimage.uniform_filter, ndimage.median_filter])
def test_smoothing_a_stream_is_smoothing_the_clip(n_frames, reduce):
    maps = np.random.default_rng(0).random((n_frames, 5, 7))
    found = np.stack(list(smoothed(iter(maps), (5, 3, 3), reduce)))
    np.testing.assert_allclose(found, reduce(maps, (5, 3, 3), mode="nearest"), rtol=1e-12)


def test_around_repeats_the_ends():
    assert list(around("abc", 3)) == [("a", "a", "b"), ("a", "b", "c"), ("b", "c", "c")]
    assert list(around("ab", 5)) == [("a", "a", "a", "b", "b"), ("a", "a", "b", "b", "b")]
    assert list(around("ab", 1)) == [("a",), ("b",)]
    assert list(around("", 3)) == []


def test_pixels_of_cells_of_so_many_px():
    grid = CellGrid.of_cells(16, (40, 50, 3))
    assert (grid.rows, grid.columns) == (3, 4)
    cells = np.arange(12.0).reshape(3, 4)
    expected = np.array([[cells[y // 16, x // 16] for x in range(50)] for y in range(40)])
    np.testing.assert_array_equal(grid.pixel_map(cells, (40, 50)), expected)


def test_whole_cells_alone_leave_the_border_to_the_cell_beside_it():
    grid = CellGrid.of_cells(30, (160, 240), whole=True)
    assert (grid.rows, grid.columns) == (5, 8)
    pixels = grid.cell_of_pixel((160, 240))
    assert (np.bincount(pixels.ravel())[-8:] == 30 * 40).all()
    tiny = CellGrid.of_cells(30, (20, 20), whole=True)
    assert (tiny.cell_of_pixel((20, 20)) == 0).all()


@pytest.mark.parametrize(
    "grid",
    [
        CellGrid.of_cells(16, (40, 50)),
        CellGrid.of_cells(30, (40, 50), whole=True),
        CellGrid.dividing(3, 4, (40, 50)),
    ],
)
def test_boxes_hold_the_pixels_of_their_cells(grid):
    cells, centers = grid.cell_of_pixel((40, 50)), np.stack(np.mgrid[:40, :50] + 0.5)
    for cell, (left, top, right, bottom) in enumerate(grid.boxes((40, 50))):
        y, x = centers[:, cells == cell]
        assert ((left <= x) & (x < right) & (top <= y) & (y < bottom)).all()
    assert grid.boxes((40, 50)).max(axis=0)[2:].tolist() == [50, 40]


@pytest.mark.parametrize("shape", [(240, 360), (123, 77), (12, 16), (5, 9)])
def test_grid_divides_any_frame_as_nearest_neighbours_do(shape):
    """A pixel belongs to the cell whose share of the picture its center lies in."""
    grid = CellGrid.dividing(12, 16, shape)
    cells = np.random.default_rng(1).random((12, 16))
    rows = np.floor((np.arange(shape[0]) + 0.5) * 12 / shape[0]).astype(int)
    columns = np.floor((np.arange(shape[1]) + 0.5) * 16 / shape[1]).astype(int)
    np.testing.assert_array_equal(grid.pixel_map(cells, shape), cells[np.ix_(rows, columns)])


def test_frame_scores():
    maps = np.arange(12.0).reshape(2, 2, 3)
    np.testing.assert_array_equal(frame_scores(maps), [5, 11])
    np.testing.assert_array_equal(frame_scores(maps, "mean"), [2.5, 8.5])
    with pytest.raises(ValueError, match="median"):
        frame_scores(maps, "median")


def test_reservoir_keeps_all_of_few_rows_and_so_many_of_many():
    rows = np.arange(50)
    reservoir = Reservoir(100)
    for part in np.array_split(rows, 7):
        reservoir.add(part)
    np.testing.assert_array_equal(reservoir.rows(), rows)
    reservoir = Reservoir(10)
    for part in np.array_split(rows, 7):
        reservoir.add(part)
    assert len(set(reservoir.rows())) == 10
    assert reservoir.n_seen == 50
    with pytest.raises(ValueError, match="got none"):
        Reservoir(3).rows()


def test_every_row_is_as_likely_to_stay():
    counts = np.zeros(40, int)
    for seed in range(600):
        reservoir = Reservoir(8, seed)
        for part in np.array_split(np.arange(40), 5):
            reservoir.add(part)
        counts[reservoir.rows()] += 1
    # Binomial, 600 draws of probability 1/5: standard deviation 9.8.
    assert np.abs(counts - 120).max() < 40
    assert abs(counts[:20].sum() - counts[20:].sum()) < 250


def test_memory_is_bounded():
    reservoir = Reservoir(10)
    for start in range(0, 10_000, 50):
        reservoir.add(np.arange(start, start + 50))
        assert reservoir._n_held <= 20
