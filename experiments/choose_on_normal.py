"""Choose features, model, frame error and streams for a camera from its normal video alone.

    python -m experiments.choose_on_normal --data DIR [--datasets ped2] [--profile quick] [--sweep-test]

No abnormal frame and no test clip of the camera is read. A candidate is tried on two scenes; its criterion is
the mean of their frame-level AUCs:

    planted  the camera's own held-out training clips, each with a stranger planted into it
             (`data_prep.planted`); sRNN-AE is trained on its other training clips
    walkway  another rendered walkway than the one in the tables (its seed plus one), with cyclists, carts and
             runners that its renderer labels; sRNN-AE is trained on that walkway's training clips

Both are micro, with the normalization and the temporal weight of the settings (the paper's: per clip, 0.5)
and the last checkpoint.

The candidates are tried in stages, each on top of what the stage before chose; a stage's first candidate is
what was there before, so the paper's own choice competes. A candidate is chosen when its criterion is the
highest; one within TIE of the highest that stands earlier in its list is preferred, because a list goes from
the paper's choice, or the cheaper one, to others. A candidate whose scores are not finite on some clip is
never chosen; its line says nan. The backbone is the profile's (quick: the thin ResNet-50) or that of --set;
what is chosen for one is not meant for another. Of two backbones' choices `--chosen` has the one with the
higher criterion.

Writes results/<profile>/choice_<dataset>.csv, a line a candidate, and prints the chosen settings as flags.
With --sweep-test, every candidate is scored on the dataset's test clips afterwards: a sweep that chooses
nothing.
"""

if __name__ == "__main__":  # before what runs is imported: --help does not wait for TensorFlow
    from experiments.lab import cli

    flags = cli.parser(__doc__)
    flags.add_argument("--sweep-test", action="store_true", help="then show every candidate's test AUC")
    cli.main(__spec__.name, flags)

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from data_prep import walkway
from data_prep.datasets import Dataset, find_datasets
from data_prep.errors import InputError
from data_prep.planted import planted_dataset
from experiments.lab.context import Context
from experiments.lab.publishing.results import write_csv
from experiments.lab.scoring.measure import auc
from experiments.lab.scoring.protocol import Protocol
from experiments.lab.scoring.score import DivergedError
from experiments.lab.settings.chosen import CHOSEN

TIE = 0.005
START = {
    "n_atoms": 256,
    "learning_rate": 1e-4,
    "iterations": 300,
    "checkpoint_every": 50,
    "log_every": 50,
    "n_subspace_atoms": 375,  # as many for 768 channels as the paper has for 2048; no candidate reads it
    "flow_input": "picture",
    "flow_input_size_px": 224,
    "flow_size_px": 80,
    "flow_warps": 1,
}
MAPS = (("last", 224), ("conv4", 224), ("conv3+conv4", 448))
NORMALIZATIONS = ("none", "standardized", "l2")
Settings = Mapping[str, object]
Scenes = Mapping[str, tuple[Dataset, Path]]  # by name; the folder is the one that its features go under
STAGES: dict[str, Sequence[Settings]] = {
    "features": [
        {"layer": layer, "input_size_px": size_px, "feature_normalization": normalization}
        for layer, size_px in MAPS
        for normalization in NORMALIZATIONS
    ],
    "model": [{"n_atoms": n_atoms, "learning_rate": rate} for n_atoms in (256, 64) for rate in (1e-4, 1e-3)],
    "length": [{"iterations": n} for n in (300, 1500)],
    "frame_error": [{"frame_error": kind} for kind in ("max", "scale_mean", "frame")],
    "motion": [
        {"motion": "temporal"},
        *({"motion": kind, "flow_size_px": size} for kind in ("flow", "temporal+flow") for size in (80, 160)),
    ],
    "smoothing": [{"smoothing_frames": n} for n in (1, 5, 9)],
}
SMOKE_START = {"n_atoms": 32, "iterations": 20, "flow_input": "picture"}
SMOKE_STAGES: dict[str, Sequence[Settings]] = {
    "features": [{"layer": layer, "feature_normalization": "standardized"} for layer in ("last", "conv4")],
    "frame_error": STAGES["frame_error"],
    "motion": [{"motion": streams} for streams in ("temporal", "flow", "temporal+flow")],
    "smoothing": STAGES["smoothing"],
}


