"""Tables of Markdown documents, made of `our_values.csv` between markers; see `experiments.readme_tables`."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from data_prep.errors import InputError
from experiments.lab.publishing.results import PERCENT_METRICS, Row
from experiments.lab.publishing.tables import format_cell, format_value, markdown_lines, table_order
from experiments.lab.publishing.verdict import TOLERANCE_POINTS, verdict

ONLY = "rows:"
MARKER = re.compile(r"^<!-- table: ([^|>]+?)((?:\s*\|[^|>]+)*)\s*-->$", re.MULTILINE)
DATA = re.compile(r"--data (?:'[^']*'|\S+)")  # a folder of whoever made the numbers
END = "<!-- end -->"
COLUMN = re.compile(r"(.+?)(?: \((.+)\))?")


@dataclass(frozen=True)
class Column:
    """One column of a marked table: a column of the exhibit, and words of a protocol ("": the headline's)."""

    name: str
    protocol: str = ""

    def __str__(self) -> str:
        """Return the column as the marker names it."""
        return f"{self.name} ({self.protocol})" if self.protocol else self.name

    def cells(self, rows: Sequence[Row]) -> dict[str, Row]:
        """Return the row that each system has in this column."""
        found: dict[str, Row] = {}
        for row in rows:
            if row.column == self.name and self.protocol in row.protocol:
                found.setdefault(row.row, row)
        return found


def with_tables(text: str, values: Mapping[str, Sequence[Row]], path: Path) -> tuple[str, int]:
    """Return a document with every marked table made anew, and how many there are.

    InputError, which names `path`, for a marker without an end, or that asks for what `values` lacks.
    """
    parts, last, count = [], 0, 0
    for marker in MARKER.finditer(text):
        end = text.find(END, marker.end())
        following = MARKER.search(text, marker.end())
        if end < 0 or (following and following.start() < end):
            raise InputError(f"{path}: {marker[0]}: expected {END} behind it")
        try:
            table = marked_table(marker[1], [part.strip() for part in marker[2].split("|")[1:]], values)
        except KeyError as fault:
            raise InputError(f"{path}: {marker[0]}: {fault.args[0]}") from None
        parts += [text[last : marker.end()], f"\n{table}\n"]
        last, count = end, count + 1
    return "".join([*parts, text[last:]]), count


def marked_table(source: str, parts: Sequence[str], values: Mapping[str, Sequence[Row]]) -> str:
    """Return the Markdown of one table: ours, the paper's number, whether it is reached; then what made it.

    Args:
        source: "quick/table_03".
        parts: columns as the marker names them, all of the exhibit where there are none; "rows: TSC, SF" for
            these rows alone.
        values: rows of each results folder.

    Raises:
        KeyError: there is no such number, in words.
    """
    folder, _, exhibit = source.partition("/")
    rows = [row for row in values.get(folder, []) if row.exhibit == exhibit]
    if not rows:
        known = sorted({f"{name}/{row.exhibit}" for name in values for row in values[name]})
        raise KeyError(f"no numbers, expected one of {', '.join(known) or 'none'}")
    systems, every = table_order(rows)
    names = [part for part in parts if not part.startswith(ONLY)]
    only = [name.strip() for part in parts if part not in names for name in part[len(ONLY) :].split(",")]
    if strangers := [name for name in only if name not in systems]:
        raise KeyError(f"no rows {', '.join(strangers)}, expected rows of {', '.join(systems)}")
    systems = [name for name in systems if name in (only or systems)]
    columns = [Column(*filter(None, COLUMN.fullmatch(name).groups())) for name in names or every]
    cells = {column: column.cells(rows) for column in columns}
    if absent := [str(column) for column in columns if not cells[column]]:
        raise KeyError(f"no numbers of {', '.join(absent)}, expected columns of {', '.join(every)}")
    head, lines = [""], {system: [system] for system in systems}
    for column in columns:
        compared = any(row.paper is not None for row in cells[column].values())
        head += [f"{column}, ours", "paper", ""] if compared else [f"{column}, ours"]
        for system, line in lines.items():
            line += _texts(cells[column].get(system), compared)
    used = [row for of_column in cells.values() for row in of_column.values() if row.row in systems]
    shown = [lines[system] for system in systems if system in {row.row for row in used}]
    return f"{markdown_lines([head, *shown])}\n\n{_origin(folder, used)}"


def _texts(row: Row | None, compared: bool) -> list[str]:
    """Return what one row reads: ours and, where a column is compared, the paper's number and the verdict."""
    ours = "" if row is None else format_cell(row, with_paper=False)
    if not compared:
        return [ours]
    if row is None or row.paper is None:
        return [ours, "", ""]
    return [ours, format_value(row.metric, row.paper), verdict(row)]


def _origin(folder: str, rows: Sequence[Row]) -> str:
    """Return what holds for all numbers of a table, and the commands and commits that made them."""
    seeds = sorted({row.seeds for row in rows if row.seeds})
    sentences = [f"Results `{folder}`"]
    if any(row.metric in PERCENT_METRICS for row in rows):
        sentences.append("per cent")
    if seeds == [1]:
        sentences.append("one seed")
    elif seeds:
        several = ", ".join(str(n_seeds) for n_seeds in seeds if n_seeds > 1)
        sentences.append(f"{several} seeds, ± their standard deviation")
        if seeds[0] == 1:
            sentences.append("one seed where no ± stands")
    if any(verdict(row) for row in rows):
        sentences.append(
            f"reached: within {TOLERANCE_POINTS:g} points of the paper, or within ±; above: more"
        )
    made: dict[str, list[str]] = {}
    for row in rows:
        made.setdefault(DATA.sub("--data DIR", row.command), []).append(row.commit)
    by = "; ".join(f"`{command}` (commit {', '.join(dict.fromkeys(of))})" for command, of in made.items())
    return f"{', '.join(sentences)}. Made by {by}."
