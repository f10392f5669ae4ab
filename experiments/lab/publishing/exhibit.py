"""One exhibit as a command runs it: its script, what it shows on the terminal, the report made again."""

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

from data_prep.provenance import processor_name
from experiments.lab.context import Context
from experiments.lab.distributing.points import run_command
from experiments.lab.distributing.where import HERE, Where
from experiments.lab.publishing.notes import write_summary
from experiments.lab.publishing.report import build_report
from experiments.lab.publishing.results import read_rows
from experiments.lab.publishing.tables import text_table


def run_exhibit(context: Context, exhibit: ModuleType, where: Where = HERE, **options) -> None:
    """Run an exhibit's script, see `points.run_command`; print its headline numbers and what it wrote."""
    before = _written(context.results_dir, exhibit.EXHIBIT)
    run_command(exhibit, context, where, **options)
    rows = read_rows(context.results_dir)
    rows = [row for row in rows if row.exhibit == exhibit.EXHIBIT]
    print(f"\n{text_table(rows, context.profile_name)}")
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
