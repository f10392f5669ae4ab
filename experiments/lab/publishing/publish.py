"""What an exhibit leaves in the results folder beside its pictures: rows, note, table."""

from collections.abc import Callable, Sequence

from data_prep.files import locked
from experiments.lab.context import Context
from experiments.lab.publishing.notes import equal_scores_note, write_note
from experiments.lab.publishing.results import Row, complete, update_exhibit
from experiments.lab.publishing.tables import write_markdown_table


def publish(
    context: Context, exhibit: str, rows: Sequence[Row], command: str, note: str | Callable[[list[Row]], str]
) -> list[Row]:
    """Put the numbers of one call into results.csv, write the note and, of a table, `table_NN.md`.

    Returns all rows of the exhibit as they then are: those of this call in place of the same cells, those of
    earlier calls that this one did not ask for, and a status for each published number without a row. The
    note may be a function of all of them; a warning of scores that are all equal comes before it.
    """

    def fill(numbers: list[Row]) -> list[Row]:
        return complete(exhibit, numbers, context.absent_datasets, command)

    with locked(context.results_dir):
        rows = update_exhibit(context.results_dir, exhibit, rows, fill)
        told = note if isinstance(note, str) else note(rows)
        note = " ".join(filter(None, (equal_scores_note(rows), told)))
        write_note(context.results_dir, exhibit, note)
        if exhibit.startswith("table"):
            write_markdown_table(context.results_dir, exhibit, rows, context.profile_name, note)
    return rows
