"""Choose settings on labelled development scenes, which are not the dataset that is reported.

    python -m experiments.choose_on_scenes --development DIR [DIR ...] [--seeds 3] [--profile quick]
    python -m experiments.choose_on_scenes --data DIR --datasets NAME[,NAME] [--seeds 3]
        [--jobs N | --cluster tcp://HOST:PORT]

Scenes, criterion, grid and rule are written down in docs/choosing.md. In short: candidates are tried in
stages, each on top of what the stage before chose. Of a stage's candidates those within TIE of the highest
mean AUC on the real scenes stay, of these those within TIE of the highest mean AUC on two rendered walkways,
and of these the first in the list is chosen.

Writes results/<profile>/choice.csv, a line a candidate with the AUC on every scene, and prints the chosen
settings as flags. Of the common flags, --chosen is refused.
"""

if __name__ == "__main__":  # before what runs is imported: --help does not wait for TensorFlow
    from experiments.lab import cli

    cli.main(__spec__.name, cli.scenes_parser(__doc__))

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from data_prep.errors import InputError
from experiments.lab.context import Context
from experiments.lab.distributing.points import Point, Seeded, flat, late_fusion_points, make, runs_of
from experiments.lab.distributing.where import HERE, Where
from experiments.lab.publishing.results import write_csv
from experiments.lab.scenes import PER_CLIP, Scene, SceneContext
from experiments.lab.scoring.measure import auc, held_by
from experiments.lab.scoring.protocol import Protocol
from experiments.lab.scoring.score import DivergedError
from experiments.lab.settings.changes import changed
from experiments.lab.settings.chosen import CHOSEN
from experiments.lab.systems.reads import Reads

TIE = 0.005
Candidate = Mapping[str, object]  # settings by name


@dataclass(frozen=True)
class Stage:
    """Candidates that are compared, in the order in which they are preferred; `system` is run on them."""

    name: str
    candidates: Sequence[Candidate]
    system: str = "sRNN-AE"


def spatial(**fusion) -> Candidate:
    """Return the candidate with the spatial stream added."""
    return {"appearance": "spatial", **fusion}


# Of the streams of appearance: a network that need not be downloaded, a model that takes minutes.
START = {
    "backbone": "thin_resnet50",
    "n_atoms": 256,
    "learning_rate": 1e-4,  # with 1e-3 the codes of features as extracted diverge
    "iterations": 300,
    "checkpoint_every": 50,
    "log_every": 50,
}
WINDOWS = {"appearance": "none", "motion": "flow", "flow_input": "windows", "fusion": "calibrated"}
STAGES = (
    Stage("motion", [{"motion": "temporal"}, WINDOWS]),
    Stage("window", [{"windows_px": px, "windows_least_px": px * 0.625} for px in (16.0, 12.0, 24.0)]),
    Stage("direction", [{"windows_direction_weight": weight} for weight in (0.5, 0.0, 1.0)]),
    Stage(
        "averaging",
        [
            {"windows_flow_frames": flows, "windows_row_frames": rows, "windows_alignment": alignment}
            for flows, rows, alignment in (
                (5, 5, "causal"),
                (1, 1, "causal"),
                (3, 3, "causal"),
                (9, 5, "causal"),
                (5, 5, "centered"),
                (3, 3, "centered"),
            )
        ],
    ),
    Stage("atoms", [{"windows_n_atoms": n} for n in (8, 4, 16, 64)]),
    Stage("steps", [{"windows_iterations": n} for n in (300, 1000)]),
    Stage(
        "appearance",
        [
            {"appearance": "none"},
            spatial(fusion="log", spatial_weight=0.25),
            spatial(fusion="log", spatial_weight=0.5),
            spatial(fusion="calibrated"),
            spatial(fusion="paper"),
        ],
    ),
    Stage(
        "smoothing",
        [
            {"smoothing_frames": 1},
            *({"smoothing_frames": n, "smoothing": kind} for kind in ("causal", "centered") for n in (5, 9)),
        ],
    ),
    Stage("TSC", [{"windows_tsc_lambda1": value} for value in (0.02, 0.1, 0.005)], "TSC"),
    Stage("LSTM-AE", [{"windows_lstm_units": n} for n in (8, 4, 16)], "LSTM-AE"),
    Stage("subspace", [{"windows_n_subspace_atoms": n} for n in (4, 2, 8)], "Nearest Subspace"),
)


def reads(context: Context, **_) -> Reads:
    """Return what the command reads: nothing that its candidates or its start set."""
    names = {name for stage in STAGES for candidate in stage.candidates for name in candidate}
    also = ("flow", "windows", "temporal_weight")
    systems = tuple(dict.fromkeys(stage.system for stage in STAGES))
    return Reads(systems, also=also, without=(*START, *names, "normalization"), walkway="always")


