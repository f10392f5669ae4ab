"""Figure 9: the training loss of sRNN-AE against the iteration, and what it learns meanwhile.

    python -m experiments.figure_09_training_loss --data DIR

Writes `figure_09.csv` too: loss, share of zero codes (Fig. 8's sparsity), gamma, lambda1 and lambda2 at every
logged iteration, mean and standard deviation over seeds.
Paper: Fig. 9, Sec. 4.4 (Avenue; "converges at around 10,000 iterations").
"""

import statistics
from collections.abc import Sequence

from experiments.lab import plots
from experiments.lab.cli import exhibit_main
from experiments.lab.context import COLUMNS, Context
from experiments.lab.protocols import late_fusion_runs, measured_row, runs_hash
from experiments.lab.report import write_note
from experiments.lab.results import replace_exhibit, write_csv

EXHIBIT = "figure_09"
LOGGED = ("loss", "sparsity", "gamma", "lambda1", "lambda2")


def run(context: Context) -> None:
    """Draw the loss curves of the streams on every dataset at hand, means over seeds."""
    curves, rows, lines = {}, [], []
    for dataset in context.datasets:
        seeded = late_fusion_runs(context, dataset)
        for stream in context.settings.score.streams:
            histories = [runs[stream].history for runs in seeded]
            course = training_course(histories)
            curves[f"{COLUMNS[dataset]}, {stream}"] = (
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
                    column=COLUMNS[dataset],
                    metric="loss",
                    protocol=f"Eq. (9), mean of the last {context.settings.train.log_every} steps",
                    dataset=COLUMNS[dataset],
                    command=context.command("experiments.figure_09_training_loss"),
                    config_hash=runs_hash([{stream: runs[stream]} for runs in seeded]),
                )
            )
    title = f"Training loss of sRNN-AE ({context.backbone.name}, profile {context.profile_name})"
    if context.n_seeds > 1:
        title += f", mean of {context.n_seeds} seeds"
    plots.training_loss(context.results_dir / f"{EXHIBIT}.png", curves, title)
    write_csv(context.results_dir / f"{EXHIBIT}.csv", lines)
    replace_exhibit(context.results_dir, EXHIBIT, rows)
    write_note(context.results_dir, EXHIBIT, context.differences())


def training_course(histories: Sequence[Sequence[dict]]) -> list[dict]:
    """Return a line for each step that every seed's history has: means of `LOGGED`, and `NAME_std`.

    The standard deviation is that of the sample, "" for one seed. `loss` and `sparsity` are means over the
    steps since the line before, the other three their values at the step.
    """
    at_step = [{row["step"]: row for row in history} for history in histories]
    course = []
    for step in sorted(set.intersection(*map(set, at_step))):
        line = {"step": step}
        for name in LOGGED:
            values = [of_seed[step][name] for of_seed in at_step]
            line[name] = statistics.fmean(values)
            line[f"{name}_std"] = statistics.stdev(values) if len(values) > 1 else ""
        course.append(line)
    return course


if __name__ == "__main__":
    exhibit_main(__doc__, run)
