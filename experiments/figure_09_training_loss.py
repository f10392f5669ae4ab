"""Figure 9: the training loss of sRNN-AE against the iteration, and what it learns meanwhile.

    python -m experiments.figure_09_training_loss --data DIR

Writes `figure_09.csv` too: loss, share of zero codes (Fig. 8's sparsity), gamma, lambda1 and lambda2 at every
logged iteration, mean and standard deviation over seeds; and `figure_09_checkpoints.csv`: what the test clips
scored at every checkpoint, a sweep over test AUC that selects nothing.
Paper: Fig. 9, Sec. 4.4 (Avenue; "converges at around 10,000 iterations").
"""

if __name__ == "__main__":  # before what runs is imported: --help does not wait for TensorFlow
    from experiments.lab import cli

    cli.main(__spec__.name, cli.runs_parser(__doc__))

from collections.abc import Mapping, Sequence
from dataclasses import replace

from data_prep.errors import InputError
from data_prep.json_files import check_shape
from experiments.lab.context import Context
from experiments.lab.distributing.points import Point, flat, late_fusion_points
from experiments.lab.publishing import plots
from experiments.lab.publishing.publish import publish
from experiments.lab.publishing.results import write_csv
from experiments.lab.publishing.rows import identity_of, late_fusion_runs, mean_and_std, measured_row
from experiments.lab.scoring.measure import auc, mean_of_regions
from experiments.lab.scoring.protocol import Protocol
from experiments.lab.systems.reads import Reads
from experiments.lab.training.run_files import TRAIN_AGAIN
from experiments.lab.training.runs import Run

EXHIBIT = "figure_09"
# The course of the AUC is per clip and global, at every checkpoint.
READS = Reads(("sRNN-AE",), without=("normalization", "checkpoint", "fusion", "spatial_weight"))
LOGGED = ("loss", "sparsity", "gamma", "lambda1", "lambda2")


def points(context: Context) -> list[Point]:
    """Return the runs that the figure needs."""
    return flat(late_fusion_points(context, dataset) for dataset in context.datasets)


def run(context: Context) -> None:
    """Draw the loss curves of the streams on every dataset at hand, means over seeds."""
    curves, rows, lines, checkpoints = {}, [], [], []
    for dataset in context.datasets:
        seeded = late_fusion_runs(context, dataset)
        checkpoints += [{"dataset": dataset, **line} for line in checkpoint_course(context, seeded)]
        for stream in context.settings.score.streams:
            histories = [history_of(runs[stream]) for runs in seeded]
            course = training_course(histories)
            curves[f"{context.heading(dataset)}, {stream}"] = (
                [line["step"] for line in course],
                [line["loss"] for line in course],
            )
            lines += [{"dataset": dataset, "stream": stream, **line} for line in course]
            rows.append(
                measured_row(
                    context,
                    [history[-1]["loss"] for history in histories],
                    exhibit=EXHIBIT,
                    row=f"{stream} stream, final loss",
                    column=context.heading(dataset),
                    metric="loss",
                    protocol=f"Eq. (9), mean of the last {histories[0][0]['step']} steps",
                    dataset=context.heading(dataset),
                    command=context.command("experiments.figure_09_training_loss"),
                    **identity_of([{stream: runs[stream]} for runs in seeded]),
                )
            )
    title = f"Training loss of sRNN-AE ({context.backbone.name}, profile {context.profile_name})"
    if context.n_seeds > 1:
        title += f", mean of {context.n_seeds} seeds"
    plots.training_loss(context.results_dir / f"{EXHIBIT}.png", curves, title)
    write_csv(context.results_dir / f"{EXHIBIT}.csv", lines)
    path = context.results_dir / f"{EXHIBIT}_checkpoints.csv"
    if checkpoints:  # streams whose features are of two kinds have no step in common
        write_csv(path, checkpoints)
    else:
        path.unlink(missing_ok=True)
    paper = 'Paper, on Avenue: "converges at around 10,000 iterations". '
    publish(context, EXHIBIT, rows, rows[0].command, paper + context.differences("sRNN-AE"))


def history_of(run: Run) -> list[dict]:
    """Return the history of a run. InputError: a step without one of `LOGGED`."""
    history = run.history
    try:
        check_shape(history, [{**dict.fromkeys(LOGGED, float), str: object}])
    except ValueError as fault:
        raise InputError(f"{run.folder / 'history.json'}: damaged, {fault}; {TRAIN_AGAIN}") from None
    return history


def training_course(histories: Sequence[Sequence[dict]]) -> list[dict]:
    """Return a line for each step that every seed's history has: means of `LOGGED`, and `NAME_std`.

    The standard deviation is that of the sample, None for one seed. `loss` and `sparsity` are means over the
    steps since the line before, the other three their values at the step.
    """
    at_step = [{row["step"]: row for row in history} for history in histories]
    course = []
    for step in sorted(set.intersection(*map(set, at_step))):
        line = {"step": step}
        for name in LOGGED:
            values = [of_seed[step][name] for of_seed in at_step]
            line[name], line[f"{name}_std"] = mean_and_std(values)
        course.append(line)
    return course


def checkpoint_course(context: Context, seeded: Sequence[Mapping[str, Run]]) -> list[dict]:
    """Return a line for each checkpoint of all runs: micro AUC, a fraction, `NAME_std` as above, and mean S.

    `auc_per_clip` and `auc_global` are those of the fused streams, the others of one stream alone, per clip.
    `similarity_STREAM` is the mean of S_{t-1,t} over all regions and frames of the test clips
    (of flow windows, those not at rest).
    """
    headline = Protocol.of(context.settings.score)
    course, fused = [], replace(headline, fusion="paper", normalization="per_clip")
    for step in sorted(set.intersection(*(set(run.steps) for runs in seeded for run in runs.values()))):
        line = {"step": step}
        for way in ("per_clip", "global"):
            values = [auc(runs, replace(fused, normalization=way), step) for runs in seeded]
            line[f"auc_{way}"], line[f"auc_{way}_std"] = mean_and_std(values)
        for stream in context.settings.score.streams:
            values = [auc(runs, replace(fused, streams=(stream,)), step) for runs in seeded]
            line[f"auc_{stream}"], line[f"auc_{stream}_std"] = mean_and_std(values)
            clips = [clip for runs in seeded for clip in runs[stream].scores(step)]
            line[f"similarity_{stream}"] = mean_of_regions(clips, "similarity")
        course.append(line)
    return course
