"""Our numbers as data: `experiments/our_values.csv`, measured rows of results.csv with commit and command.

Its first column, `results`, is the name of the results folder that a row is from: "quick", "quick,depth=5".
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from data_prep.errors import InputError
from experiments.lab.publishing.published import exhibit_order
from experiments.lab.publishing.results import COLUMNS, Row, read_csv, read_rows, row_of, write_csv

OUR_VALUES = Path(__file__).parents[2] / "our_values.csv"
FIELDS = ("results", *COLUMNS)


def read_our_values(path: Path = OUR_VALUES) -> dict[str, list[Row]]:
    """Return the rows of each results folder, by its name. InputError for a file that is damaged."""
    rows: dict[str, list[Row]] = {}
    for number, cells in enumerate(read_csv(path, FIELDS), start=2):
        rows.setdefault(cells["results"], []).append(row_of(path, number, cells))
    return rows


def write_our_values(values: Mapping[str, Sequence[Row]], path: Path = OUR_VALUES) -> None:
    """Write the rows of each results folder, the folders by name, exhibits in the paper's order."""
    lines = [
        {"results": name} | {field: getattr(row, field) for field in COLUMNS}
        for name in sorted(values)
        for row in sorted(values[name], key=lambda row: exhibit_order(row.exhibit))
    ]
    write_csv(path, lines, FIELDS)


def take_over(results_dir: Path, exhibits: Collection[str], path: Path = OUR_VALUES) -> int:
    """Put the numbers that a results folder has of some exhibits in place of those that stood there.

    Returns how many. InputError where an exhibit has none, or one that no commit of the code can give again.
    """
    found = [row for row in read_rows(results_dir) if row.measured and row.exhibit in exhibits]
    if absent := [name for name in exhibits if name not in {row.exhibit for row in found}]:
        raise InputError(f"{results_dir / 'results.csv'}: expected numbers of {', '.join(absent)}, got none")
    for row in found:
        if any(commit.endswith("-dirty") or commit in ("", "unknown") for commit in row.commit.split(" + ")):
            place = " / ".join((row.exhibit, row.row, row.column))
            raise InputError(
                f"{results_dir / 'results.csv'}: expected numbers made by committed code, got {place} by "
                f"{row.commit or 'an unknown commit'}"
            )
    values = read_our_values(path)
    kept = [row for row in values.get(results_dir.name, []) if row.exhibit not in exhibits]
    write_our_values({**values, results_dir.name: [*kept, *found]}, path)
    return len(found)
