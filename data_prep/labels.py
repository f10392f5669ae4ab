"""Frame-level and pixel-level ground truth, in the formats that the datasets are published in.

Frame labels are uint8 (n_frames,), 1 = abnormal. Pixel masks are bool (H, W), one per frame, True = abnormal.

Formats of frame labels:
    name.mat    key `gt`: 1 x n_clips cells, each 2 x n, first row starts and second row ends of intervals
    name.m      UCSD's script: `TestVideoFile{end+1}.gt_frame = [5:90, 140:200];`, one line per clip
    folder/     one `<clip>.npy` per clip, a 0 or 1 per frame (ShanghaiTech)
    none        the frames whose pixel mask marks anything (`MaskLabels`)
Intervals are 1-based and their ends are inclusive; clips are in name order.

Formats of the pixel masks of one clip:
    folder/     one image per frame (UCSD's .bmp, re-packed .png)
    clip.npy    array (n_frames, H, W) (ShanghaiTech)
    N_label.mat key `volLabel`: 1 x n_frames cells, each H x W (Avenue)
    video       one frame per frame, white where abnormal (LV)
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from data_prep.arrays import map_npy, read_npy
from data_prep.errors import InputError
from data_prep.files import check_file
from data_prep.frames import Segment, Source, count_frames, iter_frames, read_frames
from data_prep.images import frame_paths, read_mask
from data_prep.mat_files import read_cells
from data_prep.memory import check_fits
from data_prep.videos import VIDEO_SUFFIXES

_UCSD_LINE = re.compile(r"^\s*TestVideoFile\{[^}]*\}\.gt_frame\s*=\s*\[(.*?)\]", re.MULTILINE)
_UCSD_RANGE = re.compile(r"(\d{1,9})\s*:\s*(\d{1,9})")
_MOST_FRAMES = 10**9
_UCSD_SEPARATORS = re.compile(r"[\s,;]*")


_REAL = "buif"  # kinds of NumPy's numbers
_VIDEO_MASK_LEVEL = 127  # of 255: a mask stored as video has gray levels around its edges


def read_frame_labels(
    source: Path, clip_frames: Mapping[str, int], subset: bool = False
) -> dict[str, np.ndarray]:
    """Return the labels of every clip, uint8 (n_frames,), 1 = abnormal.

    `source` is a .mat file, a .m file or a folder of .npy files; `clip_frames` gives each clip's number of
    frames, in clip order. `subset` says that the source labels more clips: clip 08 has the eighth.
    Raises InputError: source missing or unreadable, another number of clips, an interval outside its clip,
    an array of another length.
    """
    source = Path(source)
    if source.is_dir():
        return _read_label_arrays(source, clip_frames, subset)
    if not source.is_file():
        raise InputError(f"{source}: no such file or folder, expected frame labels")
    readers = {".mat": read_mat_intervals, ".m": read_ucsd_intervals}
    if source.suffix not in readers:
        raise InputError(f"{source}: unknown kind of frame labels, expected .mat, .m or a folder of .npy")
    per_clip = readers[source.suffix](source)
    if subset:
        per_clip = [_at_number(source, per_clip, name) for name in clip_frames]
    if len(per_clip) != len(clip_frames):
        raise InputError(
            f"{source}: another number of clips, expected {len(clip_frames)} as in the test set, "
            f"got {len(per_clip)}"
        )
    return {
        name: intervals_to_labels(source, name, intervals, n_frames)
        for (name, n_frames), intervals in zip(clip_frames.items(), per_clip, strict=True)
    }


def read_mat_intervals(path: Path) -> list[np.ndarray]:
    """Return, per clip, the abnormal intervals of a .mat file, int64 (n, 2): 1-based start, inclusive end.

    Raises InputError: not a .mat file, no key `gt`, a cell that is not 2 x n whole numbers.
    """
    cells = read_cells(path, "gt", "1 x n_clips").ravel()
    return [_cell_to_intervals(path, number, cell) for number, cell in enumerate(cells, start=1)]


def read_ucsd_intervals(path: Path) -> list[np.ndarray]:
    """Return, per clip, the abnormal intervals of UCSD's .m file, int64 (n, 2): 1-based start, inclusive end.

    Raises InputError: not a text file, no `gt_frame` line, something else than ranges in one.
    """
    check_file(path)
    try:
        lines = _UCSD_LINE.findall(Path(path).read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: not a text file, expected TestVideoFile{{end+1}}.gt_frame lines"
        ) from error
    if not lines:
        raise InputError(
            f"{path}: no frame labels, expected TestVideoFile{{end+1}}.gt_frame = [61:180]; lines"
        )
    per_clip = []
    for number, line in enumerate(lines, start=1):
        if not _UCSD_SEPARATORS.fullmatch(_UCSD_RANGE.sub("", line)):
            raise InputError(f"{path}: clip {number}: expected ranges such as 5:90, 140:200, got [{line}]")
        ranges = [(int(start), int(end)) for start, end in _UCSD_RANGE.findall(line)]
        per_clip.append(np.array(ranges, np.int64).reshape(-1, 2))
    return per_clip


def check_masks(source: Source, n_frames: int) -> None:
    """Raise InputError where the masks of a clip are missing or are not one a frame; nothing is decoded.

    The masks of a .mat file are counted when they are read: what is not decoded cannot be counted there.
    """
    path = source.path if isinstance(source, Segment) else source
    if not path.exists():
        raise InputError(
            f"{path}: no such file or folder, expected the pixel masks of every test clip, or of none"
        )
    if path.suffix == ".npy":
        n_masks = len(_open_mask_array(path))
    elif path.suffix != ".mat":
        n_masks = count_frames(source)
    else:
        return
    _check_n_masks(source, n_masks, n_frames)


def clip_masks(frames: Source, masks: Source) -> Iterator[np.ndarray]:
    """Yield the pixel masks of the clip `frames`, one a frame, each bool (H, W) of the frames' size.

    Raises InputError: as `read_masks`, and what reading the clip's first frame raises.
    """
    return read_masks(masks, count_frames(frames), read_frames(frames, [0]).shape[1:3])


def read_masks(source: Source, n_frames: int, frame_size_px: tuple[int, int]) -> Iterator[np.ndarray]:
    """Yield the pixel masks of a clip in frame order, each bool (H, W), True = abnormal.

    `frame_size_px` is the (height, width) of the clip's frames. A pixel is abnormal where any bit is set; in
    a video, where it is lighter than half.
    Raises InputError: another number of masks than frames, a damaged mask, a mask of another size.
    """
    check_masks(source, n_frames)
    for name, mask in _named_masks(source, n_frames):
        if mask.shape != tuple(frame_size_px):
            height, width = frame_size_px
            got = f"{mask.shape[1]}x{mask.shape[0]} px" if mask.ndim == 2 else f"shape {mask.shape}"
            raise InputError(
                f"{name}: mask of another size, expected {width}x{height} px as the frame, got {got}"
            )
        yield mask


def _named_masks(source: Source, n_frames: int) -> Iterator[tuple[str, np.ndarray]]:
    """Yield each mask, bool, behind the name to report its faults under."""
    path = source.path if isinstance(source, Segment) else source
    if path.is_dir():
        yield from ((str(image), read_mask(image)) for image in frame_paths(path))
    elif path.suffix.lower() in VIDEO_SUFFIXES:
        yield from ((str(path), frame.max(-1) > _VIDEO_MASK_LEVEL) for frame in iter_frames(source))
    else:
        arrays = (
            _open_mask_array(path) if path.suffix == ".npy" else read_cells(path, "volLabel", "1 x n").ravel()
        )
        _check_n_masks(path, len(arrays), n_frames)
        yield from ((f"{path}: frame {n}", _is_set(path, a)) for n, a in enumerate(arrays, start=1))


def _is_set(path: Path, mask: np.ndarray) -> np.ndarray:
    """Return which numbers of a mask are above 0."""
    if mask.dtype.kind not in _REAL:
        raise InputError(f"{path}: expected masks of numbers, got {mask.dtype}")
    return np.asarray(mask) > 0


def _check_n_masks(source: Source, n_masks: int, n_frames: int) -> None:
    """Raise InputError unless there is one mask a frame."""
    if n_masks != n_frames:
        raise InputError(f"{source}: another number of masks, expected {n_frames} as frames, got {n_masks}")


def _open_mask_array(path: Path) -> np.ndarray:
    """Return a .npy file's masks (n_frames, H, W), left on disk until they are used."""
    masks = map_npy(path)
    if masks.ndim != 3:
        raise InputError(f"{path}: expected masks (n_frames, H, W), got shape {masks.shape}")
    return masks


