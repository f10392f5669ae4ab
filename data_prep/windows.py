"""Training windows and scoring blocks, streamed from shards: no dataset is ever in memory whole."""

import itertools
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from data_prep.errors import InputError
from data_prep.pooling import rolling_temporal
from data_prep.read_ahead import read_ahead
from data_prep.shards import Shard

FEATURE_STREAMS = ("spatial", "temporal", "early")
MOST_OPEN = 400  # shards; a process may hold 1,024 files, more than ShanghaiTech has clips
MOST_DRAWS = 1000  # windows in search of one in which something moves


def stream_features(
    shard: Shard, start: int, stop: int, stream: str, temporal_window_frames=4, alignment="causal"
) -> np.ndarray:
    """Return the features of frames start..stop-1 in one stream, float32 (n_frames, R, C) or (.., 2 C).

    Paper: Sec. 3.6. "spatial": as extracted; "temporal": element-wise maximum over
    `temporal_window_frames` consecutive frames; "early": both, stacked along C (early fusion).
    Max over space and max over time commute, so the temporal stream costs no second pass of the CNN.
    """
    if stream not in FEATURE_STREAMS:
        raise ValueError(f"stream: expected one of {FEATURE_STREAMS}, got {stream!r}")
    if stream == "spatial":
        return shard.features(start, stop)
    margin = temporal_window_frames - 1
    first, last = max(0, start - margin), min(shard.n_frames, stop + margin)
    spatial = shard.features(first, last)
    temporal = rolling_temporal(spatial, temporal_window_frames, alignment)
    wanted = slice(start - first, stop - first)
    if stream == "temporal":
        return temporal[wanted]
    return np.concatenate([spatial[wanted], temporal[wanted]], -1)


class WindowSampler:
    """Random windows of consecutive frames; batch number `step` depends on the seed and `step` alone.

    Every window of the training split is equally likely. Because no state is kept, a run that resumes
    at step n sees exactly the batches that an unbroken run sees.

    Args:
        shards: paths of the training shards.
        stream: one of `FEATURE_STREAMS`.
        window_frames: T.
        batch_clips: B; a batch has B * R rows.
        seed: seed of the draw.
        temporal_window_frames, alignment: of the temporal maximum.
        n_frames: how many frames of each shard there are to draw from, the first so many; None for all.
    """

    def __init__(
        self,
        shards: Sequence[Path],
        stream="spatial",
        window_frames=10,
        batch_clips=4,
        seed=0,
        temporal_window_frames=4,
        alignment="causal",
        n_frames: Sequence[int] | None = None,
    ):
        self.shards = list(shards)
        # Kept open, as opening one takes longer than reading a window; the last ones used.
        self._opened: OrderedDict[int, Shard] = OrderedDict()
        self.window_frames = window_frames
        self.batch_clips = batch_clips
        self.seed = seed
        self.stream_options = {
            "stream": stream,
            "temporal_window_frames": temporal_window_frames,
            "alignment": alignment,
        }
        counts = []
        for path, most in zip(self.shards, n_frames or [sys.maxsize] * len(self.shards), strict=True):
            with Shard(path) as shard:
                counts.append(min(shard.n_frames, most) - window_frames + 1)
            if counts[-1] < 1:
                raise InputError(
                    f"{path}: expected at least {window_frames} frames (one training window), "
                    f"got {counts[-1] + window_frames - 1}"
                )
        self.ends = np.cumsum(counts)

    def batch(self, step: int) -> np.ndarray:
        """Return batch number `step`, float32 (B * R, T, C): row r of clip b is row b * R + r."""
        draw = np.random.default_rng([self.seed, step]).integers(self.ends[-1], size=self.batch_clips)
        return np.concatenate([self.window(index) for index in draw])

    def window(self, index: int) -> np.ndarray:
        """Return one of the windows, counted over all clips: float32 (R, T, C)."""
        shard, start = self.find(index)
        features = stream_features(shard, start, start + self.window_frames, **self.stream_options)
        return features.transpose(1, 0, 2)

    def find(self, index: int) -> tuple[Shard, int]:
        """Return the shard of one of the windows, counted over all clips, and its first frame."""
        clip = int(np.searchsorted(self.ends, index, side="right"))
        if clip not in self._opened:
            if len(self._opened) == MOST_OPEN:
                self._opened.popitem(last=False)[1].close()
            self._opened[clip] = Shard(self.shards[clip])
        self._opened.move_to_end(clip)
        return self._opened[clip], int(index - (self.ends[clip - 1] if clip else 0))


