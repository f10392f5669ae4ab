"""The datasets on disk: their clips, splits and labels, checked against what is published.

What is published, and the layouts that can be read, are in `layouts.RECORDS`. A folder `<name>_sample` holds
some clips of a dataset: it is found too, and marked as partial. Paper: Table 2, Sec. 4.3.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from data_prep.clip_list import SPLITS, ClipList, is_file_name
from data_prep.errors import InputError
from data_prep.frames import Segment, Source, count_frames
from data_prep.labels import (
    MaskLabels,
    check_masks,
    clip_masks,
    masks_to_labels,
    read_frame_labels,
)
from data_prep.layouts import RECORDS, REPACKED, Layout, Parts, Record

__all__ = [
    "LABELS_FOLDER",
    "RECORDS",
    "Clip",
    "Dataset",
    "Record",
    "compare_with_masks",
    "dataset_counts",
    "find_datasets",
    "read_labelled_set",
    "where_to_get",
]

UCSD_ARCHIVE = "UCSD_Anomaly_Dataset.v1p2"  # UCSDped1 and UCSDped2 are in it
LABELS_FOLDER = "ground_truth"  # frame labels by themselves, such as ground_truth/avenue.mat
SAMPLE_SUFFIX = "_sample"


@dataclass(frozen=True)
class Clip:
    """One continuous video of a dataset.

    Attributes:
        dataset: key of the dataset in `RECORDS`.
        split: `train` or `test`.
        name: the clip's own name, unique in its split.
        source: a folder of images, a video file, or a `Segment` of either, as `frames.iter_frames` reads it.

    Raises InputError: a name that a file on one line, in UTF-8, cannot have: shards are named after clips.
    """

    dataset: str
    split: str
    name: str
    source: Source

    def __post_init__(self) -> None:
        """Check the name."""
        if not is_file_name(self.name):
            raise InputError(
                f"{str(self.source)!r}: expected a clip whose name can be a file's, got {self.name!r}"
            )


@dataclass(frozen=True, eq=False)
class Dataset:
    """A dataset that is on disk, its labels already read and checked.

    Attributes:
        record: what is published about it.
        root: its folder.
        layout: how it is stored, `official` or `re-packed`.
        clips: all its clips, training clips first, each split in name order.
        test_labels: per test clip name, uint8 (n_frames,), 1 = abnormal.
        mask_sources: per test clip name, its pixel masks, as `labels.read_masks` reads them; empty when there
            are none.
        label_source: the file or folder that the frame labels come from, or "pixel masks".
        partial: how much of the published dataset this is, in words; empty for all of it.
    """

    record: Record
    root: Path
    layout: str
    clips: tuple[Clip, ...]
    test_labels: Mapping[str, np.ndarray] = field(repr=False)
    mask_sources: Mapping[str, Source] = field(repr=False)
    label_source: str = ""
    partial: str = ""

    @property
    def name(self) -> str:
        """Key of the dataset in `RECORDS`."""
        return self.record.name

    @property
    def complete(self) -> bool:
        """Whether this is the whole published dataset, whose numbers may stand beside the paper's."""
        return not self.partial

    @property
    def has_pixel_masks(self) -> bool:
        """Whether every test clip has pixel masks."""
        return len(self.mask_sources) == len(self.test_labels)

    def split(self, split: str) -> tuple[Clip, ...]:
        """Return the clips of `train` or `test`, in name order."""
        if split not in SPLITS:
            raise ValueError(f"split: expected 'train' or 'test', got {split!r}")
        return tuple(clip for clip in self.clips if clip.split == split)

    def clip_list(self) -> ClipList:
        """Return the names of its clips in its order. InputError for a name that cannot name a shard."""
        try:
            return ClipList(self.name, *(tuple(clip.name for clip in self.split(s)) for s in SPLITS))
        except ValueError as error:
            raise InputError(f"{self.root}: {error}") from None

    def frame_labels(self, clip: Clip) -> np.ndarray:
        """Return uint8 (n_frames,), 1 = abnormal; zeros for a training clip."""
        if clip.split == "train":
            return np.zeros(count_frames(clip.source), np.uint8)
        return self.test_labels[clip.name].copy()

    def pixel_masks(self, clip: Clip) -> Iterator[np.ndarray]:
        """Yield one mask per frame of a test clip, bool (H, W), True = abnormal.

        Raises InputError: no masks for this clip, a mask that is damaged or not the frames' size.
        """
        if clip.split != "test" or clip.name not in self.mask_sources:
            raise InputError(f"{clip.source}: no pixel masks for this clip, expected a test clip with masks")
        return clip_masks(clip.source, self.mask_sources[clip.name])


