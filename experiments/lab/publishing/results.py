"""The result rows of every exhibit: `results.csv`, one tidy row per number.

Rows that share exhibit, row, column, metric and dataset are one cell: one number under several protocols, the
headline first. The published number of the cell stands beside the headline alone.
"""

import csv
import io
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import InitVar, dataclass, field, fields, replace
from pathlib import Path

from data_prep.errors import InputError
from data_prep.files import locked, write_atomic
from experiments.lab.publishing.published import DATASET_ORDER, exhibit_order, is_papers, published

NO_DATA, NOT_RUN = "no data", "not run"
STATUSES = (NO_DATA, NOT_RUN)
# Fractions in results.csv, per cent wherever a person reads them.
INTERVAL = ("auc_ci_low", "auc_ci_high")  # ends of the AUC's 95 % bootstrap interval over test clips
# A system's error on held-out training clips, and the mean frame's: told in a table's note.
HELD_OUT = ("held_out_error", "mean_frame_error")
PERCENT_METRICS = frozenset(
    {"auc", "macro_auc", "average_precision", "equal_error_rate", "sparsity", *INTERVAL}
)


@dataclass(frozen=True)
class Row:
    """One number of one exhibit, in the column order of `results.csv`.

    `row` is the system or setting as the paper names it, `column` the dataset or the x value as text.
    `paper` is looked up, unless `compared` is False: where the number is not under the paper's protocol.
    `ours` and `std` are in the unit of `metric` (fractions for `PERCENT_METRICS`);
    a cell without a number has a status (`no data`, `not run`) as `ours` and the reason as `protocol`.
    `seeds` is the number of seeds behind `ours`.
    Raises ValueError for a field that is not as described, NaN among them.
    """

    exhibit: str
    row: str
    column: str
    metric: str
    paper: float | None = field(init=False)
    ours: float | str
    std: float | None = None
    seeds: int = 0
    protocol: str = ""
    dataset: str = ""
    backbone: str = ""
    command: str = ""
    config_hash: str = ""
    commit: str = ""
    compared: InitVar[bool] = True

    def __post_init__(self, compared: bool) -> None:
        """Look `paper` up and check every field."""
        for name in ("row", "column", "metric", "protocol", "dataset", "backbone"):
            if not isinstance(getattr(self, name), str):
                raise ValueError(f"{name}: expected text, got {getattr(self, name)!r}")
        exhibit_order(self.exhibit)
        self._check_numbers()
        if self.measured:  # a count too, as it is read back
            object.__setattr__(self, "ours", float(self.ours))
        compared = compared and is_papers(self.dataset)
        paper = published(self.exhibit).get((self.row, self.column, self.metric)) if compared else None
        holds = paper is not None and paper[1].casefold() in ("", self.dataset.casefold())
        object.__setattr__(self, "paper", paper[0] if holds else None)

    def _check_numbers(self) -> None:
        if isinstance(self.ours, str):
            if self.ours not in STATUSES:
                raise ValueError(f"ours: expected a number or one of {STATUSES}, got {self.ours!r}")
        elif not math.isfinite(self.ours):
            raise ValueError(f"ours: expected a finite number, got {self.ours}")
        elif self.metric in PERCENT_METRICS and not 0 <= self.ours <= 1:
            raise ValueError(f"ours: expected {self.metric} as a fraction in [0, 1], got {self.ours}")
        if self.std is not None and not 0 <= self.std < math.inf:
            raise ValueError(f"std: expected a finite number >= 0, got {self.std}")
        if self.seeds < 0:
            raise ValueError(f"seeds: expected a count >= 0, got {self.seeds}")

    @property
    def cell(self) -> tuple[str, ...]:
        """Return what rows share that are one number under several protocols."""
        return self.exhibit, self.row, self.column, self.metric, self.dataset

    @property
    def key(self) -> tuple[str, ...]:
        """Return what may occur only once in `results.csv`."""
        return (*self.cell, self.protocol, self.backbone)

    @property
    def measured(self) -> bool:
        """Return whether `ours` is a number."""
        return not isinstance(self.ours, str)


COLUMNS = tuple(f.name for f in fields(Row))


def update_exhibit(
    results_dir: Path, exhibit: str, rows: Sequence[Row], fill: Callable[[list[Row]], list[Row]] = list
) -> list[Row]:
    """Put `rows`, all of them numbers, into `results.csv`; return all rows of the exhibit, cell by cell.

    A cell takes the place of what stood in it, every other number stays. Then `fill` adds to the numbers of
    the exhibit what has none, in place of the status rows that stood there. Exhibits stand in the paper's
    order. One process at a time reads and writes, and the file appears whole. Raises ValueError for a row of
    another exhibit, one without a number, or a key that occurs twice, InputError if the file is damaged.
    """
    if strangers := {row.exhibit for row in rows} - {exhibit}:
        raise ValueError(f"rows: expected {exhibit} only, got {sorted(strangers)}")
    if empty := [row.key for row in rows if not row.measured]:
        raise ValueError(f"rows: expected numbers, got {' / '.join(empty[0])} without one")
    if repeated := _first_repeated(rows):
        raise ValueError(f"rows: two rows for {repeated}")
    with locked(results_dir):
        present = read_rows(results_dir) if (results_dir / "results.csv").exists() else []
        others = [row for row in present if row.exhibit != exhibit]
        measured = [row for row in present if row.exhibit == exhibit and row.measured]
        of_exhibit = fill(_cell_by_cell(_by_cell(measured) | _by_cell(rows)))
        ordered = sorted([*others, *of_exhibit], key=lambda row: exhibit_order(row.exhibit))
        lines = [{name: getattr(row, name) for name in COLUMNS} for row in ordered]
        write_csv(results_dir / "results.csv", lines, COLUMNS)
    return of_exhibit


