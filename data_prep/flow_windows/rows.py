"""From frames to the rows of features of their windows, frame after frame: the live form and the batch form.

A window's row has 40 channels. A pixel of the (averaged) flow f counts with the weight

    w = clip((|f| - REST_PX) / REST_PX, 0, 1),

so that rest counts for nothing. Its speed r = |f| / unit is shared linearly, in log r, between the two bins
whose centres c_0 .. c_7 lie around it; channel k has all bins from k up, accumulated from the fast end:

    w for k = 0,   w clip((log r - log c_{k-1}) / (log c_k - log c_{k-1}), 0, 1) for k = 1 .. 7.

"Faster than anything seen" is then a direction of its own, which a small dictionary cannot rebuild. Eight
such channels tell speed alone. For each of four directions (right, down, left, up) eight more have each pixel
times the share of that direction in |f|^2, and the direction weight. A row is the mean over the window's
pixels, then over frames, times one factor that makes the mean squared length of active normal rows 1. A
window is active where its mean weight is above ACTIVE; the rows of others are zeros.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from functools import lru_cache, partial
from itertools import chain, pairwise

import cv2
import numpy as np

from data_prep.flow_windows.options import N_DIRECTIONS, N_SPEEDS, SPEED_CENTRES, FlowWindowOptions
from data_prep.flow_windows.speed_unit import SpeedUnit
from data_prep.flow_windows.windows import Windows
from data_prep.read_ahead import Map

REST_PX = 0.2  # a frame, at the size that flow is computed on
ACTIVE = 0.15
HALF = 2  # flow is averaged over squares of so many px
_LOG_CENTRES = np.log(SPEED_CENTRES).astype(np.float32)[:, None]


def clip_flows(
    frames: Iterable[np.ndarray], options: FlowWindowOptions, each: Map = map
) -> Iterator[np.ndarray]:
    """Yield the flow that leads to each frame of a clip: float32 (h / 2, w / 2, 2), (u, v) in px of (h, w).

    Frames are uint8 (H, W, 3) RGB, at least one. The first takes the flow of the second; a single one, zeros.
    """
    return each(halved_flow, pairs_of(gray_frame(frame, options) for frame in frames))


def gray_frame(frame: np.ndarray, options: FlowWindowOptions) -> np.ndarray:
    """Return a frame, uint8 (H, W, 3) RGB, gray and of the size that flow is computed on, (h, w)."""
    size = options.picture_size(*frame.shape[:2])
    shrinks = size[0] <= frame.shape[1]
    gray = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    return cv2.resize(gray, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def pairs_of(grays: Iterator[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (before, frame) of each frame; the first has what the second has, or itself."""
    first = next(grays)
    second = next(grays, None)
    if second is None:
        yield first, first
        return
    yield first, second
    yield from pairwise(chain((first, second), grays))


def halved_flow(pair: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Return the flow between two gray frames, uint8 (h, w), averaged over squares of 2 x 2 px."""
    # One object a call: it keeps buffers of its own, which threads must not share.
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(*pair, None)
    height, width = pair[0].shape
    return cv2.resize(flow, (width // HALF, height // HALF), interpolation=cv2.INTER_AREA)


def window_rows(
    flows: Iterable[np.ndarray], unit: SpeedUnit, options: FlowWindowOptions, factor: float, each: Map = map
) -> Iterator[np.ndarray]:
    """Yield the rows of every frame, float32 (R, 40), from what `clip_flows` yields of a clip.

    They come `options.delay_frames` later than the flows.
    """
    flows = running_mean(flows, options.flow_frames, options.alignment)
    single = each(partial(_rows, unit=unit, options=options), flows)
    for rows in running_mean(single, options.row_frames, options.alignment):
        yield np.where(rows[:, :1] > ACTIVE, rows * np.float32(factor), np.float32(0))


def _rows(flow: np.ndarray, unit: SpeedUnit, options: FlowWindowOptions) -> np.ndarray:
    """Return the rows of one flow as they are before averaging, float32 (R, 40)."""
    windows = windows_for(flow.shape[0], flow.shape[1], unit, options)
    moving, channels = pixel_channels(flow, unit(len(flow)))
    directed = (windows.means[:, moving] @ channels).reshape(-1, N_DIRECTIONS, N_SPEEDS)
    weighted = np.float32(options.direction_weight) * directed
    return np.concatenate([directed.sum(axis=1), weighted.reshape(len(directed), -1)], axis=1)


def pixel_channels(flow: np.ndarray, unit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return which pixels of a flow (h, w, 2) move, (n,), and their channels, float32 (n, 4 * 8).

    Channels: the eight speeds of the first direction, then those of the next; see the module.
    """
    u, v = flow.reshape(-1, 2).T
    square = u * u + v * v
    moving = np.flatnonzero(square > REST_PX**2)
    u, v, square = u[moving], v[moving], square[moving]
    speed = np.sqrt(square)
    weight = np.minimum((speed - REST_PX) / REST_PX, 1)
    steps = (np.log(speed / unit[moving // flow.shape[1]]) - _LOG_CENTRES[:-1]) / np.diff(
        _LOG_CENTRES, axis=0
    )
    faster = np.concatenate([np.ones((1, len(moving)), np.float32), steps.clip(0, 1)])
    along = np.stack([u.clip(min=0), v.clip(min=0), u.clip(max=0), v.clip(max=0)])
    direction = np.square(along) * (weight / square)
    return moving, (direction[:, None] * faster).reshape(N_DIRECTIONS * N_SPEEDS, len(moving)).T


@lru_cache(maxsize=8)
def windows_for(height: int, width: int, unit: SpeedUnit, options: FlowWindowOptions) -> Windows:
    """Return the windows over a halved flow (height, width)."""
    usual = unit(height)
    sides = np.maximum(options.least_window_px, options.window_px * usual / usual.mean()) / HALF
    return Windows.over(sides, width)


def window_boxes(frame_shape: tuple[int, int], unit: SpeedUnit, options: FlowWindowOptions) -> np.ndarray:
    """Return left, top, right, bottom of each window in px of frames (H, W), float32 (R, 4)."""
    height, width = frame_shape
    flow_width, flow_height = (side // HALF for side in options.picture_size(height, width))
    boxes = windows_for(flow_height, flow_width, unit, options).boxes
    return boxes * np.array([width / flow_width, height / flow_height] * 2, np.float32)


def running_mean(items: Iterable[np.ndarray], n_frames: int, alignment: str) -> Iterator[np.ndarray]:
    """Yield for every item the mean of it and its neighbours, `n_frames` together, fewer at a clip's ends.

    "causal": it and those before it; "centered": as many before as after it, so that it comes out later.
    """
    later = n_frames // 2 if alignment == "centered" else 0
    kept: deque[np.ndarray] = deque(maxlen=n_frames)
    n_items = 0
    for item in items:
        kept.append(item)
        n_items += 1
        if n_items > later:
            yield sum(kept) / np.float32(len(kept))
    for n_left in reversed(range(min(later, n_items))):
        while len(kept) > n_frames - later + n_left:
            kept.popleft()
        yield sum(kept) / np.float32(len(kept))
