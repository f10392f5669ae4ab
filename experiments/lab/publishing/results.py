"""The result rows of every exhibit: `results.csv`, one tidy row per number, and `table_NN.md`.

The published numbers are data (`experiments/paper_values.csv`), looked up and never typed. Its last column,
`dataset`, is filled only where neither row nor column names the one dataset that a number holds for.
"""

import csv
import functools
import io
import math
import re
import subprocess
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field, fields
from pathlib import Path

from data_prep.errors import InputError
from data_prep.files import write_atomic

PAPER_VALUES = Path(__file__).parents[2] / "paper_values.csv"
DATASET_TITLES = ("Avenue", "Ped2", "Ped1", "Entrance", "Exit", "ShanghaiTech", "LV", "Walkway")
NO_DATA, NOT_RUN = "no data", "not run"
STATUSES = (NO_DATA, NOT_RUN)
# Fractions in results.csv, per cent wherever a person reads them.
PERCENT_METRICS = frozenset({"auc", "macro_auc", "average_precision", "equal_error_rate", "sparsity"})
TITLES = {
    "table_01": "AUC on Moving-MNIST",
    "table_02": "Dataset statistics",
    "table_03": "AUC of all methods on the real datasets",
    "table_04": "AUC on LV",
    "table_05": "AUC of RNN variants",
    "table_06": "AUC of the similarity measurements",
    "table_07": "AUC and inference speed of the motion features",
    "table_08": "AUC of the spatial and the temporal stream alone",
    "table_09": "AUC of early and late fusion",
    "table_10": "Running time",
    "figure_02": "The network: sRNN-AE, unrolled",
    "figure_04": "Moving-MNIST samples",
    "figure_05": "Sample frames of the datasets",
    "figure_06": "Score, similarity and code distance along a clip",
    "figure_07": "AUC against lambda1, lambda2 and the dictionary size",
    "figure_07a": "AUC against lambda1 (TSC)",
    "figure_07b": "AUC against lambda2 (TSC)",
    "figure_07c": "AUC against the dictionary size",
    "figure_08": "AUC and sparsity against the number of layers K",
    "figure_09": "Training loss",
    "figure_10": "Learned against Gaussian similarity",
    "figure_11": "AUC against the temporal weight",
}
_EXHIBIT = re.compile(r"(table|figure)_(\d\d)([a-z]?)")


@dataclass(frozen=True)
class Row:
    """One number of one exhibit, in the column order of `results.csv`.

    `row` is the system or setting as the paper names it, `column` the dataset or the x value as text.
    `paper` is looked up. `ours` and `std` are in the unit of `metric` (fractions for `PERCENT_METRICS`);
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

    def __post_init__(self) -> None:
        """Look `paper` up and check every field."""
        for name in ("row", "column", "metric", "protocol", "dataset", "backbone"):
            if not isinstance(getattr(self, name), str):
                raise ValueError(f"{name}: expected text, got {getattr(self, name)!r}")
        exhibit_order(self.exhibit)
        self._check_numbers()
        if self.measured:  # a count too, as it is read back
            object.__setattr__(self, "ours", float(self.ours))
        paper = published(self.exhibit).get((self.row, self.column, self.metric))
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
    def key(self) -> tuple[str, ...]:
        """Return what may occur only once in `results.csv`."""
        place = (self.exhibit, self.row, self.column, self.metric)
        return (*place, self.protocol, self.dataset, self.backbone)

    @property
    def measured(self) -> bool:
        """Return whether `ours` is a number."""
        return not isinstance(self.ours, str)


COLUMNS = tuple(f.name for f in fields(Row))


def exhibit_order(exhibit: str) -> tuple[bool, int, str]:
    """Return the sort key of an exhibit: tables first, then figures, by number. ValueError if malformed."""
    match = _EXHIBIT.fullmatch(exhibit)
    if not match:
        raise ValueError(f"exhibit: expected a name such as table_03 or figure_07a, got {exhibit!r}")
    return match[1] == "figure", int(match[2]), match[3]


def exhibit_title(exhibit: str) -> str:
    """Return `Table 3. AUC of ...` for `table_03`."""
    is_figure, number, letter = exhibit_order(exhibit)
    label = f"{'Figure' if is_figure else 'Table'} {number}{letter}"
    return f"{label}. {TITLES[exhibit]}" if exhibit in TITLES else label


@functools.cache
def published(exhibit: str) -> dict[tuple[str, str, str], tuple[float, str]]:
    """Return the paper's numbers of an exhibit: (row, column, metric) -> (number, dataset or "")."""
    with PAPER_VALUES.open(newline="", encoding="utf-8") as file:
        return {
            (line["row"], line["column"], line["metric"]): (float(line["paper"]), line["dataset"])
            for line in csv.DictReader(file)
            if line["exhibit"] == exhibit
        }


