"""The paper's datasets: what each is, where it is published, and what of it is on disk.

    python -m data_prep.datasets --data DIR

One record per dataset. A layout is a function `(record, data_dir) -> Dataset | None` that looks for one way
of storing the files; a new dataset needs a record and, if it is stored in a new way, a layout.
Paper: Table 2, Sec. 4.3.
"""

import argparse
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from data_prep.errors import InputError
from data_prep.frames import count_frames, read_frames
from data_prep.labels import mask_paths, read_frame_labels, read_masks


@dataclass(frozen=True)
class Clip:
    """One continuous video of a dataset.

    Attributes:
        dataset: key of the dataset in `RECORDS`.
        split: `train` or `test`.
        name: the clip's own name, unique in its split.
        source: a folder of images or one video file.
    """

    dataset: str
    split: str
    name: str
    source: Path


@dataclass(frozen=True)
class Record:
    """What is published about a dataset; None where nothing is, or where copies rightly differ.

    Attributes:
        name: key in `RECORDS`.
        title: name as the paper prints it.
        url: page of the official source; empty for what is generated here.
        licence: what the publishers say about use.
        folders: names that its folder may have, under the folder of datasets.
        layouts: ways of storing it that can be read; empty when none can yet.
        n_train_clips, n_test_clips, n_train_frames, n_test_frames: official counts.
        n_abnormal_frames: test frames that the released ground truth marks abnormal.
        frame_size_px: (height, width) of the frames.
    """

    name: str
    title: str
    url: str
    licence: str
    folders: tuple[str, ...]
    layouts: tuple[Callable[["Record", Path], "Dataset | None"], ...] = ()
    n_train_clips: int | None = None
    n_test_clips: int | None = None
    n_train_frames: int | None = None
    n_test_frames: int | None = None
    n_abnormal_frames: int | None = None
    frame_size_px: tuple[int, int] | None = None


@dataclass(frozen=True, eq=False)
class Dataset:
    """A dataset that is on disk, its labels already read and checked.

    Attributes:
        record: what is published about it.
        root: its folder.
        layout: how it is stored, `official` or `re-packed`.
        clips: all its clips, training clips first, each split in name order.
        test_labels: per test clip name, uint8 (n_frames,), 1 = abnormal.
        mask_folders: per test clip name, the folder of its pixel masks; empty when there are none.
    """

    record: Record
    root: Path
    layout: str
    clips: tuple[Clip, ...]
    test_labels: Mapping[str, np.ndarray] = field(repr=False)
    mask_folders: Mapping[str, Path] = field(repr=False)

    @property
    def name(self) -> str:
        """Key of the dataset in `RECORDS`."""
        return self.record.name

    @property
    def has_pixel_masks(self) -> bool:
        """Whether the test clips have pixel masks."""
        return bool(self.mask_folders)

    def split(self, split: str) -> tuple[Clip, ...]:
        """Return the clips of `train` or `test`, in name order."""
        if split not in ("train", "test"):
            raise ValueError(f"split: expected 'train' or 'test', got {split!r}")
        return tuple(clip for clip in self.clips if clip.split == split)

    def frame_labels(self, clip: Clip) -> np.ndarray:
        """Return uint8 (n_frames,), 1 = abnormal; zeros for a training clip."""
        if clip.split == "train":
            return np.zeros(count_frames(clip.source), np.uint8)
        return self.test_labels[clip.name].copy()

    def pixel_masks(self, clip: Clip) -> Iterator[np.ndarray]:
        """Yield one mask per frame of a test clip, bool (H, W), True = abnormal.

        Raises InputError: no masks for this clip, a mask that is damaged or not the frames' size.
        """
        if clip.split != "test" or clip.name not in self.mask_folders:
            raise InputError(f"{clip.source}: no pixel masks for this clip, expected a test clip with masks")
        frame_size_px = read_frames(clip.source, [0]).shape[1:3]
        return read_masks(self.mask_folders[clip.name], count_frames(clip.source), frame_size_px)


def find_datasets(data_dir: Path | None, check_counts: bool = True) -> dict[str, Dataset]:
    """Return what is under `data_dir`, keyed by name, in the order of `RECORDS`; nothing for None.

    Where a dataset is there in several layouts, the official one is taken. `check_counts=False` accepts
    copies that are smaller than the official ones. No frame is decoded.
    Raises InputError: no such folder, a dataset that is incomplete or damaged, counts that are not official.
    """
    if data_dir is None:
        return {}
    data_dir = Path(data_dir)
    if not data_dir.is_dir():
        raise InputError(f"{data_dir}: no such folder, expected a folder of datasets")
    found = {}
    for name, record in RECORDS.items():
        candidates = (layout(record, data_dir) for layout in record.layouts)
        dataset = next((candidate for candidate in candidates if candidate is not None), None)
        if dataset is not None:
            if check_counts:
                _check_counts(dataset)
            found[name] = dataset
    return found


