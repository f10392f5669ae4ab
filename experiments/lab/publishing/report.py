"""`report.html`: one self-contained page with the paper's numbers and ours side by side.

It is made of what a results folder holds: `results.csv`, the PNG files named after an exhibit
(`figure_06.png`, `figure_06_ped2.png`), and, when present, `notes.json` (exhibit -> what differs from the
paper) and `summary.json` (machine, failures: exhibit -> message).
"""

import base64
import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template

from data_prep.files import locked, write_atomic
from experiments.lab.publishing.findings import first_screen
from experiments.lab.publishing.notes import read_notes, read_summary
from experiments.lab.publishing.published import exhibit_order, exhibit_title
from experiments.lab.publishing.results import PERCENT_METRICS, Row, headline, read_rows
from experiments.lab.publishing.tables import format_cell, format_value, grid, intervals, missing, number_of
from experiments.lab.publishing.verdict import ABOVE, BELOW, COUNT_METRICS, REACHED, difference, verdict

LONGEST_NOTE = 300  # characters that are shown at once
_IMAGE = re.compile(r"((?:table|figure)_\d\d[a-z]?)(?:_.+)?\.png")
_COLORS = {REACHED: "good", ABOVE: "good", BELOW: "bad"}

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
.note{overflow-wrap:anywhere} .long td,.long th{text-align:left}
.long .number{text-align:right;white-space:nowrap}
.good{color:#00664b}.bad{color:#a63d00} img{max-width:100%;height:auto;display:block;margin:.6rem 0}
details{margin-top:.7rem} summary{cursor:pointer}
nav{margin:.8rem 0} nav a{margin-right:.7rem;white-space:nowrap}
@media(max-width:600px){body{font-size:15px;padding:.7rem}
.grid td,.grid th{padding:.3rem .35rem} .grid thead th{white-space:normal}
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
    with locked(results_dir):
        rows, notes, summary = read_rows(results_dir), read_notes(results_dir), read_summary(results_dir)
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


def _section(exhibit: str, rows: Sequence[Row], images: Sequence[Path], notes: Mapping[str, str]) -> str:
    parts = [f'<section id="{exhibit}"><h2>{escape(exhibit_title(exhibit))}</h2>']
    if rows and exhibit.startswith("table"):
        parts.append(_grid(headline(rows)))
    for path in images:
        content = base64.b64encode(path.read_bytes()).decode()
        parts.append(f'<img alt="{escape(path.stem)}" src="data:image/png;base64,{content}">')
    if exhibit in notes:
        parts.append(_note(notes[exhibit]))
    if rows:
        parts.append(_long_table(rows))
    return "\n".join([*parts, "</section>"])


def _note(note: str) -> str:
    """Return a note, what is beyond its first sentences folded."""
    sentences = re.split(r"(?<=\.) (?=[A-Z])", note)
    n_shown = 1
    while n_shown < len(sentences) and len(" ".join(sentences[: n_shown + 1])) <= LONGEST_NOTE:
        n_shown += 1
    shown, rest = (escape(" ".join(part)) for part in (sentences[:n_shown], sentences[n_shown:]))
    folded = f'<details class="note"><summary>More on what differs</summary>{rest}</details>' if rest else ""
    return f'<p class="note">{shown}</p>{folded}'


def _grid(rows: Sequence[Row]) -> str:
    """Return the table in the paper's shape: ours, the paper's number and the difference in each cell.

    Systems and columns without a number of ours are named below it.
    """
    measured = [row for row in rows if row.measured]
    columns, systems = grid(measured or rows)
    of_number = intervals(rows)
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(
        f"<tr><th>{escape(system)}</th>"
        + "".join(_grid_place(place, of_number) for place in places)
        + "</tr>"
        for system, places in systems.items()
    )
    interval = ", [95 % bootstrap interval over test clips]" if of_number else ""
    legend = f"Ours in bold ± standard deviation over seeds{interval}"
    beside = any(row.measured and row.paper is not None for row in rows)
    legend += ", the paper's number below it, then the difference or ratio." if beside else "."
    if any(row.metric in PERCENT_METRICS for row in rows):
        legend += " AUC in per cent, differences in percentage points."
    if measured and (named := missing(rows)):
        legend += f" Without a number of ours, {escape(named).rstrip('.')}."
    table = f'<table class="grid"><thead><tr><th></th>{head}</tr></thead><tbody>{body}</tbody></table>'
    return f'<div class="wrap">{table}</div><small>{legend}</small>'


def _grid_place(rows: Sequence[Row], of_number: Mapping[tuple[str, ...], str]) -> str:
    several = len({row.dataset for row in rows}) > 1
    cells = (_grid_cell(row, of_number.get(number_of(row), ""), several) for row in rows)
    return f"<td>{''.join(cells)}</td>"


def _grid_cell(row: Row, interval: str, names_dataset: bool) -> str:
    paper = "" if row.paper is None else f"<br><small>paper {format_value(row.metric, row.paper)}</small>"
    said = verdict(row) if row.metric in PERCENT_METRICS else ""  # a count says it by itself
    gap = ", ".join(filter(None, (_difference_text(row), said)))
    gap = f'<br><small class="{_COLORS.get(verdict(row), "muted")}">{gap}</small>' if gap else ""
    text = format_cell(row, with_paper=False)
    ours = f"<b>{text}</b>" if row.measured else f'<span class="muted">{text}</span>'
    dataset = f"<br><small>{escape(row.dataset)}</small>" if names_dataset else ""
    interval = f"<br><small>{interval}</small>" if interval else ""
    return f"<div>{ours}{interval}{paper}{gap}{dataset}</div>"


def _long_table(rows: Sequence[Row]) -> str:
    """Return every number of the exhibit with its provenance, folded; on narrow screens a card each."""
    labels = ("Column", "Metric", "Paper", "Ours", "Difference", "Protocol", "Dataset", "Backbone", "Seeds")
    labels += ("Commit", "Configuration")
    numbers = {"Paper", "Ours", "Difference", "Seeds"}
    tags = [f'{" class=number" if label in numbers else ""} data-label="{label}"' for label in labels]
    body = []
    for row in rows:
        paper = "" if row.paper is None else format_value(row.metric, row.paper)
        ours = format_cell(row, with_paper=False)
        cells = [row.column, row.metric, paper, ours, _difference_text(row), row.protocol]
        cells += [row.dataset, row.backbone, str(row.seeds or ""), row.commit, row.config_hash]
        tagged = zip(tags, cells, strict=True)
        body.append(f"<tr><th>{escape(row.row)}</th>")
        body += [f"<td{tag}>{escape(cell)}</td>" for tag, cell in tagged]
        body.append("</tr>")
    made_by: dict[str, dict[str, None]] = {}
    for row in rows:
        if row.measured:
            made_by.setdefault(row.command, {})[row.commit] = None
    origin = "<br>".join(
        f"<code>{escape(command or 'no command')}</code> at commit {escape(', '.join(commits))}"
        for command, commits in made_by.items()
    )
    head = "<th>System</th>" + "".join(
        f"<th{tag}>{label}</th>" for tag, label in zip(tags, labels, strict=True)
    )
    return (
        f"<p><small>Made by {origin}</small></p><details><summary>All {len(rows)} numbers with protocol, "
        f'backbone and seeds</summary><div class="wrap"><table class="long"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div></details>"
    )


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
    return f"{float(row.ours) / row.paper:.3g} times" if row.paper else ""
