"""The figures of the walkway: people walking and running, a cyclist, a cart, drawn in body coordinates.

x points forward, y up, the origin is on the ground, the unit is the height of a person. Everything is drawn
SUPERSAMPLE times larger than the picture and on the anomaly mask as well.
"""

from dataclasses import dataclass
from math import cos, hypot, pi, sin

import cv2
import numpy as np

WIDTH_PX, HEIGHT_PX = 240, 160
SUPERSAMPLE = 3
# Body heights from the middle of a figure to either end.
HALF_LENGTH = {"walker": 0.35, "runner": 0.55, "cyclist": 0.60, "cart": 0.95}

Color = tuple[int, int, int]
Point = tuple[float, float]


@dataclass(frozen=True)
class Mover:
    """Someone or something that crosses the scene at constant speed.

    `feet_y_px` is the ground line in the picture, `unit_px` a person's height there, `speed_px` per frame and
    signed (positive: to the right), `middle_frame` the moment of passing the middle of the picture.
    """

    kind: str
    feet_y_px: float
    unit_px: float
    speed_px: float
    middle_frame: float
    phase: float
    shirt: Color
    trousers: Color
    skin: Color
    hair: Color
    has_backpack: bool

    @property
    def reach_px(self) -> float:
        """How far from the middle of the picture the middle of the mover can be while it shows."""
        return WIDTH_PX / 2 + HALF_LENGTH[self.kind] * self.unit_px

    def x_px(self, frame: int) -> float:
        """Return where the middle of the mover is at a 0-based frame."""
        return WIDTH_PX / 2 + self.speed_px * (frame - self.middle_frame)


class Pen:
    """Draws shapes given in body coordinates on a picture, and the same shapes on the anomaly mask.

    A normal mover's pen draws zeros on the mask: it hides the anomaly behind it there as in the picture.
    """

    _SHIFT = 4  # fractional bits of OpenCV's fixed-point coordinates, for smooth motion

    def __init__(self, canvas: np.ndarray, mask: np.ndarray, mover: Mover, frame: int) -> None:
        self._canvas, self._mask = canvas, mask
        self._mask_level = 0 if mover.kind == "walker" else 255
        self._unit = mover.unit_px * SUPERSAMPLE
        self._scale = np.array([np.sign(mover.speed_px) * self._unit, -self._unit])
        self._origin = np.array([mover.x_px(frame), mover.feet_y_px]) * SUPERSAMPLE

    def line(self, points: list[Point], width: float, color: Color) -> None:
        """Draw a polyline with round ends."""
        fixed, thickness = [self._fixed(points)], max(1, round(width * self._unit))
        for layer, shade in self._layers(color):
            cv2.polylines(layer, fixed, False, shade, thickness, cv2.LINE_AA, self._SHIFT)

    def polygon(self, points: list[Point], color: Color) -> None:
        """Draw a filled polygon."""
        fixed = [self._fixed(points)]
        for layer, shade in self._layers(color):
            cv2.fillPoly(layer, fixed, shade, cv2.LINE_AA, self._SHIFT)

    def disc(self, center: Point, radius: float, color: Color) -> None:
        """Draw a filled circle."""
        fixed, size = self._fixed([center])[0].tolist(), round(radius * self._unit * 2**self._SHIFT)
        for layer, shade in self._layers(color):
            cv2.circle(layer, fixed, size, shade, -1, cv2.LINE_AA, self._SHIFT)

    def ring(self, center: Point, radius: float, width: float, color: Color) -> None:
        """Draw a circle's line."""
        angles = np.linspace(0, 2 * pi, 25)
        self.line([_moved(center, radius * cos(a), radius * sin(a)) for a in angles], width, color)

    def _layers(self, color: Color) -> tuple[tuple[np.ndarray, Color | int], ...]:
        """Return what is painted on and with what: the picture in color, the mask in black or white."""
        return (self._canvas, color), (self._mask, self._mask_level)

    def _fixed(self, points: list[Point]) -> np.ndarray:
        """Return the points as OpenCV wants them, fixed-point int32 (n, 2)."""
        return np.rint((np.array(points) * self._scale + self._origin) * 2**self._SHIFT).astype(np.int32)


