"""A user's own normal footage as a dataset, and the sRNN-AEs trained on it."""

import hashlib
import itertools
import os
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
from experiments.lab.watching.sizes import Choice, choose_size

# Of every clip, blocks spread over it are not trained on: they tell what normal frames score that the model
# does not know. More than a few tell little more, and every part of a video is decoded from its start.
HELD_OUT_SHARE = 0.2
BLOCK_FRAMES, MOST_BLOCKS = 25, 4
SEPARATOR = "_"  # of folder and file in the name of a clip


def train_on_footage(
    context: Context, footage: Path, until: float, chooses: bool
) -> tuple[dict[str, Run], Choice | None]:
    """Return the sRNN-AE of each stream of normal footage, trained first where they are not there.

    Args:
        context: its settings and folders.
        footage: see `footage_dataset`.
        until: see `footage_dataset`.
        chooses: whether their size is chosen, see `sizes`; what was chosen is returned beside them.
    """
    settings = context.settings
    dataset = footage_dataset(footage, until, settings.train.window_frames)
    if not chooses:
        return context.fused_runs_of(dataset, context.out), None

    def train(n_atoms: int) -> dict[str, Run]:
        print(f"models of {n_atoms} atoms:", flush=True)
        return context.changed(n_atoms=n_atoms).fused_runs_of(dataset, context.out)

    choice = choose_size(train, settings.model.n_atoms, settings.score.frame_error)
    return choice.runs, choice


def footage_dataset(footage: Path, until: float = 1.0, window_frames: int = 10) -> Dataset:
    """Return normal footage as a dataset: of each clip, blocks spread over it are held out as test clips.

    What lies between them is trained on; a part is named after its clip and its first frame.

    Args:
        footage: a video file, a folder of images, or a folder of such clips.
        until: share of each clip that is used, from its start.
        window_frames: frames of a training window; a clip must hold one.

    Raises InputError: no clip, a clip that cannot be read or is too short.
    """
    parts: dict[str, dict[str, Segment]] = {"train": {}, "test": {}}
    digest = hashlib.sha256()
    for name, source in footage_clips(footage).items():
        n_frames = int(count_frames(source) * until)
        held_out = held_out_blocks(n_frames, window_frames)
        edges = [0, *(edge for block in held_out for edge in block), n_frames]
        trained = list(zip(edges[::2], edges[1::2], strict=True))
        if trained[0][1] < window_frames:
            least = least_frames(window_frames)
            raise InputError(
                f"{source}: too short to train on, expected {least} frames or more, got {n_frames}"
            )
        for split, ranges in (("train", trained), ("test", held_out)):
            segments = [Segment(source, start, stop) for start, stop in ranges if start < stop]
            parts[split] |= {f"{name}-{segment.start + 1}": segment for segment in segments}
        digest.update(source_digest(Segment(source, 0, n_frames)).encode())
    # The digest in the name keeps the features and runs of other footage apart.
    title = footage.resolve().stem
    name = f"watch-{title}-{digest.hexdigest()[:8]}"
    record = Record(name, title, "", "the user's own", (), (), ())
    clips = [
        Clip(name, split, clip, source)
        for split, sources in parts.items()
        for clip, source in sources.items()
    ]
    labels = {clip: np.zeros(source.stop - source.start, np.uint8) for clip, source in parts["test"].items()}
    return Dataset(record, footage, "footage", tuple(clips), labels, {}, "normal by the user's word")


def frames_of_footage(footage: Path, until: float, video: Path) -> int:
    """Return how many frames of a video, its first ones, are of footage; 0 where it is none of its clips."""
    place = Path(os.path.realpath(video))
    if not place.is_relative_to(os.path.realpath(footage)):
        return 0
    clips = (clip for clip in footage_clips(footage).values() if os.path.realpath(clip) == str(place))
    clip = next(clips, None)
    return 0 if clip is None else int(count_frames(clip) * until)


def held_out_blocks(n_frames: int, window_frames: int) -> list[tuple[int, int]]:
    """Return start and stop of the blocks of a clip that are held out: in the middle of equal parts of it.

    Of a clip too short for training windows on both sides of a block, it is the last frames.
    """
    n_held_out = held_out_frames(n_frames)
    n_blocks = min(max(1, n_held_out // BLOCK_FRAMES), MOST_BLOCKS)
    length, part = n_held_out // n_blocks, n_frames / n_blocks
    starts = [round(part * (index + 0.5) - length / 2) for index in range(n_blocks)]
    between = np.subtract([*starts, n_frames], [0, *(start + length for start in starts)])
    if between.min() < window_frames:
        starts, length = [n_frames - n_held_out], n_held_out
    return [(start, start + length) for start in starts]


def held_out_frames(n_frames: int) -> int:
    """Return how many frames of a clip are held out."""
    return max(1, int(n_frames * HELD_OUT_SHARE))


def least_frames(window_frames: int) -> int:
    """Return how long a clip must be so that a training window is left of it."""
    return next(n for n in itertools.count(window_frames) if n - held_out_frames(n) >= window_frames)


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
