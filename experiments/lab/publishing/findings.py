"""What the rows of a results folder amount to, as the first screen of report.html says it."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from experiments.lab.publishing.published import exhibit_title
from experiments.lab.publishing.results import NO_DATA, NOT_RUN, PERCENT_METRICS, Row, headline
from experiments.lab.publishing.tables import format_cell, format_value
from experiments.lab.publishing.verdict import (
    ABOVE,
    BELOW,
    COUNT_METRICS,
    REACHED,
    TOLERANCE_POINTS,
    difference,
    verdict,
)
from experiments.lab.settings.chosen import CHOSEN_ROW

LISTED = 5  # how many examples a line names
SMOKE = "The smoke profile only exercises the code: its numbers mean nothing."
SWEEPS = ("figure_07a", "figure_07b", "figure_07c", "figure_08", "figure_11")


def first_screen(rows: Sequence[Row], profile: str, summary: Mapping) -> list[str]:
    """Return the lines, as HTML: what is reproduced, what not, what to use on one's own camera."""
    measured, head = [row for row in rows if row.measured], headline(rows)
    datasets, backbones, commits = (
        _listed(_distinct(part for row in measured for part in getattr(row, name).split(" + ")))
        for name in ("dataset", "backbone", "commit")
    )
    on = f"; last run on {escape(summary['machine'])}" if "machine" in summary else ""
    return [
        *([f"<b>{SMOKE}</b>"] if profile.startswith("smoke") else []),
        *_verdict_lines(head),
        _camera_line([] if profile.startswith("smoke") else head),
        *_ranking_line(head),
        f"<b>Profile {escape(profile)}</b>, data: {datasets}. Backbone: {backbones}; the paper's is a ResNet "
        "trained on UCF101.",
        *_absence_lines(head),
        *(
            f"<b>Failed:</b> {escape(f'{name}: {fault}')}"
            for name, fault in summary.get("failures", {}).items()
        ),
        f"Made by commit {commits}{on}.",
    ]


def _verdict_lines(head: Sequence[Row]) -> list[str]:
    """Say what is reproduced and what is not, and how many numbers that is of how many; all add up."""
    published = [row for row in head if row.paper is not None]
    here = [row for row in published if row.measured]
    shares = [row for row in here if row.metric in PERCENT_METRICS]
    counts = [row for row in here if row.metric in COUNT_METRICS]
    found = {name: [row for row in shares if verdict(row) == name] for name in (REACHED, ABOVE, BELOW)}
    reached, above, below = (len(found[name]) for name in (REACHED, ABOVE, BELOW))
    if not here:
        return ["None of the paper's numbers is measured here."]
    lines = [
        f"<b>Reproduced: {reached} of {len(shares)} percentages</b> of the paper, measured here, within "
        f"{TOLERANCE_POINTS:g} points or their spread over seeds. <b>Not reproduced:</b> {below} are below, "
        f"{above} above."
    ]
    titles = {BELOW: "Not reached, largest gaps first", REACHED: "Reached", ABOVE: "Above"}
    for name, title in titles.items():
        by_gap = sorted(found[name], key=lambda row: abs(difference(row)), reverse=name != REACHED)
        lines += [f"<b>{title}:</b> {_examples(by_gap)}."] if by_gap else []
    unequal = [row for row in counts if verdict(row) != REACHED]
    if counts:
        line = f"<b>Dataset counts:</b> {len(counts) - len(unequal)} of {len(counts)} equal the paper's"
        lines.append(f"{line}; not {_examples(unequal)}." if unequal else f"{line}.")
    n_others = len(here) - len(shares) - len(counts)
    lines.append(
        f"Of the paper's {len(published)} numbers in these exhibits, {len(here)} are measured here: "
        f"{len(shares)} percentages, {len(counts)} counts and {n_others} speeds, times and sizes, which are "
        f"not judged. {len(published) - len(here)} have no number of ours beside them."
    )
    return lines


def _camera_line(head: Sequence[Row]) -> str:
    """Say which settings are meant for one's own camera, and what the system that they run has with them."""
    name = CHOSEN_ROW.format("sRNN-AE")
    told = [
        f"{row.dataset} {format_value(row.metric, row.ours)}"
        for row in head
        if (row.exhibit, row.row, row.metric) == ("table_03", name, "auc") and row.column == row.dataset
    ]
    here = f" AUC of {name} in Table 3: {escape(', '.join(told))}." if told else ""
    return (
        "<b>For your own camera</b> take the settings that were chosen on other scenes: "
        f"<code>python -m experiments.watch VIDEO --train NORMAL --chosen</code>.{here}"
    )


