"""The ground truth of frames, on the entries of a map: abnormal regions, counted in pixels.

Regions are the 8-connected components of a frame's mask. A map divides the image evenly, s entries a side, or
has cells of so many px.
"""

import functools
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from models.quoted.cell_maps import CellGrid

Entries = int | CellGrid  # of a map: its side s, dividing the image evenly, or cells of so many px


def map_shape(entries: Entries) -> tuple[int, int]:
    """Return the rows and columns of a map."""
    return (entries.rows, entries.columns) if isinstance(entries, CellGrid) else (entries, entries)


def n_entries(entries: Entries) -> int:
    """Return how many entries a map has."""
    return math.prod(map_shape(entries))


@dataclass(frozen=True)
class FrameTruth:
    """The ground truth of one frame on the map's entries, E of them (`n_entries`).

    `regions_px` is int (G, E), the pixels of each abnormal region in each entry; `tracks` names the track of
    each region, unique in its clip; `entries_px` is int (E,), all pixels of each entry.
    """

    regions_px: np.ndarray
    tracks: tuple[int, ...]
    entries_px: np.ndarray


@functools.lru_cache(maxsize=4)
def entry_of_pixel(image_size_px: tuple[int, int], entries: Entries) -> np.ndarray:
    """Return the entry, row by row, of each pixel of an image (height, width), int (H, W)."""
    if isinstance(entries, CellGrid):
        return entries.cell_of_pixel(image_size_px)
    rows, columns = (((2 * np.arange(size) + 1) * entries) // (2 * size) for size in image_size_px)
    return rows[:, None] * entries + columns


def frame_truths(masks: Iterable[np.ndarray], entries: Entries = 7) -> Iterator[FrameTruth]:
    """Yield the ground truth of a clip's frames from its masks, bool (H, W).

    The masks name no tracks, so tracks follow overlap: from one frame to the next, the pair of regions that
    shares most pixels is one track, then the next pair; what is left ends or begins one.
    """
    before, tracks, new_tracks = None, (), itertools.count()
    for mask in masks:
        count, labels = cv2.connectedComponents(np.asarray(mask, np.uint8), connectivity=8)
        entry, n = entry_of_pixel(mask.shape, entries), n_entries(entries)
        pixels = np.bincount((labels * n + entry).ravel(), minlength=count * n).reshape(count, n)
        known = _continued(before, labels, tracks, count - 1) if tracks and count > 1 else {}
        tracks = tuple(known[i] if i in known else next(new_tracks) for i in range(count - 1))
        before = labels
        yield FrameTruth(pixels[1:], tracks, pixels.sum(axis=0))


def _continued(before: np.ndarray, now: np.ndarray, tracks: Sequence[int], n_now: int) -> dict[int, int]:
    """Return index of a region now -> its track, for the regions that continue one of the frame before."""
    shared = np.bincount((before * (n_now + 1) + now).ravel(), minlength=(len(tracks) + 1) * (n_now + 1))
    shared = shared.reshape(-1, n_now + 1)[1:, 1:]
    found: dict[int, int] = {}
    for flat in np.argsort(-shared, axis=None, kind="stable"):
        old, new = divmod(int(flat), n_now)
        if shared[old, new] and new not in found and tracks[old] not in found.values():
            found[new] = tracks[old]
    return found
