"""Strangers planted into normal clips, to choose settings where nothing abnormal was ever filmed.

Every fourth training clip is held out, or the last quarter of each where there are fewer than four. Into
each held-out clip (its first MAX_CLIP_FRAMES frames) a stranger is planted: what moves in another held-out
clip is cut out, enlarged 1.5 to 2.5 times in each direction, and slides across the picture, at the height
where it was found, in the middle third of the frames.

These clips are the test clips of a dataset of their own, labelled frame by frame; its training clips are
those that are not held out. No label of the dataset itself is read.
"""

import hashlib
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from data_prep.datasets import Clip, Dataset
from data_prep.errors import InputError
from data_prep.files import locked, one_line, remove_leftovers, written_whole
from data_prep.frames import Segment, Source, count_frames, iter_frames, source_digest
from data_prep.layouts import Record

HOLD_OUT_EVERY = 4
MAX_CLIP_FRAMES = 240
MIN_CLIP_FRAMES = 8
MAX_HELD_OUT = 8  # clips, evenly spread
ENLARGED = (1.5, 2.5)
MOVED_LEVELS = 25  # of 255: what differs so much from the median frame has moved
THING_AREA = (0.0005, 0.05)  # of the picture
VERSION = "2"  # raise it when the same clips come to give other pictures


def planted_dataset(dataset: Dataset, folder: Path, seed: int = 0) -> Dataset:
    """Return the dataset of planted strangers, writing its pictures first where they are not there.

    Args:
        dataset: its training clips are used alone.
        folder: parent of the pictures: `<folder>/<name>/<clip>/0001.png`.
        seed: of what is cut out and where it goes.

    Raises InputError: no clip is long enough, a frame that cannot be read, pictures that cannot be written.
    """
    fit, held_out = split_clips(dataset)
    digest = hashlib.sha256(f"{VERSION} {seed}".encode())
    for clip, source in (*fit.items(), *held_out.items()):
        digest.update(f"{clip} {source_digest(source)}\n".encode())
    name = f"{dataset.name}-planted-{digest.hexdigest()[:8]}"
    clips, labels = [Clip(name, "train", clip, source) for clip, source in fit.items()], {}
    names = list(held_out)
    with locked(folder / name):
        for index, clip in enumerate(names):
            donor, rng = held_out[names[(index + 1) % len(names)]], np.random.default_rng([seed, index])
            labels[clip] = _written(folder / name / clip, held_out[clip], donor, rng)
            clips.append(Clip(name, "test", clip, folder / name / clip))
    record = Record(name, f"{dataset.record.title}, planted", "", dataset.record.licence, (), (), ())
    return Dataset(record, folder / name, "planted", tuple(clips), labels, {}, "planted here")


def split_clips(dataset: Dataset) -> tuple[dict[str, Source], dict[str, Source]]:
    """Return the clips to fit and those held out, by name; neither overlaps the other."""
    clips = {clip.name: clip.source for clip in dataset.split("train")}
    n_frames = {name: count_frames(source) for name, source in clips.items()}
    if len(clips) >= HOLD_OUT_EVERY:
        held_out = {name: clips[name] for name in list(clips)[HOLD_OUT_EVERY - 1 :: HOLD_OUT_EVERY]}
        fit = {name: source for name, source in clips.items() if name not in held_out}
    else:
        first = {name: n * (HOLD_OUT_EVERY - 1) // HOLD_OUT_EVERY for name, n in n_frames.items()}
        fit = {name: segment(source, 0, first[name]) for name, source in clips.items()}
        held_out = {name: segment(source, first[name], n_frames[name]) for name, source in clips.items()}
    held_out = {name: source for name, source in held_out.items() if count_frames(source) >= MIN_CLIP_FRAMES}
    if not held_out:
        raise InputError(
            f"{dataset.root}: expected a training clip to hold out of at least {MIN_CLIP_FRAMES} frames"
        )
    chosen = np.linspace(0, len(held_out) - 1, min(len(held_out), MAX_HELD_OUT)).round().astype(int)
    return fit, {list(held_out)[index]: list(held_out.values())[index] for index in chosen}


def segment(source: Source, start: int, stop: int) -> Segment:
    """Return a part of a clip, which may be a part of another itself."""
    if isinstance(source, Segment):
        return Segment(source.path, source.start + start, source.start + stop)
    return Segment(source, start, stop)


def _written(folder: Path, source: Source, donor: Source, rng) -> np.ndarray:
    """Return the labels of a planted clip, uint8 (n_frames,), writing its pictures whole or not at all."""
    if (folder / "labels.npy").exists():
        return np.load(folder / "labels.npy")
    frames, labels = plant_stranger(first_frames(source), donor, rng)
    remove_leftovers(folder)
    try:
        with written_whole(folder) as temporary:
            temporary.mkdir()
            for number, frame in enumerate(frames, start=1):
                path = temporary / f"{number:04d}.png"
                if not cv2.imwrite(str(path), cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)):
                    raise OSError("an image could not be written")
            np.save(temporary / "labels.npy", labels)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written, {one_line(error)}; delete what is there") from error
    return labels


