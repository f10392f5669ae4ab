"""Unmasking on motion, and on appearance (`models.quoted.unmasking`). Nothing is trained."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from data_prep.cuboids import moving_gradients
from data_prep.frames import resize
from data_prep.network_features import feature_function
from experiments.lab.settings.schema import Settings
from experiments.lab.systems.quoted.sources import Frames
from experiments.lab.systems.quoted.tasks import WHOLE_CLIP, Method, Stream, map_task
from experiments.lab.training.task import Task
from models.quoted.unmasking import LEAST_MOTION, gradient_bins, map_bins, unmasking_scores


def motion_task(source: Frames, settings: Settings, seed: int) -> Task:
    """Return the task on gradients."""

    def bins(frames: Stream) -> Iterator[np.ndarray]:
        return map(gradient_bins, moving_gradients(frames, LEAST_MOTION))

    return map_task("Unmasking", source, method(bins, settings), seed)


def appearance_task(source: Frames, settings: Settings, seed: int) -> Task:
    """Return the task on the last map of the backbone."""
    network = feature_function(source.backbone, pooling="none")
    shape = source.backbone.model.output.shape[1:]

    def bins(frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        for frame in frames:
            yield map_bins(network(resize(frame, source.backbone.input_size_px)[None])[0].reshape(shape))

    return map_task("Unmasking (appearance)", source, method(bins, settings), seed)


def method(bins: Callable[[Stream], Iterator[np.ndarray]], settings: Settings) -> Method:
    """Return what unmasking says of a clip's bins: one number a frame."""
    regularization = settings.quoted.unmasking_regularization

    def maps(fitted: None, stream: Stream) -> Iterator[np.ndarray]:
        return iter(unmasking_scores(bins(stream), regularization))

    return Method(None, maps, None, {"unmasking_regularization": regularization}, WHOLE_CLIP)
