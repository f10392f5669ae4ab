"""Hinami-style: what an ImageNet network says of the objects in front, and how unusual that is there.

Hinami, Mei & Satoh, "Joint detection and recounting of abnormal events by learning deep generic knowledge",
ICCV 2017: a Fast R-CNN that learned objects, actions and attributes describes proposals, and a detector for
each place of the picture (nearest neighbour, one-class SVM, kernel density) scores them. Source: its abstract
and arXiv 1709.09121. Neither the network nor what it was trained on is public, so that this row is a stand-in
on an ImageNet backbone; the words for what is abnormal, their recounting, are out of reach.

All that follows is our inference. Boxes are the connected parts of the foreground of 150 px or more, at 360 x
240 px, a tenth of their size wider on each side. A box has the maximum of the network's last map over the
entries that it touches, scaled to length 1, on 256 principal components. Places are 3 x 4 parts of the
picture, by the center of the box; one with under 100 boxes takes the detector of all. A detector is the mean
distance to the 10 nearest; or a one-class SVM, nu = 0.1; or a Gaussian kernel density whose bandwidth is the
median distance between boxes. A frame's score is the largest of its boxes'.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.spatial.distance import cdist, pdist
from scipy.special import logsumexp
from sklearn.decomposition import PCA
from sklearn.metrics import pairwise_distances
from sklearn.svm import OneClassSVM

from models.quoted.reservoir import Reservoir

LEAST_AREA, AREA_OF_PX = 150, 360 * 240
PADDING = 0.1  # of a box's size, on each side
N_COMPONENTS = 256
PLACES = (3, 4)
LEAST_BOXES, MOST_BOXES = 100, 2000
NEIGHBOURS, NU = 10, 0.1

Detector = Callable[[np.ndarray], np.ndarray]  # features (n, k) -> scores (n,), high where unusual
DETECTORS = ("nearest", "svm", "density")


@dataclass(frozen=True)
class Objects:
    """The objects of one frame, n of them.

    Attributes:
        features: float (n, C), of length 1.
        places: int (n,), the part of the picture that each one's center is in, row by row.
    """

    features: np.ndarray
    places: np.ndarray


def object_boxes(mask: np.ndarray) -> np.ndarray:
    """Return left, top, right, bottom of each object in front, float (n, 4), px of the mask, bool (H, W)."""
    height, width = mask.shape
    _, _, parts, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    parts = parts[1:][parts[1:, cv2.CC_STAT_AREA] >= LEAST_AREA * height * width / AREA_OF_PX]
    left, top, wide, high = parts[:, :4].T.astype(float)
    boxes = [
        left - PADDING * wide,
        top - PADDING * high,
        left + wide * (1 + PADDING),
        top + high * (1 + PADDING),
    ]
    return np.stack(boxes, axis=1).clip(0, [width, height, width, height])


def objects_of(feature_map: np.ndarray, boxes: np.ndarray, frame_shape: tuple[int, int]) -> Objects:
    """Return the objects of a frame.

    Args:
        feature_map: of the whole frame, float (h, w, C).
        boxes: as of `object_boxes`, (n, 4).
        frame_shape: (H, W) of the frame that they are in.
    """
    size = np.array([frame_shape[1], frame_shape[0]] * 2)
    entries = boxes / size * np.array([feature_map.shape[1], feature_map.shape[0]] * 2)
    first, end = np.floor(entries[:, :2]).astype(int), np.ceil(entries[:, 2:]).astype(int)
    pooled = [
        feature_map[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)].max(axis=(0, 1))
        for (x0, y0), (x1, y1) in zip(first, end, strict=True)
    ]
    features = np.reshape(pooled, (len(boxes), feature_map.shape[-1])).astype(np.float32)
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2 / size[:2]
    column, row = (np.minimum(centers * PLACES[::-1], np.array(PLACES[::-1]) - 1e-9).astype(int)).T
    return Objects(np.divide(features, lengths, out=features, where=lengths > 0), row * PLACES[1] + column)


class PlaceDetectors:
    """A detector for each place; make it with `fit`.

    Attributes:
        components: fitted PCA.
        detectors: of each place, features (n, k) -> scores (n,), high where unusual.
        empty: the score of a place without an object: the least of a training object.
    """

    def __init__(self, components: PCA, detectors: list[Detector], empty: float):
        self.components, self.detectors, self.empty = components, detectors, empty

    @classmethod
    def fit(
        cls, clips: Iterable[Iterable[Objects]], detector: str = DETECTORS[0], seed: int = 0
    ) -> "PlaceDetectors":
        """Return the detectors of training clips, read once.

        Args:
            clips: the objects of each clip's frames.
            detector: one of `DETECTORS`.
            seed: of the draw of 2,000 boxes a place, where there are more, so that memory is bounded; and of
                the principal components.

        Raises ValueError: fewer than two objects, another detector.
        """
        if detector not in DETECTORS:
            raise ValueError(f"detector: expected one of {', '.join(DETECTORS)}, got {detector!r}")
        reservoirs = [Reservoir(MOST_BOXES, seed + place) for place in range(PLACES[0] * PLACES[1])]
        for frame in (frame for clip in clips for frame in clip):
            for place in np.unique(frame.places):
                reservoirs[place].add(frame.features[frame.places == place])
        x = [reservoir.rows() for reservoir in reservoirs if reservoir.n_seen]
        if sum(map(len, x)) < 2:
            raise ValueError("clips: expected two objects in front or more, got fewer")
        pooled = np.concatenate(x)
        components = PCA(min(N_COMPONENTS, *pooled.shape), random_state=seed).fit(pooled)
        make = {"nearest": nearest_detector, "svm": svm_detector, "density": density_detector}[detector]
        sample = Reservoir(MOST_BOXES, seed)
        sample.add(components.transform(pooled))
        everywhere = make(sample.rows())
        detectors = [
            make(components.transform(reservoir.rows())) if reservoir.n_seen >= LEAST_BOXES else everywhere
            for reservoir in reservoirs
        ]
        return cls(components, detectors, float(everywhere(sample.rows()).min()))

    def maps(self, frames: Iterable[Objects]) -> Iterator[np.ndarray]:
        """Yield the score of each place, float64 (3, 4): the largest of its objects', one map a frame."""
        for frame in frames:
            scores = np.full(PLACES[0] * PLACES[1], self.empty)
            for place in np.unique(frame.places):
                x = self.components.transform(frame.features[frame.places == place])
                scores[place] = max(self.empty, self.detectors[place](x).max())
            yield scores.reshape(PLACES)


def nearest_detector(x: np.ndarray) -> Detector:
    """Return the mean distance to the 10 nearest of x, (n, k)."""
    n_nearest = min(NEIGHBOURS, len(x))
    # For the few objects of a frame a tenth of what scikit-learn's search takes to begin.
    return lambda y: np.partition(cdist(y, x), n_nearest - 1, axis=1)[:, :n_nearest].mean(axis=1)


def svm_detector(x: np.ndarray) -> Detector:
    """Return minus the decision function of a one-class SVM with an RBF kernel on x, (n, k)."""
    fitted = OneClassSVM(nu=NU).fit(x)
    return lambda y: -fitted.decision_function(y)


def density_detector(x: np.ndarray) -> Detector:
    """Return -log of the mean Gaussian kernel around x, (n, k), up to a constant."""
    median = np.median(pdist(x))
    bandwidth = median if median > 0 else 1.0

    def surprise(y: np.ndarray) -> np.ndarray:
        squares = pairwise_distances(y, x) ** 2
        return np.log(len(x)) - logsumexp(-squares / (2 * bandwidth**2), axis=1)

    return surprise
