"""The evaluation protocols of one system on one dataset, as result rows: the headline first.

Headline: frame-level micro AUC, scores normalized per clip (Eq. 14), last checkpoint, spatial plus
`temporal_weight` temporal. Beside it stand the two streams alone, the normalizations that look at no other
test frame of the clip ("global") or at none at all ("train"), and the best of all checkpoints on the test
set, which is what the released code prints.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence

from experiments.lab.context import COLUMNS, Context
from experiments.lab.results import Row
from experiments.lab.score import micro_auc
from experiments.lab.settings import config_hash
from experiments.lab.train import Run

SEEDED_RUNS = Sequence[Mapping[str, Run]]  # one {"spatial": run, "temporal": run} a seed


def late_fusion_runs(context: Context, dataset: str, **overrides) -> SEEDED_RUNS:
    """Return the trained spatial and temporal runs of every seed."""
    return [
        {stream: context.run(dataset, stream, seed, **overrides) for stream in ("spatial", "temporal")}
        for seed in range(context.n_seeds)
    ]


def auc(runs: Mapping[str, Run], context: Context, step: int | None = None, **options) -> float:
    """Return the micro AUC of one seed's streams, fused where there are two; options as in `regularity`."""
    score = context.settings.score
    options = {
        "frame_error": score.frame_error,
        "normalization": score.normalization,
        "temporal_weight": score.temporal_weight,
        **options,
    }
    if options["normalization"] == "train":
        options["train_errors"] = {
            stream: run.train_errors(options["frame_error"]) for stream, run in runs.items()
        }
    return micro_auc({stream: run.scores(step) for stream, run in runs.items()}, **options)


def best_on_test(runs: Mapping[str, Run], context: Context) -> float:
    """Return the highest AUC over all checkpoints: an optimistic number, chosen on the test labels."""
    steps = next(iter(runs.values())).steps
    return max(auc(runs, context, step) for step in steps)


def auc_rows(
    context: Context, exhibit: str, row: str, dataset: str, seeded: SEEDED_RUNS, command: str
) -> list[Row]:
    """Return the rows of one system on one dataset under every protocol, the headline first."""
    score = context.settings.score

    def stream(name: str) -> Callable[[Mapping[str, Run]], float]:
        return lambda runs: auc({name: runs[name]}, context)

    fused = f"spatial + {score.temporal_weight:g} temporal"
    headline = f"{score.normalization} normalization, last checkpoint, {score.frame_error} over regions"
    other_normalizations = [name for name in ("per_clip", "global", "train") if name != score.normalization]
    protocols: dict[str, Callable[[Mapping[str, Run]], float]] = {
        f"{fused}, {headline}": lambda runs: auc(runs, context),
        f"spatial alone, {headline}": stream("spatial"),
        f"temporal alone, {headline}": stream("temporal"),
    }
    for name in other_normalizations:
        protocols[f"{fused}, {headline.replace(score.normalization, name)}"] = lambda runs, name=name: auc(
            runs, context, normalization=name
        )
    protocols[f"{fused}, {headline.replace('last', 'best_on_test')}"] = lambda runs: best_on_test(
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
            command=command,
            config_hash=runs_hash(seeded),
        )
        for protocol, value in protocols.items()
    ]


def baseline_rows(context: Context, exhibit: str, name: str, dataset: str, command: str) -> list[Row]:
    """Return the rows of Nearest Subspace or OC-SVM on one dataset, per-clip normalization first."""
    seeded = [context.baseline(name, dataset, seed) for seed in range(context.n_seeds)]
    kind = "".join(f", {seeded[0].details[key]}" for key in ("kind",) if key in seeded[0].details)
    return [
        measured_row(
            context,
            [baseline.auc(normalization) for baseline in seeded],
            exhibit=exhibit,
            row=name,
            column=COLUMNS[dataset],
            metric="auc",
            protocol=f"whole-frame region, {normalization} normalization{kind}",
            dataset=COLUMNS[dataset],
            command=command,
            config_hash=config_hash({"settings": context.settings.as_dict()["baselines"], "name": name}),
        )
        for normalization in ("per_clip", "global")
    ]


def measured_row(context: Context, values: Sequence[float], **fields) -> Row:
    """Return a row with mean, sample standard deviation (None for one seed) and number of seeds."""
    return Row(
        ours=statistics.fmean(values),
        std=statistics.stdev(values) if len(values) > 1 else None,
        seeds=len(values),
        backbone=context.backbone.name,
        commit=context.commit,
        **fields,
    )


def runs_hash(seeded: SEEDED_RUNS) -> str:
    """Return the hash that stands for the configurations of all runs behind a row."""
    names = ("dataset", "stream", "seed", "backbone", "features", "model", "train")
    return config_hash({"runs": [[run.config[n] for n in names] for runs in seeded for run in runs.values()]})
