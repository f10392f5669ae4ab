"""The evaluation protocols of one system on one dataset, as result rows: the headline first.

Headline: frame-level micro AUC, scores normalized per clip (Eq. 14), last checkpoint, spatial plus
`temporal_weight` times each stream that `motion` names. Beside it stand the streams alone, the normalizations
by the limits of all test clips ("global") and of the training errors ("train", no look ahead), and the best
of all checkpoints on the test set, which is what the released code prints.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence

from experiments.lab.context import COLUMNS, Context
from experiments.lab.publishing.results import Row
from experiments.lab.scoring.score import micro_auc
from experiments.lab.settings.schema import config_hash, smoothing_name
from experiments.lab.systems.catalogue import FRAME_SYSTEMS
from experiments.lab.training.runs import Run, commits_of

SEEDED_RUNS = Sequence[Mapping[str, Run]]  # one {stream: run} a seed


def late_fusion_runs(
    context: Context, dataset: str, system: str = "sRNN-AE", n_seeds: int | None = None, **overrides
) -> SEEDED_RUNS:
    """Return the trained runs of every seed: the streams to be fused, or gray frames for those systems."""
    streams = ("frames",) if system in FRAME_SYSTEMS else context.settings.score.streams
    return [
        {stream: context.run(dataset, stream, seed, system, **overrides) for stream in streams}
        for seed in range(n_seeds or context.n_seeds)
    ]


def auc(runs: Mapping[str, Run], context: Context, step: int | None = None, **options) -> float:
    """Return the micro AUC of one seed's streams, fused where there are two; options as in `regularity`."""
    options = context.settings.score.options | options
    if options["normalization"] == "train":
        options["train_errors"] = {
            stream: run.train_errors(options["frame_error"]) for stream, run in runs.items()
        }
    return micro_auc({stream: run.scores(step) for stream, run in runs.items()}, **options)


def fusion_name(streams: Sequence[str], temporal_weight: float) -> str:
    """Return late fusion in words: "spatial + 0.5 temporal", or "flow alone"."""
    return f" + {temporal_weight:g} ".join(streams) if len(streams) > 1 else f"{streams[0]} alone"


def backbones_of(runs: Mapping[str, Run]) -> str:
    """Return the names of the networks that the runs' features come from."""
    return " + ".join(dict.fromkeys(run.config["backbone"] for run in runs.values()))


def best_on_test(runs: Mapping[str, Run], context: Context) -> float:
    """Return the highest AUC over all checkpoints: an optimistic number, chosen on the test labels."""
    steps = next(iter(runs.values())).steps
    return max(auc(runs, context, step) for step in steps)


def auc_rows(
    context: Context, exhibit: str, row: str, dataset: str, seeded: SEEDED_RUNS, command: str
) -> list[Row]:
    """Return the rows of one system on one dataset under every protocol, the headline first."""
    score, streams = context.settings.score, tuple(seeded[0])
    on_frames = streams == ("frames",)
    combined = "gray frames" if on_frames else fusion_name(streams, score.temporal_weight)
    over = f"one error a frame{smoothing_name(score.smoothing_frames)}" if on_frames else score.how
    headline = f"{score.normalization} normalization, last checkpoint, {over}"
    protocols: dict[str, Callable[[Mapping[str, Run]], float]] = {
        f"{combined}, {headline}": lambda runs: auc(runs, context)
    }
    if len(streams) > 1:
        for name in streams:
            protocols[f"{name} alone, {headline}"] = lambda runs, name=name: auc({name: runs[name]}, context)
    for name in ("per_clip", "global", "train"):
        if name != score.normalization:
            protocol = f"{combined}, {headline.replace(score.normalization, name)}"
            protocols[protocol] = lambda runs, name=name: auc(runs, context, normalization=name)
    if len(seeded[0][streams[0]].steps) > 1:
        protocols[f"{combined}, {headline.replace('last', 'best_on_test')}"] = lambda runs: best_on_test(
            runs, context
        )
    return [
        measured_row(
            context,
            [value(runs) for runs in seeded],
            exhibit=exhibit,
            row=row,
            column=COLUMNS[dataset],
            metric="auc",
            protocol=protocol,
            dataset=COLUMNS[dataset],
            backbone=backbones_of(seeded[0]),
            command=command,
            **identity_of(seeded),
        )
        for protocol, value in protocols.items()
    ]


def baseline_rows(
    context: Context, exhibit: str, row: str, name: str, dataset: str, command: str
) -> list[Row]:
    """Return the rows of Nearest Subspace or OC-SVM on one dataset, per-clip normalization first."""
    seeded = [context.baseline(name, dataset, seed) for seed in range(context.n_seeds)]
    smoothing_frames = context.settings.score.smoothing_frames
    kind = "".join(f", {seeded[0].details[key]}" for key in ("kind",) if key in seeded[0].details)
    return [
        measured_row(
            context,
            [baseline.auc(normalization, smoothing_frames) for baseline in seeded],
            exhibit=exhibit,
            row=row,
            column=COLUMNS[dataset],
            metric="auc",
            protocol=f"whole-frame region, {normalization} normalization{kind}"
            f"{smoothing_name(smoothing_frames)}",
            dataset=COLUMNS[dataset],
            command=command,
            **identity([baseline.config for baseline in seeded]),
        )
        for normalization in ("per_clip", "global")
    ]


def mean_and_std(values: Sequence[float]) -> tuple[float, float | None]:
    """Return the mean over seeds and the sample standard deviation, None for one seed."""
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None


def measured_row(context: Context, values: Sequence[float], **fields) -> Row:
    """Return a row with mean, sample standard deviation (None for one seed) and number of seeds.

    Backbone and commit are those of the context where `fields` names no others: what runs measured has
    their own (`identity_of`).
    """
    mean, std = mean_and_std(values)
    return Row(
        ours=mean,
        std=std,
        seeds=len(values),
        **{"backbone": context.backbone.name, "commit": context.commit, **fields},
    )


def identity_of(seeded: SEEDED_RUNS) -> dict[str, str]:
    """Return the fields of a row that say which runs it is from, see `identity`."""
    return identity([run.config for runs in seeded for run in runs.values()])


def identity(configs: Sequence[dict]) -> dict[str, str]:
    """Return the hash of the configurations of all runs behind a row, and the commits that made them."""
    beside = ("commit", "versions", "earlier")  # recorded beside what the weights depend on
    hashed = [{name: value for name, value in c.items() if name not in beside} for c in configs]
    return {"config_hash": config_hash({"runs": hashed}), "commit": commits_of(configs)}
