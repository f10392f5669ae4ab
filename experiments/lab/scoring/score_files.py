"""Score files: what a model says of every clip of a split, and which clips those were."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from data_prep.arrays import read_npz
from data_prep.errors import InputError
from data_prep.files import one_line, write_atomic
from experiments.lab.scoring.score import PER_FRAME, ClipScores

SCORE_AGAIN = "delete it: the command that trained the run scores it again"


def save_scores(path: Path, scores: Sequence[ClipScores], scored_on: str = "") -> None:
    """Write the scores of all clips as one compressed .npz file, atomically.

    Args:
        path: the file.
        scores: of the clips, in the dataset's order.
        scored_on: what tells these clips' features and labels from others (`training.task.Data`).
    """
    arrays = {
        "clips": np.array([clip.clip for clip in scores]),
        "n_frames": np.array([len(clip.labels) for clip in scores]),
        "scored_on": np.array(scored_on),
    }
    for key in ("labels", *PER_FRAME):
        if getattr(scores[0], key) is not None:
            arrays[key] = np.concatenate(padded([getattr(clip, key) for clip in scores]))
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    write_atomic(path, content.getvalue())


def padded(clips: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return (n_frames,) or (n_frames, R) arrays, those of fewer regions with zeros in place of the others.

    A clip of frames of another shape has another number of windows.
    """
    most = max(clip.shape[-1] for clip in clips)
    return [np.pad(clip, ((0, 0), (0, most - clip.shape[1]))) if clip.ndim == 2 else clip for clip in clips]


def load_scores(path: Path, scored_on: str | None = None) -> list[ClipScores]:
    """Return what `save_scores` wrote.

    Raises InputError: absent, damaged, or scores of other clips than `scored_on` names, where it is given.
    """
    arrays = read_arrays(path)
    try:
        check(arrays)
    except ValueError as fault:
        raise InputError(f"{path}: damaged scores, {one_line(fault)}; {SCORE_AGAIN}") from None
    if scored_on is not None and str(arrays.get("scored_on", "")) != scored_on:
        raise InputError(f"{path}: scores of other clips than the dataset has; another command replaced them")
    ends = np.cumsum(arrays["n_frames"])[:-1]
    parts = {key: np.split(arrays[key], ends) for key in ("labels", *PER_FRAME) if key in arrays}
    names = arrays["clips"].tolist()
    return [ClipScores(name, **{key: part[i] for key, part in parts.items()}) for i, name in enumerate(names)]


def clips_of(path: Path) -> str | None:
    """Return what tells the clips of a score file from others, see `save_scores`; None without the file.

    Empty for a file that does not say. Raises InputError: damaged.
    """
    return str(read_arrays(path, ("scored_on",)).get("scored_on", "")) if path.exists() else None


def read_arrays(path: Path, names: Sequence[str] | None = None) -> Mapping[str, np.ndarray]:
    """Return the arrays of a file by name, those of `names` alone where given. InputError: not readable."""
    if not path.exists():
        raise InputError(f"{path}: no such file; the command that trained the run scores it again")
    try:
        return read_npz(path, "scores", names)
    except InputError as fault:
        raise InputError(f"{fault}; {SCORE_AGAIN}") from None


def check(arrays: Mapping[str, np.ndarray]) -> None:
    """Raise ValueError, saying what is wrong, unless the arrays are what `save_scores` writes."""
    for key in ("clips", "n_frames", "labels", "error"):
        if key not in arrays:
            raise ValueError(f"no array {key}")
    clips, n_frames, labels = arrays["clips"], arrays["n_frames"], arrays["labels"]
    if clips.ndim != 1 or clips.dtype.kind != "U" or len(set(clips.tolist())) < len(clips) or not len(clips):
        raise ValueError(f"clips: expected names, each once, got {clips.dtype} {clips.shape}")
    if n_frames.shape != clips.shape or n_frames.dtype.kind not in "iu" or n_frames.min() < 1:
        raise ValueError(f"n_frames: expected a number of frames for each of {len(clips)} clips")
    n_rows = int(n_frames.sum())
    if labels.shape != (n_rows,) or labels.dtype != np.uint8 or labels.max() > 1:
        raise ValueError(f"labels: expected {n_rows} times 0 or 1, got {labels.dtype} {labels.shape}")
    shape = (n_rows, *arrays["error"].shape[1:2])
    for key in (key for key in PER_FRAME if key in arrays):
        values = arrays[key]
        if values.shape != shape or len(shape) != 2 or values.dtype.kind != "f":
            raise ValueError(f"{key}: expected real numbers {shape}, got {values.dtype} {values.shape}")
        if not np.isfinite(values).all():
            raise ValueError(f"{key}: expected finite numbers, got NaN or infinity")
