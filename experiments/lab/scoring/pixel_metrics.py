"""Where in the image: pixel-level AUC and the region- and track-based detection criteria.

How errors land in the image. The network sees the whole image as a square, and its last map of s x s entries
(7 x 7 at 224 px) divides it evenly: pixel (y, x) of an H x W image lies in the entry of row
floor((y + 1/2) s / H) and column floor((x + 1/2) s / W). A region covers the entries that it was pooled from
(`data_prep.pooling`), which overlap: of the 4 x 4 cells on 7 x 7 entries, rows 0-1, 1-3, 3-5 and 5-6, and the
same columns. At a threshold, a region is detected when its error reaches it, and a pixel when any detected
region covers it: the error of a pixel is the largest of those regions. The regions mapped back are the cells
of the finest level that the model scores, 4 x 4 in the paper's pyramid: the coarser ones contain them, and
the whole frame marks every pixel. Masks and errors are joined by the names of their clips.

Ground-truth regions are the 8-connected components of a frame's mask. Of every frame a few numbers are kept,
and counts at a fixed number of thresholds: masks and maps of a video of any length stream through.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import cv2
import numpy as np
from scipy import sparse
from tqdm import tqdm

from data_prep.errors import InputError
from experiments.lab.scoring import fusion, metrics
from experiments.lab.scoring.frame_truth import Entries, FrameTruth, frame_truths
from experiments.lab.scoring.protocol import Protocol
from experiments.lab.scoring.regularity import joined
from experiments.lab.scoring.score import ClipScores

LV_OVERLAP, UCSD_OVERLAP = 0.2, 0.4  # Sec. 4.3; Mahadevan et al. 2010
LEAST_IOU, LEAST_TRACK_SHARE = 0.1, 0.1  # beta and alpha of Ramachandra and Jones 2020
MAX_THRESHOLDS = 20_000


def entry_errors(cells: np.ndarray, covers: np.ndarray) -> np.ndarray:
    """Return the error map of a frame, (E,), from the errors of its cells, (n_cells,); see `footprints`.

    Every entry is covered by some cell: those of the least error, most of a frame's windows, need no look.
    """
    least = cells.min()
    above = cells > least
    return np.where(covers[above], cells[above, None], least).max(axis=0, initial=least)


def region_anomaly(
    streams: Mapping[str, Sequence[ClipScores]],
    protocol: Protocol | None = None,
    train_errors: Mapping[str, np.ndarray] | None = None,
) -> dict[str, np.ndarray]:
    """Return the anomaly of every region, clip -> (n_frames, R): high is abnormal; arguments as `regularity`.

    Each region's error goes through the line that the frame's error l(t) goes through (`scoring.fusion`), so
    that the region with l(t) has 1 - s(t) by Eq. (14), or -s(t); streams add up region by region. Scores are
    not smoothed.
    """
    protocol = protocol or Protocol(tuple(streams))
    total: dict[str, np.ndarray] = {}
    for stream, clips in joined({stream: streams[stream] for stream in protocol.streams}).items():
        errors = [metrics.frame_error(clip.error, protocol.frame_error) for clip in clips]
        limits = fusion.error_limits(errors, protocol, (train_errors or {}).get(stream))
        for clip, ends in zip(clips, limits, strict=True):
            part = protocol.weights[stream] * fusion.anomaly(clip.error, ends, protocol.fusion)
            total[clip.clip] = total[clip.clip] + part if clip.clip in total else part
    return total


class PixelScores:
    """One score a frame whose frame-level AUC is the pixel-level AUC; frames stream through `add`.

    The score is the highest threshold at which the frame counts as detected: an abnormal frame, as a true
    positive, once at least `overlap` of its abnormal pixels are detected; a normal one, as a false positive,
    once any pixel is (Mahadevan et al. 2010, Li et al. 2014). An abnormal frame that is detected elsewhere
    counts as missed: Sec. 4.3 calls it a false positive, but the false positive rate is one of normal frames.

    Attributes:
        clips: the scores, (n_frames,) a clip, of the clips that have ended.
    """

    def __init__(self, covers: np.ndarray, overlap: float):
        if not 0 < overlap <= 1:
            raise ValueError(f"overlap: expected a share in (0, 1], got {overlap}")
        self.covers, self.overlap = covers, overlap
        self.clips: list[np.ndarray] = []
        self.current: list[float] = []

    def add(self, cells: np.ndarray, truth: FrameTruth) -> None:
        """Score one frame from the errors of its cells, (n_cells,)."""
        errors = entry_errors(cells, self.covers)
        if truth.tracks:
            abnormal_px = truth.regions_px.sum(axis=0)
            order = np.argsort(-errors)
            share = np.cumsum(abnormal_px[order]) / abnormal_px.sum()
            self.current.append(float(errors[order[np.argmax(share >= self.overlap)]]))
        else:
            self.current.append(float(errors.max()))

    def end_clip(self) -> None:
        """End the clip."""
        self.clips.append(np.array(self.current))
        self.current = []


def intersection_over_union(detections: np.ndarray | sparse.csr_array, truth: FrameTruth) -> np.ndarray:
    """Return the IoU in pixels, (D, G), of detections, 0 or 1 (D, E), with the regions of a frame."""
    detections = detections.astype(float)
    shared = detections @ truth.regions_px.T
    areas = (detections @ truth.entries_px)[:, None] + truth.regions_px.sum(axis=1)
    return shared / (areas - shared)


class DetectionCurves:
    """Detected regions and tracks, and false positives, at every threshold; frames stream through `add`.

    A ground-truth region is detected by a detected region of IoU >= 0.1, a track when at least 0.1 of its
    regions are; a detected region that reaches that IoU with no ground-truth region is a false positive.
    Definition: Ramachandra and Jones, Street Scene, WACV 2020.

    Args:
        thresholds: descending, (K,); a region is detected where its error >= threshold, ties together.
        covers: see `footprints`.
        joined: detected regions are the 8-connected components of the detected entries, else the cells.
        map_shape: rows and columns of the map; a square one where it is not given.
    """

    def __init__(
        self,
        thresholds: np.ndarray,
        covers: np.ndarray,
        joined: bool = True,
        map_shape: tuple[int, int] | None = None,
    ):
        self.thresholds, self.covers, self.joined = np.asarray(thresholds), covers, joined
        self.map_shape = map_shape or 2 * (math.isqrt(covers.shape[1]),)
        self.cells = sparse.csr_array(covers.astype(float))  # a window covers few of the entries
        self.n_frames = self.n_regions = self.n_tracks = 0
        # Changes from one threshold to the next lower one.
        self.false_positives, self.regions = np.zeros((2, self.thresholds.size), np.int64)
        self.tracks = np.zeros(self.thresholds.size, np.int64)
        self.open: dict[int, list] = {}  # track -> [regions so far, changes in how many are detected]

    def add(self, cells: np.ndarray, truth: FrameTruth) -> None:
        """Count one frame, with the errors of its cells, (n_cells,)."""
        self._close(set(self.open) - set(truth.tracks))
        for track in truth.tracks:
            if track not in self.open:
                self.open[track] = [0, np.zeros(self.thresholds.size, np.int32)]
            self.open[track][0] += 1
        self.n_frames += 1
        self.n_regions += len(truth.tracks)
        errors = entry_errors(cells, self.covers) if self.joined else cells
        first = np.searchsorted(-self.thresholds, -errors)  # the threshold that each entry, or cell, reaches
        single = None if self.joined else self.cell_matches(truth)
        false_before, found_before = 0, np.zeros(len(truth.tracks), bool)
        for step in np.unique(first[first < self.thresholds.size]):
            detected = first <= step
            if single is None:
                matches = intersection_over_union(self._components(detected), truth) >= LEAST_IOU
            else:
                matches = single[detected]
            false, found = int((~matches.any(axis=1)).sum()), matches.any(axis=0)
            self.false_positives[step] += false - false_before
            change = found.astype(int) - found_before
            self.regions[step] += change.sum()
            for track, value in zip(truth.tracks, change, strict=True):
                self.open[track][1][step] += value
            false_before, found_before = false, found

    def end_clip(self) -> None:
        """End the tracks of the clip."""
        self._close(set(self.open))

    def areas(self) -> tuple[float, float]:
        """Return (RBDC, TBDC), in [0, 1]: the areas up to one false positive a frame; NaN for no region."""
        if not self.n_regions:
            return math.nan, math.nan
        false_positives = np.cumsum(self.false_positives) / self.n_frames
        return (
            area_to_one(false_positives, np.cumsum(self.regions) / self.n_regions),
            area_to_one(false_positives, self.tracks / self.n_tracks),
        )

    def cell_matches(self, truth: FrameTruth) -> np.ndarray:
        """Return which cells, each on its own, match which regions of a frame, bool (n_cells, G)."""
        return intersection_over_union(self.cells, truth) >= LEAST_IOU

    def _components(self, entries: np.ndarray) -> np.ndarray:
        """Return the 8-connected components of the detected entries, (E,), bool (D, E), D >= 1."""
        picture = entries.reshape(self.map_shape).astype(np.uint8)
        count, labels = cv2.connectedComponents(picture, connectivity=8)
        return labels.ravel() == np.arange(1, count)[:, None]

    def _close(self, tracks: set[int]) -> None:
        for track in tracks:
            length, changes = self.open.pop(track)
            self.n_tracks += 1
            self.tracks += np.cumsum(changes) / length >= LEAST_TRACK_SHARE


class TruthCounts:
    """What the masks say, and how far the cells can reach; frames stream through `add`.

    A cell is much larger than most objects, so that many regions have IoU >= 0.1 with no cell at all. The
    ceilings are RBDC and TBDC of an oracle that detects exactly the cells that match a region.

    Attributes:
        labels: uint8 (n_frames,) a clip that has ended, 1 where the mask has a pixel.
        oracle: its `n_regions` and `n_tracks` are those of the ground truth, its `areas()` the ceilings.
    """

    def __init__(self, covers: np.ndarray):
        self.oracle = DetectionCurves(np.ones(1), covers, joined=False)
        self.labels: list[np.ndarray] = []
        self.current: list[bool] = []

    def add(self, cells: np.ndarray, truth: FrameTruth) -> None:
        """Count one frame; `cells` is not read."""
        matches = self.oracle.cell_matches(truth)
        self.oracle.add(matches.any(axis=1).astype(float), truth)
        self.current.append(bool(truth.tracks))

    def end_clip(self) -> None:
        """End the clip."""
        self.oracle.end_clip()
        self.labels.append(np.array(self.current, np.uint8))
        self.current = []


def area_to_one(false_positives: np.ndarray, rates: np.ndarray) -> float:
    """Return the area under detection rate against false positives a frame, from 0 to 1, in [0, 1].

    The points, one a threshold, join by straight lines from (0, 0) on, as in a ROC curve; after the last one
    the rate stays. Where regions merge and the curve turns back, the rate at x is the best that any threshold
    with at most x false positives reaches.
    """
    x, y = np.append(0.0, false_positives), np.append(0.0, rates)
    order = np.lexsort((y, x))
    x, y = x[order], np.maximum.accumulate(y[order])
    within = x <= 1
    return float(np.trapezoid(np.append(y[within], np.interp(1.0, x, y)), np.append(x[within], 1.0)))


def curve_thresholds(cell_errors: Iterable[np.ndarray], most: int = MAX_THRESHOLDS) -> np.ndarray:
    """Return the distinct errors, descending; where there are too many, at most so many, ends included.

    Ranks are then spaced evenly in their logarithm: the curve counts up to one false positive a frame, which
    the highest errors decide.
    """
    values = np.unique(np.concatenate([errors.ravel() for errors in cell_errors]))[::-1]
    if values.size > most:
        values = values[np.unique(np.geomspace(1, values.size, most).round().astype(int)) - 1]
    return values


def stream_masks(
    clip_masks: Mapping[str, Callable[[], Iterable[np.ndarray]]],
    entries: Entries,
    listeners: Sequence[tuple[PixelScores | TruthCounts | DetectionCurves, Mapping[str, np.ndarray]]],
) -> None:
    """Feed every frame to all listeners in one pass over the masks.

    Args:
        clip_masks: clip -> a function that gives its masks, bool (H, W), one a frame.
        entries: of the map (`map_side`).
        listeners: each with the errors of its cells, clip -> (n_frames, n_cells) (`cell_errors`).

    Raises InputError: masks and errors of other clips or of other numbers of frames.
    """
    for _, errors in listeners:
        if strangers := sorted(errors.keys() ^ clip_masks.keys()):
            raise InputError(f"clips {', '.join(strangers)}: expected masks and errors, got one of the two")
    for clip, masks in tqdm(clip_masks.items(), desc="pixel masks", unit="clip", disable=None):
        of_clip = [errors[clip] for _, errors in listeners]
        for truth, *cells in itertools.zip_longest(frame_truths(masks(), entries), *of_clip):
            if truth is None or any(of_frame is None for of_frame in cells):
                raise InputError(f"clip {clip}: expected as many masks as frames were scored, got others")
            for (listener, _), of_frame in zip(listeners, cells, strict=True):
                listener.add(of_frame, truth)
        for listener, _ in listeners:
            listener.end_clip()
