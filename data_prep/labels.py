"""Frame-level and pixel-level ground truth, in the formats that the datasets are published in.

Frame labels are uint8 (n_frames,), 1 = abnormal. Pixel masks are bool (H, W), one per frame, True = abnormal.

Formats of frame labels:
    name.mat    key `gt`: 1 x n_clips cells, each 2 x n, first row starts and second row ends of intervals
    name.m      UCSD's script: `TestVideoFile{end+1}.gt_frame = [5:90, 140:200];`, one line per clip
    folder/     one `<clip>.npy` per clip, a 0 or 1 per frame (ShanghaiTech)
Intervals are 1-based and their ends are inclusive; clips are in name order.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import scipy.io

from data_prep.errors import InputError
from data_prep.frames import image_paths, read_image

_UCSD_LINE = re.compile(r"^\s*TestVideoFile\{[^}]*\}\.gt_frame\s*=\s*\[(.*?)\]", re.MULTILINE)
_UCSD_RANGE = re.compile(r"(\d+)\s*:\s*(\d+)")
_UCSD_SEPARATORS = re.compile(r"[\s,;]*")


def read_frame_labels(source: Path, clip_frames: Mapping[str, int]) -> dict[str, np.ndarray]:
    """Return the labels of every clip, uint8 (n_frames,), 1 = abnormal.

    `source` is a .mat file, a .m file or a folder of .npy files; `clip_frames` gives each clip's number of
    frames, in clip order. Raises InputError: source missing or unreadable, another number of clips, an
    interval outside its clip, an array of another length.
    """
    source = Path(source)
    if source.is_dir():
        return _read_label_arrays(source, clip_frames)
    if not source.is_file():
        raise InputError(f"{source}: no such file or folder, expected frame labels")
    readers = {".mat": read_mat_intervals, ".m": read_ucsd_intervals}
    if source.suffix not in readers:
        raise InputError(f"{source}: unknown kind of frame labels, expected .mat, .m or a folder of .npy")
    per_clip = readers[source.suffix](source)
    if len(per_clip) != len(clip_frames):
        raise InputError(
            f"{source}: another number of clips, expected {len(clip_frames)} as in the test set, "
            f"got {len(per_clip)}"
        )
    return {
        name: _intervals_to_labels(source, name, intervals, n_frames)
        for (name, n_frames), intervals in zip(clip_frames.items(), per_clip, strict=True)
    }


def read_mat_intervals(path: Path) -> list[np.ndarray]:
    """Return, per clip, the abnormal intervals of a .mat file, int64 (n, 2): 1-based start, inclusive end.

    Raises InputError: not a .mat file, no key `gt`, a cell that is not 2 x n whole numbers.
    """
    try:
        content = scipy.io.loadmat(path)
    except Exception as error:  # on damaged bytes SciPy raises whatever its parser trips over
        raise InputError(f"{path}: not a readable .mat file ({error})") from error
    if "gt" not in content:
        keys = [key for key in content if not key.startswith("__")]
        raise InputError(f"{path}: no frame labels, expected the key gt, got {keys}")
    cells = content["gt"].ravel()
    if content["gt"].dtype != object:
        raise InputError(
            f"{path}: gt is no cell array, expected 1 x n_clips cells, got {content['gt'].dtype}"
        )
    return [_cell_to_intervals(path, number, cell) for number, cell in enumerate(cells, start=1)]


def read_ucsd_intervals(path: Path) -> list[np.ndarray]:
    """Return, per clip, the abnormal intervals of UCSD's .m file, int64 (n, 2): 1-based start, inclusive end.

    Raises InputError: not a text file, no `gt_frame` line, something else than ranges in one.
    """
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


def mask_paths(folder: Path, n_frames: int) -> list[Path]:
    """Return the mask images of a clip in frame order; nothing is decoded.

    Raises InputError: what `image_paths` raises, another number of masks than frames.
    """
    paths = image_paths(folder)
    if len(paths) != n_frames:
        raise InputError(
            f"{folder}: another number of masks, expected {n_frames} as frames, got {len(paths)}"
        )
    return paths


def read_masks(folder: Path, n_frames: int, frame_size_px: tuple[int, int]) -> Iterator[np.ndarray]:
    """Yield the pixel masks of a clip in frame order, each bool (H, W), True where any bit is set.

    `frame_size_px` is the (height, width) of the clip's frames.
    Raises InputError: what `mask_paths` raises, a damaged mask, a mask of another size.
    """
    for path in mask_paths(folder, n_frames):
        mask = read_image(path, gray=True) > 0
        if mask.shape != tuple(frame_size_px):
            height, width = frame_size_px
            raise InputError(
                f"{path}: mask of another size, expected {width}x{height} px as the frame, "
                f"got {mask.shape[1]}x{mask.shape[0]} px"
            )
        yield mask


def masks_to_labels(masks: Iterable[np.ndarray]) -> np.ndarray:
    """Return frame labels uint8 (n_frames,) from masks (H, W): 1 where any pixel is set."""
    return np.array([mask.any() for mask in masks], np.uint8)


def _cell_to_intervals(path: Path, number: int, cell: np.ndarray) -> np.ndarray:
    """Return one cell's (2, n) array as int64 (n, 2); a clip without anomaly has an empty cell."""
    cell = np.asarray(cell)
    if cell.size == 0:
        return np.zeros((0, 2), np.int64)
    if cell.ndim != 2 or cell.shape[0] != 2 or cell.dtype.kind not in "iuf" or (cell != np.floor(cell)).any():
        raise InputError(
            f"{path}: clip {number}: expected 2 x n whole frame numbers, got {cell.dtype} {cell.shape}"
        )
    # A cell is often uint8: it must be widened before anything is added to it.
    return cell.T.astype(np.int64)


def _intervals_to_labels(path: Path, name: str, intervals: np.ndarray, n_frames: int) -> np.ndarray:
    """Return uint8 (n_frames,), 1 inside any interval; intervals may touch or overlap."""
    labels = np.zeros(n_frames, np.uint8)
    for start, end in intervals.tolist():
        if not 1 <= start <= end <= n_frames:
            raise InputError(
                f"{path}: clip {name}: expected an interval inside frames 1..{n_frames}, got {start}..{end}"
            )
        labels[start - 1 : end] = 1
    return labels


def _read_label_arrays(folder: Path, clip_frames: Mapping[str, int]) -> dict[str, np.ndarray]:
    """Return the labels of every clip from `<clip>.npy` files."""
    found = {path.stem for path in folder.glob("*.npy") if not path.name.startswith(".")}
    if len(found) != len(clip_frames):
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
    try:
        labels = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise InputError(f"{path}: not a readable .npy file ({error})") from error
    if labels.shape != (n_frames,):
        raise InputError(
            f"{path}: clip {path.stem}: expected {n_frames} labels as frames, got shape {labels.shape}"
        )
    if not np.isin(labels, (0, 1)).all():
        raise InputError(f"{path}: clip {path.stem}: expected labels 0 and 1, got {np.unique(labels)[:5]}")
    return labels.astype(np.uint8)
