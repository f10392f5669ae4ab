"""Result rows of the systems under every protocol, the headline first."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace

from data_prep.provenance import git_commit
from experiments.lab.context import Context
from experiments.lab.distributing.points import RowPoints, late_fusion_points, runs_of
from experiments.lab.publishing.results import HELD_OUT, INTERVAL, Row
from experiments.lab.scoring.measure import auc, auc_interval, protocols_of
from experiments.lab.scoring.protocol import Protocol
from experiments.lab.settings.schema import config_hash
from experiments.lab.training.held_out import ERROR, MEAN_FRAME_ERROR
from experiments.lab.training.runs import Run, commits_of

SEEDED_RUNS = Sequence[Mapping[str, Run]]  # one {stream: run} a seed


def late_fusion_runs(
    context: Context, dataset: str, system: str = "sRNN-AE", n_seeds: int | None = None
) -> SEEDED_RUNS:
    """Return the trained runs of every seed: the streams to be fused, or the one that a system has."""
    return runs_of(late_fusion_points(context, dataset, system, n_seeds))


def backbones_of(runs: Mapping[str, Run]) -> str:
    """Return the names of the networks that the runs' features come from."""
    return " + ".join(dict.fromkeys(run.config["backbone"] for run in runs.values()))


def auc_rows(
    context: Context, exhibit: str, row: str, dataset: str, seeded: SEEDED_RUNS, command: str
) -> list[Row]:
    """Return the rows of one system on one dataset: the headline, its interval, every other protocol.

    The headline is what the settings say: by default frame-level micro AUC, scores normalized per clip, the
    last checkpoint, spatial plus `temporal_weight` times each stream that `motion` names. Its standard
    deviation is over seeds; the interval, in rows of its own, over test clips. Then come `Protocol.beside`.
    """
    place = {"exhibit": exhibit, "row": row, "command": command, "backbone": backbones_of(seeded[0])}
    first = next(iter(seeded[0].values()))
    remark = ", ".join(word for word in first.metrics.values() if isinstance(word, str))
    headline = replace(Protocol.of(context.settings.score), remark=remark)
    title = context.heading(dataset)
    rows = rows_under(protocols_of(seeded[0], headline), title, seeded, place)
    here = {"column": title, "dataset": title}
    return rows + held_out_rows(seeded, {**place, **here, **identity_of(seeded)})


def table_rows(context: Context, exhibit: str, row_points: RowPoints, command: str) -> list[Row]:
    """Return `auc_rows` of every row of a table on every dataset at hand, training what is not there."""
    return [
        row
        for dataset in context.datasets
        for name, seeded in row_points(context, dataset).items()
        for row in auc_rows(context, exhibit, name, dataset, runs_of(seeded), command)
    ]


def held_out_rows(seeded: SEEDED_RUNS, place: Mapping[str, str]) -> list[Row]:
    """Return the rows of a system's error on held-out training clips and of the mean frame's, if it has them.

    Args:
        seeded: the runs.
        place: every other field of the rows.
    """
    runs = [run for of_seed in seeded for run in of_seed.values()]
    measured = [run.metrics for run in runs]
    if any(ERROR not in metrics for metrics in measured):
        return []
    kept = sorted({int(metrics["steps"]) for metrics in measured})
    budget = runs[0].config["train"]["iterations"]
    protocol = (
        f"mean error of a frame of the training clips held out; kept: iteration "
        f"{' to '.join(f'{step:,}' for step in dict.fromkeys((kept[0], kept[-1])))} of at most {budget:,}"
    )
    rows = []
    for metric, name in zip(HELD_OUT, (ERROR, MEAN_FRAME_ERROR), strict=True):
        mean, std = mean_and_std([metrics[name] for metrics in measured])
        numbers = {"ours": mean, "std": std, "seeds": len(measured), "protocol": protocol}
        rows.append(Row(metric=metric, **numbers, **place))
    return rows


def rows_under(
    protocols: Sequence[Protocol],
    title: str,
    seeded: SEEDED_RUNS,
    place: Mapping[str, str],
    compared: bool = True,
) -> list[Row]:
    """Return the rows of the frame-level AUC of some runs under each protocol, see `number_rows`."""
    numbers = {protocol: [auc(runs, protocol) for runs in seeded] for protocol in protocols}
    place = {**place, **identity_of(seeded)}
    return number_rows(numbers, auc_interval(seeded, protocols[0]), title, place, compared)


def number_rows(
    numbers: Mapping[Protocol, Sequence[float]],
    interval: tuple[float, float] | None,
    title: str,
    place: Mapping[str, str],
    compared: bool = True,
) -> list[Row]:
    """Return the rows of an AUC under every protocol; after the first the ends of its interval.

    Args:
        numbers: protocol -> the AUC of each seed, the headline first.
        interval: of the headline over test clips; None where it has none.
        title: what heads the column of the dataset.
        place: what the rows share: exhibit, row, command, backbone, config_hash, commit.
        compared: whether the paper's numbers of these rows are of the same system.
    """
    rows = []
    for protocol, values in numbers.items():
        mean, std = mean_and_std(values)
        shared = {
            "column": title,
            "dataset": title,
            "seeds": len(values),
            "protocol": str(protocol),
            **place,
        }
        # No published number beside one whose checkpoint was chosen on the test labels.
        fair = compared and protocol.checkpoint == "last"
        rows.append(Row(metric="auc", ours=mean, std=std, compared=fair, **shared))
        if len(rows) == 1 and interval is not None:
            ends = zip(INTERVAL, interval, strict=True)
            rows += [Row(metric=metric, ours=end, **shared) for metric, end in ends]
    return rows


def mean_and_std(values: Sequence[float]) -> tuple[float, float | None]:
    """Return the mean over seeds and the sample standard deviation, None for one seed."""
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None


def measured_row(context: Context, values: Sequence[float], **fields) -> Row:
    """Return a row with mean, sample standard deviation (None for one seed) and number of seeds.

    Backbone and commit are those of the context where `fields` names no others: what runs measured has
    their own (`identity_of`).
    """
    mean, std = mean_and_std(values)
    if "backbone" not in fields:  # else no network is loaded to name it
        fields["backbone"] = context.backbone.name
    return Row(ours=mean, std=std, seeds=len(values), **{"commit": context.commit, **fields})


def identity_of(seeded: SEEDED_RUNS) -> dict[str, str]:
    """Return the fields of a row that say which runs it is from, see `identity`."""
    return identity([run.config for runs in seeded for run in runs.values()])


def identity(configs: Sequence[dict]) -> dict[str, str]:
    """Return the hash of the configurations of all runs behind a row, and the commits that made it.

    First those that made the runs; the last is that of the code that computes the number from them.
    """
    beside = ("commit", "versions", "earlier")  # recorded beside what the weights depend on
    hashed = [{name: value for name, value in c.items() if name not in beside} for c in configs]
    last = git_commit()
    made_by = [commit for commit in commits_of(configs).split(" + ") if commit != last]
    return {"config_hash": config_hash({"runs": hashed}), "commit": " + ".join([*made_by, last])}
