"""The ways in which the files of a dataset lie on disk, and what a record of one says.

A `Layout` says which paths show that a folder is stored this way, and finds the parts. What is published of
each dataset is in `records.RECORDS`. Nothing is decoded here. Paper: Table 2, Sec. 4.3.
"""

import itertools
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from data_prep.errors import InputError
from data_prep.files import natural_order
from data_prep.folders import is_own, is_video
from data_prep.frames import Segment, Source, count_frames
from data_prep.images import image_paths
from data_prep.mat_files import read_cells


@dataclass(frozen=True)
class Parts:
    """The parts of a dataset on disk.

    Attributes:
        train, test: source of each clip by its name, in natural order of the names.
        labels: places where its frame labels may be, besides those of every layout.
        masks: source of each test clip's pixel masks by its name, whether or not it exists.
    """

    train: Mapping[str, Source]
    test: Mapping[str, Source]
    labels: tuple[Path, ...] = ()
    masks: Mapping[str, Source] = field(default_factory=dict)


@dataclass(frozen=True)
class Layout:
    """One way of storing a dataset.

    Attributes:
        name: `official` or `re-packed`.
        needs: paths inside a dataset's folder that are all there when it is stored this way.
        find: (record, folder) -> its parts.
    """

    name: str
    needs: tuple[str, ...]
    find: Callable[["Record", Path], Parts]


@dataclass(frozen=True)
class Record:
    """What is published about a dataset; None where nothing is, or where copies rightly differ.

    Attributes:
        name: key in `RECORDS`.
        title: name as the paper prints it.
        url: page of the official source; empty for what is generated here.
        licence: what the publishers say about use.
        folders: names that its folder may have, under the folder of datasets, in any case of letters.
        layouts: ways of storing it, the official ones first.
        label_files: names that its file or folder of frame labels may have.
        all_masked: whether every test clip is published with pixel masks, if any is.
        masks_are_labels: whether the publishers give masks alone, so that without a label file these serve.
        n_train_clips, n_test_clips, n_train_frames, n_test_frames: official counts.
        n_abnormal_frames: test frames that the released frame labels mark abnormal.
        column: how the paper's tables head its column, where that is not its title.
        own: whether it is a labelled set of one's own, of which nobody has published a number.
        frames_per_second: of such a set that says so.
    """

    name: str
    title: str
    url: str
    licence: str
    folders: tuple[str, ...]
    layouts: tuple[Layout, ...]
    label_files: tuple[str, ...]
    all_masked: bool = True
    masks_are_labels: bool = False
    n_train_clips: int | None = None
    n_test_clips: int | None = None
    n_train_frames: int | None = None
    n_test_frames: int | None = None
    n_abnormal_frames: int | None = None
    column: str = ""
    own: bool = False
    frames_per_second: float | None = None

    @property
    def heading(self) -> str:
        """Return what heads its column in a table."""
        return self.column or self.title


def _clips(parent: Path, sources: Iterable[Path]) -> dict[str, Path]:
    """Return the sources by the names of their clips.

    Raises InputError: none, a name that repeats, a link to a clip that is missing.
    """
    clips = {}
    for source in sorted(sources, key=lambda path: natural_order(path.name)):
        name = source.name if source.is_dir() else source.stem
        if not source.exists():
            raise InputError(f"{source}: a link to a clip that is missing")
        if name in clips:
            raise InputError(f"{source}: second clip of that name, expected {clips[name].name} alone")
        clips[name] = source
    if not clips:
        raise InputError(f"{parent}: no clip in the folder, expected folders of images or video files")
    return clips


def _clip_folders(parent: Path, pattern: str = r".*") -> dict[str, Path]:
    """Return the folders in `parent` whose whole name matches the pattern."""
    own = (p for p in parent.iterdir() if is_own(p.name))
    named = (p for p in own if re.fullmatch(pattern, p.name, re.DOTALL))
    return _clips(parent, (p for p in named if p.is_dir() or not p.exists()))


def _clip_videos(parent: Path) -> dict[str, Path]:
    """Return the video files in `parent`, without hidden ones."""
    return _clips(parent, (p for p in parent.iterdir() if is_own(p.name) and is_video(p)))


def _check_numbers(*splits: Mapping[str, Path]) -> None:
    """Raise InputError where the images of a published clip are not numbered without a gap."""
    for source in itertools.chain.from_iterable(clips.values() for clips in splits):
        if source.is_dir():
            image_paths(source)


def _find_ucsd(record: Record, root: Path) -> Parts:
    """UCSD: `{Train,Test}/{Train,Test}NNN/NNN.tif`, `Test/TestNNN_gt/`, `Test/UCSDpedN.m`."""
    test = _clip_folders(root / "Test", r"Test\d+")
    script = f"UCSD{record.name}.m"
    masks = {name: root / "Test" / f"{name}_gt" for name in test}
    train = _clip_folders(root / "Train", r"Train\d+")
    _check_numbers(train, test)
    return Parts(train, test, (root / "Test" / script, root / script), masks)


