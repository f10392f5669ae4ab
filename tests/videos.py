"""A small video of a yard, and what reads the tables that come of it."""

import csv

import cv2
import imageio.v3 as iio
import numpy as np

N_FRAMES, RATE = 60, 10
HEIGHT, WIDTH = 96, 128


def pictures(n=N_FRAMES, height=HEIGHT, width=WIDTH):
    """A blurred background on which a square walks; from frame 40 on a large, noisy one jumps about."""
    rng = np.random.default_rng(0)
    background = cv2.GaussianBlur(rng.uniform(0, 255, (height, width, 3)), (0, 0), 3)
    for t in range(n):
        frame = background.astype(np.uint8)
        frame[height // 3 : height // 2, (3 * t) % width :][:, : width // 8] = (200, 60, 60)
        if t % N_FRAMES >= 40:
            top, left = rng.integers(0, (height // 2, width // 2))
            patch = frame[top : top + height // 2, left : left + width // 2]
            blocks = rng.integers(0, 2, (height // 16, width // 16, 3)) * 255
            patch[:] = blocks.repeat(8, axis=0).repeat(8, axis=1)
        yield frame


def write_video(path, frames, codec="mpeg4", **options):
    iio.imwrite(path, np.stack(list(frames)), plugin="pyav", codec=codec, fps=RATE, **options)
    return path


def lines_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))
