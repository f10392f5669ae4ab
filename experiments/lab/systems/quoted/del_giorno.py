"""Del Giorno et al.: frames told from those before them (`models.quoted.del_giorno`). Nothing is trained."""

from collections.abc import Iterator

import numpy as np

from data_prep.cuboids import cell_cuboids
from experiments.lab.settings.schema import Settings
from experiments.lab.systems.quoted.sources import Frames
from experiments.lab.systems.quoted.tasks import WHOLE_CLIP, Method, Stream, map_task
from experiments.lab.training.task import Task
from models.quoted.cell_maps import frame_scores
from models.quoted.del_giorno import change_maps


def task(source: Frames, settings: Settings, seed: int) -> Task:
    """Return the task of the system: one number a frame, the mean over its map, or the maximum."""
    how = settings.quoted.del_giorno_frame

    def maps(fitted: None, stream: Stream) -> Iterator[np.ndarray]:
        moments = ((moment.features, moment.rows, moment.columns) for moment in cell_cuboids(stream))
        return (frame_scores(cells[None], how) for cells in change_maps(moments, seed))

    method = Method(None, maps, None, {"del_giorno_frame": how}, WHOLE_CLIP)
    return map_task("Del et al.", source, method, seed)
