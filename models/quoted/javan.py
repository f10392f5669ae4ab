"""After Javan Roshtkhari & Levine 2013: how probable small volumes are around one another.

Javan Roshtkhari & Levine, "An on-line, real-time learning method for detecting anomalies in videos using
spatio-temporal compositions", CVIU 2013. Recalled: small volumes, sampled densely and on several scales, are
described by histograms of their gradients and get the words of a codebook, softly; an ensemble is what lies
around a volume, by word and relative place; how probable it is says whether the video there is normal, and
what was seen is added to what is known. No source was readable; everything else is our inference.

A volume has 5 x 5 px and 5 frames, one every 4 px and 2 frames, on the frame and on half of it. Its gradients
(x, y, t) of the blurred frames vote with their lengths for 8 directions in the picture times 4 angles towards
time; the votes sum to 1, or are 0 where there is hardly a gradient. There are 64 words; a volume has its
three nearest, by 1 / distance. An ensemble is the 7 x 7 volumes of 5 moments around a volume that changes,
its center. With zones of 4 x 6 parts of the picture, its score is the mean over its members of

    -sum_j w_j log P(word j | word of the center, offset of the member, zone of the center),

P being counts in training plus 1. Scores of both scales add up, each averaged over 16 x 16 px of the frame, 0
where nothing changes; a frame's score is the maximum.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, tee

import cv2
import numpy as np
from sklearn.cluster import MiniBatchKMeans

from models.quoted.cell_maps import CellGrid, around
from models.quoted.reservoir import Reservoir

VOLUME_PX, VOLUME_FRAMES = 5, 5
STEP_PX, STEP_FRAMES = 4, 2
SCALES = (1, 2)  # the frame's size over the picture's
DIRECTIONS, ANGLES = 8, 4
LEAST_GRADIENT = 2.0  # gray levels a px, mean of a volume, below which it has no histogram
LEAST_CHANGE = 3.0  # gray levels a frame, mean of a volume, above which it is a center
WORDS, SOFT, LEAST_DISTANCE = 64, 3, 1e-3
CODEBOOK_VOLUMES, CODEBOOK_STEP = 50_000, 5  # every fifth moment is enough for words
ENSEMBLE, MOMENTS = 7, 5
ZONES = (4, 6)
CELL = 4  # volumes a side of a map's cell: 16 px


@dataclass(frozen=True)
class Volumes:
    """The volumes of one moment on one scale.

    Attributes:
        histograms: float32 (rows, columns, 32), each summing to 1 or 0.
        changes: bool (rows, columns), where a volume is a center.
    """

    histograms: np.ndarray
    changes: np.ndarray


@dataclass(frozen=True)
class Words:
    """The words of the volumes of one moment on one scale.

    Attributes:
        words: int (rows, columns, 3), the nearest first.
        weights: float32 (rows, columns, 3), summing to 1.
        changes: as in `Volumes`.
    """

    words: np.ndarray
    weights: np.ndarray
    changes: np.ndarray


@dataclass(frozen=True)
class Members:
    """The ensembles of one moment on one scale: n centers, 245 members of 3 words each.

    Attributes:
        centers: int (n, 2), row and column.
        tables: int (n,), zone * 64 + the center's word: which table of counts.
        words, weights: (n, 245, 3); members beyond the picture weigh 0.
        grid: rows and columns of volumes.
    """

    grid: tuple[int, int]
    centers: np.ndarray
    tables: np.ndarray
    words: np.ndarray
    weights: np.ndarray

    @cached_property
    def member_places(self) -> np.ndarray:
        """Where each member's table of words begins, int (n, 245): the table of its center, its offset."""
        n_members = self.words.shape[1]
        return self.tables[:, None] * n_members + np.arange(n_members)

    @property
    def places(self) -> np.ndarray:
        """Where each member's words are counted, int (n, 245, 3), in `Ensembles.counts` as one row."""
        return self.member_places[..., None] * WORDS + self.words


def volumes(frames: Iterable[np.ndarray]) -> Iterator[list[Volumes]]:
    """Yield the volumes around every second frame of a clip, on each scale.

    Args:
        frames: gray, uint8 (H, W), in order.
    """
    moments = zip(
        *(
            around(_votes(of_scale, scale), VOLUME_FRAMES)
            for of_scale, scale in zip(tee(frames, len(SCALES)), SCALES, strict=True)
        ),
        strict=True,
    )
    for windows in islice(moments, 0, None, STEP_FRAMES):
        yield [_volumes(window) for window in windows]


