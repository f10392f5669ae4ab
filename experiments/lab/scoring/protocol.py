"""The protocol of a number, as one value: what is computed, what `results.csv` holds, what a caption prints.

`Protocol.of(settings.score)` is the headline, `replace(headline, normalization="train")` a row beside it, and
`str` of either its text. Nobody edits that text to name another protocol.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace

from experiments.lab.settings.limits import CHOICES
from experiments.lab.settings.schema import ScoreSettings

NORMALIZATIONS = CHOICES["normalization"]
CHECKPOINTS = CHOICES["checkpoint"]
APPEARANCE = ("spatial", "whole frame")  # streams; the others are of motion
ONE_ERROR = "one"  # a frame's errors are of one region: gray frames, whole-frame features
# A stream that is never fused, as rows name it; the others are "spatial alone".
ALONE = {
    "frames": "gray frames",
    "pixels": "pixels",
    "numbers": "frame numbers",
    "whole frame": "whole-frame region",
}
AGAINST = {
    "paper": "{} normalization",
    "calibrated": "calibrated against training errors",
    "log": "log of errors calibrated against training errors",
}
CHECKPOINT_NAMES = {
    "last": "last checkpoint",
    "best_on_test": "best_on_test checkpoint (chosen on the test set)",
}


@dataclass(frozen=True)
class Protocol:
    """From the errors of regions to one number. Paper: Sec. 3.7 and 4.1.

    Attributes:
        streams: what is fused, the spatial stream first; or one alone.
        fusion: "paper" (Sec. 3.7), "calibrated" or "log", see `scoring.fusion`.
        temporal_weight: of each stream of motion under "paper".
        spatial_weight: of the spatial stream under "log".
        normalization: the ends of Eq. (14) under "paper": "per_clip", "global" or "train".
        checkpoint: "last", or "best_on_test": the one with the highest frame-level AUC on the test set.
        frame_error: see `metrics.frame_error`; "one" where a frame has one error.
        smoothing_frames: s(t) is the mean of so many frames' scores.
        smoothing: "centered" on the frame, or "causal": the last ones.
        overlap: share of an abnormal region's pixels that must be detected; None for frame-level numbers.
        ahead_frames: up to how many frames after t the errors at t depend on.
        remark: what else the number rests on, in words.

    What a fusion does not read acts on nothing and is not in the text: `normalization` and `temporal_weight`
    beside "calibrated" and "log", `spatial_weight` beside the other two.
    """

    streams: tuple[str, ...] = ("spatial", "temporal")
    fusion: str = "paper"
    temporal_weight: float = 0.5
    spatial_weight: float = 0.25
    normalization: str = "per_clip"
    checkpoint: str = "last"
    frame_error: str = "max"
    smoothing_frames: int = 1
    smoothing: str = "centered"
    overlap: float | None = None
    ahead_frames: int = 0
    remark: str = ""

    @classmethod
    def of(cls, score: ScoreSettings, streams: Sequence[str] | None = None) -> "Protocol":
        """Return the protocol that the settings ask for: the headline; on other streams where given."""
        named = {f.name: getattr(score, f.name) for f in fields(cls) if hasattr(score, f.name)}
        return cls(**named | ({} if streams is None else {"streams": tuple(streams)}))

    @property
    def weights(self) -> dict[str, float]:
        """Return the weight of each stream in the score; 1 for one alone."""
        if len(self.streams) == 1 or self.fusion == "calibrated":
            return dict.fromkeys(self.streams, 1.0)
        spatial, motion = (
            (1.0, self.temporal_weight) if self.fusion == "paper" else (self.spatial_weight, 1.0)
        )
        return {stream: spatial if stream in APPEARANCE else motion for stream in self.streams}

    @property
    def needs_train_errors(self) -> bool:
        """Return whether scores depend on the errors of the training frames."""
        return self.fusion != "paper" or self.normalization == "train"

    @property
    def look_ahead_frames(self) -> float:
        """Return how many frames after t the score s(t) depends on; infinite for a whole clip or test set."""
        if not self.needs_train_errors or self.checkpoint != "last":
            return math.inf
        return self.ahead_frames + (self.smoothing_frames // 2 if self.smoothing == "centered" else 0)

    def __str__(self) -> str:
        """Return the protocol in words."""
        parts = [
            f"pixel level, {100 * self.overlap:g} % covered" if self.overlap is not None else "",
            self.fusion_name,
            AGAINST[self.fusion].format(self.normalization),
            self.checkpoint_name,
            self.frame_error_name,
            self.smoothing_name,
            self.look_ahead_name,
        ]
        return ", ".join(filter(None, parts)) + (f"; {self.remark}" if self.remark else "")

    @property
    def fusion_name(self) -> str:
        """Return the streams in words: "spatial + 0.5 temporal", "temporal + 0.25 spatial", "flow alone"."""
        if len(self.streams) == 1:
            return ALONE.get(self.streams[0], f"{self.streams[0]} alone")
        ordered = sorted(self.weights.items(), key=lambda item: item[1] != 1)  # stable: weight 1 first
        return " + ".join(name if weight == 1 else f"{weight:g} {name}" for name, weight in ordered)

    @property
    def checkpoint_name(self) -> str:
        """Return in words which of a run's checkpoints is scored."""
        return CHECKPOINT_NAMES[self.checkpoint]

    @property
    def frame_error_name(self) -> str:
        """Return in words how the errors of a frame's regions become one."""
        return "one error a frame" if self.frame_error == ONE_ERROR else f"{self.frame_error} over regions"

    @property
    def smoothing_name(self) -> str:
        """Return in words how s(t) is smoothed, nothing where it is not."""
        n_frames = self.smoothing_frames
        if n_frames == 1:
            return ""
        if self.smoothing == "causal":
            return f"mean of the last {n_frames} frames"
        return f"mean of {n_frames} frames, {n_frames // 2} ahead"

    @property
    def look_ahead_name(self) -> str:
        """Return in words what a score whose limits are the training errors' knows of later frames."""
        if self.look_ahead_frames == 0:
            return "no look ahead"
        known = self.ahead_frames and self.look_ahead_frames < math.inf
        return f"errors up to {self.ahead_frames} frames ahead" if known else ""

    def beside(self) -> Iterator["Protocol"]:
        """Yield the protocols whose numbers stand beside this one's.

        Each stream alone; the other normalizations, or the paper's fusion beside another one; the other
        checkpoint.
        """
        if len(self.streams) > 1:
            yield from (replace(self, streams=(stream,)) for stream in self.streams)
        if self.fusion == "paper":
            yield from (replace(self, normalization=n) for n in NORMALIZATIONS if n != self.normalization)
        else:
            yield replace(self, fusion="paper")
        yield from (replace(self, checkpoint=c) for c in CHECKPOINTS if c != self.checkpoint)
