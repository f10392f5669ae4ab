"""After Javan Roshtkhari & Levine: small volumes around one another (`models.quoted.javan`)."""

import copy
from collections.abc import Iterator

import cv2
import numpy as np

from experiments.lab.settings.schema import Settings
from experiments.lab.systems.quoted.sources import Frames
from experiments.lab.systems.quoted.tasks import Clips, Method, Stream, map_task
from experiments.lab.training.task import Task
from models.quoted.cell_maps import CellGrid
from models.quoted.javan import CELL, STEP_PX, Ensembles


def task(source: Frames, settings: Settings, seed: int) -> Task:
    """Return the task of the system: volumes look 2 frames ahead, ensembles 4, and a map is of 2 frames."""
    update = settings.quoted.javan_update

    def grays(frames: Stream) -> Iterator[np.ndarray]:
        return (cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames)

    def fit(clips: Clips) -> Ensembles:
        return Ensembles.fit(lambda: map(grays, clips()), seed)

    def maps(model: Ensembles, frames: Stream) -> Iterator[np.ndarray]:
        # What a clip teaches is for that clip: the next one, and the training clips, begin as trained.
        return (copy.deepcopy(model) if update else model).maps(grays(frames), update)

    grid = CellGrid.of_cells(CELL * STEP_PX, source.frame_shape)
    own = {"javan_update": "within a clip" if update else False}
    method = Method(fit, maps, grid, own, ahead_frames=6)
    return map_task("after Javan et al.", source, method, seed)