def first_frames(source: Source) -> np.ndarray:
    """Return the first MAX_CLIP_FRAMES frames of a clip at most, uint8 (n, H, W, 3)."""
    return np.stack(list(islice(iter_frames(source), MAX_CLIP_FRAMES)))


def plant_stranger(frames: np.ndarray, donor: Source, rng) -> tuple[np.ndarray, np.ndarray]:
    """Return the clip with a thing from another clip sliding across the picture, and its labels."""
    height, width = frames.shape[1:3]
    thing, opacity, bottom = enlarged(*moving_thing(first_frames(donor), rng), rng, (height, width))
    thing_height, thing_width = opacity.shape
    n_crossing = len(frames) // 3
    start = (len(frames) - n_crossing) // 2
    lefts = np.linspace(-thing_width, width, n_crossing + 2)[1:-1].round().astype(int)
    if rng.random() < 0.5:
        lefts, thing, opacity = lefts[::-1], thing[:, ::-1], opacity[:, ::-1]
    top = int(np.clip(bottom - thing_height, 0, height - thing_height))
    planted, labels = frames.copy(), np.zeros(len(frames), np.uint8)
    for t, left in enumerate(lefts, start):
        shown = slice(max(0, -left), min(thing_width, width - left))
        place = (slice(top, top + thing_height), slice(left + shown.start, left + shown.stop))
        alpha = opacity[:, shown, None]
        planted[t][place] = (alpha * thing[:, shown] + (1 - alpha) * planted[t][place]).round()
        labels[t] = alpha.sum() >= 0.25 * opacity.sum()
    return planted, labels


def moving_thing(frames: np.ndarray, rng) -> tuple[np.ndarray, np.ndarray, int]:
    """Return what stands out of a clip's median frame in one of its frames.

    Where nothing moves, it is a rectangle of the picture.

    Returns: its picture, uint8 (h, w, 3); its opacity, float32 (h, w); the row of its lower edge.
    """
    median = np.median(frames[:: max(1, len(frames) // 25)], axis=0)
    height, width = frames.shape[1:3]
    least, most = (share * height * width for share in THING_AREA)
    for index in rng.permutation(len(frames))[:20]:
        moved = (np.abs(frames[index] - median).max(-1) > MOVED_LEVELS).astype(np.uint8)
        moved = cv2.morphologyEx(moved, cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8))
        _, parts, boxes, _ = cv2.connectedComponentsWithStats(moved)
        fitting = [part for part in range(1, len(boxes)) if least <= boxes[part, cv2.CC_STAT_AREA] <= most]
        if fitting:
            part = max(fitting, key=lambda part: boxes[part, cv2.CC_STAT_AREA])
            left, top, w, h = boxes[part, :4]
            opacity = cv2.GaussianBlur((parts == part).astype(np.float32), (3, 3), 0)
            return (
                frames[index, top : top + h, left : left + w],
                opacity[top : top + h, left : left + w],
                top + h,
            )
    h, w = max(2, height // 8), max(2, width // 12)
    return frames[0, h : 2 * h, w : 2 * w], np.ones((h, w), np.float32), height // 2


def enlarged(
    thing, opacity, bottom: int, rng, picture_px: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, int]:
    """Return the thing larger, at most half the picture's height and width; its lower edge stays."""
    factors = rng.uniform(*ENLARGED, 2)
    size = [
        max(2, min(int(side * factor), whole // 2))
        for side, factor, whole in zip(opacity.shape, factors, picture_px, strict=True)
    ]
    return cv2.resize(thing, size[::-1]), cv2.resize(opacity, size[::-1]), bottom
