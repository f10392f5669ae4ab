"""Result rows as people read them: numbers with units, and tables with systems down and columns across."""

from collections.abc import Callable, Sequence
from pathlib import Path

from data_prep.files import write_atomic
from experiments.lab.publishing.published import DATASET_ORDER, exhibit_title, published
from experiments.lab.publishing.results import HELD_OUT, INTERVAL, PERCENT_METRICS, Row, headline


def table_order(rows: Sequence[Row]) -> tuple[list[str], list[str]]:
    """Return systems and columns of one exhibit in the paper's order, then those that the paper lacks.

    Datasets come before other columns, in the order of `DATASET_ORDER`; what has no number of ours is last.
    """
    names = [(row, column) for row, column, _ in published(rows[0].exhibit)]
    names += [(row.row, row.column) for row in rows]
    systems, columns = (dict.fromkeys(place) for place in zip(*names, strict=True))
    used_systems, used_columns = {row.row for row in rows}, {row.column for row in rows}
    rank = {title: index for index, title in enumerate(DATASET_ORDER)}
    measured = [(row.row, row.column) for row in rows if row.measured]
    systems_measured, columns_measured = map(set, zip(*measured, strict=True)) if measured else ((), ())
    columns = sorted(columns, key=lambda c: (c not in columns_measured, rank.get(c, len(rank))))
    systems = sorted(systems, key=lambda system: system not in systems_measured)
    return [s for s in systems if s in used_systems], [c for c in columns if c in used_columns]


def intervals(rows: Sequence[Row]) -> dict[tuple[str, ...], str]:
    """Return the intervals among the rows, `[low, high]` by what they share with their number."""
    ends: dict[tuple[str, ...], list[str]] = {}
    for row in rows:
        if row.metric in INTERVAL:
            ends.setdefault(number_of(row), []).append(format_value(row.metric, row.ours))
    return {number: f"[{', '.join(values)}]" for number, values in ends.items()}


def number_of(row: Row) -> tuple[str, ...]:
    """Return what a number shares with the ends of its interval."""
    return row.row, row.column, row.dataset, row.protocol, row.backbone


def grid(rows: Sequence[Row]) -> tuple[list[str], dict[str, list[list[Row]]]]:
    """Return the columns of a table and, for each system, the rows of each, without what stands beside."""
    systems, columns = table_order(rows)
    places: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row.metric not in (*INTERVAL, *HELD_OUT):
            places.setdefault((row.row, row.column), []).append(row)
    return columns, {system: [places.get((system, column), []) for column in columns] for system in systems}


def text_grid(rows: Sequence[Row], cell: Callable[[Row], str], between: str) -> list[list[str]]:
    """Return a table as lines of texts, the head first; `cell` says what a row reads.

    Rows of one place stand one after another with `between` them, each with its interval, and its dataset
    where they differ.
    """
    columns, systems = grid(rows)
    of_number = intervals(rows)

    def text(here: Sequence[Row]) -> str:
        several = len({row.dataset for row in here}) > 1
        parts = [
            (cell(row), of_number.get(number_of(row), ""), f"[{row.dataset}]" if several else "")
            for row in here
        ]
        return between.join(" ".join(filter(None, part)) for part in parts)

    return [["", *columns], *([system, *map(text, places)] for system, places in systems.items())]


def format_value(metric: str, value: float) -> str:
    """Return a number as people read it: fractions in per cent, counts whole, the rest in 4 digits.

    Large numbers have their thousands apart and no exponent; hours are told as minutes or seconds where they
    are less than one.
    """
    if metric in PERCENT_METRICS:
        return f"{100 * value:.2f}"
    unit = {"fps": " FPS", "hours": " h", "seconds": " s"}.get(metric, "")
    if metric == "hours" and value < 1:
        value, unit = (60 * value, " min") if value >= 1 / 60 else (3600 * value, " s")
    whole = float(value).is_integer() or abs(value) >= 1000
    return (f"{value:,.0f}" if whole else f"{value:.4g}") + unit


def format_cell(row: Row, with_paper: bool = True) -> str:
    """Return `ours ± std (paper)`, with the status where there is no number of ours."""
    text = format_value(row.metric, row.ours) if row.measured else str(row.ours)
    if row.measured and row.std is not None:
        text += f" ± {format_value(row.metric, row.std)}"
    return text if row.paper is None or not with_paper else f"{text} ({format_value(row.metric, row.paper)})"