def _by_cell(rows: Iterable[Row]) -> dict[tuple[str, ...], list[Row]]:
    cells: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        cells.setdefault(row.cell, []).append(row)
    return cells


def _cell_by_cell(cells: Mapping[tuple[str, ...], Sequence[Row]]) -> list[Row]:
    """Return the rows cell by cell, the paper's number beside the first of each alone."""
    return [
        row if index == 0 or row.paper is None else replace(row, compared=False)
        for rows in cells.values()
        for index, row in enumerate(rows)
    ]


def headline(rows: Iterable[Row]) -> list[Row]:
    """Return the headline numbers: the first row of each cell."""
    return [rows[0] for rows in _by_cell(rows).values()]


def complete(
    exhibit: str, rows: Sequence[Row], absent: Mapping[str, tuple[str, str]], command: str = ""
) -> list[Row]:
    """Return `rows` plus a status row for each published number of the exhibit that has no row yet.

    `absent` holds status and reason of each dataset, by its title, that is not run on. Where the exhibit has
    a number of such a dataset all the same, and for every other published number, the status is `not run`.
    """
    covered = {(row.row, row.column, row.metric, name) for row in rows for name in ("", row.dataset)}
    ran_on = {row.dataset for row in rows}
    missing = []
    for (row, column, metric), (_, dataset) in published(exhibit).items():
        if (row, column, metric, dataset) in covered:
            continue
        dataset = dataset or (column if column in DATASET_ORDER else "")
        status, reason = NOT_RUN, "the paper's number alone"
        if dataset not in ran_on:
            status, reason = absent.get(dataset, (status, reason))
        fill = dict(ours=status, protocol=reason, dataset=dataset, command=command)
        missing.append(Row(exhibit, row, column, metric, **fill))
    return [*rows, *missing]


def write_csv(path: Path, lines: Sequence[Mapping], columns: Sequence[str] | None = None) -> None:
    """Write lines as CSV with a header, atomically; `columns` are by default the keys of the first line."""
    text = io.StringIO()
    writer = csv.DictWriter(text, lines[0] if columns is None else columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    write_atomic(path, text.getvalue().encode())


def read_rows(results_dir: Path) -> list[Row]:
    """Return the rows of `results.csv` in file order. InputError if it is absent or damaged."""
    path = results_dir / "results.csv"
    rows = [row_of(path, number, cells) for number, cells in enumerate(read_csv(path, COLUMNS), start=2)]
    if repeated := _first_repeated(rows):
        raise InputError(f"{path}: damaged, expected each key once, got two rows for {repeated}")
    return rows


def read_csv(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Return the lines of a CSV file that has just these columns. InputError if it is absent or damaged."""
    try:
        header, *lines = csv.reader(io.StringIO(path.read_text(encoding="utf-8")), strict=True)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file, expected the results of a run") from None
    except (csv.Error, UnicodeDecodeError) as fault:
        raise InputError(f"{path}: damaged, expected UTF-8 CSV, got {fault}") from None
    except ValueError:
        header, lines = [], []
    if tuple(header) != tuple(columns):
        got = ",".join(header) or "an empty file"
        raise InputError(f"{path}: damaged, expected the header {','.join(columns)}, got {got}")
    for number, values in enumerate(lines, start=2):
        if len(values) != len(columns):
            raise InputError(f"{path}: line {number}: expected {len(columns)} values, got {len(values)}")
    return [dict(zip(columns, values, strict=True)) for values in lines]


def row_of(path: Path, number: int, cells: Mapping[str, str]) -> Row:
    """Return the row of line `number` of a file. InputError, which names both, for a bad field."""
    try:
        ours = cells["ours"] if cells["ours"] in STATUSES else float(cells["ours"])
        std = float(cells["std"]) if cells["std"] else None
        fields_of = {name: cells[name] for name in COLUMNS if name != "paper"}
        fields_of |= {"ours": ours, "std": std, "seeds": int(cells["seeds"])}
        # The paper's number is looked up again, so that it cannot drift from paper_values.csv.
        return Row(**fields_of, compared=bool(cells["paper"]))
    except ValueError as fault:
        raise InputError(f"{path}: line {number}: {fault}") from None


def _first_repeated(rows: Iterable[Row]) -> str:
    seen = set()
    for row in rows:
        if row.key in seen:
            return " / ".join(row.key)
        seen.add(row.key)
    return ""