def where_to_get(name: str) -> str:
    """Return two lines: the official source of the dataset, and where to put what it serves."""
    record = RECORDS[name]
    if not record.url:
        return f"{record.title}: generated by\n  python -m data_prep.walkway --out DIR"
    put = " or ".join(f"{folder}/" for folder in record.folders)
    place = f"put {put} into the --data folder" if record.layouts else f"{put} cannot be read yet"
    return f"{record.title}: {record.url} ({record.licence})\n  {place}"


def dataset_counts(dataset: Dataset) -> dict[str, int]:
    """Return the counts on disk, under the names of the counts in `Record`. Paper: Table 2."""
    train, test = dataset.split("train"), dataset.split("test")
    return {
        "n_train_clips": len(train),
        "n_train_frames": sum(count_frames(clip.source) for clip in train),
        "n_test_clips": len(test),
        "n_test_frames": sum(len(labels) for labels in dataset.test_labels.values()),
        "n_abnormal_frames": sum(int(labels.sum()) for labels in dataset.test_labels.values()),
    }


def _check_counts(dataset: Dataset) -> None:
    """Raise InputError at the first count that is not the official one."""
    for name, count in dataset_counts(dataset).items():
        official = getattr(dataset.record, name)
        if official is not None and count != official:
            what = name.removeprefix("n_").replace("_", " ")
            raise InputError(
                f"{dataset.root}: not the official copy, expected {official} {what}, got {count}"
            )


def _find_ucsd(record: Record, data_dir: Path) -> Dataset | None:
    """Official layout: `UCSDpedN/{Train,Test}/{Train,Test}NNN/NNN.tif`, `TestNNN_gt/`, `UCSDpedN.m`."""
    folder = record.folders[0]
    roots = (data_dir / folder, data_dir / "UCSD_Anomaly_Dataset.v1p2" / folder)
    root = next((root for root in roots if root.is_dir()), None)
    if root is None:
        return None
    clips = _list_clips(record, root / "Train", root / "Test", r"T(rain|est)\d+")
    masks = {clip.name: root / "Test" / f"{clip.name}_gt" for clip in clips if clip.split == "test"}
    scripts = (root / "Test" / f"{folder}.m", root / f"{folder}.m")
    labels = next((script for script in scripts if script.is_file()), scripts[0])
    return _build(record, root, "official", clips, labels, masks)


def _find_repacked(record: Record, data_dir: Path) -> Dataset | None:
    """Re-packed layout: `NAME/{training,testing}/frames/CLIP/NNN.jpg`, labels and masks beside.

    Labels are `NAME/NAME.mat` or `NAME/testing/test_frame_mask/CLIP.npy`, masks `NAME/testing/masks/CLIP/`.
    """
    root = data_dir / record.name
    if not root.is_dir():
        return None
    clips = _list_clips(record, root / "training" / "frames", root / "testing" / "frames", r".+")
    masks = {clip.name: root / "testing" / "masks" / clip.name for clip in clips if clip.split == "test"}
    arrays = root / "testing" / "test_frame_mask"
    labels = arrays if arrays.is_dir() else root / f"{record.name}.mat"
    return _build(record, root, "re-packed", clips, labels, masks)


def _list_clips(record: Record, train: Path, test: Path, pattern: str) -> tuple[Clip, ...]:
    """Return a clip for each folder in `train` and `test` whose whole name matches the pattern."""
    clips = []
    for split, parent in (("train", train), ("test", test)):
        if not parent.is_dir():
            raise InputError(f"{parent}: no such folder, expected the {split} clips of {record.title}")
        names = [path.name for path in parent.iterdir() if path.is_dir() and not path.name.startswith(".")]
        names = sorted((name for name in names if re.fullmatch(pattern, name)), key=_natural_order)
        if not names:
            raise InputError(f"{parent}: no clip in the folder, expected the {split} clips of {record.title}")
        clips += [Clip(record.name, split, name, parent / name) for name in names]
    return tuple(clips)


def _natural_order(name: str) -> list[tuple[str, int]]:
    """Return a sort key that puts clip 10 behind clip 9, the order that label files follow."""
    return [(text, int(digits or 0)) for text, digits in re.findall(r"(\D*)(\d*)", name)]


def _build(
    record: Record, root: Path, layout: str, clips: tuple[Clip, ...], labels: Path, masks: Mapping[str, Path]
) -> Dataset:
    """Return the dataset with its labels read; masks are for all test clips or for none."""
    n_frames = {clip: count_frames(clip.source) for clip in clips}
    n_test_frames = {clip.name: n for clip, n in n_frames.items() if clip.split == "test"}
    if any(folder.is_dir() for folder in masks.values()):
        for name, folder in masks.items():
            mask_paths(folder, n_test_frames[name])
    else:
        masks = {}
    return Dataset(record, root, layout, clips, read_frame_labels(labels, n_test_frames), masks)


