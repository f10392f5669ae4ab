"""Table 5: frame-level AUC of the RNN variants: LSTM-AE, ConvLSTM-AE, sRNN-AE.

    python -m experiments.table_05_rnn_variants --data DIR

Paper: Table 5, Sec. 4.5. LSTM-AE reads the same features as sRNN-AE, ConvLSTM-AE gray frames.
"""

from experiments.lab.cli import exhibit_main
from experiments.lab.context import Context
from experiments.lab.protocols import auc_rows, late_fusion_runs
from experiments.lab.report import write_note
from experiments.lab.results import complete, replace_exhibit, write_markdown_table

EXHIBIT = "table_05"
SYSTEMS = ("LSTM-AE", "ConvLSTM-AE", "sRNN-AE")


def run(context: Context) -> None:
    """Train and score the variants on every dataset at hand and write the table."""
    command = context.command("experiments.table_05_rnn_variants")
    rows = []
    for dataset in context.datasets:
        for name in SYSTEMS:
            seeded = late_fusion_runs(context, dataset, name)
            rows += auc_rows(context, EXHIBIT, name, dataset, seeded, command)
    rows = complete(EXHIBIT, rows, context.titles(), command)
    replace_exhibit(context.results_dir, EXHIBIT, rows)
    write_note(context.results_dir, EXHIBIT, context.differences())
    score = context.settings.score
    write_markdown_table(
        context.results_dir, EXHIBIT, rows, context.profile, score.normalization, score.checkpoint
    )


if __name__ == "__main__":
    exhibit_main(__doc__, run)
