"""A labelled set of one's own: found, read and checked like the published ones. docs/own_data.md shows one.

<name>/training/frames/<clip>/NNN.jpg   or training/videos/<clip>.mp4: normal alone
<name>/testing/frames/<clip>/NNN.jpg    or testing/videos/<clip>.mp4
labels, one of: testing/test_frame_mask/<clip>.npy, <name>.mat, labels.csv (`data_prep.label_table`)
testing/masks/<clip>/NNN.png            pixel masks, if there are any
dataset.toml                            title, frames_per_second, licence, source, if wanted
"""

import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from unicodedata import normalize

import numpy as np

from data_prep.clip_list import is_file_name
from data_prep.datasets.dataset import Dataset, clips_of, masks_of
from data_prep.errors import InputError
from data_prep.files import file_content, natural_order
from data_prep.folders import own_paths, say_left_out
from data_prep.frames import count_frames
from data_prep.label_table import read_table_intervals
from data_prep.labels import intervals_to_labels, read_frame_labels
from data_prep.layouts import OWN, Layout, Parts, Record
from data_prep.records import RECORDS

ABOUT = "dataset.toml"
ARRAYS, TABLE = "testing/test_frame_mask", "labels.csv"
MASKS = ("testing/masks", "testing/test_pixel_mask")
LABELS_FOLDER = "ground_truth"  # frame labels by themselves, such as ground_truth/avenue.mat
MOST_FRAMES_PER_SECOND = 1e6
LONGEST_TITLE = 40  # letters: it heads a column
NAMED_CLIPS = 5  # of those there, in a message
KINDS = {"title": str, "frames_per_second": (int, float), "licence": str, "source": str}
TAKEN = ("moving_mnist",)  # the generated sequences' name


def layout_of(root: Path) -> Layout | None:
    """Return how a set is stored, None where a folder holds none: both splits are there."""
    return next((way for way in OWN if all((root / path).is_dir() for path in way.needs)), None)


def missing_part(root: Path) -> str:
    """Return what a folder lacks of a labelled set, in words; empty where clips and labels are there."""
    for split in ("training", "testing"):
        if not any((root / split / kind).is_dir() for kind in ("frames", "videos")):
            return f"no {split}/frames/<clip>/ with images and no {split}/videos/"
    return "" if label_places(root) else f"no frame labels, expected {label_words(root)}"


def label_places(root: Path) -> list[Path]:
    """Return the places where labels are, of those where they may be."""
    name = f"{root.name}.mat"
    places = (root / ARRAYS, root / name, root.parent / LABELS_FOLDER / name, root / TABLE)
    return [place for place in places if place.exists()]


def label_words(root: Path) -> str:
    """Return where the labels of a set may be, in words."""
    return f"{ARRAYS}/<clip>.npy, {root.name}.mat or {TABLE}"


def read_labelled_set(root: Path) -> Dataset:
    """Return a labelled set of one's own, under its folder's name. No frame is decoded.

    Raises InputError: no such folder, a part that is missing or damaged, a name or a title of a published
    dataset, labels that do not fit the clips, labels of one kind alone.
    """
    root = Path(os.path.abspath(root))
    if not root.is_dir():
        raise InputError(f"{root}: no such folder, expected a labelled set")
    layout = layout_of(root)
    if layout is None or missing_part(root):
        raise InputError(f"{root}: no labelled set, {missing_part(root)}")
    record = _record(root, layout)
    parts = layout.find(record, root)
    _check_masked_clips(root, parts)
    n_frames = {name: count_frames(source) for name, source in parts.test.items()}
    source, labels = _labels(root, n_frames)
    masks = masks_of(record, parts, n_frames)
    _say_left_out(root, parts)
    clips = clips_of(record.name, parts)
    dataset = Dataset(record, root, layout.name, clips, labels, masks, str(source))
    _check_classes(dataset)
    return dataset


def _record(root: Path, layout: Layout) -> Record:
    """Return what is known of a set: its folder's name, and what its `dataset.toml` says."""
    path = root / ABOUT
    about = _about(path) if path.exists() else {}
    title = about.get("title", root.name)
    _check_name(root, root.name)
    _check_name(path, title)
    return Record(
        name=root.name,
        title=title,
        url=about.get("source", ""),
        licence=about.get("licence", "its owner's"),
        folders=(root.name,),
        layouts=(layout,),
        label_files=(),
        own=True,
        frames_per_second=about.get("frames_per_second"),
    )


