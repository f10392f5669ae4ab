"""Scores while frames come: decoding, networks and sRNN-AEs in threads of their own, queues between them.

Nothing here grows with the number of frames. What looks ahead gives a frame out as much later: flow windows
that are centered, and the centered smoothing of scores, half of `smoothing_frames`.
"""

import signal
import statistics
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice, tee
from typing import TypeVar

import cv2
import numpy as np

from data_prep.flow_windows.place import Place
from data_prep.flow_windows.rows import gray_frame
from data_prep.frames import resize
from data_prep.live_frames import FrameStream
from data_prep.optical_flow import FlowOptions, flow_picture, scaled_flow
from data_prep.terminal import leave_terminal
from experiments.lab.scoring.calibration import CELLS, CELLS_PER_SIDE, Calibration, Places
from experiments.lab.scoring.protocol import Protocol
from experiments.lab.scoring.score import DivergedError, step_function
from experiments.lab.watching.queues import ahead
from models.srnn_ae import Streaming

BATCH_FRAMES = 8  # of a file through the network at once; a live frame waits for no other
AHEAD_FRAMES = 8
SHOWN_WIDTH_PX = (480, 1280)  # narrower frames are shown at the first width, wider ones at the second
ROWS = ("top", "above the middle", "below the middle", "bottom")  # of `CELLS_PER_SIDE`, from the top
COLUMNS = ("left", "left of the middle", "right of the middle", "right")
Item = TypeVar("Item")


@dataclass(frozen=True)
class FrameScore:
    """What was found in one frame.

    Attributes:
        number: of the frame, from 1; numbers are missing where a live source was too fast.
        seconds: its time, from the first frame.
        score: s(t); low is abnormal.
        abnormal: whether it is below the threshold.
        box: the most abnormal region as shares of the frame: left, top, right, bottom.
        trained_on: whether it is of the footage for training, its held-out blocks too.
    """

    number: int
    seconds: float
    score: float
    abnormal: bool
    box: tuple[float, float, float, float]
    trained_on: bool = False

    @property
    def place(self) -> tuple[int, int]:
        """Row and column of the box's middle among 4x4 cells, counted from 1 at the top left."""
        left, top, right, bottom = self.box
        return tuple(int((a + b) / 2 * CELLS_PER_SIDE) + 1 for a, b in ((top, bottom), (left, right)))

    @property
    def place_in_words(self) -> str:
        """Where in the picture the box's middle is: "top left", "below the middle, right"."""
        row, column = (names[at - 1] for names, at in zip((ROWS, COLUMNS), self.place, strict=True))
        return f"{row}{', ' if 'middle' in row + column else ' '}{column}"


Reading = tuple[int, float, np.ndarray]  # number of the frame, its time in seconds, uint8 (h, w, 3) RGB
GrayPair = tuple[np.ndarray, np.ndarray]  # what flow is computed between, uint8 (h, w)


@dataclass(frozen=True)
class Networks:
    """From frames to features.

    Attributes:
        input_size_px, appearance: of the network on frames, see `network_features.feature_function`; None
            where no stream reads it.
        flow, options: likewise on flow, and how flow is computed.
        place: how flow windows are computed, in place of a network on flow.
    """

    input_size_px: int = 0
    appearance: Callable[[np.ndarray], np.ndarray] | None = None
    flow: Callable[[np.ndarray], np.ndarray] | None = None
    options: FlowOptions | None = None
    place: Place | None = None

    def gray(self, frame: np.ndarray) -> np.ndarray | None:
        """Return what flow is computed on of a frame, uint8 (h, w); None where no stream reads flow."""
        if self.place is not None:
            return gray_frame(frame, self.place.options)
        if self.options is not None:
            return resize(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), self.options.size_px)
        return None

    def features(self, frames: Sequence[np.ndarray], pairs: Sequence[GrayPair]) -> list[dict]:
        """Return {"spatial", "flow"}, float32 (R, C), of each frame, as far as there are networks for it."""
        found: list[dict] = [{} for _ in frames]
        if self.appearance is not None:
            small = np.stack([resize(frame, self.input_size_px) for frame in frames])
            found = [{"spatial": x} for x in self.appearance(small)]
        if self.flow is None:
            return found
        pictures = np.stack([flow_picture(scaled_flow(pair, self.options)) for pair in pairs])
        return [x | {"flow": flow} for x, flow in zip(found, self.flow(pictures), strict=True)]