def number_that_matters(rows: Sequence[Row]) -> str:
    """Return the number of an exhibit to be told alone, in words; empty where it has none.

    It is the highest AUC of what is swept first, else that of the row that is the paper's best, else a speed,
    else what is first of a table; a figure that shows anything else is for the eye. But for sweeps, no AUC of
    ours takes part in the choice.
    """
    measured = [row for row in headline(rows) if row.measured]
    if not measured:
        return ""
    aucs = [row for row in measured if row.metric == "auc"]
    if not aucs and measured[0].exhibit.startswith("figure"):
        return ""
    swept = [row for row in aucs if row.row == aucs[0].row] if measured[0].exhibit in SWEEPS else []

    def matters(row: Row) -> tuple[bool, bool, bool, bool, float]:
        is_auc = row.metric == "auc"
        published = (row.paper or 0.0) * is_auc
        return is_auc, row.metric == "fps", row.paper is not None, "sRNN-AE" in row.row, published

    row = max(swept, key=lambda r: r.ours) if swept else max(measured, key=matters)
    paper = "" if row.paper is None else f" (the paper: {format_value(row.metric, row.paper)})"
    unit = {"auc": "AUC ", "fps": ""}.get(row.metric, f"{row.metric} ")
    dataset = f", {row.dataset}" if row.dataset and row.dataset != row.column else ""
    best = "highest on test at " if swept else ""
    return f"{row.row}, {best}{row.column}{dataset}: {unit}{format_cell(row, with_paper=False)}{paper}"


def _ranking_line(head: Sequence[Row]) -> list[str]:
    """Say in how many columns of the tables the system that is best in the paper is best here too."""
    columns: dict[tuple[str, str], list[Row]] = {}
    for row in head:
        if row.metric == "auc" and row.exhibit.startswith("table") and difference(row) is not None:
            columns.setdefault((row.exhibit, row.column), []).append(row)
    contests = {place: found for place, found in columns.items() if len(found) > 1}
    if not contests:
        return []
    lost = [
        f"{_label(exhibit)} {column}"
        for (exhibit, column), found in contests.items()
        if max(found, key=lambda r: r.paper).row != max(found, key=lambda r: r.ours).row
    ]
    won = f"{len(contests) - len(lost)} of {len(contests)} table columns"
    line = f"<b>Order:</b> among the systems run, the paper's best is also ours in {won}"
    return [f"{line}; not in {_listed(lost)}." if lost else f"{line}."]


def _absence_lines(head: Sequence[Row]) -> list[str]:
    """Say which of the paper's numbers stand alone: no data on disk, or nobody has asked for them here."""
    absent = _distinct(row.dataset or row.column for row in head if row.ours == NO_DATA)
    ran = {name for row in head if row.measured for name in (row.row, row.column)}
    rest = [row for row in head if row.ours == NOT_RUN]
    alone = _distinct(row.row if row.row not in ran else row.column for row in rest)
    alone = [name for name in alone if name not in ran]
    lines = [f"<b>No data on disk:</b> {_listed(absent)}."] if absent else []
    title = "Not asked for, or not run by this profile"
    return lines + ([f"<b>{title}:</b> {_listed(alone)}".removesuffix(".") + "."] if alone else [])


def _label(exhibit: str) -> str:
    """Return `Table 3` for `table_03`."""
    return exhibit_title(exhibit).split(".")[0]


def _examples(rows: Sequence[Row]) -> str:
    told = [
        f"{_label(row.exhibit)} {row.row} {row.column} {format_cell(row, with_paper=False)} "
        f"(paper {format_value(row.metric, row.paper)})"
        for row in rows[:LISTED]
    ]
    more = f" and {len(rows) - LISTED} more" if len(rows) > LISTED else ""
    return escape("; ".join(told)) + more


def _distinct(values: Iterable) -> list:
    return [value for value in dict.fromkeys(values) if value]


def _listed(values: Sequence[str]) -> str:
    return escape(", ".join(values)) or "none"
