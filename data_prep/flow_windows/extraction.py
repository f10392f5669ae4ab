"""Flow windows of every clip of a dataset, one HDF5 shard per clip; what is there is kept."""

import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from data_prep.clip_list import write_clip_list
from data_prep.datasets import Clip, Dataset
from data_prep.flow_windows.options import FlowWindowOptions
from data_prep.flow_windows.place import Place, learned_place
from data_prep.frames import iter_frames, read_frames, source_digest
from data_prep.read_ahead import Map, map_ahead, stack_batches
from data_prep.shards import ShardInfo, is_current, shard_path, write_shard

NAME = "flow_windows"
BATCH_FRAMES = 16
FRAMES_AHEAD_PER_WORKER = 4


def extract_flow_windows(
    dataset: Dataset,
    options: FlowWindowOptions,
    features_dir: Path,
    shard: tuple[int, int] = (1, 1),
    progress: bool = True,
) -> Path:
    """Write the shards of a dataset's flow windows that are missing, damaged or made otherwise.

    The place is learned from all training clips first. Flow and windows are computed on all cores.

    Args:
        dataset: what to extract; its clips show one camera's view.
        options: how.
        features_dir: parent of all features.
        shard: (i, n): only the clips i, i + n, i + 2 n, ..., counted from 1.
        progress: show a progress bar with frames per second and the time left.

    Returns: the folder `<features_dir>/<dataset>/<options.key>`, which holds `<split>/<clip>.h5` and the
    place. A shard's R follows from its clip's frame size; `Shard.boxes` has the windows.

    Raises InputError: a frame that cannot be read, a shard that cannot be written, no motion.
    """
    folder = Path(features_dir) / dataset.name / options.key
    write_clip_list(folder, dataset.clip_list())
    index, n_machines = shard
    clips = dataset.clips[index - 1 :: n_machines]
    n_workers = os.cpu_count()
    with ThreadPoolExecutor(n_workers) as pool:
        each = partial(map_ahead, pool, FRAMES_AHEAD_PER_WORKER * n_workers)
        place = learned_place(folder, [clip.source for clip in dataset.split("train")], options, each)
        if place.unit.reason:
            print(f"{folder}: WARNING: {place.unit}", file=sys.stderr)
        labels = {clip: dataset.frame_labels(clip) for clip in clips}
        paths = {clip: shard_path(folder, clip.split, clip.name) for clip in clips}
        infos = {clip: describe(clip, len(labels[clip]), place) for clip in clips}
        todo = [clip for clip in clips if not is_current(paths[clip], infos[clip], labels[clip])]
        n_frames = sum(infos[clip].n_frames for clip in todo)
        with tqdm(
            total=n_frames, desc=f"{dataset.name} {NAME}", unit="frame", disable=not (progress and todo)
        ) as bar:
            for clip in todo:
                boxes = place.boxes(read_frames(clip.source, [0]).shape[1:3])
                write_shard(paths[clip], clip_rows(clip, place, each, bar), infos[clip], labels[clip], boxes)
    return folder


def clip_rows(clip: Clip, place: Place, each: Map, bar: tqdm) -> Iterator[np.ndarray]:
    """Yield the rows of a clip's frames in batches, float32 (n, R, 40), and move the progress bar on."""
    for rows in stack_batches(place.rows(iter_frames(clip.source), each), BATCH_FRAMES):
        yield rows
        bar.update(len(rows))


def describe(clip: Clip, n_frames: int, place: Place) -> ShardInfo:
    """Return the attributes that the shard of a clip is to have."""
    return ShardInfo(
        dataset=clip.dataset,
        split=clip.split,
        clip=clip.name,
        n_frames=n_frames,
        source_sha256=source_digest(clip.source),
        backbone=NAME,
        weights_sha256="",
        layer="windows",
        input_size_px=place.options.height_px,
        resizing=str(place),
        pooling="mean",
        pyramid="windows",
        requested_backbone=NAME,
        fallback_reason=place.unit.reason,
    )