def _about(path: Path) -> dict:
    """Return what a `dataset.toml` says. InputError: not TOML, an unknown key, a value of another kind."""
    try:
        about = tomllib.loads(file_content(path).decode("utf-8-sig"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path}: expected TOML, {error}") from error
    for key, value in about.items():
        if key not in KINDS:
            raise InputError(f"{path}: {key}: unknown, expected some of {', '.join(KINDS)}")
        if not isinstance(value, KINDS[key]) or isinstance(value, bool):
            kind = "a text" if KINDS[key] is str else "a number"
            raise InputError(f"{path}: {key}: expected {kind}, got {value!r}")
        if KINDS[key] is str and (not value.strip() or not value.isprintable()):
            raise InputError(f"{path}: {key}: expected a line of letters, got {value!r}")
    if not 0 < about.get("frames_per_second", 1) < MOST_FRAMES_PER_SECOND:
        told = f"more than 0, less than {MOST_FRAMES_PER_SECOND:g}"
        raise InputError(
            f"{path}: frames_per_second: expected {told}, got {about['frames_per_second']!s:.20}"
        )
    return about


def _check_name(where: Path, name: str) -> None:
    """Raise InputError for a name that cannot head a column, or that is, or looks like, a published one."""
    if not is_file_name(name) or set(name) & set(",|") or len(name) > LONGEST_TITLE:
        raise InputError(
            f"{where}: expected a name of at most {LONGEST_TITLE} letters on one line, without , | / and \\, "
            f"got {name!r}"
        )
    published = [
        word for one in RECORDS.values() for word in (one.name, one.title, one.heading, *one.folders)
    ]
    if _plain(name) in map(_plain, (*published, *TAKEN)):
        raise InputError(
            f"{where}: {name!r} is a known dataset's name, expected one of your own, e.g. my_{name}"
        )


def _plain(name: str) -> str:
    """Return the letters and digits of a name, in small letters."""
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def _labels(root: Path, n_frames: Mapping[str, int]) -> tuple[Path, dict[str, np.ndarray]]:
    """Return where the labels are, and those of each clip, uint8 (n_frames,)."""
    places = label_places(root)
    if len(places) > 1:
        raise InputError(f"{places[1]}: labels of a second kind, expected {places[0]} alone")
    source = places[0]
    spelled = {normalize("NFC", name): name for name in n_frames}  # macOS takes an e and its accent apart
    if source.name == TABLE:
        read = read_table_intervals(source)
        intervals = {spelled.get(name, name): found for name, found in read.items()}
        _check_clips(source, intervals, n_frames, "a line `{},,` where nothing in it is abnormal")
        return source, {
            name: intervals_to_labels(source, name, intervals[name], n_frames[name]) for name in n_frames
        }
    if source.is_dir():
        stems = [path.stem for path in source.glob("[!.]*.npy")]
        stored = {spelled.get(normalize("NFC", stem), stem): stem for stem in stems}
        _check_clips(source, stored, n_frames, "{}.npy")
        labels = read_frame_labels(source, {stored[name]: n_frames[name] for name in n_frames})
        return source, {name: labels[stored[name]] for name in n_frames}
    return source, read_frame_labels(source, n_frames)


def _check_clips(source: Path, labelled: Iterable[str], clips: Iterable[str], remedy: str) -> None:
    """Raise InputError for a clip without labels, and for labels without a clip."""
    if missing := [clip for clip in clips if clip not in set(labelled)]:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise InputError(
            f"{source}: no labels of clip {missing[0]}{more}, expected {remedy.format(missing[0])}"
        )
    if strangers := sorted(set(labelled) - set(clips), key=natural_order):
        raise InputError(
            f"{source}: labels of clip {strangers[0]}, which is not there, expected those of "
            f"{', '.join(list(clips)[:NAMED_CLIPS])}"
        )


def _check_masked_clips(root: Path, parts: Parts) -> None:
    """Raise InputError for masks of a test clip that is not there."""
    for folder in (root / place for place in MASKS if (root / place).is_dir()):
        for path in own_paths(folder):
            if path.stem not in parts.test and path.name not in parts.test:
                raise InputError(
                    f"{path}: masks of a clip that is not there, expected those of "
                    f"{', '.join(list(parts.test)[:NAMED_CLIPS])}"
                )


def _say_left_out(root: Path, parts: Parts) -> None:
    """Say in a line what lies beside the clips: loose images, videos beside frames."""
    read = {*parts.train.values(), *parts.test.values()}
    places = [root / split / kind for split in ("training", "testing") for kind in ("frames", "videos")]
    inside = [path for place in places if place.is_dir() for path in own_paths(place)]
    say_left_out(root, [path for path in inside if path not in read])


def _check_classes(dataset: Dataset) -> None:
    """Raise InputError unless there are normal and abnormal test frames: no AUC without both."""
    n_frames = sum(map(len, dataset.test_labels.values()))
    n_abnormal = sum(int(labels.sum()) for labels in dataset.test_labels.values())
    if not 0 < n_abnormal < n_frames:
        raise InputError(
            f"{dataset.label_source}: expected normal and abnormal frames, got {n_abnormal} abnormal of "
            f"{n_frames}"
        )