def _volumes(window: tuple[tuple[np.ndarray, np.ndarray], ...]) -> Volumes:
    """Return the volumes of five frames' votes and changes."""
    votes, change = (sum(parts[1:], parts[0]) / len(parts) for parts in zip(*window, strict=True))
    total = votes.sum(axis=-1, keepdims=True)
    histograms = np.where(total > LEAST_GRADIENT, votes / np.maximum(total, LEAST_GRADIENT), np.float32(0))
    return Volumes(histograms, change > LEAST_CHANGE)


def _votes(frames: Iterable[np.ndarray], scale: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield of each frame the mean votes, (rows, columns, 32), and change, (rows, columns), of 5 x 5 px."""
    before = None
    for frame in frames:
        size = max(1, frame.shape[1] // scale), max(1, frame.shape[0] // scale)
        gray = cv2.resize(frame, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        gray = cv2.GaussianBlur(gray, (0, 0), 1)
        t = np.zeros_like(gray) if before is None else gray - before
        before = gray
        x, y = (cv2.Sobel(gray, cv2.CV_32F, dx, 1 - dx, ksize=1, scale=0.5) for dx in (1, 0))
        plane = np.hypot(x, y)
        towards = np.arctan2(y, x)
        towards = np.where(towards < 0, towards + 2 * np.pi, towards)  # % takes six times as long
        direction = (towards * (DIRECTIONS / (2 * np.pi))).astype(int) % DIRECTIONS
        angle = ((np.arctan2(t, plane) / np.pi + 0.5) * ANGLES).astype(int).clip(0, ANGLES - 1)
        votes = _mean_votes(direction * ANGLES + angle, np.hypot(plane, t))
        yield votes, _volume_px(np.abs(t)).mean(axis=(2, 3))


def _mean_votes(bins: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return what the pixels of each volume vote, float32 (rows, columns, 32), a pixel's mean.

    Args:
        bins: int (H, W), what each pixel votes for.
        lengths: float32 (H, W), its weight.
    """
    of_volumes, weights = _volume_px(bins), _volume_px(lengths)
    rows, columns = of_volumes.shape[:2]
    n_bins, n_px = DIRECTIONS * ANGLES, VOLUME_PX**2
    places = np.arange(rows * columns)[:, None] * n_bins + of_volumes.reshape(-1, n_px)
    votes = np.bincount(places.ravel(), weights.ravel(), rows * columns * n_bins)
    return (votes / n_px).astype(np.float32).reshape(rows, columns, n_bins)


def _volume_px(values: np.ndarray) -> np.ndarray:
    """Return the pixels of each volume, (rows, columns, 5, 5), of a picture that is mirrored at its edges."""
    half = VOLUME_PX // 2
    padded = np.pad(values, half, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (VOLUME_PX, VOLUME_PX))
    return windows[STEP_PX // 2 :: STEP_PX, STEP_PX // 2 :: STEP_PX]


def nearest_words(moment: Volumes, codebook: np.ndarray) -> Words:
    """Return the words of volumes: the three nearest of a codebook, (words, 32), by 1 / distance."""
    shape = moment.changes.shape
    x = moment.histograms.reshape(-1, codebook.shape[1])
    squares = (x**2).sum(axis=1)[:, None] - 2 * x @ codebook.T + (codebook**2).sum(axis=1)
    words = np.argsort(squares, axis=1)[:, :SOFT]
    distances = np.sqrt(np.maximum(np.take_along_axis(squares, words, axis=1), 0))
    weights = 1 / (distances + LEAST_DISTANCE)
    weights /= weights.sum(axis=1, keepdims=True)
    return Words(words.reshape(*shape, -1), weights.reshape(*shape, -1), moment.changes)


def members(window: tuple[Words, ...]) -> Members:
    """Return the ensembles whose centers lie in the middle one of five moments."""
    middle = window[MOMENTS // 2]
    centers = np.argwhere(middle.changes)
    around_centers = [
        _around(np.stack([getattr(moment, name) for moment in window]), centers)
        for name in ("words", "weights")
    ]
    shape = np.array(middle.changes.shape)
    zone = (centers * ZONES // shape) @ (ZONES[1], 1)
    return Members(
        middle.changes.shape, centers, zone * WORDS + middle.words[..., 0][middle.changes], *around_centers
    )


def _around(values: np.ndarray, centers: np.ndarray) -> np.ndarray:
    """Return what lies around centers, (n, 245, S), of values (5, rows, columns, S); 0 beyond the edges."""
    half = ENSEMBLE // 2
    padded = np.pad(values, ((0, 0), (half, half), (half, half), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (ENSEMBLE, ENSEMBLE), axis=(1, 2))
    found = windows[:, centers[:, 0], centers[:, 1]]  # (5, n, S, 7, 7)
    return found.transpose(1, 0, 3, 4, 2).reshape(len(centers), MOMENTS * ENSEMBLE**2, values.shape[-1])


class Ensembles:
    """How often each word was seen at each place around a center; make it with `fit`.

    Attributes:
        codebooks: of each scale, float32 (at most 64, 32).
        counts: of each scale, float32 (zones * 64, 245, 64): by table, offset of the member, its word.
    """

    def __init__(self, codebooks: list[np.ndarray]):
        self.codebooks = codebooks
        shape = ZONES[0] * ZONES[1] * WORDS, MOMENTS * ENSEMBLE**2, WORDS
        self.counts = [np.zeros(shape, np.float32) for _ in codebooks]
        self._totals = [np.zeros(shape[:2], np.float32) for _ in codebooks]

    @classmethod
    def fit(cls, clips: Callable[[], Iterable[Iterable[np.ndarray]]], seed: int = 0) -> "Ensembles":
        """Return the ensembles of training clips.

        Args:
            clips: gives the clips' frames, gray, uint8 (H, W); called twice.
            seed: of the codebooks, and of the draw of 50,000 volumes for each.

        Raises ValueError: no frames at all.
        """
        samples = [Reservoir(CODEBOOK_VOLUMES, seed + index) for index in range(len(SCALES))]
        for clip in clips():
            for moment in islice(volumes(clip), 0, None, CODEBOOK_STEP):
                for sample, of_scale in zip(samples, moment, strict=True):
                    sample.add(of_scale.histograms.reshape(-1, DIRECTIONS * ANGLES))
        model = cls([codebook(sample.rows(), seed) for sample in samples])
        for clip in clips():
            for ensembles in model._ensembles(clip):
                model.learn(ensembles)
        return model

    def maps(self, frames: Iterable[np.ndarray], update: bool = False) -> Iterator[np.ndarray]:
        """Yield the score of each cell of 16 x 16 px, float64 (rows, columns), one map a frame.

        Args:
            frames: of one clip, gray, uint8 (H, W).
            update: learn what was seen, once it is scored.
        """
        shapes: list[tuple[int, int]] = []

        def counted() -> Iterator[np.ndarray]:
            for frame in frames:
                shapes.append(frame.shape)
                yield frame

        n_given = 0
        for ensembles in self._ensembles(counted()):
            by_scale = [self._cells(*of_scale, shapes[0]) for of_scale in enumerate(ensembles)]
            cells = np.sum(by_scale, axis=0)
            if update:
                self.learn(ensembles)
            for _ in range(min(STEP_FRAMES, len(shapes) - n_given)):
                n_given += 1
                yield cells

    def learn(self, ensembles: list[Members]) -> None:
        """Add the ensembles of one moment, on each scale, to the counts."""
        for found, counts, totals in zip(ensembles, self.counts, self._totals, strict=True):
            np.add.at(counts.reshape(-1), found.places.ravel(), found.weights.ravel())
            np.add.at(totals.reshape(-1), found.member_places.ravel(), found.weights.sum(axis=-1).ravel())

    def scores(self, index: int, found: Members) -> np.ndarray:
        """Return the score of each center, (n,), on the scale `SCALES[index]`."""
        seen, totals = self.counts[index].take(found.places), self._totals[index].take(found.member_places)
        log_p = np.log(seen + 1) - np.log(totals + WORDS)[..., None]
        return -(found.weights * log_p).sum(axis=(1, 2)) / found.weights.sum(axis=(1, 2))

    def _ensembles(self, frames: Iterable[np.ndarray]) -> Iterator[list[Members]]:
        """Yield the ensembles of each moment of a clip, on each scale."""
        words = (
            [nearest_words(*of_scale) for of_scale in zip(moment, self.codebooks, strict=True)]
            for moment in volumes(frames)
        )
        for window in around(words, MOMENTS):
            yield [members(of_scale) for of_scale in zip(*window, strict=True)]

    def _cells(self, index: int, found: Members, frame_shape: tuple[int, int]) -> np.ndarray:
        """Return the mean score of the volumes in each cell, (rows, columns), of one scale."""
        scores = np.zeros(found.grid)
        scores[tuple(found.centers.T)] = self.scores(index, found)
        rows, columns = (-(-side // (CELL * STEP_PX)) for side in frame_shape)
        side = CELL / SCALES[index]
        return CellGrid(rows, columns, side, side).means(scores)


def codebook(histograms: np.ndarray, seed: int) -> np.ndarray:
    """Return the words of histograms, (n, 32): float32 (at most 64, 32), by mini-batch k-means."""
    n_words = min(WORDS, len(np.unique(histograms, axis=0)))
    return MiniBatchKMeans(n_words, random_state=seed, n_init=1).fit(histograms).cluster_centers_