class ActiveRowSampler(WindowSampler):
    """Random windows of consecutive frames, `n_rows` rows of each: those in which something moves.

    For features, taken as they are, of which most rows are zeros (`data_prep.flow_windows`). A row is active
    where it is not zeros in every frame of the window; where fewer are active, some are drawn more than once,
    and where none is, another window is drawn. Batches depend on the seed and the step alone.

    Args:
        shards, window_frames, batch_clips, seed: as of `WindowSampler`.
        n_rows: rows of each window; a batch has `batch_clips * n_rows` rows.
    """

    def __init__(self, shards: Sequence[Path], n_rows=64, window_frames=10, batch_clips=6, seed=0):
        super().__init__(shards, window_frames=window_frames, batch_clips=batch_clips, seed=seed)
        self.n_rows = n_rows

    def batch(self, step: int) -> np.ndarray:
        """Return batch number `step`, float32 (B * n_rows, T, C).

        Raises InputError: no active row in `MOST_DRAWS` windows.
        """
        rng = np.random.default_rng([self.seed, step])
        return np.concatenate([self._active_rows(rng) for _ in range(self.batch_clips)])

    def _active_rows(self, rng: np.random.Generator) -> np.ndarray:
        """Return the rows of one window, float32 (n_rows, T, C)."""
        for _ in range(MOST_DRAWS):
            shard, start = self.find(rng.integers(self.ends[-1]))
            stored = shard.stored_features(start, start + self.window_frames)
            # As whole numbers: NumPy looks through float16 five times slower.
            active = np.flatnonzero(stored.view(f"u{stored.itemsize}").any(axis=0).any(axis=1))
            if len(active):
                rows = rng.choice(active, self.n_rows, replace=len(active) < self.n_rows)
                return stored[:, rows].transpose(1, 0, 2).astype(np.float32)
        raise InputError(
            f"{self.shards[0].parent}: expected features that are not zeros, got none in {MOST_DRAWS} "
            f"windows of {self.window_frames} frames"
        )


def batches(batch: Callable[[int], np.ndarray], start_step: int = 0) -> Iterator[tuple[np.ndarray]]:
    """Yield (batch(step),) for step = start_step, start_step + 1, ... without end, each read a step ahead."""
    yield from read_ahead(((batch(step),) for step in itertools.count(start_step)), 1)


def clip_blocks(
    shards: Sequence[Path], stream: str, block_frames: int, temporal_window_frames=4, alignment="causal"
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield blocks of consecutive frames of several clips side by side, for scoring.

    Clips that have ended are padded with zeros; rows are independent, so padding touches no other clip.

    Yields:
        (x, n_valid): x float32 (n_clips * R, block_frames, C); n_valid int (n_clips,), the number of
        frames of this block that each clip really has.
    """
    opened = [Shard(path) for path in shards]
    try:
        longest = max(shard.n_frames for shard in opened)
        for start in range(0, longest, block_frames):
            rows, n_valid = [], []
            for shard in opened:
                stop = min(start + block_frames, shard.n_frames)
                n_valid.append(max(0, stop - start))
                x = stream_features(
                    shard, min(start, stop), stop, stream, temporal_window_frames, alignment
                ).transpose(1, 0, 2)
                rows.append(np.pad(x, ((0, 0), (0, block_frames - x.shape[1]), (0, 0))))
            yield np.concatenate(rows), np.array(n_valid)
    finally:
        for shard in opened:
            shard.close()
