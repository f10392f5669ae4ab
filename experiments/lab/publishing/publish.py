"""What an exhibit leaves in the results folder beside its pictures: rows, note, table; the report of all."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType

from data_prep.files import locked
from data_prep.provenance import processor_name
from experiments.lab.context import Context
from experiments.lab.publishing.notes import write_note, write_summary
from experiments.lab.publishing.report import build_report
from experiments.lab.publishing.results import Row, complete, read_rows, update_exhibit
from experiments.lab.publishing.tables import text_table, write_markdown_table


def publish(
    context: Context, exhibit: str, rows: Sequence[Row], command: str, note: str | Callable[[list[Row]], str]
) -> list[Row]:
    """Put the numbers of one call into results.csv, write the note and, of a table, `table_NN.md`.

    Returns all rows of the exhibit as they then are: those of this call in place of the same cells, those of
    earlier calls that this one did not ask for, and a status for each published number without a row. The
    note may be a function of all of them.
    """

    def fill(numbers: list[Row]) -> list[Row]:
        return complete(exhibit, numbers, context.absent_datasets, command)

    with locked(context.results_dir):
        rows = update_exhibit(context.results_dir, exhibit, rows, fill)
        note = note if isinstance(note, str) else note(rows)
        write_note(context.results_dir, exhibit, note)
        if exhibit.startswith("table"):
            write_markdown_table(context.results_dir, exhibit, rows, context.profile_name, note)
    return rows


def run_exhibit(context: Context, exhibit: ModuleType, **options) -> None:
    """Run an exhibit's script; print its headline numbers and the files that it wrote."""
    before = _written(context.results_dir, exhibit.EXHIBIT)
    exhibit.run(context, **options)
    rows = read_rows(context.results_dir)
    print(f"\n{text_table([row for row in rows if row.exhibit == exhibit.EXHIBIT])}")
    for path, when in _written(context.results_dir, exhibit.EXHIBIT).items():
        if before.get(path) != when:
            print(f"wrote {path}")


def _written(results_dir: Path, exhibit: str) -> dict[Path, int]:
    """Return the files of an exhibit, each with the time when it was written."""
    return {path: path.stat().st_mtime_ns for path in sorted(results_dir.glob(f"{exhibit}[._]*"))}


def publish_report(context: Context, outcomes: Mapping[str, str]) -> None:
    """Keep what became of some exhibits ("" for one that ran), make the report again and print its path."""
    write_summary(context.results_dir, processor_name(), outcomes)
    if (context.results_dir / "results.csv").exists():
        path = build_report(context.results_dir, context.profile_name, context.results_dir / "report.html")
        print(f"report: {path}")