def complete(exhibit: str, rows: Sequence[Row], with_data: Collection[str], command: str = "") -> list[Row]:
    """Return `rows` plus a status row for each published number of the exhibit that has no row yet.

    `with_data` holds the titles of the datasets at hand: a dataset's column outside it reads `no data`, every
    other number `not run`.
    """
    covered = {(row.row, row.column, row.metric, name) for row in rows for name in ("", row.dataset)}
    missing = []
    for (row, column, metric), (_, dataset) in published(exhibit).items():
        if (row, column, metric, dataset) in covered:
            continue
        dataset = dataset or (column if column in DATASET_TITLES else "")
        absent = bool(dataset) and dataset not in with_data
        reason = f"{dataset} is not on disk" if absent else "the paper's number alone"
        status = NO_DATA if absent else NOT_RUN
        fill = dict(ours=status, protocol=reason, dataset=dataset, command=command, commit=git_commit())
        missing.append(Row(exhibit, row, column, metric, **fill))
    return [*rows, *missing]


def replace_exhibit(results_dir: Path, exhibit: str, rows: Iterable[Row]) -> Path:
    """Put `rows` in place of all rows of `exhibit` in `results.csv`, atomically; return its path.

    Exhibits stand in the paper's order, rows of one exhibit in the given order. Raises ValueError for a row
    of another exhibit or a key that occurs twice, InputError if the present file is damaged.
    """
    rows = list(rows)
    if strangers := {row.exhibit for row in rows} - {exhibit}:
        raise ValueError(f"rows: expected {exhibit} only, got {sorted(strangers)}")
    if repeated := _first_repeated(rows):
        raise ValueError(f"rows: two rows for {repeated}")
    path = results_dir / "results.csv"
    kept = [row for row in read_rows(results_dir) if row.exhibit != exhibit] if path.exists() else []
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in sorted([*kept, *rows], key=lambda row: exhibit_order(row.exhibit)):
        writer.writerow(["" if value is None else value for value in astuple(row)])
    write_atomic(path, text.getvalue().encode())
    return path


