"""Scores while frames come: decoding, networks and sRNN-AEs in threads of their own, queues between them.

Nothing here grows with the number of frames, and nothing looks ahead but the centered smoothing of scores,
where it is asked for: a frame is then given out half of `smoothing_frames` later.
"""

import queue
import signal
import statistics
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import cv2
import numpy as np

from data_prep.frames import resize
from data_prep.live_frames import FrameStream
from data_prep.optical_flow import FlowOptions, flow_picture, scaled_flow
from experiments.lab.scoring.calibration import CELLS_PER_SIDE, Calibration
from experiments.lab.scoring.protocol import Protocol
from experiments.lab.scoring.score import step_function
from models.srnn_ae import Streaming

BATCH_FRAMES = 8  # of a file through the network at once; a live frame waits for no other
AHEAD_FRAMES = 8
SHOWN_WIDTH_PX = (480, 1280)  # narrower frames are shown at the first width, wider ones at the second
POLL_SECONDS = 0.1
# A thread that waits for a camera cannot be ended: it is left behind after so long.
LEAVE_SECONDS = 1.0
_END = object()
Item = TypeVar("Item")


@dataclass(frozen=True)
class FrameScore:
    """What was found in one frame.

    Attributes:
        number: of the frame, from 1; numbers are missing where a live source was too fast.
        seconds: its time, from the first frame.
        score: s(t); low is abnormal.
        abnormal: whether it is below the threshold.
        cell: the most abnormal of the 4x4 cells, 0..15 row by row.
    """

    number: int
    seconds: float
    score: float
    abnormal: bool
    cell: int

    @property
    def place(self) -> tuple[int, int]:
        """Row and column of the cell, counted from 1 at the top left."""
        row, column = divmod(self.cell, CELLS_PER_SIDE)
        return row + 1, column + 1


Reading = tuple[int, float, np.ndarray]  # number of the frame, its time in seconds, uint8 (h, w, 3) RGB
GrayPair = tuple[np.ndarray, np.ndarray]  # what flow is computed between, uint8 (h, w)


@dataclass(frozen=True)
class Networks:
    """From frames to features.

    Attributes:
        input_size_px, appearance: of the network on frames, see `network_features.feature_function`.
        flow, options: likewise on flow, and how flow is computed; None where no stream reads it.
    """

    input_size_px: int
    appearance: Callable[[np.ndarray], np.ndarray]
    flow: Callable[[np.ndarray], np.ndarray] | None = None
    options: FlowOptions | None = None

    def features(self, frames: Sequence[np.ndarray], pairs: Sequence[GrayPair]) -> list[dict]:
        """Return {"spatial", "flow"}, float32 (R, C), of each frame; flow where there is a network for it."""
        found = [{"spatial": x} for x in self.appearance(np.stack(frames))]
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
    stop: threading.Event,
) -> Generator[tuple[np.ndarray, FrameScore]]:
    """Yield each frame of a source as it is shown, uint8 (h, w, 3) RGB with even sides, and what is in it.

    Args:
        stream: the source; the oldest waiting frame is dropped where an address sends them too fast.
        networks: from frames to features.
        models: stream -> sRNN-AE.
        window_frames: of the temporal maximum.
        calibration: from region errors to scores.
        stop: set it, and the source ends with the frames that are on their way. It must be set before the
            generator is closed early.
    """
    frames = _read(stream, networks.input_size_px, stop)
    readings = ahead(_with_pairs(frames, networks.options), AHEAD_FRAMES, stop, newest=stream.is_address)
    n_batch = 1 if stream.is_live else BATCH_FRAMES
    features = ahead(_extract(readings, networks, n_batch), AHEAD_FRAMES)
    return ahead(_score(features, models, window_frames, calibration), AHEAD_FRAMES)


def _read(
    stream: FrameStream, size_px: int, stop: threading.Event
) -> Iterator[tuple[Reading, np.ndarray, np.ndarray]]:
    """Yield each frame as it is shown, as the network takes it, uint8 (s, s, 3), and as it came."""
    shown_px = None
    for number, (seconds, frame) in enumerate(stream, start=1):
        if stop.is_set():
            return
        shown_px = shown_px or _shown_size(frame)
        shown = frame if frame.shape[1::-1] == shown_px else cv2.resize(frame, shown_px)
        yield (number, seconds, shown), resize(frame, size_px), frame


def _with_pairs(
    frames: Iterator, options: FlowOptions | None
) -> Iterator[tuple[Reading, np.ndarray, GrayPair | None]]:
    """Yield each frame with what its flow leads from and to: the frame before it and itself, gray and small.

    So each has its own flow even where frames are dropped. The first takes the second's, as in training.
    """
    before, first = None, None
    for reading, inputs, frame in frames:
        if options is None:
            yield reading, inputs, None
            continue
        gray = resize(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), options.size_px)
        if before is None:
            first = reading, inputs
        else:
            if first is not None:
                yield *first, (before, gray)
                first = None
            yield reading, inputs, (before, gray)
        before = gray
    if first is not None:  # the only one
        yield *first, (before, before)