def _draw_walker(pen: Pen, mover: Mover, frame: int) -> None:
    """Draw someone walking; a step cycle covers 0.9 body heights of ground."""
    _draw_person(pen, mover, frame, stride=0.9, swing=0.45, bend=0.8, lean=0.03, elbow=0.3)


def _draw_runner(pen: Pen, mover: Mover, frame: int) -> None:
    """Draw someone running: longer stride, body forward, elbows bent."""
    _draw_person(pen, mover, frame, stride=1.9, swing=0.85, bend=1.6, lean=0.22, elbow=1.6)


def _draw_person(
    pen: Pen, mover: Mover, frame: int, stride: float, swing: float, bend: float, lean: float, elbow: float
) -> None:
    """Draw a person whose legs follow the ground covered, so that feet do not slide; angles in radians."""
    covered = abs(mover.speed_px) * (frame - mover.middle_frame) / mover.unit_px
    near_phase = 2 * pi * covered / stride + mover.phase
    phases = (near_phase + pi, near_phase)  # the far leg, the near leg
    legs = [_limb(0.25, swing * sin(phase), -0.1 - bend * max(0.0, cos(phase))) for phase in phases]
    hip = (0.0, max(-foot[1] for _, foot in legs) + 0.02)
    neck = (hip[0] + 0.30 * sin(lean), hip[1] + 0.30 * cos(lean))
    arms = [_limb(0.155, lean - 0.9 * swing * sin(phase), elbow) for phase in phases]
    _draw_arm(pen, _moved(neck, 0, -0.03), arms[0], _dimmed(mover.shirt), mover.skin)
    _draw_leg(pen, hip, legs[0], _dimmed(mover.trousers))
    if mover.has_backpack:
        pen.line([_moved(neck, -0.10, -0.05), _moved(neck, -0.10, -0.18)], 0.13, _dimmed(mover.trousers))
    _draw_leg(pen, hip, legs[1], mover.trousers)
    pen.line([_moved(hip, 0, 0.04), _moved(neck, 0, -0.05)], 0.17, mover.shirt)
    _draw_arm(pen, _moved(neck, 0, -0.03), arms[1], _dimmed(mover.shirt, 0.88), mover.skin)
    _draw_head(pen, mover, _moved(neck, 0.12 * sin(lean) + 0.01, 0.12))


def _draw_cyclist(pen: Pen, mover: Mover, frame: int) -> None:
    """Draw a bicycle and its rider, who pedals."""
    black, steel = (34, 34, 36), (196, 60, 48)
    rear, front, crank, seat, bar = (-0.33, 0.19), (0.33, 0.19), (-0.03, 0.18), (-0.12, 0.50), (0.27, 0.56)
    turn = abs(mover.speed_px) * (frame - mover.middle_frame) / mover.unit_px * 2.2 + mover.phase
    pedals = [_moved(crank, 0.09 * cos(turn + side), 0.09 * sin(turn + side)) for side in (pi, 0)]
    hip, neck = _moved(seat, 0, 0.05), (0.10, 0.83)
    _draw_leg(pen, hip, _reach(hip, pedals[0], 0.25), _dimmed(mover.trousers))
    for wheel in (rear, front):
        pen.ring(wheel, 0.17, 0.035, black)
    pen.line([rear, crank, bar, seat, rear], 0.03, steel)
    pen.line([seat, crank], 0.03, steel)
    pen.line([front, bar, _moved(bar, 0.06, 0.02)], 0.03, steel)
    pen.line([_moved(seat, -0.05, 0.01), _moved(seat, 0.05, 0.01)], 0.04, black)
    _draw_leg(pen, hip, _reach(hip, pedals[1], 0.25), mover.trousers)
    pen.line([_moved(hip, 0, 0.03), _moved(neck, -0.02, -0.05)], 0.17, mover.shirt)
    pen.line([_moved(neck, 0, -0.07), _moved(bar, -0.07, 0.08), bar], 0.06, _dimmed(mover.shirt, 0.88))
    _draw_head(pen, mover, _moved(neck, 0.07, 0.11))


