"""Every metric of one trained run, or of a system's runs on several streams fused.

    python -m experiments.evaluate --run SPATIAL_RUN [TEMPORAL_RUN] [FLOW_RUN] --data DIR

Prints an aligned table and writes `evaluation.json` into the first run's folder, or into --out. Every metric
stands for the last checkpoint and for the best on the test set, under the three normalizations. Pixel-level
numbers need the dataset's pixel masks and a system that scores 21 regions a frame. Paper: Sec. 4.1, Sec. 4.3.
"""

import argparse
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from data_prep.datasets import Dataset, find_datasets
from data_prep.errors import InputError
from data_prep.pooling import N_REGIONS
from data_prep.provenance import git_commit
from experiments.lab import cli
from experiments.lab.protocol import fusion_name
from experiments.lab.scoring import metrics, pixel_metrics
from experiments.lab.scoring.score import regularity
from experiments.lab.settings.schema import CHOICES, PAPER, ScoreSettings
from experiments.lab.training.run_files import write_json
from experiments.lab.training.runs import Run, load_runs

NORMALIZATIONS = CHOICES["normalization"]
CHECKPOINTS = CHOICES["checkpoint"]
INTERVAL = "  95 % interval over clips"
LINES = (  # title, key of the number
    ("step", "step"),
    ("frame AUC, micro (headline)", "frame_auc"),
    (INTERVAL, "frame_auc_interval"),
    ("frame AUC, macro", "macro_auc"),
    ("equal error rate", "equal_error_rate"),
    ("average precision", "average_precision"),
    ("pixel AUC, 40 % covered (UCSD)", "pixel_auc_40"),
    (INTERVAL, "pixel_auc_40_interval"),
    ("pixel AUC, 20 % covered (LV)", "pixel_auc_20"),
    (INTERVAL, "pixel_auc_20_interval"),
    ("RBDC, joined cells", "rbdc_joined"),
    ("TBDC, joined cells", "tbdc_joined"),
    ("RBDC, single cells", "rbdc_single"),
    ("TBDC, single cells", "tbdc_single"),
)


@dataclass(frozen=True)
class Options:
    """How runs are scored, and how the bootstrap draws."""

    score: ScoreSettings
    seed: int
    n_resamples: int


def main() -> None:
    """Parse the flags, evaluate, exit."""
    flags = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    defaults = ScoreSettings()
    add = flags.add_argument
    add("--run", type=Path, nargs="+", required=True, metavar="FOLDER", help="a run, or one a stream")
    add(
        "--data", type=Path, required=True, help="folder of datasets, with the one that the run was scored on"
    )
    add("--out", type=Path, help="folder of evaluation.json (default: the first run's)")
    add("--frame-error", choices=CHOICES["frame_error"], default=defaults.frame_error)
    add("--temporal-weight", type=float, default=defaults.temporal_weight)
    add(
        "--smoothing-frames",
        type=int,
        default=defaults.smoothing_frames,
        help="frame-level numbers: the mean of so many frames' scores, an odd number (default: 1)",
    )
    add("--seed", type=int, default=0, help="of the bootstrap (default: 0)")
    add(
        "--resamples",
        dest="n_resamples",
        metavar="N",
        type=int,
        default=1000,
        help="of the bootstrap (default: 1000)",
    )
    arguments = flags.parse_args()
    cli.exit_with(lambda: evaluate(arguments))


def evaluate(arguments: argparse.Namespace) -> None:
    """Print the table of the runs and write `evaluation.json`."""
    score = PAPER.override(
        frame_error=arguments.frame_error,
        temporal_weight=arguments.temporal_weight,
        smoothing_frames=arguments.smoothing_frames,
    ).score
    for flag, value, least in (("seed", arguments.seed, 0), ("resamples", arguments.n_resamples, 1)):
        if value < least:
            raise InputError(f"--{flag}: expected at least {least}, got {value}")
    options = Options(score, arguments.seed, arguments.n_resamples)
    runs = load_runs(arguments.run)
    dataset = find_test_set(arguments.data, runs)
    results, notes = measure(runs, dataset, options)
    title = describe(runs, dataset, options)
    print(format_table(title, results, notes))
    path = (arguments.out or arguments.run[0]) / "evaluation.json"
    content = {"title": title, "runs": [str(run.folder) for run in runs.values()]}
    flags = {name: value for name, value in vars(arguments).items() if name not in ("run", "data", "out")}
    content |= {"options": flags, "results": results, "notes": notes, "commit": git_commit()}
    write_json(path, content)
    print(f"\nwrote {path}")


