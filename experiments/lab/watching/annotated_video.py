"""The watched video with what was found drawn on it, as MP4."""

import os
import re
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from data_prep.errors import InputError
from experiments.lab.scoring.calibration import Calibration
from experiments.lab.watching.live import FrameScore

CLOCK_HERTZ = 90_000
CODEC = "libx264"
CODEC_OPTIONS = {"preset": "superfast", "tune": "zerolatency", "crf": "23"}
# Fragments keep a video that may never end playable, and its index in memory short.
LIVE_OPTIONS = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
KEY_FRAME_SECONDS = 2

# RGB; the colors of `plots`.
BLACK, WHITE, GRAY = (24, 24, 24), (240, 240, 240), (130, 130, 130)
BLUE, VERMILLION = (86, 180, 233), (213, 94, 0)
LEAST_RANGE = 0.5  # of the strip, above and below a threshold that no training frame's score exceeds
SMALLEST_OUTLINE = 0.15  # of an abnormal region, as a share of the frame's height


class AnnotatedVideo:
    """The watched video, its most abnormal region outlined and its scores on a strip below, as MP4 (H.264).

    The file appears when it is closed. A context manager: what leaves it by an exception, as of a full disk,
    leaves no file, and of what is live, which never comes again, all that was written until then.

    Args:
        path: the file.
        rate: frames per second, nominal; every frame has its own time.
        live: whether the video may never end.
    """

    def __init__(self, path: Path, rate: float, live: bool):
        self.path, self._live = path, live
        self._temporary = path.with_name(f".{os.getpid()}-{path.name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        options = LIVE_OPTIONS if live else {}
        whole = str(self._temporary.absolute())  # FFmpeg takes a colon in a relative one for a protocol's
        self._container = av.open(whole, "w", format="mp4", options=options)
        rate = Fraction(rate).limit_denominator(1000)
        self._stream = self._container.add_stream(CODEC, rate=rate, options=CODEC_OPTIONS)
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = Fraction(1, CLOCK_HERTZ)
        self._stream.codec_context.gop_size = max(1, round(KEY_FRAME_SECONDS * rate))
        self._ticks = -1

    def write(self, picture: np.ndarray, seconds: float) -> None:
        """Add a picture, uint8 (h, w, 3) RGB, h and w even and always the same, to be shown at `seconds`."""
        if self._ticks < 0:
            self._stream.height, self._stream.width = picture.shape[:2]
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        self._ticks = max(self._ticks + 1, round(seconds * CLOCK_HERTZ))
        frame.pts, frame.time_base = self._ticks, Fraction(1, CLOCK_HERTZ)
        self._mux(self._stream.encode(frame))

    def _mux(self, packets: list[av.Packet]) -> None:
        with self._naming():
            self._container.mux(packets)

    @contextmanager
    def _naming(self) -> Iterator[None]:
        """Turn what a full disk raises into InputError."""
        try:
            yield
        except (av.FFmpegError, OSError) as error:
            raise InputError(f"{self.path}: cannot be written, {error.strerror}") from error

    def __enter__(self) -> "AnnotatedVideo":
        """Return the video itself."""
        return self

    def __exit__(self, kind, *_) -> None:
        """Finish the file and give it its name. After a fault: a live video as far as it came, else none."""
        try:
            with self._naming():
                if kind is None:
                    self._mux(self._stream.encode())
                self._container.close()
            if kind is None:
                with open(self._temporary, "rb") as file:
                    os.fsync(file)
                os.replace(self._temporary, self.path)
        finally:
            if self._live and self._temporary.exists():
                cut_after_fragments(self._temporary)
                os.replace(self._temporary, self.path)
            self._temporary.unlink(missing_ok=True)


def abandoned(path: Path) -> list[Path]:
    """Return what commands that were killed while they wrote a video have left beside it."""
    ours = re.compile(rf"\.(\d+)-{re.escape(path.name)}")
    left = ((place, ours.fullmatch(place.name)) for place in path.parent.iterdir())
    return [place for place, owner in left if owner and not is_alive(int(owner[1]))]


def is_alive(process: int) -> bool:
    """Tell whether a process of this number runs on this machine."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # another user's
        return True
    return True


def cut_after_fragments(path: Path) -> None:
    """Cut an MP4 file in fragments behind its last whole one: boxes, each its size, its kind and data.

    Source: ISO/IEC 14496-12, 4.2 and 8.8: a fragment is a box `moof` and one `mdat` after it.
    """
    with open(path, "r+b") as file:
        end = whole = 0
        n_bytes = path.stat().st_size
        while len(header := file.read(8)) == 8:
            end += int.from_bytes(header[:4], "big")
            if not file.tell() <= end <= n_bytes:
                break
            file.seek(end)
            whole = whole if header[4:] == b"moof" else end
        file.truncate(whole)


class Annotator:
    """Draws on frame after frame what was found in it.

    Args:
        calibration: for the threshold and the range of the strip.
    """

    def __init__(self, calibration: Calibration):
        self._threshold = calibration.threshold
        self._top = calibration.highest
        # The threshold lies across the middle; what is still lower runs along the bottom.
        self._bottom = self._top - 2 * ((self._top - self._threshold) or LEAST_RANGE)
        self._recent: deque[FrameScore] = deque()

    def draw(self, picture: np.ndarray, frame: FrameScore) -> np.ndarray:
        """Return the picture, uint8 (h, w, 3) RGB, with the outline and the strip: (h + strip, w, 3)."""
        height, width = picture.shape[:2]
        strip_height = 2 * round(max(48, height / 7) / 2)
        canvas = np.full((height + strip_height, width, 3), BLACK, np.uint8)
        canvas[:height] = picture
        scale = max(0.35, height / 1000)
        self._outline(canvas[:height], frame)
        self._strip(canvas[height:], frame, scale)
        return canvas

    def _outline(self, picture: np.ndarray, frame: FrameScore) -> None:
        """Outline the region: vermillion on black where the frame is abnormal, thin and gray elsewhere.

        A small region's outline is wider than the region, so that it is seen.
        """
        height, width = picture.shape[:2]
        left, top, right, bottom = np.array(frame.box) * (width, height, width, height)
        if not frame.abnormal:
            _rectangle(picture, (left, top, right, bottom), GRAY, 1)
            return
        least, thickness = height * SMALLEST_OUTLINE, max(2, round(height / 120))
        more_x, more_y = max(0, least - (right - left)) / 2, max(0, least - (bottom - top)) / 2
        left, right = max(0, left - more_x), min(width, right + more_x)
        top, bottom = max(0, top - more_y), min(height, bottom + more_y)
        _rectangle(picture, (left, top, right, bottom), BLACK, thickness + 2)
        _rectangle(picture, (left + 1, top + 1, right - 1, bottom - 1), VERMILLION, thickness)

    def _strip(self, strip: np.ndarray, frame: FrameScore, scale: float) -> None:
        """Draw the latest scores, the newest at the right, the threshold, and the numbers."""
        height, width = strip.shape[:2]
        self._recent.append(frame)
        step_px = max(1, width // 384)
        while len(self._recent) > width // step_px:
            self._recent.popleft()
        margin = round(30 * scale) + 4
        span = height - margin - 4

        def y(score: float) -> int:
            share = (self._top - score) / (self._top - self._bottom)
            return margin + round(min(max(share, 0.0), 1.0) * span)

        level = y(self._threshold)
        cv2.line(strip, (0, level), (width - 1, level), GRAY, 1)
        right = width - 1
        points = [(right - step_px * age, y(f.score)) for age, f in enumerate(reversed(self._recent))]
        for (x, low), f in zip(points, reversed(self._recent), strict=True):
            if f.abnormal:
                cv2.rectangle(strip, (x - step_px + 1, level), (x, low), VERMILLION, -1)
        cv2.polylines(strip, [np.array(points, np.int32)], False, BLUE, 1, cv2.LINE_AA)
        text = f"{frame.seconds:.1f} s   frame {frame.number}   score {frame.score:.3g}"
        _write(strip, f"{text}, abnormal below {self._threshold:.3g}", (6, margin - 6), scale, WHITE)
        if frame.trained_on:
            _write(strip, "of the footage", (width - 6, margin - 6), scale, GRAY, from_right=True)
        if frame.abnormal:
            _write(strip, "ABNORMAL", (width - 6, margin - 6), scale, VERMILLION, from_right=True)


def _rectangle(picture: np.ndarray, edges: tuple[float, ...], color, thickness: int) -> None:
    """Draw a rectangle whose lines lie inside its edges: left, top, right, bottom in px."""
    left, top, right, bottom = (round(edge) for edge in edges)
    inside = picture[top:bottom, left:right]
    for line in (np.s_[:thickness], np.s_[-thickness:], np.s_[:, :thickness], np.s_[:, -thickness:]):
        inside[line] = color


def _write(strip, text: str, corner: tuple[int, int], scale: float, color, from_right=False) -> None:
    """Write text with its baseline's left, or right, end at `corner`."""
    font, thickness = cv2.FONT_HERSHEY_SIMPLEX, 1 if scale < 0.9 else 2
    if from_right:
        corner = (corner[0] - cv2.getTextSize(text, font, scale, thickness)[0][0], corner[1])
    cv2.putText(strip, text, corner, font, scale, color, thickness, cv2.LINE_AA)
