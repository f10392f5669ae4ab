"""What can be chosen about flow windows."""

import math
from dataclasses import asdict, dataclass

from data_prep.errors import InputError
from data_prep.memory import check_fits

ALIGNMENTS = ("causal", "centered")
SPEED_CENTRES = (0.3, 0.6, 0.9, 1.25, 1.7, 2.3, 3.2, 4.5)  # of the speed bins, in units of speed
N_SPEEDS, N_DIRECTIONS = len(SPEED_CENTRES), 4
BYTES_PER_PX = 64  # a gray frame, its flow at full size and halved, and what DIS takes meanwhile
N_CHANNELS = N_SPEEDS * (1 + N_DIRECTIONS)


@dataclass(frozen=True)
class FlowWindowOptions:
    """How flow windows are computed.

    Attributes:
        width_px, height_px: of the gray frames that flow is computed on. A picture of another shape keeps it
            and has as many pixels, so that a px of flow is the same share of the picture's size.
        window_px: mean side of the windows, in px of those frames.
        least_window_px: least side of a window, likewise.
        direction_weight: weight of the channels that tell direction, beside those that tell speed alone.
        flow_frames: flows that are averaged, pixel by pixel.
        row_frames: frames whose features are averaged, window by window.
        alignment: "causal", the frames up to this one; "centered", as many before as after it.

    Raises InputError: a number out of range.
    """

    width_px: int = 360
    height_px: int = 240
    window_px: float = 16.0
    least_window_px: float = 10.0
    direction_weight: float = 0.5
    flow_frames: int = 5
    row_frames: int = 5
    alignment: str = "causal"

    def __post_init__(self) -> None:
        """Check the numbers."""
        least = {"width_px": 32, "height_px": 32, "window_px": 4, "least_window_px": 4}
        least |= {"direction_weight": 0, "flow_frames": 1, "row_frames": 1}
        for name, number in least.items():
            if not number <= getattr(self, name) < math.inf:
                raise InputError(f"{name}: expected at least {number}, got {getattr(self, name)}")
        n_bytes = BYTES_PER_PX * self.width_px * self.height_px
        check_fits(f"width_px {self.width_px}, height_px {self.height_px}", n_bytes)
        if self.alignment not in ALIGNMENTS:
            raise InputError(f"alignment: expected one of {', '.join(ALIGNMENTS)}, got {self.alignment!r}")
        for name in ("flow_frames", "row_frames"):
            if self.alignment == "centered" and getattr(self, name) % 2 == 0:
                raise InputError(f"{name}: expected an odd number where centered, got {getattr(self, name)}")

    @property
    def delay_frames(self) -> int:
        """Return how many later frames a frame's features wait for; a clip's first always waits for one."""
        return 0 if self.alignment == "causal" else self.flow_frames // 2 + self.row_frames // 2

    @property
    def key(self) -> str:
        """Return what tells a folder of features from those of other options."""
        return (
            f"flow_windows-{self.width_px}x{self.height_px}-{self.window_px:g}px-{self.least_window_px:g}least-"
            f"{self.direction_weight:g}direction-{self.flow_frames}+{self.row_frames}{self.alignment}"
        )

    def __str__(self) -> str:
        """Return the options in words, for the shards."""
        given = ", ".join(f"{name} {value}" for name, value in asdict(self).items())
        return (
            f"gray frames, OpenCV's DIS (medium) at full size, halved; speed in units of the place; {given}"
        )

    def picture_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the even width and height, in px, of the gray frames that stand for frames of a size."""
        scale = (self.width_px * self.height_px / (height * width)) ** 0.5
        return tuple(max(2, 2 * round(side * scale / 2)) for side in (width, height))
