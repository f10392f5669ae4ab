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

LISTED = 5  # how many examples a line names


def first_screen(rows: Sequence[Row], profile: str, summary: Mapping) -> list[str]:
    """Return the lines, as HTML, that say which published numbers are reached, which not, on which data."""
    measured, head = [row for row in rows if row.measured], headline(rows)
    datasets, backbones, commits = (
        _listed(_distinct(part for row in measured for part in getattr(row, name).split(" + ")))
        for name in ("dataset", "backbone", "commit")
    )
    on = f"; last run on {escape(summary['machine'])}" if "machine" in summary else ""
    caution = "<b>The smoke profile only exercises the code: its numbers mean nothing.</b>"
    return [
        *([caution] if profile.startswith("smoke") else []),
        f"<b>Profile {escape(profile)}</b>, data: {datasets}. Backbone: {backbones}; the paper's is a ResNet "
        "trained on UCF101.",
        *_verdict_lines(head),
        *_ranking_line(head),
        *_absence_lines(head),
        *(
            f"<b>Failed:</b> {escape(f'{name}: {fault}')}"
            for name, fault in summary.get("failures", {}).items()
        ),
        f"Made by commit {commits}{on}.",
    ]


def _verdict_lines(head: Sequence[Row]) -> list[str]:
    published = sum(row.paper is not None for row in head)
    percentages = [row for row in head if row.metric in PERCENT_METRICS and verdict(row)]
    found = {name: [row for row in percentages if verdict(row) == name] for name in (REACHED, ABOVE, BELOW)}
    counts = [row for row in head if row.metric in COUNT_METRICS and verdict(row)]
    unequal = [row for row in counts if verdict(row) != REACHED]
    lines = [
        f"<b>{len(percentages)} published percentages compared</b> (of {published} numbers in all): "
        f"{len(found[REACHED])} reached within {TOLERANCE_POINTS:g} percentage points or their spread over "
        f"seeds, {len(found[ABOVE])} above, {len(found[BELOW])} not reached. Speeds and times are not judged."
    ]
    titles = {REACHED: "Reached", ABOVE: "Above", BELOW: "Not reached, largest gaps first"}
    for name, title in titles.items():
        by_gap = sorted(found[name], key=lambda row: abs(difference(row)), reverse=name != REACHED)
        lines += [f"<b>{title}:</b> {_examples(by_gap)}."] if by_gap else []
    if counts:
        line = f"<b>Dataset counts:</b> {len(counts) - len(unequal)} of {len(counts)} equal the paper's"
        lines.append(f"{line}; not {_examples(unequal)}." if unequal else f"{line}.")
    return lines


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
    absent = _distinct(row.dataset or row.column for row in head if row.ours == NO_DATA)
    ran = {row.row for row in head if row.measured}
    not_run = _distinct(row.row for row in head if row.ours == NOT_RUN and row.row not in ran)
    lines = [f"<b>No data on disk:</b> {_listed(absent)}."] if absent else []
    return lines + ([f"<b>Not run:</b> {_listed(not_run)}".removesuffix(".") + "."] if not_run else [])


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