def live_scores(
    stream: FrameStream,
    networks: Networks,
    models: Mapping[str, Streaming],
    window_frames: int,
    calibration: Calibration,
    cells: np.ndarray,
    stop: threading.Event,
) -> Generator[tuple[np.ndarray, FrameScore]]:
    """Yield each frame of a source as it is shown, uint8 (h, w, 3) RGB with even sides, and what is in it.

    Args:
        stream: the source; the oldest waiting frame is dropped where an address sends them too fast.
        networks: from frames to features.
        models: stream -> sRNN-AE.
        window_frames: of the temporal maximum.
        calibration: from region errors to scores.
        cells: boxes of the 4x4 cells, see `calibration.cell_boxes`.
        stop: set it, and the source ends with the frames that are on their way. It must be set before the
            generator is closed early.
    """
    readings = ahead(
        _with_pairs(readings_of(stream, stop), networks), AHEAD_FRAMES, stop, newest=stream.may_drop
    )
    n_batch = 1 if stream.is_live else BATCH_FRAMES
    features = ahead(_extract(readings, networks, n_batch), AHEAD_FRAMES)
    score = FrameScores(models, window_frames, calibration, cells, networks.place)
    return ahead(_score(features, score, calibration), AHEAD_FRAMES)


def readings_of(stream: FrameStream, stop: threading.Event) -> Iterator[tuple[Reading, np.ndarray]]:
    """Yield each frame as it is shown, and as it came, until `stop` is set."""
    shown_px = None
    for number, (seconds, frame) in enumerate(stream, start=1):
        if stop.is_set():
            return
        shown_px = shown_px or _shown_size(frame)
        shown = frame if frame.shape[1::-1] == shown_px else cv2.resize(frame, shown_px)
        yield (number, seconds, shown), frame


def _with_pairs(
    frames: Iterator[tuple[Reading, np.ndarray]], networks: Networks
) -> Iterator[tuple[Reading, np.ndarray, GrayPair | None]]:
    """Yield each frame with what its flow leads from and to: the frame before it and itself, gray and small.

    So each has its own flow even where frames are dropped. The first takes the second's, as in training.
    """
    before, first = None, None
    for reading, frame in frames:
        gray = networks.gray(frame)
        if gray is None:
            yield reading, frame, None
            continue
        if before is None:
            first = reading, frame
        else:
            if first is not None:
                yield *first, (before, gray)
                first = None
            yield reading, frame, (before, gray)
        before = gray
    if first is not None:  # the only one
        yield *first, (before, before)


def _shown_size(frame: np.ndarray) -> tuple[int, int]:
    """Return the width and height that a frame is shown at; both even, as H.264 asks for."""
    height, width = frame.shape[:2]
    scale = min(max(width, SHOWN_WIDTH_PX[0]), SHOWN_WIDTH_PX[1]) / width
    return tuple(max(2, 2 * int(side * scale / 2)) for side in (width, height))


Extracted = tuple[Reading, tuple[int, int], dict[str, np.ndarray]]  # frame, its height and width, features


def _extract(readings: Iterator, networks: Networks, n_batch: int) -> Iterator[Extracted]:
    """Yield each frame with its features, see `Networks.features`; flow windows are added to them."""
    if networks.place is None:
        yield from _through_networks(readings, networks, n_batch)
        return
    readings, again = tee(readings)
    rows = networks.place.rows_of_pairs(pair for _, _, pair in again)
    extracted = _through_networks(readings, networks, n_batch)
    for (reading, shape, features), windows in zip(extracted, rows, strict=True):
        yield reading, shape, features | {"flow": windows}


def _through_networks(readings: Iterator, networks: Networks, n_batch: int) -> Iterator[Extracted]:
    """Yield each frame with what networks make of it, `n_batch` frames at once."""
    while batch := list(islice(readings, n_batch)):
        kept, frames, pairs = zip(*batch, strict=True)
        found = networks.features(frames, pairs)
        yield from ((reading, f.shape[:2], x) for reading, f, x in zip(kept, frames, found, strict=True))


def _score(
    features: Iterator[Extracted], score: "FrameScores", calibration: Calibration
) -> Iterator[tuple[np.ndarray, FrameScore]]:
    """Yield each frame with what was found in it."""
    scored = (((*reading, box), s) for reading, shape, x in features for box, s in (score(x, shape),))
    for (number, seconds, shown, box), smooth in smoothed(scored, calibration.protocol):
        yield shown, FrameScore(number, seconds, smooth, smooth < calibration.threshold, tuple(box.tolist()))


