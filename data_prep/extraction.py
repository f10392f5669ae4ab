"""Extraction: the features of every clip of a dataset, one HDF5 shard per clip.

A shard that is there, whole and made as asked for, is kept, so that the same call resumes what was
interrupted. Frames are decoded and resized ahead of the network, in a thread. Paper: Sec. 3.6.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import lru_cache, partial
from itertools import takewhile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
from tqdm import tqdm

from data_prep.backbones import Backbone
from data_prep.clip_list import write_clip_list
from data_prep.datasets import Clip, Dataset
from data_prep.frames import RESIZING, Source, iter_frames, resize, source_digest
from data_prep.normalization import AS_EXTRACTED
from data_prep.pooling import PAPER_PYRAMID, region_pyramid
from data_prep.read_ahead import read_ahead, stack_batches
from data_prep.shards import ShardInfo, is_current, shard_path, write_shard

BATCH_FRAMES = 16
READ_AHEAD_BATCHES = 4


def extract_dataset(
    dataset: Dataset,
    backbone: Backbone,
    features_dir: Path,
    pooling: str = "max",
    shard: tuple[int, int] = (1, 1),
    dtype: str = "float16",
    batch_frames: int = BATCH_FRAMES,
    progress: bool = True,
    pyramid: str = PAPER_PYRAMID,
) -> Path:
    """Write the shards of a dataset that are missing, damaged or made otherwise.

    Args:
        dataset: what to extract.
        backbone: the network.
        features_dir: parent of all features.
        pooling: "max" or "mean", over each region.
        shard: (i, n): only the clips i, i + n, i + 2 n, ..., counted from 1.
        dtype: of the features as stored, "float16" or "float32".
        batch_frames: frames per call of the network.
        progress: show a progress bar with frames per second and the time left.
        pyramid: which regions, key in `pooling.PYRAMIDS`.

    Returns: the folder `<features_dir>/<dataset>/<feature key>`, which holds `<split>/<clip>.h5`.

    Raises InputError: a frame that cannot be read, a shard that cannot be written.
    """
    folder = Path(features_dir) / dataset.name / feature_key(backbone, pooling, pyramid, dtype)
    read = partial(frame_batches, input_size_px=backbone.input_size_px, batch_frames=batch_frames)
    return extract_clips(dataset, backbone, folder, read, RESIZING, pooling, shard, dtype, progress, pyramid)


def extract_clips(
    dataset: Dataset,
    backbone: Backbone,
    folder: Path,
    read: Callable[[Source], Iterable[np.ndarray]],
    resizing: str,
    pooling: str,
    shard: tuple[int, int],
    dtype: str,
    progress: bool,
    pyramid: str = PAPER_PYRAMID,
) -> Path:
    """Write the shards of a dataset under `folder`, as `extract_dataset` does; return `folder`.

    Args:
        read: a clip's source -> what the network takes of its frames, batch by batch.
        resizing: what `read` does, in words; shards made in other words are made again.
        dataset, backbone, pooling, shard, dtype, progress, pyramid: see `extract_dataset`.
    """
    write_clip_list(folder, dataset.clip_list())
    index, n_machines = shard
    labels = {clip: dataset.frame_labels(clip) for clip in dataset.clips[index - 1 :: n_machines]}
    how = {"resizing": resizing, "pooling": pooling, "dtype": dtype, "pyramid": pyramid}
    infos = {clip: _describe(clip, len(labels[clip]), backbone, how) for clip in labels}
    paths = {clip: shard_path(folder, clip.split, clip.name) for clip in labels}
    todo = [clip for clip in labels if not is_current(paths[clip], infos[clip], labels[clip])]
    if not todo:
        return folder
    extract = feature_function(backbone, pooling, pyramid)
    batches = read_ahead(_clip_batches(todo, read), READ_AHEAD_BATCHES)
    n_frames = sum(infos[clip].n_frames for clip in todo)
    title = f"{dataset.name} {backbone.name}"
    with closing(batches), tqdm(total=n_frames, desc=title, unit="frame", disable=not progress) as bar:
        for clip in todo:
            features = _features(extract, takewhile(lambda item: item is not None, batches), bar)
            write_shard(paths[clip], features, infos[clip], labels[clip])
    return folder


def feature_key(
    backbone: Backbone, pooling: str, pyramid: str = PAPER_PYRAMID, dtype: str = "float16"
) -> str:
    """Return the name of the folder for features made this way, such as `thin_resnet50-last-224-max`."""
    key = f"{backbone.name}-{backbone.layer}-{backbone.input_size_px}-{pooling}"
    if pyramid != PAPER_PYRAMID:
        key += f"-{pyramid.replace(',', '_')}"
    return key if dtype == "float16" else f"{key}-{dtype}"


def feature_function(
    backbone: Backbone,
    pooling: str = "max",
    pyramid: str = PAPER_PYRAMID,
    normalization: Callable[[np.ndarray], np.ndarray] = AS_EXTRACTED,
) -> Callable[[np.ndarray], np.ndarray]:
    """Return the backbone with pooling inside: its input (n, s, s, channels), any n -> float32 (n, R, C)."""
    network = pooled_network(backbone, pooling, pyramid)
    return lambda frames: normalization(network(frames))


@lru_cache(maxsize=4)
def pooled_network(backbone: Backbone, pooling: str, pyramid: str) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function that `feature_function` normalizes; made once, which takes seconds."""
    regions = [region_pyramid(feature_map, pooling, pyramid) for feature_map in backbone.model.outputs]
    network = keras.Model(backbone.model.input, keras.ops.concatenate(regions, -1))
    if keras.backend.backend() != "tensorflow":
        return network.predict_on_batch
    # One graph for every n, its weights constants: they are laid out for the processor once, not per call.
    frames = tf.TensorSpec((None, *backbone.model.input.shape[1:]), backbone.input_dtype)
    graph = tf.function(network, input_signature=[frames]).get_concrete_function()
    frozen = convert_variables_to_constants_v2(graph)
    return lambda frames: frozen(tf.constant(frames))[0].numpy()