def _shown_size(frame: np.ndarray) -> tuple[int, int]:
    """Return the width and height that a frame is shown at; both even, as H.264 asks for."""
    height, width = frame.shape[:2]
    scale = min(max(width, SHOWN_WIDTH_PX[0]), SHOWN_WIDTH_PX[1]) / width
    return tuple(max(2, 2 * int(side * scale / 2)) for side in (width, height))


def _extract(readings: Iterator, networks: Networks, n_batch: int) -> Iterator[tuple[Reading, dict]]:
    """Yield each frame with its features, see `Networks.features`."""
    while batch := list(islice(readings, n_batch)):
        kept, inputs, pairs = zip(*batch, strict=True)
        yield from zip(kept, networks.features(inputs, pairs), strict=True)


def _score(
    features: Iterator, models: Mapping[str, Streaming], window_frames: int, calibration: Calibration
) -> Iterator[tuple[np.ndarray, FrameScore]]:
    """Yield each frame with what was found in it."""
    scored = _frame_scores(features, models, window_frames, calibration)
    for (number, seconds, shown, cell), score in smoothed(scored, calibration.protocol):
        yield shown, FrameScore(number, seconds, score, score < calibration.threshold, cell)


def _frame_scores(
    features: Iterator, models: Mapping[str, Streaming], window_frames: int, calibration: Calibration
) -> Iterator[tuple[tuple[int, float, np.ndarray, int], float]]:
    """Yield number, time, picture and worst cell of each frame, and its score, not smoothed."""
    temporal_maximum, region_errors = TemporalMaximum(window_frames), RegionErrors(models)
    for reading, x in features:
        errors = region_errors(x | temporal_maximum(x["spatial"]))
        yield (*reading, calibration.worst_cell(errors)), calibration.score(errors)


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


@dataclass(frozen=True)
class _Fault:
    """What a thread raised, on its way to the thread that takes its items."""

    error: BaseException


def ahead(
    items: Generator, n_ahead: int, stop: threading.Event | None = None, newest: bool = False
) -> Iterator:
    """Yield the items in order while a thread makes the next `n_ahead`; its exceptions come out here.

    Args:
        items: a generator; it is closed when this one is.
        n_ahead: length of the queue; the thread waits where it is full.
        stop: given where the thread may wait forever, for a source that sends nothing: once it is set, the
            items end with those that are there.
        newest: drop the oldest waiting item where the queue is full, rather than let the source wait.
    """
    waiting: queue.Queue = queue.Queue(n_ahead)
    closed = threading.Event()
    thread = threading.Thread(target=_fill, args=(waiting, items, closed, newest), daemon=True)
    thread.start()
    try:
        while True:
            try:
                item = waiting.get(timeout=POLL_SECONDS)
            except queue.Empty:
                if stop is not None and stop.is_set():
                    return
                continue
            if isinstance(item, _Fault):
                if stop is not None and stop.is_set():  # what fed the source was stopped as well
                    return
                raise item.error
            if item is _END:
                return
            yield item
    finally:
        closed.set()
        thread.join(None if stop is None else LEAVE_SECONDS)


def _fill(waiting: queue.Queue, items: Generator, closed: threading.Event, newest: bool) -> None:
    """Put every item into the queue, then the end or what was raised; end early once `closed` is set."""
    last: object = _END
    try:
        while not closed.is_set() and (item := next(items, _END)) is not _END:
            _put(waiting, item, closed, newest)
        items.close()
    except BaseException as error:  # handed on, not swallowed: `ahead` raises it
        last = _Fault(error)
    _put(waiting, last, closed)


def _put(waiting: queue.Queue, item: object, closed: threading.Event, newest: bool = False) -> None:
    """Put one item, waiting for room, or making it, until `closed` is set."""
    while not closed.is_set():
        try:
            return waiting.put(item, timeout=0 if newest else POLL_SECONDS)
        except queue.Full:
            if newest:
                with suppress(queue.Empty):  # the taker may have been quicker
                    waiting.get_nowait()


@contextmanager
def stop_on_signal() -> Iterator[threading.Event]:
    """Give an event that Ctrl-C or a TERM signal sets; a second Ctrl-C interrupts as usual."""
    stop = threading.Event()

    def ask(number, frame):
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
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
        """Return ||x - x^||^2 of every region, float32 (R,) a stream, given features (R, C) a stream."""
        errors = {}
        for stream, step in self._steps.items():
            x = features[stream][:, None]
            state = self._states.get(stream) or self._models[stream].initial_state(len(x))
            scores, self._states[stream] = step(x, state)
            errors[stream] = scores["error"][:, 0]
        return errors
