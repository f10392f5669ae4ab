"""`report.html`: one self-contained page with the paper's numbers and ours side by side.

It is made of what a results folder holds: `results.csv`, the PNG files named after an exhibit
(`figure_06.png`, `figure_06_ped2.png`), and, when present, `notes.json` (exhibit -> a sentence on what
differs) and `summary.json` (machine, failures: exhibit -> message).
"""

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template

from data_prep.files import write_atomic
from experiments.lab.publishing.notes import read_notes, read_summary
from experiments.lab.publishing.published import exhibit_order, exhibit_title
from experiments.lab.publishing.results import NO_DATA, NOT_RUN, PERCENT_METRICS, Row, headline, read_rows
from experiments.lab.publishing.tables import format_value, table_order
from experiments.lab.publishing.verdict import COUNT_METRICS, TOLERANCE_POINTS, difference, verdict

LISTED = 5  # how many examples a line of the first screen names
_IMAGE = re.compile(r"((?:table|figure)_\d\d[a-z]?)(?:_.+)?\.png")

_PAGE = Template("""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>srnn-ae: the paper and ours ($profile)</title>
<style>
body{font:16px/1.5 system-ui,sans-serif;color:#1a1a1a;max-width:72rem;margin:0 auto;padding:1rem}
h1{font-size:1.5rem;line-height:1.25;margin:.2rem 0 .6rem} h2{font-size:1.2rem;margin:0 0 .4rem}
section{border-top:1px solid #ccc;padding:1.2rem 0} ul.first{padding-left:1.1rem;margin:0}
ul.first li{margin:.25rem 0} .muted,small,.note{color:#595959} .note{font-size:.85rem}
code{font-size:.85em;overflow-wrap:anywhere}
.wrap{overflow-x:auto} table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums}
th,td{padding:.3rem .7rem;text-align:right;border-bottom:1px solid #e2e2e2;vertical-align:top}
th{white-space:nowrap} thead th{border-bottom:2px solid #888}
th:first-child{text-align:left;position:sticky;left:0;background:#fff}
.grid td{white-space:nowrap} .grid th:first-child{white-space:normal;min-width:6rem}
.long td,.long th{text-align:left} .long .number{text-align:right;white-space:nowrap}
.good{color:#00664b}.bad{color:#a63d00} img{max-width:100%;height:auto;display:block;margin:.6rem 0}
details{margin-top:.7rem} summary{cursor:pointer}
nav{margin:.8rem 0} nav a{margin-right:.7rem;white-space:nowrap}
@media(max-width:600px){body{font-size:15px;padding:.7rem}
.long,.long tbody{display:block} .long thead{display:none}
.long tr{display:block;border-bottom:2px solid #ccc;padding:.4rem 0}
.long td,.long th{display:flex;justify-content:space-between;gap:1rem;border:0;padding:.1rem 0}
.long td{text-align:right} .long th{white-space:normal} .long td:empty{display:none}
.long td::before{content:attr(data-label);color:#595959}}
</style></head><body>
<h1>Video Anomaly Detection With Sparse Coding Inspired Deep Neural Networks: the paper and ours</h1>
<ul class="first">$first_screen</ul>
<nav>$contents</nav>
$sections
</body></html>
""")


def build_report(results_dir: Path, profile: str, out_path: Path) -> Path:
    """Write the report of `results_dir` to `out_path`, atomically; return `out_path`.

    Raises InputError when `results.csv` is absent or when it, `notes.json` or `summary.json` is damaged.
    """
    rows = read_rows(results_dir)
    notes = read_notes(results_dir)
    summary = read_summary(results_dir)
    images: dict[str, list[Path]] = {}
    for path in sorted(results_dir.glob("*.png")):
        if match := _IMAGE.fullmatch(path.name):
            images.setdefault(match[1], []).append(path)
    exhibits = sorted({row.exhibit for row in rows} | set(images), key=exhibit_order)
    sections = [
        _section(exhibit, [row for row in rows if row.exhibit == exhibit], images.get(exhibit, []), notes)
        for exhibit in exhibits
    ]
    contents = (f'<a href="#{name}">{exhibit_title(name).split(".")[0]}</a>' for name in exhibits)
    page = _PAGE.substitute(
        profile=escape(profile),
        first_screen="\n".join(f"<li>{line}</li>" for line in first_screen(rows, profile, summary)),
        contents="\n".join(contents),
        sections="\n".join(sections),
    )
    write_atomic(out_path, page.encode())
    return out_path