def _find_split(train: str, test: str, record: Record, root: Path) -> Parts:
    """Return the clips in two folders; one that ends in `frames` holds folders, another one video files."""
    train_clips, test_clips = (
        (_clip_folders if place.endswith("frames") else _clip_videos)(root / place) for place in (train, test)
    )
    if not record.own:
        _check_numbers(train_clips, test_clips)
    labels = (root / "testing" / "test_frame_mask",)
    return Parts(train_clips, test_clips, labels, _masks_beside(root, test_clips))


def _masks_beside(root: Path, test: Iterable[str]) -> dict[str, Path]:
    """Return the pixel masks of re-packed copies, of ShanghaiTech or of Avenue, whichever are there."""
    testing, avenue = root / "testing", root / "ground_truth_demo" / "testing_label_mask"
    places = (
        {name: testing / "masks" / name for name in test},
        {name: testing / "test_pixel_mask" / f"{name}.npy" for name in test},
        {name: avenue / f"{name.lstrip('0')}_label.mat" for name in test},
    )
    return next((place for place in places if any(path.exists() for path in place.values())), {})


def _find_one_video(video: str, n_train_frames: int, n_test_frames: int, record: Record, root: Path) -> Parts:
    """Return one video as a training clip and test clips of `n_test_frames`, the last of what remains.

    The label files of Subway fit the published events, counted in the whole video, when it is cut so: all 29
    of Entrance (20,000 and 20,000 frames) and all 5 of Exit (7,500 and 15,000).
    """
    path, n_frames = root / video, count_frames(root / video)
    starts = [n_train_frames + n_test_frames * index for index in range(record.n_test_clips)]
    if n_frames <= starts[-1]:
        raise InputError(f"{path}: too short, expected more than {starts[-1]} frames, got {n_frames}")
    ranges = enumerate(zip(starts, [*starts[1:], n_frames], strict=True), start=1)
    test = {f"{number:02d}": Segment(path, start, stop) for number, (start, stop) in ranges}
    return Parts({"01": Segment(path, 0, n_train_frames)}, test)


def _find_lv(record: Record, root: Path) -> Parts:
    """LV: `LVparms.mat` names, per scene, the video, the video of its masks and the n frames to train on."""
    table = root / "LVparms.mat"
    rows = read_cells(table, "LVparms", "n_scenes x 3")
    if rows.ndim != 2 or rows.shape[1] != 3 or not len(rows):
        raise InputError(f"{table}: expected n_scenes x 3 cells (video, masks, frames), got {rows.shape}")
    files = {path.name: path for path in root.rglob("*") if path.is_file()}
    train, test, masks = {}, {}, {}
    for row in rows:
        video, mask = (_named_file(table, files, cell) for cell in row[:2])
        n_frames, n_train = count_frames(video), _whole_number(table, row[2])
        if video.stem in train or not 0 < n_train < n_frames:
            raise InputError(
                f"{table}: {video.name}: expected one row with 1..{n_frames - 1} frames to train on, "
                f"got {n_train}"
            )
        train[video.stem] = Segment(video, 0, n_train)
        test[video.stem] = Segment(video, n_train, n_frames)
        masks[video.stem] = Segment(mask, n_train, n_frames)
    return Parts(train, test, masks=masks)


def _whole_number(table: Path, cell: np.ndarray) -> int:
    """Return the whole number in a cell of `LVparms`."""
    if cell.size != 1 or cell.dtype.kind not in "iuf" or not float(cell.item()).is_integer():
        raise InputError(f"{table}: expected a whole number of frames to train on, got {cell.ravel()[:4]}")
    return int(cell.item())


def _named_file(table: Path, files: Mapping[str, Path], cell) -> Path:
    """Return the file that a cell of `LVparms` names, wherever it is in the folder."""
    name = re.split(r"[\\/]", str(cell.item()))[-1] if cell.size == 1 else str(cell)
    if name not in files:
        raise InputError(f"{table}: {name}: no such file in the folder, expected every file it names")
    return files[name]


def _split_layout(name: str, train: str, test: str) -> Layout:
    """Return the layout of clips in two folders."""
    return Layout(name, (train, test), partial(_find_split, train, test))


def one_video_layout(video: str, n_train_frames: int, n_test_frames: int) -> Layout:
    """Return the layout of one video, cut into a training clip and test clips."""
    return Layout("official", (video,), partial(_find_one_video, video, n_train_frames, n_test_frames))


UCSD = Layout("official", ("Train", "Test"), _find_ucsd)
LV = Layout("official", ("LVparms.mat",), _find_lv)
VIDEOS = _split_layout("official", "training_videos", "testing_videos")
SHANGHAITECH = _split_layout("official", "training/videos", "testing/frames")
REPACKED = _split_layout("re-packed", "training/frames", "testing/frames")
# Sets of one's own: clips are folders of frames or videos; where a split has both, the frames.
OWN = (
    REPACKED,
    _split_layout("re-packed, training videos", "training/videos", "testing/frames"),
    _split_layout("re-packed, test videos", "training/frames", "testing/videos"),
    _split_layout("videos", "training/videos", "testing/videos"),
)