def masks_to_labels(masks: Iterable[np.ndarray]) -> np.ndarray:
    """Return frame labels uint8 (n_frames,) from masks (H, W): 1 where any pixel is set."""
    return np.array([mask.any() for mask in masks], np.uint8)


class MaskLabels(Mapping[str, np.ndarray]):
    """Frame labels taken from pixel masks, a clip's when first asked for: uint8 (n_frames,) by clip name.

    Args:
        frames: source of each clip's frames.
        masks: source of each clip's masks.
    """

    def __init__(self, frames: Mapping[str, Source], masks: Mapping[str, Source]):
        self._frames, self._masks = dict(frames), dict(masks)
        self._labels = {}

    def __getitem__(self, name: str) -> np.ndarray:
        """Return a clip's labels. Raises InputError as `clip_masks`."""
        if name not in self._labels:
            self._labels[name] = masks_to_labels(clip_masks(self._frames[name], self._masks[name]))
        return self._labels[name]

    def __iter__(self) -> Iterator[str]:
        """Yield the names of the clips."""
        return iter(self._frames)

    def __len__(self) -> int:
        """Return the number of clips."""
        return len(self._frames)


def _at_number(path: Path, per_clip: list[np.ndarray], name: str) -> np.ndarray:
    """Return the intervals at the number that a clip's name ends in."""
    digits = re.findall(r"\d+$", name)
    number = int(digits[0]) if digits else 0
    if not 1 <= number <= len(per_clip):
        raise InputError(f"{path}: no labels of clip {name}, expected a number in 1..{len(per_clip)}")
    return per_clip[number - 1]


