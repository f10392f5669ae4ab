"""Every metric of one trained run, or of runs on several streams fused: see `experiments.evaluate`."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.datasets import Dataset, advice, find_datasets
from data_prep.errors import InputError
from experiments.lab.scoring import metrics, pixel_metrics
from experiments.lab.scoring.geometry import Geometry, geometry_of
from experiments.lab.scoring.measure import (
    Runs,
    common_steps,
    labels_of,
    regularity_of,
    scores_of,
    step_of,
    train_errors_of,
)
from experiments.lab.scoring.protocol import CHECKPOINTS, NORMALIZATIONS, Protocol
from experiments.lab.scoring.regularity import in_order
from experiments.lab.training.runs import Run

# (scores of each seed, labels) -> the ends of an interval, as `metrics.bootstrap_interval`
Interval = Callable[[Sequence[Sequence[np.ndarray]], Sequence[np.ndarray]], tuple[float, float] | None]
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


def find_test_set(data_dir: Path, runs: Runs) -> Dataset:
    """Return the dataset of the runs. InputError when it is not there or its test clips are others."""
    name = first_of(runs).config["dataset"]
    datasets = find_datasets(data_dir, needed=[name])
    if name not in datasets:
        found = ", ".join(datasets) or f"none. {advice(data_dir)}"
        raise InputError(f"{data_dir}: expected {name}, on which the run was scored, got datasets: {found}")
    dataset = datasets[name]
    truth = {clip.name: dataset.frame_labels(clip) for clip in dataset.split("test")}
    for run in runs.values():
        for clip in in_order(run.scores(), list(truth), run.folder):
            if not np.array_equal(clip.labels, truth[clip.clip]):
                raise InputError(
                    f"{run.folder}: clip {clip.clip}: scored with other labels than those of {dataset.root}"
                )
    if len(np.unique(np.concatenate(list(truth.values())))) < 2:
        raise InputError(f"{dataset.root}: expected normal and abnormal test frames, got one class alone")
    return dataset


def first_of(runs: Runs) -> Run:
    """Return the first run; what is asked of it is equal in both."""
    return next(iter(runs.values()))


def columns_of(runs: Runs, protocol: Protocol) -> dict[tuple[str, str], Protocol]:
    """Return (limits, checkpoint) of each column -> its protocol: all normalizations, last and best.

    The last alone where there is no choice: streams that were not scored at two steps or more that all have.
    """
    checkpoints = CHECKPOINTS if len(common_steps(runs)) > 1 else ("last",)
    if protocol.fusion == "paper":
        ways = {name: replace(protocol, normalization=name) for name in NORMALIZATIONS}
    else:
        ways = {protocol.fusion: protocol}
    return {(way, c): replace(of_way, checkpoint=c) for way, of_way in ways.items() for c in checkpoints}


def measure(runs: Runs, dataset: Dataset, protocol: Protocol, interval: Interval) -> tuple[dict, list[str]]:
    """Return limits -> checkpoint -> key of `LINES` -> number, and notes on what they rest on."""
    labels, columns = labels_of(runs, protocol), columns_of(runs, protocol)
    steps = {column: step_of(runs, its_protocol) for column, its_protocol in columns.items()}
    scored = {(column[0], step): columns[column] for column, step in steps.items()}  # last may be best
    numbers = {}
    for (way, step), its_protocol in scored.items():
        anomaly = [-s for s in regularity_of(runs, its_protocol, step)]
        numbers[way, step] = {"step": step, **frame_numbers(anomaly, labels, interval)}
    n_one_class = sum(len(np.unique(truth)) == 1 for truth in labels)
    notes = [
        "micro: one ROC curve over all frames; macro: mean over the clips' own curves, without the "
        f"{n_one_class} of {len(labels)} clips that are of one class",
        "best_on_test: the highest frame AUC under these limits, chosen on the test labels",
        *add_pixel_numbers(numbers, scored, runs, dataset, interval),
    ]
    results: dict[str, dict] = {}
    for (way, checkpoint), step in steps.items():
        results.setdefault(way, {})[checkpoint] = numbers[way, step]
    return results, notes


def frame_numbers(
    anomaly: Sequence[np.ndarray], labels: Sequence[np.ndarray], interval: Interval
) -> dict[str, object]:
    """Return the frame-level numbers; the macro AUC is None where every clip is of one class."""
    return {
        "frame_auc": metrics.frame_auc(anomaly, labels),
        "frame_auc_interval": interval([anomaly], labels),
        "macro_auc": metrics.macro_auc(anomaly, labels),
        "equal_error_rate": metrics.equal_error_rate(anomaly, labels),
        "average_precision": metrics.average_precision(anomaly, labels),
    }


def add_pixel_numbers(
    numbers: dict, scored: Mapping, runs: Runs, dataset: Dataset, interval: Interval
) -> list[str]:
    """Add the pixel-level numbers to those of each (limits, step) of `scored`; return notes, or why not."""
    n_regions = first_of(runs).scores()[0].error.shape[1]
    if n_regions == 1:
        return ["no pixel-level numbers: 1 region a frame, which says nothing about where"]
    if not dataset.has_pixel_masks:
        return [f"no pixel-level numbers: no pixel masks in {dataset.root}"]
    try:
        geometry = geometry_of(runs, dataset)
    except InputError as reason:
        return [f"no pixel-level numbers: {reason}"]
    covers = geometry.covers
    found: dict[Any, dict[str, Any]] = {}
    listeners = []
    for place, protocol in scored.items():
        streams = scores_of(runs, protocol, place[1])
        anomaly = pixel_metrics.region_anomaly(streams, protocol, train_errors_of(runs, protocol))
        cells = geometry.regions(anomaly)
        thresholds = pixel_metrics.curve_thresholds(cells.values(), geometry.most_thresholds)
        found[place] = {
            "pixel_auc_40": pixel_metrics.PixelScores(covers, pixel_metrics.UCSD_OVERLAP),
            "pixel_auc_20": pixel_metrics.PixelScores(covers, pixel_metrics.LV_OVERLAP),
            "joined": pixel_metrics.DetectionCurves(thresholds, covers, True, geometry.map_shape),
            "single": pixel_metrics.DetectionCurves(thresholds, covers, False),
        }
        listeners += [(listener, cells) for listener in found[place].values()]
    truth = pixel_metrics.TruthCounts(covers)
    clip_masks = {clip.name: functools.partial(dataset.pixel_masks, clip) for clip in dataset.split("test")}
    pixel_metrics.stream_masks(clip_masks, geometry.entries, [*listeners, (truth, cells)])
    if len(np.unique(np.concatenate(truth.labels))) < 2:
        return [f"no pixel-level numbers: the masks in {dataset.root} mark every frame or none"]
    for place, of_place in found.items():
        for key in ("pixel_auc_40", "pixel_auc_20"):
            clips = of_place[key].clips
            numbers[place][key] = metrics.frame_auc(clips, truth.labels)
            numbers[place][f"{key}_interval"] = interval([clips], truth.labels)
        for key in ("joined", "single"):
            numbers[place][f"rbdc_{key}"], numbers[place][f"tbdc_{key}"] = of_place[key].areas()
    return mask_notes(truth, runs, list(clip_masks), geometry)


def mask_notes(
    truth: pixel_metrics.TruthCounts, runs: Runs, names: Sequence[str], geometry: Geometry
) -> list[str]:
    """Return what the pixel-level numbers rest on; `names` are those of the masks' clips."""
    scored = [clip.labels for clip in in_order(first_of(runs).scores(), names, "masks")]
    n_differ = int(np.sum(np.concatenate(scored) != np.concatenate(truth.labels)))
    oracle, regions = truth.oracle, geometry.name
    rbdc, tbdc = (f"{100 * area:.2f}" for area in oracle.areas())
    return [
        f"pixel AUC, RBDC, TBDC: the errors of the finest {regions}, in the pixels that each covers",
        f"pixel masks: {oracle.n_regions} regions in {oracle.n_tracks} tracks (the masks name none: "
        f"overlap from frame to frame makes them); frame labels differ in {n_differ} frames",
        f"RBDC, TBDC: up to {geometry.most_thresholds:,} thresholds, IoU of 0.1 or more, area up to one "
        f"false positive a frame; an oracle that picks single {regions} has RBDC {rbdc} and TBDC {tbdc}",
    ]


def describe(runs: Runs, dataset: Dataset, protocol: Protocol) -> str:
    """Return one line on what is evaluated; limits and checkpoint are the columns'."""
    config = first_of(runs).config
    how = ", ".join(filter(None, (protocol.fusion_name, protocol.frame_error_name, protocol.smoothing_name)))
    seeds = ", ".join(sorted({str(run.config["seed"]) for run in runs.values()}))
    labels = np.concatenate(labels_of(runs, protocol))
    return (
        f"{config['system']} on {dataset.record.title}: {how}, seed {seeds}, {config['backbone']}; "
        f"{len(dataset.split('test'))} clips, {labels.size} frames, {int(labels.sum())} abnormal"
    )


def format_table(title: str, results: Mapping, notes: Sequence[str]) -> str:
    """Return the aligned table, a line per number and a column per limits and checkpoint."""
    columns = [(way, checkpoint) for way, of_way in results.items() for checkpoint in of_way]
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