def smoothed(scored: Iterable[tuple[Item, float]], protocol: Protocol) -> Iterator[tuple[Item, float]]:
    """Yield each item with the mean of its score and others, as `fusion.smooth` does for a clip.

    Args:
        scored: items and their scores, in order.
        protocol: how many frames, and which: an item comes out once those after it have followed, half of
            them where they are centered, or once the scores have ended.
    """
    n_after = protocol.smoothing_frames // 2 if protocol.smoothing == "centered" else 0
    n_before = protocol.smoothing_frames - 1 - n_after
    waiting, scores = deque(), deque()

    def oldest():
        while len(scores) > n_before + len(waiting):  # those too far before the oldest that waits
            scores.popleft()
        return waiting.popleft(), statistics.fmean(scores)

    for item, score in scored:
        waiting.append(item)
        scores.append(score)
        if len(waiting) > n_after:
            yield oldest()
    while waiting:
        yield oldest()


@contextmanager
def stop_on_signal() -> Iterator[threading.Event]:
    """Give an event that Ctrl-C, a TERM or a HUP signal sets; a second one interrupts.

    HUP says that the terminal has gone: what is printed there is lost. Under `nohup` it is ignored.
    """
    stop = threading.Event()

    def ask(number, frame):
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        if number == signal.SIGHUP:
            leave_terminal()

    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, ask) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class TemporalMaximum:
    """Both streams' features of frames as they come: call it with those of each frame. Paper: Sec. 3.6

    Args:
        window_frames: of the temporal maximum, which is causal here.
    """

    def __init__(self, window_frames: int):
        self._recent: deque[np.ndarray] = deque(maxlen=window_frames)

    def __call__(self, spatial: np.ndarray) -> dict[str, np.ndarray]:
        """Return {"spatial", "temporal"}, float32 (R, C), given the frame's features (R, C)."""
        self._recent.append(spatial)
        return {"spatial": spatial, "temporal": np.maximum.reduce(list(self._recent))}


class FrameScores:
    """Scores of frames as they come, not smoothed: call it with the features of each frame.

    Args:
        models, window_frames, calibration, cells: as of `live_scores`.
        place: of the flow windows; None where there are none.
    """

    def __init__(
        self,
        models: Mapping[str, Streaming],
        window_frames: int,
        calibration: Calibration,
        cells: np.ndarray,
        place: Place | None,
    ):
        self._errors, self._maximum = RegionErrors(models), TemporalMaximum(window_frames)
        self._calibration, self._place = calibration, place
        self._places: dict[str, Places] = dict.fromkeys(models, (CELLS, cells))

    def __call__(
        self, features: Mapping[str, np.ndarray], shape: tuple[int, int]
    ) -> tuple[np.ndarray, float]:
        """Return the most abnormal box, see `Calibration.worst_box`, and the score of a frame (H, W).

        Raises DivergedError: a model whose errors are not finite.
        """
        if "spatial" in features:
            features = {**features, **self._maximum(features["spatial"])}
        if self._place is not None:
            height, width = shape
            boxes = self._place.boxes(shape) / np.float32([width, height, width, height])
            self._places["flow"] = slice(None), boxes
        errors = self._errors(features)
        for stream, values in errors.items():
            if not np.isfinite(values).all():
                raise DivergedError(f"the model of the {stream} stream diverges: an error is not finite")
        return self._calibration.worst_box(errors, self._places), self._calibration.score(errors)


class RegionErrors:
    """The streams' models on frames as they come: call it with the features of each frame. Paper: Eq. (13)

    Args:
        models: stream -> its model; the state after a frame is kept for the next.
    """

    def __init__(self, models: Mapping[str, Streaming]):
        self._models = dict(models)
        self._steps = {stream: step_function(model) for stream, model in models.items()}
        self._states: dict[str, dict] = {}

    def __call__(self, features: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return ||x - x^||^2 of every region, float32 (R,) a stream, given features (R, C) a stream.

        It is 0 where all features are: of a window at rest.
        """
        errors = {}
        for stream, step in self._steps.items():
            x = features[stream][:, None]
            state = self._states.get(stream) or self._models[stream].initial_state(len(x))
            scores, self._states[stream] = step(x, state)
            errors[stream] = scores["error"][:, 0] * features[stream].any(axis=-1)
        return errors
