"""Choose features, model and frame error for a camera from its normal video alone.

    python -m experiments.choose_on_normal --data DIR [--datasets ped2] [--profile quick]

No abnormal frame and no test clip is read. Anomalies are planted into held-out training clips (a stranger, a
faster stretch, a mirrored one: `data_prep.planted`), sRNN-AE is trained on the other clips, and a candidate's
criterion is the mean over the three kinds of the frame-level AUC of planted against untouched frames: micro,
the normalization and the temporal weight of the settings (the paper's: per clip, 0.5), last checkpoint.

The candidates are tried in stages, each on top of what the stage before chose; a stage's first candidate is
what was there before, so the paper's own choice competes. A candidate is chosen when its criterion is the
highest; one within TIE of the highest that stands earlier in its list is preferred, because a list goes from
the paper's choice, or the cheaper one, to others.

Writes results/<profile>/choice_<dataset>.csv, a line a candidate, and prints the chosen settings as flags.
"""

import csv
import io
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from data_prep.datasets import Dataset
from data_prep.planted import KINDS, planted_dataset
from experiments.lab.cli import exhibit_main
from experiments.lab.context import Context
from experiments.lab.results import write_atomic
from experiments.lab.score import micro_auc
from experiments.lab.settings import CHOSEN
from experiments.lab.systems import run_system

TIE = 0.005
STREAMS = ("spatial", "temporal")
START = {"n_atoms": 256, "learning_rate": 1e-4, "iterations": 300, "checkpoint_every": 50, "log_every": 50}
MAPS = (("last", 224), ("conv4", 224), ("conv4", 448), ("conv3+conv4", 448))
NORMALIZATIONS = ("none", "standardized", "l2")
Settings = Mapping[str, object]
STAGES: dict[str, Sequence[Settings]] = {
    "features": [
        {"layer": layer, "input_size_px": size_px, "feature_normalization": normalization}
        for layer, size_px in MAPS
        for normalization in NORMALIZATIONS
    ],
    "model": [
        {"n_atoms": n_atoms, "learning_rate": rate} for n_atoms in (256, 64, 1024) for rate in (1e-4, 1e-3)
    ],
    "length": [{"iterations": n} for n in (300, 1500)],
    "frame_error": [{"frame_error": kind} for kind in ("max", "scale_mean", "frame")],
}
SMOKE_START = {"n_atoms": 32, "iterations": 20}
SMOKE_STAGES: dict[str, Sequence[Settings]] = {
    "features": [{"layer": layer, "feature_normalization": "standardized"} for layer in ("last", "conv4")],
    "frame_error": STAGES["frame_error"],
}


def run(context: Context) -> None:
    """Choose for every dataset at hand; write and print what was tried."""
    smoke = context.profile == "smoke"
    for dataset in context.datasets.values():
        planted = planted_dataset(dataset, context.generated_dir / "planted")
        chosen, lines = choose(context, planted, *((SMOKE_START, SMOKE_STAGES) if smoke else (START, STAGES)))
        path = context.results_dir / f"choice_{dataset.name}.csv"
        write_csv(path, lines)
        print(
            f"{dataset.name}: chosen " + " ".join(f"--set {name}={value}" for name, value in chosen.items())
        )
        print(f"{dataset.name}: settings.CHOSEN is {'the same' if chosen == CHOSEN else CHOSEN}; see {path}")


def choose(
    context: Context, planted: Dataset, start: Settings, stages: Mapping[str, Sequence[Settings]]
) -> tuple[dict, list[dict]]:
    """Return the chosen settings and a line for every candidate tried."""
    best, lines = dict(start), []
    for stage, candidates in stages.items():
        tried = [{**best, **candidate} for candidate in candidates]
        scored = []
        for candidate, settings in zip(candidates, tried, strict=True):
            found = planted_auc(context, planted, settings)
            scored.append(statistics.fmean(found.values()))
            changed = " ".join(f"{name}={value}" for name, value in candidate.items())
            lines.append(
                {"stage": stage, "candidate": changed, **found, "criterion": scored[-1], "chosen": ""}
            )
            numbers = ", ".join(f"{kind} {100 * value:.2f}" for kind, value in found.items())
            print(f"{stage}: {changed}: {100 * scored[-1]:.2f} ({numbers})", flush=True)
        index = first_within_tie(scored)
        best = tried[index]
        lines[index - len(candidates)]["chosen"] = "yes"
    return best, lines


def first_within_tie(criteria: Sequence[float]) -> int:
    """Return the first candidate whose criterion is at most `TIE` below the highest."""
    return next(i for i, value in enumerate(criteria) if value >= max(criteria) - TIE)


def planted_auc(context: Context, planted: Dataset, settings: Settings) -> dict[str, float]:
    """Return the AUC of each kind of planted anomaly, the mean over the ablations' seeds."""
    context = replace(context, settings=context.settings.override(**settings))
    score, shards = context.settings.score, context.features_of(planted, context.generated_dir)
    options = {"frame_error": score.frame_error, "temporal_weight": score.temporal_weight}
    values = {kind: [] for kind in KINDS}
    for seed in range(context.n_ablation_seeds):
        runs = {
            stream: run_system("sRNN-AE", shards, stream, context.settings, seed, context.out)
            for stream in STREAMS
        }
        for kind in KINDS:
            clips = {
                stream: [clip for clip in run.scores() if clip.clip.endswith(f"-{kind}")]
                for stream, run in runs.items()
            }
            values[kind].append(micro_auc(clips, normalization=score.normalization, **options))
    return {kind: statistics.fmean(found) for kind, found in values.items()}


def write_csv(path: Path, lines: Sequence[Mapping]) -> None:
    """Write the lines as CSV, atomically."""
    text = io.StringIO()
    writer = csv.DictWriter(text, lines[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    write_atomic(path, text.getvalue().encode())


if __name__ == "__main__":
    exhibit_main(__doc__, run)