def text_table(rows: Sequence[Row], profile: str) -> str:
    """Return the headline of one exhibit for a terminal: its title, then `ours ± std (paper)` aligned.

    Systems and columns without a number of ours are named below it.
    """
    main = headline(rows)
    measured = [row for row in main if row.measured]
    lines = text_grid(measured, format_cell, "; ") if measured else []
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = [
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip()
        for line in lines
    ]
    paper = " (the paper)" if any(row.paper is not None for row in measured) else ""
    interval = " [95 % interval over test clips]" if intervals(measured) else ""
    title = f"{exhibit_title(main[0].exhibit)}, profile {profile}: ours{interval}{paper}"
    return "\n".join([title, *text, *filter(None, [missing(main)])])


def missing(main: Sequence[Row]) -> str:
    """Return the systems and the columns without a number of ours: "no data: Avenue; not run: MPPCA"."""
    measured = {name for row in main if row.measured for name in (row.row, row.column)}
    named: dict[str, dict[str, None]] = {}
    for row in main:
        name = row.row if row.column in measured else row.column
        if not row.measured and name not in measured:
            named.setdefault(str(row.ours), {})[name] = None
    return "; ".join(f"{status}: {', '.join(names)}" for status, names in named.items())


def write_markdown_table(
    results_dir: Path, exhibit: str, rows: Sequence[Row], profile: str, note: str = ""
) -> Path:
    """Write `<exhibit>.md`: systems down, columns across, each cell `ours ± std (paper)`; return its path.

    The headline numbers make the main table; every other protocol or backbone has a table below it, without
    the paper's numbers, which are those of the headline. `note` says what differs from the paper.
    """
    main = headline(rows)
    variants: dict[str, list[Row]] = {}
    for row in rows:
        if row not in main:
            variants.setdefault(", ".join(filter(None, (row.protocol, row.backbone))), []).append(row)
    told = [caption(main, profile), protocols(main), *filter(None, [note])]
    parts = [f"# {exhibit_title(exhibit)}", _markdown_grid(main, format_cell), *told]
    for variant, variant_rows in variants.items():
        ours = _markdown_grid(variant_rows, lambda row: format_cell(row, with_paper=False))
        parts += [f"## {variant}", ours]
    path = results_dir / f"{exhibit}.md"
    write_atomic(path, ("\n\n".join(parts) + "\n").encode())
    return path


def caption(main: Sequence[Row], profile: str) -> str:
    """Return what holds for all headline numbers of a table: profile, unit, backbones, seeds."""
    measured = [row for row in main if row.measured]
    backbones = sorted({row.backbone for row in measured if row.backbone})
    seeds = sorted({row.seeds for row in measured if row.seeds})
    interval = ", [95 % bootstrap interval over test clips]" if intervals(main) else ""
    sentences = [f"Ours ± standard deviation over seeds (the paper's number){interval}. Profile: {profile}."]
    if any(row.metric in PERCENT_METRICS for row in measured):
        sentences.append("AUC in per cent.")
    sentences += [f"Backbone: {', '.join(backbones)}."] if backbones else []
    sentences += [f"Seeds: {', '.join(map(str, seeds))}."] if seeds else []
    absent = sorted({str(row.ours) for row in main if not row.measured})
    sentences += (
        [f"Cells with {' or '.join(map(repr, absent))} have the paper's number alone."] if absent else []
    )
    return " ".join(sentences)


def protocols(main: Sequence[Row]) -> str:
    """Return a list of the protocols behind the headline numbers, each with the systems that it holds for."""
    systems: dict[str, list[str]] = {}
    for row in main:
        told = row.measured and row.metric not in HELD_OUT  # these have a note
        if told and row.row not in systems.setdefault(row.protocol, []):
            systems[row.protocol].append(row.row)
    return "\n".join(f"- {', '.join(names)}: {protocol}" for protocol, names in systems.items())


def _markdown_grid(rows: Sequence[Row], cell: Callable[[Row], str]) -> str:
    return markdown_lines(text_grid(rows, cell, "<br>"))


def markdown_lines(lines: Sequence[Sequence[str]]) -> str:
    """Return lines of texts, the head first, as a Markdown table."""
    head, *rest = lines
    ruled = [head, ["---"] * len(head), *rest]
    return "\n".join("| " + " | ".join(text.replace("|", "\\|") for text in line) + " |" for line in ruled)
