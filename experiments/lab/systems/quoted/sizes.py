"""The size of frames that HOFM and Reddy et al. are meant for: that of Ped2, which their papers use.

Our inference: a frame of more pixels is shrunk to as many, its shape kept, so that a cell holds as much of a
person as there. A smaller one stays as it is, as Ped1's does in their papers.
"""

from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from experiments.lab.systems.quoted.sources import Shape
from models.quoted.cell_maps import CellGrid

USUAL_PX = 360 * 240


def shrunk_shape(frame_shape: Shape) -> tuple[int, int]:
    """Return (h, w) of what the system sees of frames (H, W[, 3])."""
    height, width = frame_shape[:2]
    scale = min(1.0, (USUAL_PX / (height * width)) ** 0.5)
    return max(1, round(height * scale)), max(1, round(width * scale))


def shrunk(frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield frames, uint8 (H, W, 3), as the system sees them, uint8 (h, w, 3)."""
    for frame in frames:
        height, width = shrunk_shape(frame.shape)
        same = (height, width) == frame.shape[:2]
        yield frame if same else cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)


def on_frame(cells: CellGrid, frame_shape: Shape) -> CellGrid:
    """Return the cells of what the system sees of a frame (H, W[, 3]) as they lie in the frame itself."""
    (height, width), (shown_height, shown_width) = frame_shape[:2], shrunk_shape(frame_shape)
    scales = height / shown_height, width / shown_width
    return CellGrid(
        cells.rows, cells.columns, cells.cell_height_px * scales[0], cells.cell_width_px * scales[1]
    )
