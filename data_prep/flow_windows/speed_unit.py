"""The unit of speed of a camera: how fast, at each height of its picture, people usually move.

What is near looks fast. Speeds in px a frame say little until they are divided by the usual speed at their
height in the picture: the 0.9 quantile of moving pixels' speeds in bands of rows of normal video, and a line
through the bands that a stray band does not bend. Where there is no such line, one unit holds for the whole
picture, and `SpeedUnit.reason` says why: too few bands in which anything moves; a view from above, whose line
is level within its error; a camera that moves, in whose picture most pixels do.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data_prep.errors import InputError

N_BANDS = 30  # over the height of the picture
MOVING_PX = 0.3  # a frame: what is slower is taken for rest
QUANTILE = 0.9
FEWEST_MOVING = 100  # pixels of a band, over all frames; a band with fewer has no say
FEWEST_BANDS = 3
ROUNDS = 6  # of reweighting
STRAY_PX = 0.15  # a band so far off the line counts half
SMALLEST_PX = 0.35  # of the unit; and a quarter of its largest value
SMALLEST_SHARE = 0.25
LEVEL = 2.0  # a slope below so many standard errors is none
MOVING_CAMERA = 0.5  # share of moving pixels in the median frame


@dataclass(frozen=True)
class SpeedUnit:
    """Usual speed in px a frame, of the picture that flow is computed on, along a line down the picture.

    Attributes:
        at_top, at_bottom: the line's value at the upper and lower edge; equal where one unit holds.
        reason: why one unit holds; empty where the unit follows the height.
    """

    at_top: float
    at_bottom: float
    reason: str = ""

    def __call__(self, n_rows: int) -> np.ndarray:
        """Return the unit at the middle of each of `n_rows` rows of pixels, float32 (n_rows,)."""
        height = (np.arange(n_rows) + 0.5) / n_rows
        line = self.at_top + (self.at_bottom - self.at_top) * height
        largest = max(self.at_top, self.at_bottom)
        return np.maximum(line, max(SMALLEST_PX, SMALLEST_SHARE * largest)).astype(np.float32)

    def __str__(self) -> str:
        """Return the unit in words."""
        if self.reason:
            return f"one unit of speed, {self.at_top:.3g} px a frame: {self.reason}"
        return f"unit of speed {self.at_top:.3g} (top) to {self.at_bottom:.3g} (bottom) px a frame"


def fit_speed_unit(flows: Sequence[np.ndarray]) -> SpeedUnit:
    """Return the unit of normal flows, float (n, h, w, 2) each, in px a frame; heights may differ.

    Raises InputError: nothing that moves, or next to nothing.
    """
    speeds, bands, shares = [], [], []
    for flow in flows:
        speed = np.linalg.norm(flow.astype(np.float32), axis=-1)
        moving = speed > MOVING_PX
        speeds.append(speed[moving])
        bands.append(np.nonzero(moving)[1] * N_BANDS // speed.shape[1])
        shares.append(moving.mean(axis=(1, 2)))
    speed, band, share = map(np.concatenate, (speeds, bands, shares))
    if len(speed) < FEWEST_MOVING:
        raise InputError(
            f"expected normal video in which something moves, got {len(speed)} pixels faster than "
            f"{MOVING_PX} px a frame in {len(share)} frames"
        )
    if np.median(share) > MOVING_CAMERA:
        return _one_unit(speed, f"the camera moves, {np.median(share):.0%} of the median frame's pixels do")
    counts = np.bincount(band, minlength=N_BANDS)
    seen = np.flatnonzero(counts >= FEWEST_MOVING)
    if len(seen) < FEWEST_BANDS:
        return _one_unit(speed, f"something moves in {len(seen)} of {N_BANDS} bands of rows alone")
    usual = np.array([np.quantile(speed[band == index], QUANTILE) for index in seen])
    height = (seen + 0.5) / N_BANDS
    top, slope, error = robust_line(height, usual, counts[seen])
    if abs(slope) <= LEVEL * error:
        return _one_unit(speed, "speed does not depend on the height in the picture, as seen from above")
    return SpeedUnit(top, top + slope)


def _one_unit(speed: np.ndarray, reason: str) -> SpeedUnit:
    """Return the unit of all moving pixels together."""
    usual = float(np.quantile(speed, QUANTILE))
    return SpeedUnit(usual, usual, reason)


def robust_line(x: np.ndarray, y: np.ndarray, counts: np.ndarray) -> tuple[float, float, float]:
    """Return (intercept, slope, standard error of the slope) of the line through points of `counts` votes.

    Weighted least squares, the weights sqrt(count / (1 + (residual / STRAY_PX)^2)) of the round before.
    """
    line = np.stack([np.ones_like(x), x], axis=1)
    weights = np.sqrt(counts)
    for _ in range(ROUNDS):
        weighted = line * weights[:, None]
        solution = np.linalg.lstsq(weighted, y * weights)[0]
        residual = y - line @ solution
        variance = np.sum(np.square(weights * residual)) / max(1, len(x) - 2)
        weights = np.sqrt(counts / (1 + np.square(residual / STRAY_PX)))
    error = np.sqrt(variance * np.linalg.pinv(weighted.T @ weighted)[1, 1])
    return float(solution[0]), float(solution[1]), float(error)