def write_csv(path: Path, lines: Sequence[Mapping]) -> None:
    """Write lines of equal keys as CSV with a header, atomically."""
    text = io.StringIO()
    writer = csv.DictWriter(text, lines[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    write_atomic(path, text.getvalue().encode())


def read_rows(results_dir: Path) -> list[Row]:
    """Return the rows of `results.csv` in file order. InputError if it is absent or damaged."""
    path = results_dir / "results.csv"
    try:
        lines = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8")), strict=True))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file, expected the results of a run") from None
    except (csv.Error, UnicodeDecodeError) as fault:
        raise InputError(f"{path}: damaged, expected UTF-8 CSV, got {fault}") from None
    if not lines or tuple(lines[0]) != COLUMNS:
        got = ",".join(lines[0]) if lines else "an empty file"
        raise InputError(f"{path}: damaged, expected the header {','.join(COLUMNS)}, got {got}")
    rows = [_parse(path, number, values) for number, values in enumerate(lines[1:], start=2)]
    if repeated := _first_repeated(rows):
        raise InputError(f"{path}: damaged, expected each key once, got two rows for {repeated}")
    return rows


def _parse(path: Path, number: int, values: list[str]) -> Row:
    if len(values) != len(COLUMNS):
        raise InputError(f"{path}: line {number}: expected {len(COLUMNS)} values, got {len(values)}")
    cells = dict(zip(COLUMNS, values, strict=True))
    del cells["paper"]  # looked up again, so that it cannot drift from paper_values.csv
    try:
        ours = cells["ours"] if cells["ours"] in STATUSES else float(cells["ours"])
        std = float(cells["std"]) if cells["std"] else None
        return Row(**cells | {"ours": ours, "std": std, "seeds": int(cells["seeds"])})
    except ValueError as fault:
        raise InputError(f"{path}: line {number}: {fault}") from None


def _first_repeated(rows: Iterable[Row]) -> str:
    seen = set()
    for row in rows:
        if row.key in seen:
            return " / ".join(row.key)
        seen.add(row.key)
    return ""


def headline(rows: Iterable[Row]) -> list[Row]:
    """Return the headline numbers: of rows that differ in protocol or backbone alone, the first."""
    first: dict[tuple[str, ...], Row] = {}
    for row in rows:
        first.setdefault((row.exhibit, row.row, row.column, row.metric, row.dataset), row)
    return list(first.values())


def table_order(rows: Sequence[Row]) -> tuple[list[str], list[str]]:
    """Return systems and columns of one exhibit in the paper's order, then those that the paper lacks.

    Datasets come before other columns, in the order of `DATASET_TITLES`.
    """
    names = [(row, column) for row, column, _ in published(rows[0].exhibit)]
    names += [(row.row, row.column) for row in rows]
    systems, columns = (dict.fromkeys(place) for place in zip(*names, strict=True))
    used_systems, used_columns = {row.row for row in rows}, {row.column for row in rows}
    rank = {title: index for index, title in enumerate(DATASET_TITLES)}
    columns = sorted(columns, key=lambda column: rank.get(column, len(rank)))
    return [s for s in systems if s in used_systems], [c for c in columns if c in used_columns]


def format_value(metric: str, value: float) -> str:
    """Return a number as people read it: fractions in per cent, counts whole, the rest in 4 digits."""
    if metric in PERCENT_METRICS:
        return f"{100 * value:.2f}"
    number = f"{value:,.0f}" if float(value).is_integer() else f"{value:.4g}"
    unit = {"fps": " FPS", "hours": " h", "seconds": " s"}.get(metric, "")
    return number + unit


def format_cell(row: Row, with_paper: bool = True) -> str:
    """Return `ours ± std (paper)`, with the status where there is no number of ours."""
    text = format_value(row.metric, row.ours) if row.measured else str(row.ours)
    if row.measured and row.std is not None:
        text += f" ± {format_value(row.metric, row.std)}"
    return text if row.paper is None or not with_paper else f"{text} ({format_value(row.metric, row.paper)})"


def write_markdown_table(
    results_dir: Path,
    exhibit: str,
    rows: Sequence[Row],
    profile: str,
    normalization: str,
    checkpoint: str,
    differences: str = "",
) -> Path:
    """Write `<exhibit>.md`: systems down, columns across, each cell `ours ± std (paper)`; return its path.

    The headline numbers make the main table; every other protocol or backbone has a table below it, without
    the paper's numbers, which are those of the headline. `differences` are the words on what differs from the
    paper: backbone, settings.
    """
    main = headline(rows)
    variants: dict[str, list[Row]] = {}
    for row in rows:
        if row not in main:
            variants.setdefault(", ".join(filter(None, (row.protocol, row.backbone))), []).append(row)
    measured = [row for row in main if row.measured]
    backbones = sorted({row.backbone for row in measured if row.backbone})
    seeds = sorted({row.seeds for row in measured})
    note = f"Ours ± standard deviation over seeds (the paper's number). Profile: {profile}."
    if any(row.metric in PERCENT_METRICS for row in measured):
        note += (
            f" AUC in per cent. Backbone: {', '.join(backbones) or 'none'}. Normalization: {normalization}. "
            f"Checkpoint: {checkpoint}. Seeds: {', '.join(map(str, seeds)) or 'none'}."
        )
    parts = [f"# {exhibit_title(exhibit)}", _markdown_grid(main), note, *filter(None, [differences])]
    for variant, variant_rows in variants.items():
        parts += [f"## {variant}", _markdown_grid(variant_rows, with_paper=False)]
    path = results_dir / f"{exhibit}.md"
    write_atomic(path, ("\n\n".join(parts) + "\n").encode())
    return path


def _markdown_grid(rows: Sequence[Row], with_paper: bool = True) -> str:
    systems, columns = table_order(rows)
    cells: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        cells.setdefault((row.row, row.column), []).append(format_cell(row, with_paper))
    lines = [["", *columns], ["---"] * (len(columns) + 1)]
    lines += [
        [system, *("<br>".join(cells.get((system, column), [])) for column in columns)] for system in systems
    ]
    return "\n".join("| " + " | ".join(text.replace("|", "\\|") for text in line) + " |" for line in lines)


@functools.cache
def git_commit() -> str:
    """Return the short SHA of the code, with `-dirty` for uncommitted changes; `unknown` outside git."""
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=PAPER_VALUES.parent, capture_output=True, text=True, check=True)
    except (FileNotFoundError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()
