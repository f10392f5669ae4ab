"""Features brought to one scale after they are extracted; the paper takes them as they are.

    none          as extracted
    l2            each region of each frame scaled to length sqrt(C): a mean square of 1
    standardized  each channel less its mean, over its standard deviation, both taken over all regions of all
                  training frames; a deviation counts as at least a tenth of the channels' mean, so that a
                  channel that hardly moves in training is not blown up

Normalized shards are made from the extracted ones, clip by clip, and lie in a folder beside them, together
with `normalization.npz`, from which live frames are normalized alike. The temporal maximum comes afterwards.
"""

import hashlib
import io
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from data_prep.arrays import read_npz
from data_prep.clip_list import SPLITS, read_clip_list, write_clip_list
from data_prep.errors import InputError
from data_prep.files import locked, remove_leftovers, write_atomic
from data_prep.shards import Shard, expected_shards, is_current, list_shards, read_info, write_shard

FEATURE_NORMALIZATIONS = ("none", "l2", "standardized")
FILE = "normalization.npz"
SMALLEST_DEVIATION = 0.1  # of the channels' mean deviation
BLOCK_FRAMES = 64


@dataclass(frozen=True, eq=False)
class Normalization:
    """A function from features (.., C) to features (.., C), float32.

    Attributes:
        method: one of `FEATURE_NORMALIZATIONS`.
        mean, deviation: float32 (C,) each, of "standardized".
    """

    method: str = "none"
    mean: np.ndarray | None = None
    deviation: np.ndarray | None = None

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Return the normalized features."""
        if self.method == "l2":
            length = np.linalg.norm(features, axis=-1, keepdims=True)
            scale = np.float32(features.shape[-1] ** 0.5)
            return features * np.divide(scale, length, out=np.zeros_like(length), where=length > 0)
        if self.method == "standardized":
            return (features - self.mean) / self.deviation
        return features

    def __str__(self) -> str:
        """Return the method and what tells its statistics from others."""
        if self.mean is None:
            return self.method
        digest = hashlib.sha256(self.mean.tobytes() + self.deviation.tobytes()).hexdigest()
        return f"{self.method}, statistics {digest[:16]}"


AS_EXTRACTED = Normalization()


def normalize_shards(folder: Path, method: str) -> Path:
    """Return the folder of the normalized shards, making those that are missing, damaged or made otherwise.

    Args:
        folder: of the extracted shards, `<split>/<clip>.h5`; it is returned itself for "none".
        method: one of `FEATURE_NORMALIZATIONS`.

    Raises InputError: no training shard, a damaged one, one that cannot be written.
    """
    if method == "none":
        return folder
    target = folder.with_name(f"{folder.name}-{method}")
    with locked(target):
        _normalize(folder, target, method)
    return target


def _normalize(folder: Path, target: Path, method: str) -> None:
    """Write the normalized shards that are not in `target` as they should be."""
    normalization = _fitted(folder, target, method)
    clips = read_clip_list(folder)
    if clips is not None:
        write_clip_list(target, clips)
    splits = [split for split in SPLITS if expected_shards(folder, split)]
    for path in [path for split in splits for path in list_shards(folder, split)]:
        made = target / path.relative_to(folder)
        with Shard(path) as shard:
            wanted = replace(shard.info, normalization=str(normalization))
            if is_current(made, wanted, shard.labels):
                continue
            remove_leftovers(made)
            blocks = (
                normalization(shard.features(start, start + BLOCK_FRAMES))
                for start in range(0, shard.n_frames, BLOCK_FRAMES)
            )
            write_shard(made, blocks, wanted, shard.labels, shard.boxes)


def _fitted(folder: Path, target: Path, method: str) -> Normalization:
    """Return the normalization fitted to the training shards, which is kept in `target`."""
    paths = list_shards(folder, "train")
    source = hashlib.sha256("\n".join(read_info(path).checksum for path in paths).encode()).hexdigest()
    kept = target / FILE
    if not kept.exists() or str(_read(kept)["source"]) != source:
        arrays = {"method": method, "source": source}
        if method == "standardized":
            arrays["mean"], arrays["deviation"] = channel_statistics(paths)
        content = io.BytesIO()
        np.savez(content, **arrays)
        write_atomic(kept, content.getvalue())
    return load_normalization(target)


def channel_statistics(paths: list[Path]) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and deviation of each channel over all regions and frames, float32 (C,) each."""
    n, total, squares = 0, np.zeros(()), np.zeros(())
    for path in paths:
        with Shard(path) as shard:
            for start in range(0, shard.n_frames, BLOCK_FRAMES):
                x = shard.features(start, start + BLOCK_FRAMES).astype(np.float64)
                x = x.reshape(-1, x.shape[-1])
                n, total, squares = n + len(x), total + x.sum(0), squares + np.square(x).sum(0)
    mean = total / n
    deviation = np.sqrt(np.maximum(squares / n - mean**2, 0))
    if not deviation.any():
        raise InputError(f"{paths[0].parent}: expected features that vary, got the same everywhere")
    least = SMALLEST_DEVIATION * deviation.mean()
    return mean.astype(np.float32), np.maximum(deviation, least).astype(np.float32)


def load_normalization(folder: Path) -> Normalization:
    """Return the normalization kept in a folder of shards, or of a run; "none" where there is none."""
    path = folder / FILE
    if not path.exists():
        return AS_EXTRACTED
    arrays = _read(path)
    statistics = {name: arrays[name] for name in ("mean", "deviation") if name in arrays}
    return Normalization(str(arrays["method"]), **statistics)


def _read(path: Path) -> dict[str, np.ndarray]:
    """Return what `_fitted` wrote. InputError where it is damaged."""
    try:
        arrays = read_npz(path, "normalization of features")
    except InputError as fault:
        raise InputError(f"{fault}; delete it") from None
    if not _is_sound(arrays):
        raise InputError(f"{path}: expected a normalization of features, got {sorted(arrays)}; delete it")
    return arrays


def _is_sound(arrays: dict[str, np.ndarray]) -> bool:
    """Tell whether arrays are what `_fitted` writes."""
    if "source" not in arrays or str(arrays.get("method")) not in FEATURE_NORMALIZATIONS:
        return False
    if str(arrays["method"]) != "standardized":
        return True
    statistics = [arrays.get(name, np.zeros(0)) for name in ("mean", "deviation")]
    if any(s.dtype != np.float32 or s.ndim != 1 for s in statistics):
        return False
    mean, deviation = statistics
    return mean.shape == deviation.shape and bool(np.isfinite(mean).all() and (deviation > 0).all())
