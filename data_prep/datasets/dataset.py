"""What a dataset on disk is to everyone who reads it: its clips, their labels and masks."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from data_prep.clip_list import SPLITS, ClipList, is_file_name
from data_prep.errors import InputError
from data_prep.frames import Segment, Source, count_frames, read_frames
from data_prep.labels import check_masks, clip_masks
from data_prep.layouts import Parts, Record


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
        """Key of the dataset in `RECORDS`; of a set of one's own, its folder's name."""
        return self.record.name

    @property
    def own(self) -> bool:
        """Whether this is a labelled set of one's own, of which nobody has published a number."""
        return self.record.own

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


def clips_of(name: str, parts: Parts) -> tuple[Clip, ...]:
    """Return the clips of a dataset of that name, training clips first."""
    splits = (("train", parts.train), ("test", parts.test))
    return tuple(
        Clip(name, split, clip, source) for split, sources in splits for clip, source in sources.items()
    )


def masks_of(record: Record, parts: Parts, n_frames: Mapping[str, int]) -> dict[str, Source]:
    """Return the masks that are there, counted; of all test clips, or of none, unless published otherwise."""

    def exists(source: Source) -> bool:
        return (source.path if isinstance(source, Segment) else source).exists()

    there = {name: source for name, source in parts.masks.items() if exists(source)}
    expected = parts.masks if there and record.all_masked else there
    for name, source in expected.items():
        check_masks(source, n_frames[name])
    return dict(expected)


def frames_of(dataset: Dataset) -> Callable[[str, Sequence[int]], np.ndarray]:
    """Return the function (clip, frame indices) -> uint8 (n, H, W, 3) on a dataset's test clips."""
    clips = {clip.name: clip.source for clip in dataset.split("test")}

    def frames(clip: str, indices: Sequence[int]) -> np.ndarray:
        return read_frames(clips[clip], list(map(int, indices)))

    return frames
