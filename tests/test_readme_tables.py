"""README's tables: made of our_values.csv, checked against it, and every figure in them stands in it."""

import csv
import re
import sys
from pathlib import Path

import pytest

from experiments import our_values as our_values_command
from experiments import readme_tables
from experiments.lab.publishing import our_values, results
from experiments.lab.publishing.results import Row

ROOT = Path(__file__).parents[1]
README = """# A project

<!-- table: quick/table_03 | Ped2 | Ped2 (train normalization) | Walkway -->
an old table
<!-- end -->

Between.

<!-- table: quick/table_08 -->
<!-- end -->
<!-- table: quick/table_03 | Ped2 | rows: TSC, OC-SVM -->
<!-- end -->
After.
"""


def row_of(system, column, ours, protocol="per_clip normalization", exhibit="table_03", **fields):
    fields = {"commit": "abc1234", "seeds": 3, "std": 0.01, "dataset": column, **fields}
    command = f"python -m experiments.{exhibit} --data /home/me/data --seeds 3"
    return Row(exhibit, system, column, "auc", ours, protocol=protocol, command=command, **fields)


ROWS = {
    "table_03": [
        row_of("sRNN-AE", "Ped2", 0.7676),
        row_of("sRNN-AE", "Ped2", 0.7647, protocol="train normalization"),
        row_of("sRNN-AE", "Walkway", 0.7902),
        row_of("TSC", "Ped2", 0.9, std=0.015),
        row_of("OC-SVM", "Ped2", 0.8158, std=None, seeds=1),
    ],
    "table_08": [row_of("Spatial features", "Ped2", 0.9112, exhibit="table_08", std=0.005)],
}


def call(monkeypatch, command, *arguments):
    monkeypatch.setattr(sys, "argv", ["command", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        command.main()
    return end.value.code


@pytest.fixture
def values(tmp_path, monkeypatch):
    """our_values.csv, taken over by the command from a results folder that holds a status row too."""
    folder = tmp_path / "results" / "quick"
    for exhibit, rows in ROWS.items():
        results.update_exhibit(folder, exhibit, rows, lambda rows, e=exhibit: results.complete(e, rows, {}))
    path = tmp_path / "our_values.csv"
    path.write_text(",".join(our_values.FIELDS) + "\n")
    arguments = ["--from", folder / "results.csv", "--exhibits", "table_03,table_08", "--values", path]
    assert call(monkeypatch, our_values_command, *arguments) == 0
    return path


@pytest.fixture
def readme(tmp_path):
    path = tmp_path / "README.md"
    path.write_text(README)
    return path


def figures(text):
    """The numbers with two decimals of the lines of Markdown tables."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return {number for line in lines for number in re.findall(r"\d+\.\d\d(?!\d)", line)}


def figures_of(path):
    """What such numbers may be: ours, their spread and the paper's, in per cent."""
    with path.open(newline="") as file:
        lines = list(csv.DictReader(file))
    numbers = [float(line[name]) for line in lines for name in ("ours", "std", "paper") if line[name]]
    return {f"{100 * number:.2f}" for number in numbers} | {f"{number:.2f}" for number in numbers}


def blocks(text):
    """What stands between markers."""
    return re.findall(r"<!-- table: .*? -->\n(.*?)<!-- end -->", text, re.DOTALL)


def test_rows_are_taken_over_with_commit_and_command(values):
    (name, rows), *others = our_values.read_our_values(values).items()
    assert (name, others) == ("quick", [])
    assert sorted((row.row, row.column, row.ours, row.commit) for row in rows) == sorted(
        (row.row, row.column, row.ours, "abc1234") for of_exhibit in ROWS.values() for row in of_exhibit
    )
    assert all(row.command.startswith("python -m experiments.") for row in rows)


def test_tables_are_written_between_their_markers_alone(values, readme, monkeypatch):
    assert call(monkeypatch, readme_tables, readme, "--values", values) == 0
    text = readme.read_text()
    head, *lines = blocks(text)[0].splitlines()
    assert head == "|  | Ped2, ours | paper |  | Ped2 (train normalization), ours | Walkway, ours |"
    assert lines[1:4] == [
        "| OC-SVM | 81.58 | 78.58 | above |  |  |",
        "| TSC | 90.00 ± 1.50 | 91.03 | reached |  |  |",
        "| sRNN-AE | 76.76 ± 1.00 | 92.21 | not reached | 76.47 ± 1.00 | 79.02 ± 1.00 |",
    ]
    assert "`python -m experiments.table_03 --data DIR --seeds 3` (commit abc1234)" in blocks(text)[0]
    assert "| Spatial features | 91.12 ± 0.50 | 91.20 | reached |" in blocks(text)[1]
    alone = blocks(text)[2].splitlines()
    assert alone[2:4] == ["| OC-SVM | 81.58 | 78.58 | above |", "| TSC | 90.00 ± 1.50 | 91.03 | reached |"]
    assert alone[4] == ""
    kept = [re.sub(r"(-->\n).*?(<!-- end)", r"\1\2", part, flags=re.DOTALL) for part in (README, text)]
    assert kept[0] == kept[1]


def test_check_changes_nothing_and_finds_what_is_another(values, readme, monkeypatch, capsys):
    assert call(monkeypatch, readme_tables, readme, "--values", values, "--check") == 2
    assert "run experiments.readme_tables" in capsys.readouterr().err
    assert readme.read_text() == README
    assert call(monkeypatch, readme_tables, readme, "--values", values) == 0
    written = readme.read_text()
    assert call(monkeypatch, readme_tables, readme, "--values", values, "--check") == 0
    readme.write_text(written.replace("76.76", "86.76"))
    assert call(monkeypatch, readme_tables, readme, "--values", values, "--check") == 2


def test_every_figure_of_a_table_stands_in_the_values(values, readme, monkeypatch):
    assert call(monkeypatch, readme_tables, readme, "--values", values) == 0
    found = figures("".join(blocks(readme.read_text())))
    assert {"76.76", "92.21", "1.50"} <= found <= figures_of(values)


def test_every_figure_of_the_readme_stands_in_the_values():
    """In its prose too: 98.21, and not the 3.11 of a version."""
    found = set(re.findall(r"\b\d\d\.\d\d\b", (ROOT / "README.md").read_text()))
    assert found - figures_of(our_values.OUR_VALUES) == set()
    assert len(found) > 10


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("quick/table_03", "paper/table_03", "no numbers, expected one of quick/table_03, quick/table_08"),
        ("| Walkway", "| Exit", "no numbers of Exit, expected columns of Ped2, Walkway"),
        ("(train", "(global", "no numbers of Ped2 (global normalization)"),
        ("rows: TSC", "rows: SVM", "no rows SVM, expected rows of OC-SVM, TSC, sRNN-AE"),
        ("an old table\n<!-- end -->", "an old table", "expected <!-- end --> behind it"),
    ],
)
def test_a_marker_that_cannot_be_served_is_refused(values, readme, monkeypatch, capsys, old, new, fault):
    readme.write_text(README.replace(old, new))
    assert call(monkeypatch, readme_tables, readme, "--values", values) == 2
    error = capsys.readouterr().err
    assert f"error: {readme}: <!-- table: " in error
    assert fault in error