_UCSD_URL = "http://www.svcl.ucsd.edu/projects/anomaly/dataset.htm"
_SUBWAY_URL = "from the authors of https://doi.org/10.1109/TPAMI.2007.70825"

# Frame counts: the paper's Table 2, but for the ShanghaiTech test set, where the released ground truth has
# 40,791 frames and the paper 42,883. Abnormal frames: counted in the released ground truth; the paper's
# Table 2 has 1,636 for Ped2, 4,005 for Ped1, 3,820 for Avenue, 17,090 for ShanghaiTech. The Subway labels
# in circulation mark ten times what the paper counts, so that no count of theirs is called official.
RECORDS: dict[str, Record] = {
    record.name: record
    for record in (
        Record(
            name="ped2",
            title="UCSD Ped2",
            url=_UCSD_URL,
            licence="no licence stated, for research",
            folders=("UCSDped2", "ped2"),
            layouts=(_find_ucsd, _find_repacked),
            n_train_clips=16,
            n_test_clips=12,
            n_train_frames=2550,
            n_test_frames=2010,
            n_abnormal_frames=1648,
            frame_size_px=(240, 360),
        ),
        Record(
            name="ped1",
            title="UCSD Ped1",
            url=_UCSD_URL,
            licence="no licence stated, for research",
            folders=("UCSDped1", "ped1"),
            n_train_clips=34,
            n_test_clips=36,
            n_train_frames=6800,
            n_test_frames=7200,
            n_abnormal_frames=4045,
            frame_size_px=(158, 238),
        ),
        Record(
            name="avenue",
            title="CUHK Avenue",
            url="http://www.cse.cuhk.edu.hk/leojia/projects/detectabnormal/dataset.html",
            licence="no licence stated, for research",
            folders=("avenue",),
            n_train_clips=16,
            n_test_clips=21,
            n_train_frames=15328,
            n_test_frames=15324,
            n_abnormal_frames=3867,
            frame_size_px=(360, 640),
        ),
        Record(
            name="entrance",
            title="Subway Entrance",
            url=_SUBWAY_URL,
            licence="on request",
            folders=("entrance",),
            n_train_frames=20000,
            n_test_frames=116524,
            frame_size_px=(384, 512),
        ),
        Record(
            name="exit",
            title="Subway Exit",
            url=_SUBWAY_URL,
            licence="on request",
            folders=("exit",),
            n_train_frames=7500,
            n_test_frames=64901,
            frame_size_px=(384, 512),
        ),
        Record(
            name="shanghaitech",
            title="ShanghaiTech Campus",
            url="https://svip-lab.github.io/dataset/campus_dataset.html",
            licence="for research; labels CC BY-NC 4.0",
            folders=("shanghaitech",),
            n_train_clips=330,
            n_test_clips=107,
            n_train_frames=274515,
            n_test_frames=40791,
            n_abnormal_frames=17326,
            frame_size_px=(480, 856),
        ),
        Record(
            name="lv",
            title="LV",
            url="https://cvrleyva.wordpress.com/2017/04/08/lv-dataset/",
            licence="for research",
            folders=("lv",),
            n_train_frames=127500,
            n_test_frames=182440,
        ),
        Record(
            name="walkway",
            title="Walkway (rendered)",
            url="",
            licence="the project's own",
            folders=("walkway",),
            layouts=(_find_repacked,),
        ),
    )
}


def format_table(datasets: Mapping[str, Dataset]) -> str:
    """Return the table of what is on disk, then where to get what is not."""
    row = "{:<20} {:<10} {:>11} {:>12} {:>10} {:>11} {:>15} {:>7} {:>8}  {}".format
    header = (
        "dataset,layout,train clips,train frames,test clips,test frames,abnormal frames,masks,size MB,folder"
    )
    lines = [row(*header.split(","))]
    for dataset in datasets.values():
        size_bytes = sum(path.stat().st_size for path in dataset.root.rglob("*") if path.is_file())
        masks = "yes" if dataset.has_pixel_masks else "no"
        counts = [f"{count:,}" for count in dataset_counts(dataset).values()]
        lines.append(
            row(
                dataset.record.title, dataset.layout, *counts, masks, f"{size_bytes / 1e6:,.1f}", dataset.root
            )
        )
    if not datasets:
        lines.append("none found")
    return "\n".join(
        [*lines, "", "missing:", *(where_to_get(name) for name in RECORDS if name not in datasets)]
    )


def main(arguments: list[str] | None = None) -> int:
    """Print what is under --data and where to get the rest; return the exit code, 2 for bad input."""
    parser = argparse.ArgumentParser(
        prog="python -m data_prep.datasets", description="List the datasets on disk."
    )
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder of datasets, official or re-packed")
    try:
        print(format_table(find_datasets(parser.parse_args(arguments).data)))
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
