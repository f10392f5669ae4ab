"""Extraction: the features of every clip of a dataset, one HDF5 shard per clip, by any recipe.

A shard that is there, whole and made as asked for, is kept, so that the same call resumes what was
interrupted. Several processes may be at it in one folder: each takes the clips that no other has in hand.
Clips are read ahead of what makes their features, in a thread. Paper: Sec. 3.6.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import numpy as np
from tqdm import tqdm

from data_prep.clip_list import write_clip_list
from data_prep.datasets import Clip, Dataset
from data_prep.files import Lock, remove_leftovers
from data_prep.frames import source_digest
from data_prep.read_ahead import read_ahead
from data_prep.recipes import Maker, Recipe
from data_prep.shards import ShardInfo, is_current, shard_path, write_shard

READ_AHEAD_BATCHES = 4


@dataclass(frozen=True, eq=False)
class Task:
    """A clip whose shard is to be there: where, with what in it, and the lock of whoever writes it."""

    clip: Clip
    path: Path
    info: ShardInfo
    labels: np.ndarray
    lock: Lock

    def is_done(self, tell: bool = True) -> bool:
        """Tell whether the shard is as it is to be; `tell`: say why where it is there but not so."""
        return is_current(self.path, self.info, self.labels, tell)


def extract(
    dataset: Dataset,
    recipe: Recipe,
    features_dir: Path,
    part: tuple[int, int] = (1, 1),
    progress: bool = True,
) -> Path:
    """Write the shards of a dataset that are missing, damaged or made otherwise.

    Args:
        dataset: what to extract.
        recipe: how.
        features_dir: parent of all features.
        part: (i, n): only the clips i, i + n, i + 2 n, ..., counted from 1.
        progress: show a progress bar with frames per second and the time left.

    Returns: the folder `<features_dir>/<dataset>/<recipe.key>`, which holds `<split>/<clip>.h5`.

    Raises InputError: a frame that cannot be read, a shard that cannot be written.
    """
    folder = Path(features_dir) / dataset.name / recipe.key
    write_clip_list(folder, dataset.clip_list())
    index, n_parts = part
    clips = dataset.clips[index - 1 :: n_parts]
    with recipe.at_work(dataset, folder) as maker:
        tasks = [_task(clip, dataset.frame_labels(clip), folder, maker) for clip in clips]
        if todo := [task for task in tasks if not task.is_done()]:
            _make(todo, maker, f"{dataset.name} {recipe.name}", progress)
    return folder


def _task(clip: Clip, labels: np.ndarray, folder: Path, maker: Maker) -> Task:
    """Return the task of a clip."""
    path = shard_path(folder, clip.split, clip.name)
    info = ShardInfo(
        dataset=clip.dataset,
        split=clip.split,
        clip=clip.name,
        n_frames=len(labels),
        source_sha256=source_digest(clip.source),
        **maker.attributes,
    )
    return Task(clip, path, info, labels, Lock(path, path.with_name(f".{clip.name}.lock")))


def _make(todo: Sequence[Task], maker: Maker, title: str, progress: bool) -> None:
    """Write the shards that are to be made; those that another process makes meanwhile are left to it."""
    features_of = maker.features()
    work = read_ahead(_work(todo, maker), READ_AHEAD_BATCHES)
    n_frames = sum(task.info.n_frames for task in todo)
    try:
        with closing(work), tqdm(total=n_frames, desc=title, unit="frame", disable=not progress) as bar:
            for task, is_done in work:
                if is_done:
                    bar.update(task.info.n_frames)
                else:
                    batches = takewhile(lambda item: item is not None, work)
                    features, boxes = _features(features_of, batches, bar), maker.boxes(task.clip.source)
                    remove_leftovers(task.path)
                    write_shard(task.path, features, task.info, task.labels, boxes)
                task.lock.release()
    finally:
        for task in todo:
            task.lock.release()


def _work(todo: Sequence[Task], maker: Maker) -> Iterator:
    """Yield (task, whether another process has done it) of each and, if not, its batches, then None."""
    for task in _claimed(todo):
        is_done = task.is_done(tell=False)
        yield task, is_done
        if not is_done:
            yield from maker.read(task.clip.source)
            yield None


def _claimed(todo: Sequence[Task]) -> Iterator[Task]:
    """Yield the tasks, each with its lock held; those that other processes have in hand come last."""
    busy = []
    for task in todo:
        if task.lock.acquire(wait=False):
            yield task
        else:
            busy.append(task)
    for task in busy:
        task.lock.acquire()
        yield task


def _features(
    features_of: Callable[[np.ndarray], np.ndarray], batches: Iterable[np.ndarray], bar: tqdm
) -> Iterator[np.ndarray]:
    """Yield the features of each batch, float32 (n, R, C), and move the progress bar on."""
    for batch in batches:
        yield features_of(batch)
        bar.update(len(batch))
