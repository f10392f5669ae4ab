"""A small video of three textured squares that walk over a still background, and its flow windows."""

import cv2
import numpy as np

from data_prep.flow_windows.options import FlowWindowOptions
from data_prep.flow_windows.place import Place
from data_prep.flow_windows.speed_unit import SpeedUnit

ONE_UNIT = SpeedUnit(1.0, 1.0, "a test")
SINGLE = FlowWindowOptions(flow_frames=1, row_frames=1)  # nothing averaged over frames


def texture(height, width, seed):
    noise = np.random.default_rng(seed).uniform(0, 255, (height, width, 3)).astype(np.float32)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2), None, 0, 255, cv2.NORM_MINMAX)


def walkers(n_frames=12, speed=1.0, scale=1.0, direction=1, start=0, step=1, height=240, width=360):
    """Frames of three textured squares, lower ones larger and faster, that walk over a still background."""
    background = cv2.resize(texture(height, width, 0), None, fx=scale, fy=scale)
    people = [(40, 100, 24, 0.8), (90, 60, 36, 1.2), (150, 180, 60, 2.0)]  # top, left, side, speed
    for t in range(start, start + n_frames * step, step):
        frame = background.copy()
        for number, (top, left, side, own_speed) in enumerate(people, start=1):
            x = left + direction * own_speed * speed * t
            person = cv2.resize(texture(side, side, number), None, fx=scale, fy=scale)
            shift = np.float32([[1, 0, x * scale], [0, 1, top * scale]])
            size = frame.shape[1::-1]
            moved = cv2.warpAffine(person, shift, size)
            share = cv2.warpAffine(np.ones_like(person), shift, size)
            frame = frame * (1 - share) + moved
        yield frame.clip(0, 255).astype(np.uint8)


def rows_of(frames, unit=ONE_UNIT, options=SINGLE, factor=1.0):
    return np.stack(list(Place(options, unit, factor).rows(frames)))


def write_clip(folder, frames):
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames, start=1):
        cv2.imwrite(str(folder / f"{number:03d}.png"), frame)
    return folder
