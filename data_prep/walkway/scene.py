"""The walkway and who moves on it: frames and anomaly masks of one clip.

Drawing is done SUPERSAMPLE times larger and shrunk, which smooths the edges. Figures are drawn in body
coordinates: x forward, y up, origin on the ground, unit = the height of a person.
"""

from dataclasses import dataclass, replace
from math import pi, sin

import cv2
import numpy as np

from data_prep.walkway.figures import (
    FIGURES,
    HALF_LENGTH,
    HEIGHT_PX,
    SUPERSAMPLE,
    WIDTH_PX,
    Mover,
    Pen,
)

VERSION = 1  # raise it when the same settings come to give other pictures
MIN_VISIBLE_PX = 12
MIN_CLIP_FRAMES = 20
ANOMALIES = ("cyclist", "cart", "runner")

_N_ON_SCREEN = 5.0  # people walking at a time, on average
_NEAREST_Y_PX, _FARTHEST_Y_PX = 146, 74  # where feet may be
_MAX_ABNORMAL_SHARE = 0.5  # of a test clip, so that both kinds of frames are seen
_NOISE_LEVELS, _DRIFT_SHARE = 2.0, 0.03
_SHADOW_LEVEL = 165  # of 255: what is left of the light

# top_px, color, grain in gray levels: wall, hedge, lawn, walkway, lawn
_BANDS = (
    (0, (134, 112, 98), 5.0),
    (22, (62, 84, 50), 18.0),
    (38, (104, 128, 74), 9.0),
    (50, (172, 166, 156), 6.0),
    (152, (104, 128, 74), 9.0),
)

# Body heights a frame.
_SPEED = {"walker": (0.065, 0.10), "runner": (0.20, 0.24), "cyclist": (0.20, 0.25), "cart": (0.12, 0.15)}

_SHIRTS = (
    (178, 58, 52),
    (52, 86, 148),
    (226, 222, 212),
    (70, 112, 78),
    (58, 58, 64),
    (206, 164, 74),
    (122, 92, 136),
)
_TROUSERS = ((42, 46, 62), (72, 88, 122), (92, 82, 70), (30, 30, 32), (128, 122, 108))
_SKINS = ((224, 182, 150), (192, 142, 106), (126, 86, 62))
_HAIRS = ((38, 28, 22), (84, 58, 36), (150, 118, 70), (120, 118, 116))


@dataclass(frozen=True)
class Rendering:
    """What determines every byte of the dataset; stored as `walkway.json`."""

    seed: int
    n_train_clips: int
    n_test_clips: int
    clip_frames: int
    version: int = VERSION


def render_clip(settings: Rendering, split: str, clip: int) -> tuple[np.ndarray, np.ndarray]:
    """Return one clip: frames uint8 (n, H, W, 3) RGB, and anomaly masks bool (n, H, W).

    `split` is `train` or `test`, `clip` counts from 0. A clip does not depend on how many others there are.
    """
    background = _draw_background(np.random.default_rng(settings.seed))
    rng = np.random.default_rng([settings.seed, ("train", "test").index(split), clip])
    movers = _draw_walkers(rng, settings.clip_frames)
    if split == "test":
        movers.append(_draw_anomaly(rng, ANOMALIES[clip % len(ANOMALIES)], settings.clip_frames))
    movers.sort(key=lambda mover: mover.feet_y_px)  # the nearest is painted last
    drift_phase, drift_period = rng.uniform(0, 2 * pi), rng.uniform(60, 160)
    frames, masks = [], []
    for frame in range(settings.clip_frames):
        picture, mask = _render_frame(background, movers, frame)
        gain = 1 + _DRIFT_SHARE * sin(2 * pi * frame / drift_period + drift_phase)
        noise = rng.standard_normal((HEIGHT_PX, WIDTH_PX, 1), np.float32) * np.float32(_NOISE_LEVELS)
        frames.append(np.clip(np.rint(picture * np.float32(gain) + noise), 0, 255).astype(np.uint8))
        masks.append(mask)
    return np.stack(frames), np.stack(masks)