def find_datasets(data_dir: Path | None, check_counts: bool = True) -> dict[str, Dataset]:
    """Return what is under `data_dir`, keyed by name, in the order of `RECORDS`; nothing for None.

    Where a dataset is there in several layouts, the official one is taken; where it is not there at all, its
    sample, which is not `complete`. `check_counts=False` accepts copies that are smaller than the official
    ones. No frame is decoded.
    Raises InputError: no such folder, a dataset that is incomplete or damaged, counts that are not official.
    """
    if data_dir is None:
        return {}
    data_dir = Path(data_dir)
    if not data_dir.is_dir():
        raise InputError(f"{data_dir}: no such folder, expected a folder of datasets")
    found = {}
    for name, record in RECORDS.items():
        if stored := _stored(record, data_dir):
            found[name] = _build(record, data_dir, *stored)
            if check_counts:
                _check_counts(found[name])
        elif stored := _stored(record, data_dir, SAMPLE_SUFFIX):
            found[name] = _build(record, data_dir, *stored, sample=True)
    return found


def read_labelled_set(root: Path) -> Dataset:
    """Return a labelled set of one's own, in the re-packed layout, under its folder's name.

    It holds normal clips in training/frames/<clip>/NNN.jpg, others in testing/frames/<clip>/NNN.jpg, and for
    each of these testing/test_frame_mask/<clip>.npy, one number a frame, 1 = abnormal. No frame is decoded.
    Raises InputError: no such folder, a part that is missing or damaged, labels of one kind alone.
    """
    root = Path(root).resolve()
    if not root.is_dir():
        raise InputError(f"{root}: no such folder, expected a labelled set")
    if missing := [path for path in REPACKED.needs if not (root / path).is_dir()]:
        raise InputError(f"{root / missing[0]}: no such folder, expected {' and '.join(REPACKED.needs)}")
    record = Record(
        name=root.name,
        title=root.name,
        url="",
        licence="its owner's",
        folders=(root.name,),
        layouts=(REPACKED,),
        label_files=("testing/test_frame_mask",),
    )
    dataset = _build(record, root.parent, root, REPACKED)
    n_frames = sum(map(len, dataset.test_labels.values()))
    n_abnormal = sum(int(labels.sum()) for labels in dataset.test_labels.values())
    if not 0 < n_abnormal < n_frames:
        raise InputError(
            f"{dataset.label_source}: expected normal and abnormal frames, got {n_abnormal} abnormal of "
            f"{n_frames}"
        )
    return dataset


def where_to_get(name: str) -> str:
    """Return two lines: the official source of the dataset, and where to put what it serves."""
    record = RECORDS[name]
    if not record.url:
        return f"{record.title}: generated by\n  python -m data_prep.walkway --out DIR"
    put = " or ".join(f"{folder}/" for folder in record.folders)
    return (
        f"{record.title}: {record.url} ({record.licence})\n"
        f"  put {put} into the --data folder, with {_needs(record)} in it"
    )


def dataset_counts(dataset: Dataset) -> dict[str, int]:
    """Return the counts on disk, under the names of the counts in `Record`. Paper: Table 2."""
    abnormal = sum(int(labels.sum()) for labels in dataset.test_labels.values())
    return {**_frame_counts(dataset), "n_abnormal_frames": abnormal}


def compare_with_masks(dataset: Dataset) -> dict[str, tuple[int, int]]:
    """Return, per test clip that has masks, the frames abnormal by labels alone and by masks alone."""
    counts = {}
    for clip in dataset.split("test"):
        if clip.name in dataset.mask_sources:
            labels, masked = dataset.frame_labels(clip), masks_to_labels(dataset.pixel_masks(clip))
            counts[clip.name] = int((labels > masked).sum()), int((masked > labels).sum())
    return counts


def _frame_counts(dataset: Dataset) -> dict[str, int]:
    """Return the counts of clips and frames, under the names of the counts in `Record`."""
    counts = {}
    for split in SPLITS:
        clips = dataset.split(split)
        counts[f"n_{split}_clips"] = len(clips)
        counts[f"n_{split}_frames"] = sum(count_frames(clip.source) for clip in clips)
    return counts


