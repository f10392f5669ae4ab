"""The unit of speed: a line that strays do not bend, and one unit where there is no line."""

import numpy as np
import pytest

from data_prep.flow_windows.speed_unit import SpeedUnit, fit_speed_unit, robust_line


def test_the_line_of_the_unit():
    x = np.linspace(0, 1, 30)
    y = 0.5 + 2 * x
    top, slope, error = robust_line(x, y, np.full(30, 100))
    assert (top, slope, error) == pytest.approx((0.5, 2, 0), abs=1e-6)
    stray = y.copy()
    stray[3:6] += 4
    straight = np.polyfit(x, stray, 1)
    top, slope, error = robust_line(x, stray, np.full(30, 100))
    assert (top, slope) == pytest.approx((0.5, 2), abs=0.05)
    assert abs(straight[0] - 2) > 0.5


def moving_flows(speed_of_height, noise=0.05, share=0.1, n_frames=10, seed=0):
    """Flows in which a share of the pixels moves with a speed that depends on its row."""
    rng = np.random.default_rng(seed)
    height = (np.arange(120) + 0.5) / 120
    flow = np.zeros((n_frames, 120, 180, 2), np.float32)
    flow[..., 0] = speed_of_height(height)[:, None] * rng.normal(1, noise, (n_frames, 120, 180))
    return flow * (rng.uniform(size=(n_frames, 120, 180, 1)) < share)


def test_the_unit_follows_the_height():
    unit = fit_speed_unit([moving_flows(lambda h: 0.5 + 3 * h)])
    assert unit.reason == ""
    assert (unit.at_top, unit.at_bottom) == pytest.approx((0.5, 3.5), rel=0.12)
    rows = unit(120)
    assert rows.shape == (120,)
    assert rows[0] == pytest.approx(3.5 / 4, rel=0.1)  # not below a quarter of the largest
    assert SpeedUnit(0.1, 0.2)(4).tolist() == pytest.approx([0.35] * 4)


@pytest.mark.parametrize(
    ("flows", "reason"),
    [
        (moving_flows(lambda h: 1 + 0 * h), "from above"),
        (moving_flows(lambda h: 1 + h, share=0.9), "the camera moves"),
        (moving_flows(lambda h: np.where(abs(h - 0.5) < 0.02, 2.0, 0)), "in 2 of 30 bands"),
    ],
)
def test_one_unit_where_there_is_none_by_height(flows, reason):
    unit = fit_speed_unit([flows])
    assert reason in unit.reason
    assert reason in str(unit)
    assert unit.at_top == unit.at_bottom == pytest.approx(np.quantile(flows[flows > 0.3], 0.9), rel=0.01)
