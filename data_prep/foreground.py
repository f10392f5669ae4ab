"""What moves in front of a background that is learned as the frames come.

A mixture of Gaussians for each pixel (Zivkovic 2004; OpenCV's MOG2 and its defaults), without shadows. Every
clip starts anew, with its first frame as the background: people who stand in it leave a ghost for a while.
A clip is read once, as it comes, and no later frame is looked at.
"""

from collections.abc import Iterable, Iterator

import cv2
import numpy as np


def foreground(frames: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (gray, mask) of each frame of a clip: uint8 (H, W), and bool (H, W), True where it moves.

    Args:
        frames: uint8 (H, W, 3) RGB, in order.
    """
    background = cv2.createBackgroundSubtractorMOG2(detectShadows=False)
    for index, frame in enumerate(frames):
        gray = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        if index == 0:
            background.apply(gray, learningRate=1)
        yield gray, background.apply(gray) > 0