def _cell_to_intervals(path: Path, number: int, cell: np.ndarray) -> np.ndarray:
    """Return one cell's (2, n) array as int64 (n, 2); a clip without anomaly has an empty cell."""
    cell = np.asarray(cell)
    if cell.size == 0:
        return np.zeros((0, 2), np.int64)
    is_real = cell.ndim == 2 and cell.shape[0] == 2 and cell.dtype.kind in "iuf"
    if not is_real or (cell != np.floor(cell)).any() or not (np.abs(cell) < _MOST_FRAMES).all():
        raise InputError(
            f"{path}: clip {number}: expected 2 x n whole frame numbers, got {cell.dtype} {cell.shape}"
        )
    # A cell is often uint8: it must be widened before anything is added to it.
    return cell.T.astype(np.int64)


def intervals_to_labels(path: Path, name: str, intervals: np.ndarray, n_frames: int) -> np.ndarray:
    """Return a clip's labels, uint8 (n_frames,), 1 inside any interval; intervals may touch or overlap.

    Raises InputError: an interval outside the clip.
    """
    check_fits(path, n_frames)
    labels = np.zeros(n_frames, np.uint8)
    for start, end in intervals.tolist():
        if not 1 <= start <= end <= n_frames:
            raise InputError(
                f"{path}: clip {name}: expected an interval inside frames 1..{n_frames}, got {start}..{end}"
            )
        labels[start - 1 : end] = 1
    return labels


def _read_label_arrays(folder: Path, clip_frames: Mapping[str, int], subset: bool) -> dict[str, np.ndarray]:
    """Return the labels of every clip from `<clip>.npy` files."""
    found = {path.stem for path in folder.glob("*.npy") if not path.name.startswith(".")}
    if len(found) != len(clip_frames) and not subset:
        raise InputError(
            f"{folder}: another number of clips, expected {len(clip_frames)} as in the test set, "
            f"got {len(found)}"
        )
    missing = sorted(set(clip_frames) - found)
    if missing:
        raise InputError(f"{folder}: no labels of clip {missing[0]}, expected {missing[0]}.npy")
    return {name: _read_label_array(folder / f"{name}.npy", n) for name, n in clip_frames.items()}


def _read_label_array(path: Path, n_frames: int) -> np.ndarray:
    """Return one .npy file's labels, uint8 (n_frames,)."""
    labels = read_npy(path)
    if labels.shape != (n_frames,):
        raise InputError(
            f"{path}: clip {path.stem}: expected {n_frames} labels as frames, got shape {labels.shape}"
        )
    if labels.dtype.kind not in _REAL or not np.isin(labels, (0, 1)).all():
        raise InputError(f"{path}: clip {path.stem}: expected labels 0 and 1, got {np.unique(labels)[:5]}")
    return labels.astype(np.uint8)