def find_test_set(data_dir: Path, runs: Mapping[str, Run]) -> Dataset:
    """Return the dataset of the runs. InputError when it is not there or its test clips are others."""
    datasets, name = find_datasets(data_dir), first_of(runs).config["dataset"]
    if name not in datasets:
        found = ", ".join(datasets) or "none"
        raise InputError(f"{data_dir}: expected {name}, on which the run was scored, got datasets: {found}")
    dataset = datasets[name]
    truth = {clip.name: dataset.frame_labels(clip) for clip in dataset.split("test")}
    for run in runs.values():
        scored = {clip.clip: clip.labels for clip in run.scores()}
        if list(scored) != list(truth) or not all(np.array_equal(scored[c], truth[c]) for c in truth):
            raise InputError(
                f"{run.folder}: scored on other clips or labels than the test set of {dataset.root}"
            )
    if len(np.unique(np.concatenate(list(truth.values())))) < 2:
        raise InputError(f"{dataset.root}: expected normal and abnormal test frames, got one class alone")
    return dataset


def first_of(runs: Mapping[str, Run]) -> Run:
    """Return the first run; what is asked of it is equal in both."""
    return next(iter(runs.values()))


def scoring(runs: Mapping[str, Run], normalization: str, step: int, score: ScoreSettings) -> dict:
    """Return the arguments of `regularity` and of `pixel_metrics.region_anomaly`."""
    return {
        "streams": {stream: run.scores(step) for stream, run in runs.items()},
        "frame_error": score.frame_error,
        "normalization": normalization,
        "temporal_weight": score.temporal_weight,
        "train_errors": {stream: train_errors(run, score.frame_error) for stream, run in runs.items()},
    }


@functools.cache
def train_errors(run: Run, frame_error: str) -> np.ndarray:
    """Return the frame errors of the training frames, (n,), read once."""
    return run.train_errors(frame_error)


def measure(runs: Mapping[str, Run], dataset: Dataset, options: Options) -> tuple[dict, list[str]]:
    """Return normalization -> checkpoint -> key of `LINES` -> number, and notes on what they rest on."""
    labels = [clip.labels for clip in first_of(runs).scores()]
    steps = first_of(runs).steps
    anomaly = {
        (name, step): [
            -s
            for s in regularity(
                **scoring(runs, name, step, options.score), smoothing_frames=options.score.smoothing_frames
            )
        ]
        for step in steps
        for name in NORMALIZATIONS
    }
    numbers, chosen = {}, {}
    for name in NORMALIZATIONS:
        best = max(steps, key=lambda step: metrics.frame_auc(anomaly[name, step], labels))  # first of equals
        chosen[name] = dict(zip(CHECKPOINTS, (steps[-1], best), strict=True))
        for step in set(chosen[name].values()):
            numbers[name, step] = {"step": step, **frame_numbers(anomaly[name, step], labels, options)}
    n_one_class = sum(len(np.unique(truth)) == 1 for truth in labels)
    notes = [
        "micro: one ROC curve over all frames; macro: mean over the clips' own curves, without the "
        f"{n_one_class} of {len(labels)} clips that are of one class",
        "best_on_test: the highest frame AUC under that normalization, chosen on the test labels",
        *add_pixel_numbers(numbers, runs, dataset, options),
    ]
    return {
        name: {checkpoint: numbers[name, step] for checkpoint, step in of_name.items()}
        for name, of_name in chosen.items()
    }, notes


def frame_numbers(anomaly: Sequence[np.ndarray], labels: Sequence[np.ndarray], options: Options) -> dict:
    """Return the frame-level numbers; the macro AUC is None where every clip is of one class."""
    mixed = any(len(np.unique(truth)) == 2 for truth in labels)
    return {
        "frame_auc": metrics.frame_auc(anomaly, labels),
        "frame_auc_interval": interval(anomaly, labels, options),
        "macro_auc": metrics.macro_auc(anomaly, labels)[0] if mixed else None,
        "equal_error_rate": metrics.equal_error_rate(anomaly, labels),
        "average_precision": metrics.average_precision(anomaly, labels),
    }


def interval(scores: Sequence[np.ndarray], labels: Sequence[np.ndarray], options: Options):
    """Return the bootstrap interval of the AUC, (low, high), None for a single clip."""
    if len(scores) < 2:
        return None
    return metrics.bootstrap_interval(metrics.frame_auc, scores, labels, options.seed, options.n_resamples)