def first_screen(rows: Sequence[Row], profile: str, summary: Mapping) -> list[str]:
    """Return the lines, as HTML, that say what reproduced, what did not, and on which data."""
    measured, head = [row for row in rows if row.measured], headline(rows)
    datasets, backbones, commits = (
        _listed(_distinct(part for row in measured for part in getattr(row, name).split(" + ")))
        for name in ("dataset", "backbone", "commit")
    )
    on = f"; on {escape(summary['machine'])}" if "machine" in summary else ""
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
    found = {
        name: [r for r in percentages if verdict(r) == name] for name in ("reproduced", "exceeded", "short")
    }
    counts = [row for row in head if row.metric in COUNT_METRICS and verdict(row)]
    unequal = [row for row in counts if verdict(row) != "reproduced"]
    lines = [
        f"<b>{len(percentages)} published percentages compared</b> (of {published} numbers in all): "
        f"{len(found['reproduced'])} reproduced within {TOLERANCE_POINTS:g} percentage points, "
        f"{len(found['exceeded'])} above, {len(found['short'])} below. Speeds and times are not judged."
    ]
    for name, title in (
        ("reproduced", "Reproduced"),
        ("exceeded", "Above"),
        ("short", "Below, largest gaps first"),
    ):
        by_gap = sorted(found[name], key=lambda row: abs(difference(row)), reverse=name != "reproduced")
        lines += [f"<b>{title}:</b> {_examples(by_gap)}."] if by_gap else []
    if counts:
        line = f"<b>Dataset counts:</b> {len(counts) - len(unequal)} of {len(counts)} equal the paper's"
        lines.append(f"{line}; not {_examples(unequal)}." if unequal else f"{line}.")
    return lines


def _absence_lines(head: Sequence[Row]) -> list[str]:
    absent = _distinct(row.dataset or row.column for row in head if row.ours == NO_DATA)
    ran = {row.row for row in head if row.measured}
    not_run = _distinct(row.row for row in head if row.ours == NOT_RUN and row.row not in ran)
    lines = [f"<b>No data on disk:</b> {_listed(absent)}."] if absent else []
    return lines + ([f"<b>Not run:</b> {_listed(not_run)}".removesuffix(".") + "."] if not_run else [])


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
        f"{exhibit_title(exhibit).split('.')[0]} {column}"
        for (exhibit, column), found in contests.items()
        if max(found, key=lambda r: r.paper).row != max(found, key=lambda r: r.ours).row
    ]
    won = f"{len(contests) - len(lost)} of {len(contests)} table columns"
    line = f"<b>Order:</b> among the systems run, the paper's best is also ours in {won}"
    return [f"{line}; not in {_listed(lost)}." if lost else f"{line}."]


def _section(exhibit: str, rows: Sequence[Row], images: Sequence[Path], notes: Mapping[str, str]) -> str:
    parts = [f'<section id="{exhibit}"><h2>{escape(exhibit_title(exhibit))}</h2>']
    if rows and exhibit.startswith("table"):
        parts.append(_grid(headline(rows)))
    for path in images:
        content = base64.b64encode(path.read_bytes()).decode()
        parts.append(f'<img alt="{escape(path.stem)}" src="data:image/png;base64,{content}">')
    if exhibit in notes:
        parts.append(f'<p class="note">{escape(notes[exhibit])}</p>')
    if rows:
        parts.append(_long_table(rows))
    return "\n".join([*parts, "</section>"])


