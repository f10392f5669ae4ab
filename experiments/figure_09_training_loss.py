"""Figure 9: the training loss of sRNN-AE against the iteration.

    python -m experiments.figure_09_training_loss --data DIR

Paper: Fig. 9, Sec. 4.4 (Avenue; "converges at around 10,000 iterations").
"""

from experiments.lab import plots
from experiments.lab.cli import exhibit_main
from experiments.lab.context import COLUMNS, Context
from experiments.lab.protocols import measured_row, runs_hash
from experiments.lab.report import write_note
from experiments.lab.results import replace_exhibit

EXHIBIT = "figure_09"


def run(context: Context) -> None:
    """Draw the loss curves of both streams on every dataset at hand."""
    curves, rows = {}, []
    for dataset in context.datasets:
        for stream in ("spatial", "temporal"):
            trained = context.run(dataset, stream)
            history = trained.history
            name = f"{COLUMNS[dataset]}, {stream}"
            curves[name] = ([row["step"] for row in history], [row["loss"] for row in history])
            rows.append(
                measured_row(
                    context,
                    [history[-1]["loss"]],
                    exhibit=EXHIBIT,
                    row=f"{stream} stream, final loss",
                    column=COLUMNS[dataset],
                    metric="loss",
                    protocol=f"Eq. (9), mean of the last {context.settings.train.log_every} steps",
                    dataset=COLUMNS[dataset],
                    command=context.command("experiments.figure_09_training_loss"),
                    config_hash=runs_hash([{stream: trained}]),
                )
            )
    title = f"Training loss of sRNN-AE ({context.backbone.name}, profile {context.profile_name})"
    plots.training_loss(context.results_dir / f"{EXHIBIT}.png", curves, title)
    replace_exhibit(context.results_dir, EXHIBIT, rows)
    write_note(context.results_dir, EXHIBIT, context.differences())


if __name__ == "__main__":
    exhibit_main(__doc__, run)
