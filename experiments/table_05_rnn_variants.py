"""Table 5: frame-level AUC of the RNN variants: LSTM-AE, ConvLSTM-AE, sRNN-AE.

    python -m experiments.table_05_rnn_variants --data DIR

Paper: Table 5, Sec. 4.5. LSTM-AE reads the same features as sRNN-AE, ConvLSTM-AE gray frames; beside it
stands the mean training frame, scored as ConvLSTM-AE is (ours).
"""

if __name__ == "__main__":  # before what runs is imported: --help does not wait for TensorFlow
    from experiments.lab import cli

    cli.main(__spec__.name, cli.runs_parser(__doc__))

from experiments.lab.context import Context
from experiments.lab.distributing.points import Point, Seeded, late_fusion_points, points_of_rows
from experiments.lab.publishing.notes import held_out_note
from experiments.lab.publishing.publish import publish
from experiments.lab.publishing.rows import table_rows
from experiments.lab.systems.catalogue import systems_of
from experiments.lab.systems.reads import Reads

EXHIBIT = "table_05"
READS = Reads(systems_of(EXHIBIT))


def points(context: Context) -> list[Point]:
    """Return the runs that the table needs."""
    return points_of_rows(context, row_points)


def row_points(context: Context, dataset: str) -> dict[str, Seeded]:
    """Return the runs of each row on one dataset."""
    return {name: late_fusion_points(context, dataset, name) for name in systems_of(EXHIBIT)}


def run(context: Context) -> None:
    """Train and score the variants on every dataset at hand and write the table."""
    command = context.command("experiments.table_05_rnn_variants")
    rows = table_rows(context, EXHIBIT, row_points, command)
    differences = context.differences(*systems_of(EXHIBIT))
    publish(context, EXHIBIT, rows, command, lambda rows: f"{held_out_note(rows)} {differences}")
