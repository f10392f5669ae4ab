"""Where the systems on gray frames read them: windows of a dataset's shards, some training clips held out.

Frames come as rows of pixels, float32 (..., H * W) in [0, 1]; windows are (n, T, H * W). What is held out is
never trained on: it says when training has learned what it can (`training.held_out`).
"""

import functools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np

from data_prep.errors import InputError
from data_prep.shards import Shard, list_shards
from data_prep.windows import WindowSampler
from experiments.lab.scoring.score import ClipScores
from experiments.lab.training.task import Data, shards_data

WINDOWS_AT_ONCE = 16
MEAN_FRAMES = 256
WindowErrors = Callable[[np.ndarray], np.ndarray]  # windows (n, T, H * W) -> errors (n, T)


class FrameSource(Protocol):
    """Windows of gray frames, to train on and to score.

    `data` and `stream` are those of a run; `size_px` is the side of the square frames; `mean` is the mean of
    the training frames that are not held out, (H * W,).
    """

    data: Data
    stream: str
    size_px: int
    mean: np.ndarray

    def sampler(self, window_frames: int, batch_clips: int, seed: int) -> Callable[[int], np.ndarray]:
        """Return the function step -> windows of a batch, which depends on the seed and the step alone."""

    def held_out(self, window_frames: int) -> Iterable[np.ndarray]:
        """Yield the windows of the frames held out, none of which overlap, `WINDOWS_AT_ONCE` at a time."""

    def score(
        self, split: str, errors_of: WindowErrors, window_frames: int, step_frames: int
    ) -> list[ClipScores]:
        """Return the scores of all clips of a split, R = 1, see `steps_of_windows`."""


class ShardFrames:
    """Gray frames in the shards of a dataset (`data_prep.gray_frames`), as a `FrameSource`.

    Every `hold_out_every`-th training clip is held out, the last of fewer; of a single clip its last part, as
    large a share, one window at least.

    Args:
        shards: folder of the shards.
        hold_out_every: of so many training clips one is held out.
        window_frames: T.
        sample_frames: see `Data`.

    Raises InputError: a single training clip shorter than two windows, nothing held out as long as a window.
    """

    stream = "frames"

    def __init__(self, shards: Path, hold_out_every: int, window_frames: int, sample_frames=None):
        self.shards, self.data = shards, shards_data(shards, sample_frames)
        paths = list_shards(shards, "train")
        lengths = [n_frames_of(path) for path in paths]
        whole = [(path, 0, n_frames) for path, n_frames in zip(paths, lengths, strict=True)]
        if len(paths) > 1:
            last = min(hold_out_every, len(paths)) - 1
            self.parts_held_out = whole[last::hold_out_every]
            self.parts = [part for part in whole if part not in self.parts_held_out]
        else:
            (path,), (n_frames,) = paths, lengths
            start = n_frames - max(window_frames, n_frames // hold_out_every)
            if start < window_frames:
                raise InputError(
                    f"{path}: the only training clip: expected at least {2 * window_frames} frames, a window "
                    f"to train on and one held out, got {n_frames}"
                )
            self.parts, self.parts_held_out = [(path, 0, start)], [(path, start, n_frames)]
        longest = max(stop - start for _, start, stop in self.parts_held_out)
        if longest < window_frames:
            raise InputError(
                f"{self.parts_held_out[0][0]}: held out of training: expected at least a window of "
                f"{window_frames} frames, got {longest}"
            )

    @functools.cached_property
    def size_px(self) -> int:
        """Return the side of the frames."""
        with Shard(self.parts[0][0]) as shard:
            return round(shard.features(0, 1).shape[-1] ** 0.5)

    @functools.cached_property
    def mean(self) -> np.ndarray:
        """Return the mean training frame, float32 (H * W,); memory holds `MEAN_FRAMES` of a clip."""
        total, n_frames = np.zeros(self.size_px**2), 0
        for path, start, stop in self.parts:
            with Shard(path) as shard:
                for at in range(start, stop, MEAN_FRAMES):
                    frames = shard.features(at, min(at + MEAN_FRAMES, stop))[:, 0]
                    total += frames.sum(0, dtype=np.float64)
            n_frames += stop - start
        return (total / n_frames).astype(np.float32)

    def sampler(self, window_frames: int, batch_clips: int, seed: int) -> Callable[[int], np.ndarray]:
        """Return what draws windows, each equally likely."""
        paths, _, lengths = zip(*self.parts, strict=True)
        options = {"window_frames": window_frames, "batch_clips": batch_clips, "seed": seed}
        return WindowSampler(paths, **options, n_frames=lengths).batch

    def held_out(self, window_frames: int) -> Iterator[np.ndarray]:
        """Yield the windows of the parts held out that fit, one after another."""
        for path, first, stop in self.parts_held_out:
            starts = range(first, stop - window_frames + 1, window_frames)
            with Shard(path) as shard:
                for at in range(0, len(starts), WINDOWS_AT_ONCE):
                    group = starts[at : at + WINDOWS_AT_ONCE]
                    yield np.stack([shard.features(start, start + window_frames)[:, 0] for start in group])

    def score(
        self, split: str, errors_of: WindowErrors, window_frames: int, step_frames: int
    ) -> list[ClipScores]:
        """Return the scores of a split's clips."""
        paths = list_shards(self.shards, split)
        return [score_windows(path, errors_of, window_frames, step_frames) for path in paths]


def n_frames_of(path: Path) -> int:
    """Return the number of frames of a shard."""
    with Shard(path) as shard:
        return shard.n_frames


def steps_of_windows(
    n_frames: int, window_frames: int, step_frames: int
) -> Iterator[tuple[int, slice, slice]]:
    """Yield each window's first frame, the clip's frames that it scores, and their places in it.

    A frame is scored by the first window that reaches it; the last window ends with the clip.
    """
    last, scored = max(0, n_frames - window_frames), 0
    for start in [*range(0, last, step_frames), last]:
        stop = min(start + window_frames, n_frames)
        yield start, slice(scored, stop), slice(scored - start, stop - start)
        scored = stop


def score_windows(path: Path, errors_of: WindowErrors, window_frames: int, step_frames: int) -> ClipScores:
    """Return the scores of one clip, R = 1, see `steps_of_windows`.

    A clip shorter than a window is filled up with its last frame.

    Args:
        path: shard of gray frames.
        errors_of: see `WindowErrors`.
        window_frames: T.
        step_frames: frames between windows; the last one ends with the clip.
    """
    with Shard(path) as shard:
        n_frames, labels, clip = shard.n_frames, shard.labels, shard.info.clip
        steps = list(steps_of_windows(n_frames, window_frames, step_frames))
        error = np.empty(n_frames, np.float32)
        for first in range(0, len(steps), WINDOWS_AT_ONCE):
            group = steps[first : first + WINDOWS_AT_ONCE]
            windows = [shard.features(start, start + window_frames)[:, 0] for start, _, _ in group]
            windows = [np.pad(w, ((0, window_frames - len(w)), (0, 0)), "edge") for w in windows]
            for (_, frames, places), errors in zip(group, errors_of(np.stack(windows)), strict=True):
                error[frames] = errors[places]
    return ClipScores(clip, labels, error[:, None])