def add_pixel_numbers(
    numbers: dict, runs: Mapping[str, Run], dataset: Dataset, options: Options
) -> list[str]:
    """Add the pixel-level numbers to those of each (normalization, step); return notes, or why not."""
    n_regions = first_of(runs).scores()[0].error.shape[1]
    if n_regions != N_REGIONS:
        return [f"no pixel-level numbers: {n_regions} region a frame, not {N_REGIONS}"]
    if not dataset.has_pixel_masks:
        return [f"no pixel-level numbers: no pixel masks in {dataset.root}"]
    side = pixel_metrics.map_side(first_of(runs).config["features"])
    covers = pixel_metrics.footprints(side)
    found, listeners = {}, []
    for name, step in numbers:
        anomaly = pixel_metrics.region_anomaly(**scoring(runs, name, step, options.score))
        cells = pixel_metrics.cell_errors(anomaly)
        thresholds = pixel_metrics.curve_thresholds(cells)
        found[name, step] = {
            "pixel_auc_40": pixel_metrics.PixelScores(covers, pixel_metrics.UCSD_OVERLAP),
            "pixel_auc_20": pixel_metrics.PixelScores(covers, pixel_metrics.LV_OVERLAP),
            "joined": pixel_metrics.DetectionCurves(thresholds, covers, joined=True),
            "single": pixel_metrics.DetectionCurves(thresholds, covers, joined=False),
        }
        listeners += [(listener, cells) for listener in found[name, step].values()]
    truth = pixel_metrics.TruthCounts(covers)
    bar = tqdm(dataset.split("test"), desc="pixel masks", unit="clip", disable=None)
    clip_masks = (functools.partial(dataset.pixel_masks, clip) for clip in bar)
    pixel_metrics.stream_masks(clip_masks, side, [*listeners, (truth, cells)])
    if len(np.unique(np.concatenate(truth.labels))) < 2:
        return [f"no pixel-level numbers: the masks in {dataset.root} mark every frame or none"]
    for place, of_place in found.items():
        for key in ("pixel_auc_40", "pixel_auc_20"):
            clips = of_place[key].clips
            numbers[place][key] = metrics.frame_auc(clips, truth.labels)
            numbers[place][f"{key}_interval"] = interval(clips, truth.labels, options)
        for key in ("joined", "single"):
            numbers[place][f"rbdc_{key}"], numbers[place][f"tbdc_{key}"] = of_place[key].areas()
    return mask_notes(truth, runs)


def mask_notes(truth: pixel_metrics.TruthCounts, runs: Mapping[str, Run]) -> list[str]:
    """Return what the pixel-level numbers rest on."""
    scored = np.concatenate([clip.labels for clip in first_of(runs).scores()])
    n_differ = int(np.sum(scored != np.concatenate(truth.labels)))
    oracle = truth.oracle
    rbdc, tbdc = (f"{100 * area:.2f}" for area in oracle.areas())
    return [
        "pixel AUC, RBDC, TBDC: the errors of the 4x4 cells, in the pixels that each cell was pooled from",
        f"pixel masks: {oracle.n_regions} regions in {oracle.n_tracks} tracks (the masks name none: "
        f"overlap from frame to frame makes them); frame labels differ in {n_differ} frames",
        "RBDC, TBDC: IoU of 0.1 or more, area up to one false positive a frame; cells are larger than "
        f"objects, so that an oracle that picks single cells has RBDC {rbdc} and TBDC {tbdc}",
    ]


def describe(runs: Mapping[str, Run], dataset: Dataset, options: Options) -> str:
    """Return one line on what is evaluated."""
    config = first_of(runs).config
    streams = fusion_name(tuple(runs), options.score.temporal_weight)
    seeds = ", ".join(sorted({str(run.config["seed"]) for run in runs.values()}))
    labels = np.concatenate([clip.labels for clip in first_of(runs).scores()])
    return (
        f"{config['system']} on {dataset.record.title}: {streams}, {options.score.how}, "
        f"seed {seeds}, {config['backbone']}; "
        f"{len(dataset.split('test'))} clips, {labels.size} frames, {int(labels.sum())} abnormal"
    )


def format_table(title: str, results: Mapping, notes: Sequence[str]) -> str:
    """Return the aligned table, a line per number and a column per normalization and checkpoint."""
    columns = [(name, checkpoint) for name in NORMALIZATIONS for checkpoint in CHECKPOINTS]
    width = max(len(line) for line, _ in LINES)
    table = [("", *names) for names in zip(*columns, strict=True)]
    for line, key in LINES:
        values = [results[name][checkpoint].get(key) for name, checkpoint in columns]
        table.append((line, *(format_number(key, value) for value in values)))
    rows = [f"{head:<{width}}" + "".join(f"{cell:>15}" for cell in cells) for head, *cells in table]
    return "\n".join([title + "; in per cent", "", *rows, "", *(f"- {note}" for note in notes)])


def format_number(key: str, value) -> str:
    """Return a cell of the table; "-" for what is not defined or not measured."""
    if value is None:
        return "-"
    if key == "step":
        return str(value)
    return " - ".join(f"{100 * number:.2f}" for number in np.atleast_1d(value))


if __name__ == "__main__":
    main()