def _draw_cart(pen: Pen, mover: Mover, frame: int) -> None:
    """Draw a small electric cart with a roof, a load bed and a driver."""
    white, gray, black = (236, 236, 230), (150, 152, 154), (36, 36, 38)
    pen.line([(-0.08, 0.52), (-0.06, 0.86)], 0.20, mover.shirt)
    _draw_head(pen, mover, (-0.03, 1.03))
    pen.line([(0.02, 0.80), (0.26, 0.66)], 0.06, mover.skin)
    pen.line([(0.34, 0.50), (0.27, 0.70)], 0.03, black)
    pen.polygon([(-0.90, 0.18), (-0.90, 0.56), (-0.24, 0.56), (-0.20, 0.40), (0.36, 0.40), (0.46, 0.62),
                 (0.74, 0.56), (0.88, 0.36), (0.88, 0.18)], white)  # fmt: skip
    pen.line([(-0.90, 0.24), (0.88, 0.24)], 0.06, gray)
    for foot, top in (((-0.26, 0.56), (-0.26, 1.22)), ((0.50, 0.60), (0.36, 1.22))):
        pen.line([foot, top], 0.035, gray)
    pen.line([(-0.34, 1.24), (0.46, 1.24)], 0.08, white)
    for x in (-0.58, 0.56):
        pen.disc((x, 0.15), 0.155, black)
        pen.disc((x, 0.15), 0.07, gray)


FIGURES = {"walker": _draw_walker, "runner": _draw_runner, "cyclist": _draw_cyclist, "cart": _draw_cart}


def _draw_head(pen: Pen, mover: Mover, center: Point) -> None:
    """Draw a head that looks forward: hair behind and above the face."""
    pen.disc(_moved(center, -0.012, 0.018), 0.078, mover.hair)
    pen.disc(_moved(center, 0.022, -0.016), 0.06, mover.skin)


def _draw_leg(pen: Pen, hip: Point, leg: tuple[Point, Point], color: Color) -> None:
    """Draw a leg, given as knee and foot relative to the hip, and its shoe."""
    knee, foot = (_moved(hip, *joint) for joint in leg)
    pen.line([hip, knee], 0.11, color)
    pen.line([knee, foot], 0.08, color)
    pen.line([foot, _moved(foot, 0.075, -0.005)], 0.055, (40, 34, 30))


def _draw_arm(pen: Pen, shoulder: Point, arm: tuple[Point, Point], color: Color, skin: Color) -> None:
    """Draw an arm, given as elbow and hand relative to the shoulder."""
    elbow, hand = (_moved(shoulder, *joint) for joint in arm)
    pen.line([shoulder, elbow, hand], 0.06, color)
    pen.disc(hand, 0.032, skin)


def _limb(length: float, angle: float, bend: float) -> tuple[Point, Point]:
    """Return the middle joint and the end of a limb hanging from (0, 0); angles from down to forward."""
    joint = (length * sin(angle), -length * cos(angle))
    return joint, _moved(joint, length * sin(angle + bend), -length * cos(angle + bend))


def _reach(start: Point, end: Point, length: float) -> tuple[Point, Point]:
    """Return the joint and the end, relative to `start`, of a bent limb that reaches `end`, knee forward."""
    across, up = end[0] - start[0], end[1] - start[1]
    distance = hypot(across, up)
    height = max(0.0, length**2 - distance**2 / 4) ** 0.5
    return (across / 2 - up / distance * height, up / 2 + across / distance * height), (across, up)


def _moved(point: Point, across: float, up: float) -> Point:
    """Return the point moved forward and up."""
    return point[0] + across, point[1] + up


def _dimmed(color: Color, share: float = 0.72) -> Color:
    """Return a darker color, for what is on the far side."""
    return tuple(int(channel * share) for channel in color)
