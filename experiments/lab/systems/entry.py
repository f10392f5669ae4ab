"""What the catalogue says of one system."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from experiments.lab.settings.flow_windows import reads_windows
from experiments.lab.settings.schema import Settings
from experiments.lab.systems.inputs import Input


@dataclass(frozen=True)
class Use:
    """How a trained model is used without this repository but its package `models`.

    Attributes:
        module: the one that registers the model's classes.
        takes, returns: in words.
    """

    module: str
    takes: str
    returns: str


@dataclass(frozen=True)
class System:
    """One system.

    Attributes:
        name: as the paper's tables print it, or ours beside it; no comma, which parts names in `--systems`.
        task: "module:function" of (source, settings, seed) -> `task.Task`.
        reads: what makes the source.
        idea: what it takes for abnormal, a sentence.
        settings: those that act on it, whole groups by their name.
        stream: the one stream that it has; "" for those that are fused late.
        takes_windows: whether it has flow windows beside its one stream, where they are fused.
        tables: exhibits that have a row of it.
        use: how its model is used; None where none is kept.
        made_again: where no model is kept, what makes it again, in words.
        rule: whether it is a rule, which learns nothing.
        has_regions: whether it has errors of a frame's regions; else one error a frame.
        in_windows: whether it scores windows of consecutive frames, so that an error depends on later ones.
        drawn: whether a seed acts on it.
        live: "module:function" of (runs, settings, source) -> how in words, and what scores a camera.
        depth: the setting that is its K, if it has one.
        unit: what it is trained in.
        sweep_limits: its settings that points of a sweep have less of -> the setting that says how much.
        quoted: whether the authors only quote it: it gives maps of cells (`quoted.tasks`), and one threshold
            over all clips is its headline.
        remark: what a reader must know of its numbers, in a few words.
        fitted: whether it learns from training clips; else it compares a test clip with itself.
        has_published_eer: whether equal error rates of it were published.
        paper_profile_alone: whether it is too slow for other profiles, unless asked for by name.
    """

    name: str
    task: str
    reads: Input
    idea: str
    settings: tuple[str, ...]
    stream: str = ""
    takes_windows: bool = False
    tables: tuple[str, ...] = ("table_03", "table_10")
    use: Use | None = None
    made_again: str = ""
    rule: bool = False
    has_regions: bool = False
    in_windows: bool = False
    drawn: bool = True
    live: str = ""
    depth: str = ""
    unit: str = "iterations"
    sweep_limits: Mapping[str, str] = field(default_factory=dict)
    quoted: bool = False
    remark: str = ""
    fitted: bool = True
    has_published_eer: bool = False
    paper_profile_alone: bool = False

    def streams(self, settings: Settings) -> tuple[str, ...]:
        """Return the streams that its scores are fused from, that of appearance first, if there is one."""
        fused = settings.score.streams
        if not self.stream:
            return fused
        windows = tuple(s for s in fused if self.takes_windows and reads_windows(s, settings))
        return windows if windows == fused else (self.stream, *windows)