def _render_frame(background: np.ndarray, movers: list[Mover], frame: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a noise-free picture uint8 (H, W, 3) and its anomaly mask bool (H, W)."""
    present = [mover for mover in movers if abs(mover.x_px(frame) - WIDTH_PX / 2) < mover.reach_px]
    light = np.full(background.shape, 255, np.uint8)
    for mover in present:
        center = (round(mover.x_px(frame) * SUPERSAMPLE), round(mover.feet_y_px * SUPERSAMPLE))
        half_length = HALF_LENGTH[mover.kind] * mover.unit_px * SUPERSAMPLE
        axes = (round(half_length * 0.8), round(mover.unit_px * SUPERSAMPLE * 0.06))
        cv2.ellipse(light, center, axes, 0, 0, 360, (_SHADOW_LEVEL,) * 3, -1, cv2.LINE_AA)
    canvas = cv2.multiply(background, light, scale=1 / 255)
    mask = np.zeros(background.shape[:2], np.uint8)
    for mover in present:
        FIGURES[mover.kind](Pen(canvas, mask, mover, frame), mover, frame)
    size = (WIDTH_PX, HEIGHT_PX)
    visible = cv2.resize(mask, size, interpolation=cv2.INTER_AREA) > 127
    if visible.sum() < MIN_VISIBLE_PX:
        visible[:] = False
    return cv2.resize(canvas, size, interpolation=cv2.INTER_AREA), visible


def _draw_walkers(rng: np.random.Generator, clip_frames: int) -> list[Mover]:
    """Return the walkers of a clip: some are in the picture at its start, some come later."""
    crossing_frames = 100
    n_walkers = max(2, rng.poisson(_N_ON_SCREEN * (clip_frames + crossing_frames) / crossing_frames))
    span = (-crossing_frames / 2, clip_frames + crossing_frames / 2)
    return [_draw_mover(rng, "walker", rng.uniform(*span)) for _ in range(n_walkers)]


def _draw_anomaly(rng: np.random.Generator, kind: str, clip_frames: int) -> Mover:
    """Return an anomaly that is outside at the clip's first and last frame, faster if the clip is short."""
    mover = _draw_mover(rng, kind, 0.0)
    speed_px = max(abs(mover.speed_px), 2 * mover.reach_px / (_MAX_ABNORMAL_SHARE * clip_frames))
    half_crossing_frames = mover.reach_px / speed_px
    middle_frame = rng.uniform(half_crossing_frames + 1, clip_frames - 2 - half_crossing_frames)
    return replace(mover, speed_px=float(np.copysign(speed_px, mover.speed_px)), middle_frame=middle_frame)


def _draw_mover(rng: np.random.Generator, kind: str, middle_frame: float) -> Mover:
    """Return a mover of random place, size, speed, direction and clothes."""
    feet_y_px = rng.uniform(_FARTHEST_Y_PX, _NEAREST_Y_PX)
    nearness = (feet_y_px - _FARTHEST_Y_PX) / (_NEAREST_Y_PX - _FARTHEST_Y_PX)
    unit_px = (26 + 18 * nearness) * rng.uniform(0.92, 1.08)
    return Mover(
        kind=kind,
        feet_y_px=feet_y_px,
        unit_px=unit_px,
        speed_px=unit_px * rng.uniform(*_SPEED[kind]) * rng.choice([-1, 1]),
        middle_frame=middle_frame,
        phase=rng.uniform(0, 2 * pi),
        shirt=_SHIRTS[rng.integers(len(_SHIRTS))],
        trousers=_TROUSERS[rng.integers(len(_TROUSERS))],
        skin=_SKINS[rng.integers(len(_SKINS))],
        hair=_HAIRS[rng.integers(len(_HAIRS))],
        has_backpack=bool(rng.random() < 0.3),
    )


def _draw_background(rng: np.random.Generator) -> np.ndarray:
    """Return the empty scene, SUPERSAMPLE times larger, uint8 (h, w, 3) RGB."""
    height, width = HEIGHT_PX * SUPERSAMPLE, WIDTH_PX * SUPERSAMPLE
    scene = np.empty((height, width, 3), np.float32)
    for top_px, color, grain_levels in _BANDS:
        band = scene[top_px * SUPERSAMPLE :]
        band[:] = color
        band += _grain(rng, band.shape[:2], 2, grain_levels)
    _draw_joints(scene)
    scene += _grain(rng, (height, width), 30 * SUPERSAMPLE, 7.0)  # stains and uneven light
    for x_px in (44, 196):
        post = (
            slice(10 * SUPERSAMPLE, 52 * SUPERSAMPLE),
            slice(x_px * SUPERSAMPLE, (x_px + 2) * SUPERSAMPLE),
        )
        scene[post] = (60, 62, 66)
        cv2.circle(scene, ((x_px + 1) * SUPERSAMPLE, 9 * SUPERSAMPLE), 4 * SUPERSAMPLE, (232, 226, 200), -1)
    return np.clip(scene, 0, 255).astype(np.uint8)


def _draw_joints(scene: np.ndarray) -> None:
    """Draw the slabs' joints in place, in perspective: wider apart towards the camera."""
    top_px, bottom_px = _BANDS[3][0], _BANDS[4][0]
    color = (146, 140, 131)
    for row in range(1, 8):
        y = round((top_px + (bottom_px - top_px) * (row / 8) ** 1.4) * SUPERSAMPLE)
        cv2.line(scene, (0, y), (scene.shape[1], y), color, 2)
    for column in range(-9, 10):
        ends = [(WIDTH_PX / 2 + column * spread_px, y) for spread_px, y in ((22, top_px), (42, bottom_px))]
        start, end = [(round(x * SUPERSAMPLE), y * SUPERSAMPLE) for x, y in ends]
        cv2.line(scene, start, end, color, 2)


def _grain(rng: np.random.Generator, shape: tuple[int, int], cell: int, levels: float) -> np.ndarray:
    """Return random brightness, float32 (h, w, 1), in spots of about `cell` pixels."""
    coarse = rng.normal(0, levels, (shape[0] // cell + 2, shape[1] // cell + 2)).astype(np.float32)
    return cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC)[..., None]