def _check_counts(dataset: Dataset) -> None:
    """Raise InputError at the first count that is not the official one.

    The official count of abnormal frames is that of the label file: masks may mark others.
    """
    by_masks = isinstance(dataset.test_labels, MaskLabels)
    for name, count in (_frame_counts if by_masks else dataset_counts)(dataset).items():
        official = getattr(dataset.record, name)
        if official is not None and count != official:
            raise InputError(
                f"{dataset.root}: not the official copy, expected {official} {_words(name)}, got {count}"
            )


def _extent(dataset: Dataset) -> str:
    """Return what a sample has of the official counts, in words."""
    official = {name: getattr(dataset.record, name) for name in _frame_counts(dataset)}
    return "a sample: " + ", ".join(
        f"{count:,}{f' of {official[name]:,}' if official[name] else ''} {_words(name)}"
        for name, count in _frame_counts(dataset).items()
    )


def _words(count_name: str) -> str:
    """Return `n_train_clips` as `train clips`."""
    return count_name.removeprefix("n_").replace("_", " ")


def _needs(record: Record) -> str:
    """Return what a folder of the dataset holds, in words."""
    return " or ".join(" and ".join(layout.needs) for layout in record.layouts)


def _stored(record: Record, data_dir: Path, suffix: str = "") -> tuple[Path, Layout] | None:
    """Return the dataset's folder and its layout, None where there is no folder of its name."""
    names = [f"{folder}{suffix}".lower() for folder in record.folders]
    parents = [parent for parent in (data_dir, data_dir / UCSD_ARCHIVE) if parent.is_dir()]
    folders = [path for parent in parents for path in sorted(parent.iterdir()) if path.is_dir()]
    roots = [path for name in names for path in folders if path.name.lower() == name]
    for layout in record.layouts:
        for root in roots:
            if all((root / path).exists() for path in layout.needs):
                return root, layout
    if roots:
        got = [path for layout in record.layouts for path in layout.needs if (roots[0] / path).exists()]
        raise InputError(
            f"{roots[0]}: no known layout, expected {_needs(record)}, got {', '.join(got) or 'neither'}"
        )
    return None


def _build(record: Record, data_dir: Path, root: Path, layout: Layout, sample: bool = False) -> Dataset:
    """Return the dataset with its labels read; `sample` says that it holds some of the published clips."""
    parts = layout.find(record, root)
    clips = [
        Clip(record.name, split, name, source)
        for split, sources in (("train", parts.train), ("test", parts.test))
        for name, source in sources.items()
    ]
    n_frames = {name: count_frames(source) for name, source in parts.test.items()}
    masks = _masks(record, parts, n_frames)
    source = _label_source(record, parts, root, data_dir)
    if source is not None:
        labels = read_frame_labels(source, n_frames, subset=sample)
    elif record.masks_are_labels and masks:
        labels = MaskLabels(parts.test, masks)
    else:
        places = " or ".join(record.label_files)
        raise InputError(f"{root}: no frame labels, expected {places} in it or in {data_dir / LABELS_FOLDER}")
    labelled_by = str(source or "pixel masks")
    dataset = Dataset(record, root, layout.name, tuple(clips), labels, masks, labelled_by)
    return replace(dataset, partial=_extent(dataset)) if sample else dataset


def _label_source(record: Record, parts: Parts, root: Path, data_dir: Path) -> Path | None:
    """Return the first place where the frame labels are, None where there are none."""
    folders = (root, data_dir / LABELS_FOLDER)
    places = [*parts.labels, *(folder / name for folder in folders for name in record.label_files)]
    return next((place for place in places if place.exists()), None)


def _masks(record: Record, parts: Parts, n_frames: Mapping[str, int]) -> dict[str, Source]:
    """Return the masks that are there, counted; of all test clips, or of none, unless published otherwise."""

    def exists(source: Source) -> bool:
        return (source.path if isinstance(source, Segment) else source).exists()

    there = {name: source for name, source in parts.masks.items() if exists(source)}
    expected = parts.masks if there and record.all_masked else there
    for name, source in expected.items():
        check_masks(source, n_frames[name])
    return dict(expected)
