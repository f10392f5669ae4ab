"""Table 5: frame-level AUC of the RNN variants: LSTM-AE, ConvLSTM-AE, sRNN-AE.

    python -m experiments.table_05_rnn_variants --data DIR

Paper: Table 5, Sec. 4.5. LSTM-AE reads the same features as sRNN-AE, ConvLSTM-AE gray frames; beside it
stands the mean training frame, scored as ConvLSTM-AE is (ours).
"""

if __name__ == "__main__":  # before what runs is imported: --help does not wait for TensorFlow
    from experiments.lab import cli

    cli.main(__spec__.name, cli.runs_parser(__doc__))

from experiments.lab.context import Context
from experiments.lab.distributing.points import Point, flat, late_fusion_points
from experiments.lab.publishing.notes import held_out_note
from experiments.lab.publishing.publish import publish
from experiments.lab.publishing.rows import auc_rows, late_fusion_runs
from experiments.lab.systems.catalogue import systems_of
from experiments.lab.systems.reads import Reads

EXHIBIT = "table_05"
READS = Reads(systems_of(EXHIBIT))


def points(context: Context) -> list[Point]:
    """Return the runs that the table needs."""
    names = systems_of(EXHIBIT)
    return flat(late_fusion_points(context, dataset, name) for dataset in context.datasets for name in names)


def run(context: Context) -> None:
    """Train and score the variants on every dataset at hand and write the table."""
    command = context.command("experiments.table_05_rnn_variants")
    rows = []
    for dataset in context.datasets:
        for name in systems_of(EXHIBIT):
            seeded = late_fusion_runs(context, dataset, name)
            rows += auc_rows(context, EXHIBIT, name, dataset, seeded, command)
    differences = context.differences(*systems_of(EXHIBIT))
    publish(context, EXHIBIT, rows, command, lambda rows: f"{held_out_note(rows)} {differences}")