@pytest.mark.parametrize(
    ("commit", "exhibits", "fault"),
    [
        (
            "abc1234-dirty",
            "table_03",
            "made by committed code, got table_03 / TSC / Ped2 by abc1234-dirty",
        ),
        ("abc1234 + def-dirty", "table_03", "by abc1234 + def-dirty"),
        ("unknown", "table_03", "by unknown"),
        ("abc1234", "table_03,table_05", "expected numbers of table_05, got none"),
    ],
)
def test_what_nobody_could_make_again_is_not_taken_over(
    values, tmp_path, monkeypatch, capsys, commit, exhibits, fault
):
    before = values.read_bytes()
    folder = tmp_path / "results" / "other"
    results.update_exhibit(folder, "table_03", [row_of("TSC", "Ped2", 0.5, commit=commit)])
    arguments = ["--from", folder, "--exhibits", exhibits, "--values", values]
    assert call(monkeypatch, our_values_command, *arguments) == 2
    assert fault in capsys.readouterr().err
    assert values.read_bytes() == before


def test_taking_over_again_replaces_the_exhibits_asked_for_alone(values, tmp_path, monkeypatch):
    folder = tmp_path / "results" / "quick"
    results.update_exhibit(folder, "table_08", [row_of("Spatial features", "Ped2", 0.5, exhibit="table_08")])
    arguments = ["--from", folder, "--exhibits", "table_08", "--values", values]
    assert call(monkeypatch, our_values_command, *arguments) == 0
    rows = our_values.read_our_values(values)["quick"]
    assert [row.ours for row in rows if row.exhibit == "table_08"] == [0.5]
    assert len(rows) == len(ROWS["table_03"]) + 1
