"""Hinami-style: objects in front on an ImageNet network (`models.quoted.hinami`)."""

from collections.abc import Iterator
from itertools import tee

import numpy as np

from data_prep.foreground import foreground
from data_prep.frames import resize
from data_prep.network_features import feature_function
from experiments.lab.settings.schema import Settings
from experiments.lab.systems.quoted.sources import Frames
from experiments.lab.systems.quoted.tasks import Clips, Method, Stream, map_task
from experiments.lab.training.task import Task
from models.quoted.cell_maps import CellGrid
from models.quoted.hinami import PLACES, Objects, PlaceDetectors, object_boxes, objects_of


def task(source: Frames, settings: Settings, seed: int) -> Task:
    """Return the task of the system, which looks at no later frame.

    The network takes every `hinami_step_frames`-th frame; the frames until the next have its map.
    """
    own = settings.quoted
    step = own.hinami_step_frames
    network = feature_function(source.backbone, pooling="none")
    shape = source.backbone.model.output.shape[1:]

    def objects(frames: Stream) -> Iterator[Objects]:
        """Yield the objects of every step-th frame."""
        shown, for_masks = tee(frames)
        for index, (frame, (_, mask)) in enumerate(zip(shown, foreground(for_masks), strict=True)):
            if index % step == 0:
                boxes = object_boxes(mask)
                taken = resize(frame, source.backbone.input_size_px)[None]
                feature_map = network(taken)[0].reshape(shape) if len(boxes) else np.zeros((1, 1, shape[-1]))
                yield objects_of(feature_map, boxes, mask.shape)

    def fit(clips: Clips) -> PlaceDetectors:
        return PlaceDetectors.fit(map(objects, clips()), own.hinami_detector, seed)

    def maps(model: PlaceDetectors, frames: Stream) -> Iterator[np.ndarray]:
        counted, rest = tee(frames)
        cells_of_steps = model.maps(objects(rest))
        for index, _ in enumerate(counted):
            if index % step == 0:
                cells = next(cells_of_steps)
            yield cells

    settings_of_run = {"hinami_detector": own.hinami_detector, "hinami_step_frames": step}
    grid = CellGrid.dividing(*PLACES, source.frame_shape)
    return map_task("Hinami-style", source, Method(fit, maps, grid, settings_of_run, ahead_frames=0), seed)
