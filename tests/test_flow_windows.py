"""Flow windows by their properties: what speed, size, direction and distance do to rows; live and batch."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import cv2
import numpy as np
import pytest

from data_prep.errors import InputError
from data_prep.flow_windows.options import SPEED_CENTRES, FlowWindowOptions
from data_prep.flow_windows.place import Place
from data_prep.flow_windows.rows import ACTIVE, clip_flows, running_mean, window_boxes, window_rows
from data_prep.flow_windows.speed_unit import SpeedUnit
from data_prep.flow_windows.windows import Windows
from data_prep.read_ahead import map_ahead
from tests.walkers import ONE_UNIT, SINGLE, rows_of, texture, walkers

RIGHT, DOWN, LEFT, UP = range(4)


def constant_flow(u, v, height=120, width=180):
    return np.broadcast_to(np.float32([u, v]), (height, width, 2)).copy()


def rows_of_flow(flow, unit=ONE_UNIT, options=SINGLE):
    return next(window_rows([flow], unit, options, 1.0))


def by_direction(rows, options=SINGLE):
    """Speed alone, (.., 8), and each direction, (.., 4, 8), without their weight."""
    speeds, directed = np.split(rows, [8], axis=-1)
    return speeds, directed.reshape(*rows.shape[:-1], 4, 8) / options.direction_weight


@pytest.mark.parametrize("speed_bin", range(8))
@pytest.mark.parametrize(
    ("direction", "uv"), [(RIGHT, (1, 0)), (DOWN, (0, 1)), (LEFT, (-1, 0)), (UP, (0, -1))]
)
def test_constant_flow_fills_one_bin(speed_bin, direction, uv):
    unit = SpeedUnit(2.0, 2.0, "a test")
    flow = constant_flow(*(2 * SPEED_CENTRES[speed_bin] * np.array(uv)))
    speeds, directed = by_direction(rows_of_flow(flow, unit))
    bins = speeds - np.pad(speeds[:, 1:], ((0, 0), (0, 1)))  # undo the accumulation
    expected = np.eye(8)[speed_bin]
    np.testing.assert_allclose(bins, np.broadcast_to(expected, bins.shape), atol=1e-4)
    np.testing.assert_allclose(directed[:, direction], speeds, atol=1e-4)
    assert np.abs(np.delete(directed, direction, axis=1)).max() < 1e-6


def test_a_speed_between_two_centres_is_shared_in_its_logarithm():
    speed = np.sqrt(SPEED_CENTRES[3] * SPEED_CENTRES[4])
    speeds, directed = by_direction(rows_of_flow(constant_flow(*(speed * np.sqrt([0.75, 0.25])))))
    np.testing.assert_allclose(speeds[0], [1, 1, 1, 1, 0.5, 0, 0, 0], atol=1e-5)
    np.testing.assert_allclose(directed[0, [RIGHT, DOWN, LEFT, UP], 0], [0.75, 0.25, 0, 0], atol=1e-5)


@pytest.mark.parametrize(("speed", "weight"), [(0.0, 0), (0.2, 0), (0.3, 0.5), (0.4, 1), (3.0, 1)])
def test_rest_counts_for_nothing(speed, weight):
    rows = rows_of_flow(constant_flow(speed, 0))
    np.testing.assert_allclose(rows[:, 0], weight, atol=1e-5)


def test_rows_at_rest_are_zeros():
    flow = constant_flow(0, 0)
    flow[40:80, 60:100] = 1.0
    rows = rows_of_flow(flow)
    active = rows.any(axis=1)
    assert 0 < active.sum() < len(rows) / 2
    assert rows[active, 0].min() > ACTIVE
    boxes = window_boxes((120, 180), ONE_UNIT, SINGLE)
    centres = (boxes[active, :2] + boxes[active, 2:]) / 2
    assert (np.abs(centres - (80, 60)) <= (20 + 4, 20 + 4)).all()


def test_a_mirrored_picture_permutes_directions():
    rng = np.random.default_rng(0)
    flow = cv2.GaussianBlur(rng.normal(0, 8, (120, 180, 2)).astype(np.float32), (0, 0), 4)
    mirrored = flow[:, ::-1] * np.float32([-1, 1])
    speeds, directed = by_direction(rows_of_flow(flow))
    speeds_mirrored, directed_mirrored = by_direction(rows_of_flow(mirrored))
    boxes = window_boxes((120, 180), ONE_UNIT, SINGLE)
    partner = {tuple(np.round(box, 3)): index for index, box in enumerate(boxes)}
    order = [
        partner[tuple(np.round((180 - right, top, 180 - left, bottom), 3))]
        for left, top, right, bottom in boxes
    ]
    np.testing.assert_allclose(speeds_mirrored[order], speeds, atol=1e-5)
    np.testing.assert_allclose(directed_mirrored[order], directed[:, [LEFT, DOWN, RIGHT, UP]], atol=1e-5)


def test_walkers_to_the_right_and_to_the_left():
    for direction, expected in ((1, RIGHT), (-1, LEFT)):
        _, directed = by_direction(rows_of(walkers(direction=direction, speed=1.5)))
        shares = directed[..., 0].sum(axis=(0, 1)) / directed[..., 0].sum()
        assert shares[expected] > 0.9


def test_half_the_size_gives_the_same_rows():
    large, small = (rows_of(walkers(scale=scale, speed=1.5)) for scale in (2, 1))
    assert large.shape == small.shape
    histograms = [rows.mean(axis=(0, 1)) for rows in (large, small)]
    np.testing.assert_allclose(*histograms, atol=0.06 * histograms[0].max())
    boxes = [window_boxes(shape, ONE_UNIT, SINGLE) for shape in ((480, 720), (240, 360))]
    np.testing.assert_allclose(boxes[0], 2 * boxes[1], atol=1e-3)


def test_double_speed_moves_the_mass_to_faster_bins():
    def mean_log_speed(rows):
        speeds, _ = by_direction(rows[1:])
        total = speeds.sum(axis=(0, 1))
        bins = total - np.append(total[1:], 0)
        return bins @ np.log(SPEED_CENTRES) / bins.sum()

    normal, fast = (mean_log_speed(rows_of(walkers(step=step, n_frames=8))) for step in (1, 2))
    assert fast - normal == pytest.approx(np.log(2), abs=0.2)


def test_a_person_twice_as_near_twice_as_large_and_twice_as_fast_has_the_same_row():
    """With a unit proportional to the height below the horizon, which is the upper edge here."""
    unit, options = SpeedUnit(0.0, 4.0), replace(SINGLE, least_window_px=4.0)
    rows = []
    for nearness in (1, 2):
        flow = constant_flow(0, 0)
        top, bottom, left, right = (nearness * side for side in (40, 50, 40, 46))
        flow[top:bottom, left:right] = np.float32([0.9, -0.45]) * nearness * 4 * 45 / 120
        rows.append(rows_of_flow(flow, unit, options))
    boxes = window_boxes((120, 180), unit, options)
    centres, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 3] - boxes[:, 1]
    person = [rows[0][np.abs(centres - (43, 45)).max(axis=1).argsort()[:4]].mean(axis=0)]
    person += [rows[1][np.abs(centres - (86, 90)).max(axis=1).argsort()[:4]].mean(axis=0)]
    near, far = (sides[np.abs(centres[:, 1] - y).argmin()] for y in (90, 45))
    assert near == pytest.approx(2 * far, rel=0.1)
    totals = [part[0] for part in person]
    assert min(totals) > 2 * ACTIVE
    np.testing.assert_allclose(person[0] / totals[0], person[1] / totals[1], atol=0.1)
    largest = [part[:, 0].max() for part in rows]
    assert largest[0] == pytest.approx(largest[1], rel=0.15)


@pytest.mark.parametrize("alignment", ["causal", "centered"])
def test_live_equals_batch(alignment):
    options = FlowWindowOptions(flow_frames=3, row_frames=5, alignment=alignment)
    place = Place(options, SpeedUnit(0.5, 2.0), 1.3)
    frames = list(walkers(n_frames=11))
    with ThreadPoolExecutor(3) as pool:
        batch = list(place.rows(frames, partial(map_ahead, pool, 4)))
    assert len(batch) == len(frames)
    given = []
    live = place.rows(frame for frame in frames if not given.append(frame))
    for number, expected in enumerate(batch, start=1):
        np.testing.assert_array_equal(next(live), expected)
        # The first frame takes the flow of the second.
        assert len(given) == min(len(frames), max(2, number + options.delay_frames))
    assert next(live, None) is None
    assert options.delay_frames == {"causal": 0, "centered": 3}[alignment]


@pytest.mark.parametrize("n_items", [1, 2, 3, 7])
@pytest.mark.parametrize(
    ("n_frames", "alignment"), [(1, "causal"), (5, "causal"), (4, "causal"), (1, "centered"), (5, "centered")]
)
def test_running_mean(n_items, n_frames, alignment):
    items = np.random.default_rng(0).normal(size=(n_items, 3)).astype(np.float32)
    before, after = (n_frames - 1, 0) if alignment == "causal" else (n_frames // 2,) * 2
    expected = [items[max(0, t - before) : t + after + 1].mean(axis=0) for t in range(n_items)]
    found = list(running_mean(iter(items), n_frames, alignment))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_flow_is_that_of_the_full_size_and_leads_to_its_frame():
    background = texture(240, 360, 5).astype(np.uint8)
    frames = [np.roll(background, shift, axis=(0, 1)) for shift in ((0, 0), (1, 3), (2, 6), (2, 6))]
    flows = list(clip_flows(frames, SINGLE))
    inside = np.stack(flows)[:, 20:-20, 20:-20].mean(axis=(1, 2))
    assert flows[0].shape == (120, 180, 2)
    np.testing.assert_array_equal(flows[0], flows[1])
    np.testing.assert_allclose(inside, [(3, 1), (3, 1), (3, 1), (0, 0)], atol=0.1)


def test_a_clip_of_one_frame_is_at_rest():
    assert not rows_of(itertools.islice(walkers(), 1)).any()


@pytest.mark.parametrize(
    ("height", "width"), [(240, 360), (158, 238), (576, 768), (1080, 1920), (640, 360), (37, 91)]
)
def test_any_shape_keeps_its_ratio_and_number_of_pixels(height, width):
    got_width, got_height = SINGLE.picture_size(height, width)
    assert got_width % 2 == got_height % 2 == 0
    assert got_width * got_height == pytest.approx(360 * 240, rel=0.015)
    assert got_width / got_height == pytest.approx(width / height, rel=0.015)
    boxes = window_boxes((height, width), ONE_UNIT, SINGLE)
    assert (boxes.min(axis=0)[:2] == 0).all()
    np.testing.assert_allclose(boxes.max(axis=0)[2:], (width, height), rtol=1e-5)


def test_windows_are_means_over_their_boxes():
    sides = np.linspace(5, 14, 40)
    windows = Windows.over(sides, 60)
    picture = np.random.default_rng(0).uniform(size=(40, 60))
    fine = picture.repeat(20, axis=0).repeat(20, axis=1)  # boxes to a twentieth of a px
    means = windows.means @ picture.ravel()
    for box, mean in zip(windows.boxes, means, strict=True):
        left, top, right, bottom = np.round(box * 20).astype(int)
        assert mean == pytest.approx(fine[top:bottom, left:right].mean(), abs=0.03)
    heights, rows = windows.boxes[:, 3] - windows.boxes[:, 1], windows.boxes[:, 1]
    inside = (rows > 0) & (windows.boxes[:, 3] < 40)
    assert (np.diff(heights[inside]) >= -1e-4).all()
    covered = np.asarray(windows.means.sum(axis=0))
    assert covered.min() > 0  # no pixel is left out


@pytest.mark.parametrize(
    "wrong",
    [
        {"width_px": 8},
        {"window_px": 0},
        {"direction_weight": -1},
        {"flow_frames": 0},
        {"alignment": "both"},
        {"alignment": "centered", "row_frames": 4},
        {"window_px": float("nan")},
    ],
)
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(InputError, match=list(wrong)[-1]):
        FlowWindowOptions(**wrong)
    assert FlowWindowOptions(alignment="centered").delay_frames == 4