def run(context: Context, development: Sequence[Path], where: Where = HERE) -> None:
    """Choose on the scenes, candidates tried `where`; write and print what was tried."""
    if context.chosen:
        raise InputError("--chosen: not used here, it is what this command makes")
    context = SceneContext.of(context, development)
    chosen, lines = choose(context, STAGES, START, where)
    path = context.results_dir / "choice.csv"
    write_csv(path, lines)
    print("chosen " + " ".join(f"--set {name}={value}" for name, value in chosen.items()))
    others = changed(context.changed(**CHOSEN).settings, context.changed(**chosen).settings)
    has = " ".join(f"{name}={value}" for name, value in others.items()) or "the same"
    print(f"--chosen has {has}; what was tried: {path}")


def choose(
    context: SceneContext, stages: Sequence[Stage], start: Candidate, where: Where = HERE
) -> tuple[dict[str, object], list[dict]]:
    """Return the chosen settings, those of `start` among them, and a line for every candidate tried."""
    chosen = dict(start)
    lines: list[dict] = []
    for stage in stages:
        tried = [Trial(context, stage, candidate, {**chosen, **candidate}) for candidate in stage.candidates]
        left = tried
        for kind in (True, False):
            if len(left) > 1 or kind:  # who is alone needs no walkway
                scenes = [scene for scene in context.scenes if scene.is_real == kind]
                if where.elsewhere:
                    make([point for trial in left for point in trial.points(scenes)], where, may_diverge=True)
                left = within_tie(left, [trial.score(scenes) for trial in left])
        chosen |= left[0].candidate
        lines += [trial.line() | {"chosen": "yes" if trial is left[0] else ""} for trial in tried]
        for line in lines[-len(tried) :]:
            print(", ".join(f"{name} {value}" for name, value in line.items() if value != ""), flush=True)
    return chosen, [dict.fromkeys(lines_columns(lines), "") | line for line in lines]


def lines_columns(lines: Sequence[dict]) -> list[str]:
    """Return the columns of all lines, in order of appearance."""
    return list(dict.fromkeys(name for line in lines for name in line))


def within_tie(trials: Sequence["Trial"], criterion: Sequence[float]) -> list["Trial"]:
    """Return the trials within TIE of the highest; nan is that of one that diverged.

    Raises InputError where every candidate diverged.
    """
    if all(math.isnan(value) for value in criterion):
        raise InputError("choose_on_scenes: every candidate of a stage diverged; lower windows_learning_rate")
    highest = max(value for value in criterion if not math.isnan(value))
    return [trial for trial, value in zip(trials, criterion, strict=True) if value >= highest - TIE]


class Trial:
    """One candidate of a stage, and what it scored.

    Args:
        context: in which it is run.
        stage: of the candidate.
        candidate: what it changes.
        settings: all that differ from the profile's.
    """

    def __init__(self, context: Context, stage: Stage, candidate: Candidate, settings: Candidate):
        self.stage, self.candidate = stage, candidate
        self._context = context.changed(**settings)
        self._aucs: dict[str, float] = {}

    def points(self, scenes: Sequence[Scene]) -> list[Point]:
        """Return the runs that its score on these scenes needs."""
        return flat(self._seeded(scene) for scene in scenes)

    def _seeded(self, scene: Scene) -> Seeded:
        n_seeds = self._context.n_ablation_seeds
        return late_fusion_points(self._context, scene.name, self.stage.system, n_seeds)

    def score(self, scenes: Sequence[Scene]) -> float:
        """Return the mean criterion over real scenes, or over walkways; nan where a model diverges."""
        try:
            mean = statistics.fmean(self._score_on(scene) for scene in scenes)
        except DivergedError as fault:
            print(f"WARNING: {fault}; not chosen: {dict(self.candidate)}", flush=True)
            mean = math.nan
        self._aucs["real" if scenes[0].is_real else "walkway"] = mean
        return mean

    def _score_on(self, scene: Scene) -> float:
        """Return the criterion on one scene, the mean over the seeds; keep the AUC per clip beside it."""
        headline = Protocol.of(self._context.settings.score)
        protocols = {
            scene.name: replace(headline, normalization="train"),
            f"{scene.name}{PER_CLIP}": replace(headline, fusion="paper", normalization="per_clip"),
        }
        found: dict[str, list[float]] = {name: [] for name in protocols}
        for runs in runs_of(self._seeded(scene)):
            for name, protocol in protocols.items():
                found[name].append(auc(runs, held_by(runs, protocol)))
        self._aucs |= {name: statistics.fmean(values) for name, values in found.items()}
        return self._aucs[scene.name]

    def line(self) -> dict[str, str]:
        """Return what is written of it, AUCs in per cent."""
        candidate = " ".join(f"{name}={value}" for name, value in self.candidate.items())
        aucs = {name: f"{100 * value:.2f}" for name, value in self._aucs.items()}
        return {"stage": self.stage.name, "system": self.stage.system, "candidate": candidate, **aucs}
