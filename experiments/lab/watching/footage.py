"""A user's own normal footage as a dataset, and the sRNN-AEs trained on it."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from data_prep.datasets import Clip, Dataset
from data_prep.errors import InputError
from data_prep.folders import clips_in
from data_prep.frames import Segment, count_frames, source_digest
from data_prep.layouts import Record
from experiments.lab.context import Context
from experiments.lab.training.runs import Run

# The last of every clip is not trained on: it tells how often normal frames cross the threshold.
HELD_OUT_SHARE = 0.1
SEPARATOR = "_"  # of folder and file in the name of a clip


def train_on_footage(context: Context, footage: Path, until: float) -> dict[str, Run]:
    """Return the sRNN-AE of each stream of normal footage, trained first where they are not there.

    Args:
        context: its settings and folders.
        footage: see `footage_dataset`.
        until: see `footage_dataset`.
    """
    dataset = footage_dataset(footage, until, context.settings.train.window_frames)
    return context.fused_runs_of(dataset, context.out)


def footage_dataset(footage: Path, until: float = 1.0, window_frames: int = 10) -> Dataset:
    """Return normal footage as a dataset: the first part of each clip to train on, its last frames held out.

    Args:
        footage: a video file, a folder of images, or a folder of such clips.
        until: share of each clip that is used, from its start.
        window_frames: frames of a training window; a clip must hold one.

    Raises InputError: no clip, a clip that cannot be read or is too short.
    """
    train, test, digest = {}, {}, hashlib.sha256()
    for name, source in footage_clips(footage).items():
        n_frames = int(count_frames(source) * until)
        stop = n_frames - max(1, int(n_frames * HELD_OUT_SHARE))
        if stop < window_frames:
            raise InputError(
                f"{source}: too short to train on, expected more than {window_frames} frames, got {n_frames}"
            )
        train[name], test[name] = Segment(source, 0, stop), Segment(source, stop, n_frames)
        digest.update(source_digest(train[name]).encode())
    # The digest in the name keeps the features and runs of other footage apart.
    title = footage.resolve().stem
    name = f"watch-{title}-{digest.hexdigest()[:8]}"
    record = Record(name, title, "", "the user's own", (), (), ())
    clips = [
        Clip(name, split, clip, source)
        for split, sources in (("train", train), ("test", test))
        for clip, source in sources.items()
    ]
    labels = {clip: np.zeros(source.stop - source.start, np.uint8) for clip, source in test.items()}
    return Dataset(record, footage, "footage", tuple(clips), labels, {}, "normal by the user's word")


def footage_clips(footage: Path) -> Mapping[str, Path]:
    """Return the clips of footage by their names, in natural order, those of its folders with their folder's.

    Raises InputError: none, a name that repeats.
    """
    if not footage.is_dir():
        return {footage.stem: footage}
    clips = {}
    for path in clips_in(footage):
        name = footage.name if path == footage else SEPARATOR.join(path.relative_to(footage).parts)
        if name in clips:
            raise InputError(f"{path}: second clip of the name {name}, expected {clips[name]} alone")
        clips[name] = path
    return clips