def _grid(rows: Sequence[Row]) -> str:
    """Return the table in the paper's shape: ours, the paper's number and the difference in each cell."""
    systems, columns = table_order(rows)
    cells: dict[tuple[str, str], str] = {}
    for row in rows:
        cells[row.row, row.column] = cells.get((row.row, row.column), "") + _grid_cell(row)
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(
        f"<tr><th>{escape(system)}</th>"
        + "".join(f"<td>{cells.get((system, column), '')}</td>" for column in columns)
        + "</tr>"
        for system in systems
    )
    legend = "Ours in bold, the paper's number below it, then the difference or ratio"
    if any(row.metric in PERCENT_METRICS for row in rows):
        legend += "; AUC in per cent, differences in percentage points"
    table = f'<table class="grid"><thead><tr><th></th>{head}</tr></thead><tbody>{body}</tbody></table>'
    return f'<div class="wrap">{table}</div><small>{legend}.</small>'


def _grid_cell(row: Row) -> str:
    paper = "" if row.paper is None else f"<br><small>paper {format_value(row.metric, row.paper)}</small>"
    gap = _difference_text(row)
    gap = f'<br><small class="{_color(row)}">{gap}</small>' if gap else ""
    ours = f"<b>{_ours_text(row)}</b>" if row.measured else f'<span class="muted">{row.ours}</span>'
    return f"<div>{ours}{paper}{gap}</div>"


def _long_table(rows: Sequence[Row]) -> str:
    """Return every number of the exhibit with its provenance, folded; on narrow screens a card each."""
    labels = ("Column", "Metric", "Paper", "Ours", "Difference", "Protocol", "Dataset", "Backbone", "Seeds")
    numbers = {"Paper", "Ours", "Difference", "Seeds"}
    tags = [f'{" class=number" if label in numbers else ""} data-label="{label}"' for label in labels]
    body = []
    for row in rows:
        paper = "" if row.paper is None else format_value(row.metric, row.paper)
        cells = [row.column, row.metric, paper, _ours_text(row), _difference_text(row), row.protocol]
        cells += [row.dataset, row.backbone, str(row.seeds or "")]
        tagged = zip(tags, cells, strict=True)
        body.append(f"<tr><th>{escape(row.row)}</th>")
        body += [f"<td{tag}>{escape(cell)}</td>" for tag, cell in tagged]
        body.append("</tr>")
    made_by: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        configurations = made_by.setdefault((row.command, row.commit), [])
        if row.config_hash and row.config_hash not in configurations:
            configurations.append(row.config_hash)
    origin = "<br>".join(
        f"<code>{escape(command or 'no command')}</code> at commit {escape(commit or 'unknown')}"
        + (f", configurations {escape(', '.join(configurations))}" if configurations else "")
        for (command, commit), configurations in made_by.items()
    )
    head = "<th>System</th>" + "".join(
        f"<th{tag}>{label}</th>" for tag, label in zip(tags, labels, strict=True)
    )
    return (
        f"<p><small>Made by {origin}</small></p><details><summary>All {len(rows)} numbers with protocol, "
        f'backbone and seeds</summary><div class="wrap"><table class="long"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div></details>"
    )


def _ours_text(row: Row) -> str:
    if not row.measured:
        return str(row.ours)
    spread = "" if row.std is None else f" ± {format_value(row.metric, row.std)}"
    return format_value(row.metric, row.ours) + spread


def _difference_text(row: Row) -> str:
    gap = difference(row)
    if gap is None:
        return ""
    if row.metric in PERCENT_METRICS:
        return f"{gap:+.2f} pp"
    if not gap:
        return "equal"
    if row.metric in COUNT_METRICS:
        return f"{gap:+,.0f}"
    return f"{row.ours / row.paper:.3g} times" if row.paper else ""


def _color(row: Row) -> str:
    return {"reproduced": "good", "exceeded": "good", "short": "bad"}.get(verdict(row), "muted")


def _example(row: Row) -> str:
    place = f"{exhibit_title(row.exhibit).split('.')[0]} {row.row} {row.column}"
    return f"{escape(place)} {_ours_text(row)} (paper {format_value(row.metric, row.paper)})"


def _examples(rows: Sequence[Row]) -> str:
    more = f" and {len(rows) - LISTED} more" if len(rows) > LISTED else ""
    return "; ".join(map(_example, rows[:LISTED])) + more


def _distinct(values: Iterable) -> list:
    return [value for value in dict.fromkeys(values) if value]


def _listed(values: Sequence[str]) -> str:
    return escape(", ".join(values)) or "none"