def run(context: Context, sweep_test: bool = False) -> None:
    """Choose for every dataset at hand; write and print what was tried."""
    smoke = context.profile == "smoke"
    for dataset in context.datasets.values():
        scenes = scenes_for(context, dataset)
        start, stages = (SMOKE_START, SMOKE_STAGES) if smoke else (START, STAGES)
        start = {"backbone": context.settings.features.backbone, **start}
        chosen, lines, tried = choose(context, scenes, start, stages)
        path = context.results_dir / f"choice_{dataset.name}.csv"
        write_csv(path, lines)
        print(
            f"{dataset.name}: chosen " + " ".join(f"--set {name}={value}" for name, value in chosen.items())
        )
        known = CHOSEN.get(start["backbone"])
        print(f"{dataset.name}: settings.CHOSEN has {'the same' if chosen == known else known}; see {path}")
        if sweep_test:
            found = aucs_on_test(context, dataset, tried)
            write_csv(path, [line | test for line, test in zip(lines, found, strict=True)])


def scenes_for(context: Context, dataset: Dataset) -> Scenes:
    """Return what candidates are tried on, made first where it is not there."""
    sizes = context.settings.walkway
    clips = (sizes.n_train_clips, 2 * sizes.n_test_clips)
    another = walkway.Rendering(sizes.walkway_seed + 1, *clips, sizes.clip_frames)
    folder = walkway.generate_under(context.generated_dir, another)
    return {
        "planted": (planted_dataset(dataset, context.generated_dir / "planted"), context.generated_dir),
        "walkway": (find_datasets(folder)["walkway"], folder),
    }


def choose(
    context: Context, scenes: Scenes, start: Settings, stages: Mapping[str, Sequence[Settings]]
) -> tuple[dict, list[dict], list[dict]]:
    """Return the chosen settings, a line for every candidate tried, and the settings of each line."""
    best, lines, all_tried = dict(start), [], []
    for stage, candidates in stages.items():
        tried = [{**best, **candidate} for candidate in candidates]
        scored = []
        for candidate, settings in zip(candidates, tried, strict=True):
            found = scene_aucs(context, scenes, settings)
            scored.append(statistics.fmean(found.values()))
            changed = " ".join(f"{name}={value}" for name, value in candidate.items())
            lines.append(
                {"stage": stage, "candidate": changed, **found, "criterion": scored[-1], "chosen": ""}
            )
            numbers = ", ".join(f"{name} {100 * value:.2f}" for name, value in found.items())
            print(f"{stage}: {changed}: {100 * scored[-1]:.2f} ({numbers})", flush=True)
        index = first_within_tie(scored)
        best = tried[index]
        all_tried += tried
        lines[index - len(candidates)]["chosen"] = "yes"
    return best, lines, all_tried


def first_within_tie(criteria: Sequence[float]) -> int:
    """Return the first candidate whose criterion is at most `TIE` below the highest.

    Raises InputError where no candidate has one: nan is that of one that diverged.
    """
    highest = max((value for value in criteria if not math.isnan(value)), default=None)
    if highest is None:
        raise InputError("choose_on_normal: every candidate of a stage diverged; lower the learning rate")
    return next(i for i, value in enumerate(criteria) if value >= highest - TIE)


def scene_aucs(context: Context, scenes: Scenes, settings: Settings) -> dict[str, float]:
    """Return the AUC on each scene, the mean over the ablations' seeds; nan where the model diverges."""
    context = replace(context, settings=context.settings.override(**settings))
    found = {}
    for name, (dataset, root) in scenes.items():
        try:
            values = [
                auc(context.fused_runs_of(dataset, root, seed), Protocol.of(context.settings.score))
                for seed in range(context.n_ablation_seeds)
            ]
        except DivergedError as fault:
            print(f"WARNING: {fault}; this candidate is not chosen: {dict(settings)}", flush=True)
            values = [math.nan]
        found[name] = statistics.fmean(values)
    return found


def aucs_on_test(context: Context, dataset: Dataset, tried: Sequence[Settings]) -> list[dict[str, float]]:
    """Return {"test": AUC on the dataset's test clips} of each candidate, printing it."""
    root = context.root_of(dataset.name)
    found = []
    for settings in tried:
        found.append(scene_aucs(context, {"test": (dataset, root)}, settings))
        print(f"test, a sweep: {100 * found[-1]['test']:.2f} {settings}", flush=True)
    return found