def frame_batches(source: Source, input_size_px: int, batch_frames: int) -> Iterator[np.ndarray]:
    """Yield the frames of a clip, resized: uint8 RGB (n, s, s, 3), n = batch_frames but for the last batch.

    Raises InputError as `frames.iter_frames` does.
    """
    frames = (resize(frame, input_size_px) for frame in iter_frames(source))
    yield from stack_batches(frames, batch_frames)


def _clip_batches(clips: Sequence[Clip], read: Callable[[Source], Iterable[np.ndarray]]) -> Iterator:
    """Yield the batches of clip after clip, None behind each, so that a clip ends before the next is read."""
    for clip in clips:
        yield from read(clip.source)
        yield None


def _features(
    extract: Callable[[np.ndarray], np.ndarray], batches: Iterable[np.ndarray], bar: tqdm
) -> Iterator[np.ndarray]:
    """Yield the features of each batch, float32 (n, 21, C), and move the progress bar on."""
    for frames in batches:
        yield extract(frames)
        bar.update(len(frames))


def _describe(clip: Clip, n_frames: int, backbone: Backbone, how: Mapping[str, str]) -> ShardInfo:
    """Return the attributes that the shard of a clip is to have; `how`: those that nothing else gives."""
    return ShardInfo(
        dataset=clip.dataset,
        split=clip.split,
        clip=clip.name,
        n_frames=n_frames,
        source_sha256=source_digest(clip.source),
        backbone=backbone.name,
        weights_sha256=backbone.weights_sha256,
        layer=backbone.layer,
        input_size_px=backbone.input_size_px,
        **how,
        requested_backbone=backbone.requested,
        fallback_reason=backbone.fallback_reason,
    )
