"""The result rows: schema, published numbers, replacement, damage."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from data_prep.errors import InputError
from experiments.lab.publishing import notes, published, results
from experiments.lab.publishing.results import Row

ROOT = Path(__file__).parents[1]
HEADER = "exhibit,row,column,metric,paper,ours,std,seeds,protocol,dataset,backbone,command,config_hash,commit"


def make_row(system="sRNN-AE", column="Ped2", ours=0.8, exhibit="table_03", metric="auc", **fields):
    return Row(exhibit, system, column, metric, ours, **fields)


@pytest.mark.parametrize(
    ("place", "paper"),
    [
        (("table_01", "Conv-AE", "Temporal Anomaly", "auc"), 0.6002),
        (("table_02", "Testing", "ShanghaiTech", "frames"), 42883),
        (("table_03", "ConvLSTM-AE", "Exit", "auc"), 0.877),
        (("table_03", "MPPC+SFA", "Ped2", "auc"), 0.613),
        (("table_04", "after Lu et al.", "LV", "auc"), 0.112),
        (("table_05", "LSTM-AE", "ShanghaiTech", "auc"), 0.533),
        (("table_06", "Gaussian kernel", "Avenue", "auc"), 0.8171),
        (("table_07", "Appearance+Optical flow based", "average inference time", "fps"), 3),
        (("table_08", "Temporal features", "Ped2", "auc"), 0.8882),
        (("table_09", "Early fusion", "ShanghaiTech", "auc"), 0.686),
        (("table_10", "sRNN-AE", "Training", "hours"), 1.2),
        (("table_03", "sRNN-AE", "Walkway", "auc"), None),
        (("table_03", "Hinami et al.", "Avenue", "auc"), None),
    ],
)
def test_paper_is_looked_up(place, paper):
    assert Row(*place, ours=0.5).paper == paper


def test_published_numbers_are_complete_and_consistent():
    with published.PAPER_VALUES.open(newline="") as file:
        lines = list(csv.DictReader(file))
    keys = [(line["exhibit"], line["row"], line["column"], line["metric"]) for line in lines]
    assert len(set(keys)) == len(keys)
    per_exhibit = {name: sum(key[0] == name for key in keys) for name, *_ in keys}
    # Cells with a number, counted on the pages of the paper.
    assert per_exhibit == {
        "table_01": 6, "table_02": 49, "table_03": 41, "table_04": 8, "table_05": 9, "table_06": 6,
        "table_07": 16, "table_08": 6, "table_09": 6, "table_10": 9, "figure_08": 4,
    }  # fmt: skip
    value = {key: float(line["paper"]) for key, line in zip(keys, lines, strict=True)}
    assert all(0 < number < 1 for key, number in value.items() if key[3] == "auc")
    # Two sums that Table 2 must keep, and numbers that several tables print.
    for dataset in ("Avenue", "Ped2", "Ped1", "Entrance", "Exit", "ShanghaiTech", "LV"):
        part = {name: value["table_02", name, dataset, "frames"] for name in
                ("Total", "Training", "Testing", "Regularity", "Irregularity")}  # fmt: skip
        assert part["Training"] + part["Testing"] == part["Total"]
        assert part["Regularity"] + part["Irregularity"] == part["Total"]
    for dataset in ("Avenue", "Ped2", "ShanghaiTech"):
        same = [("table_03", "sRNN-AE"), ("table_05", "sRNN-AE"), ("table_09", "Late Fusion")]
        same.append(("table_07", "Appearance+Appearance aggregation based"))
        assert len({value[exhibit, row, dataset, "auc"] for exhibit, row in same}) == 1


def test_a_number_of_one_dataset_stands_beside_that_dataset_only():
    def depth_row(dataset):
        return make_row(column="3", exhibit="figure_08", dataset=dataset)

    assert depth_row("Avenue").paper == depth_row("avenue").paper == 0.8348
    assert depth_row("Ped2").paper is None


def test_paper_cannot_be_typed():
    with pytest.raises(TypeError):
        make_row(paper=0.9)


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"ours": float("nan")}, "ours"),
        ({"ours": 83.48}, "fraction"),
        ({"ours": "failed"}, "not run"),
        ({"std": float("nan")}, "std"),
        ({"std": -0.1}, "std"),
        ({"seeds": -1}, "seeds"),
        ({"column": 3}, "column"),
        ({"exhibit": "tabel_3"}, "exhibit"),
    ],
)
def test_bad_fields_are_refused(fields, fault):
    with pytest.raises(ValueError, match=fault):
        make_row(**fields)


def test_csv_has_the_fixed_columns_and_round_trips(tmp_path):
    rows = [
        make_row(ours=1 / 3, std=0.01, seeds=3, protocol="per_clip, last", dataset="Ped2",
                 backbone="resnet50", command='x --only "a,b"', config_hash="00112233", commit="abc1234"),
        make_row(system="TSC", column="Walkway"),
    ]  # fmt: skip
    statuses = [
        make_row(column="Avenue", ours="no data", protocol="Avenue is not on disk"),
        make_row(system="MPPCA", ours="not run"),
    ]
    written = results.update_exhibit(tmp_path, "table_03", rows, lambda numbers: [*numbers, *statuses])
    with (tmp_path / "results.csv").open(newline="") as file:
        assert file.readline().strip() == HEADER
    with (tmp_path / "results.csv").open(newline="") as file:
        first, second, third, _ = csv.DictReader(file)
    assert (float(first["ours"]), float(first["paper"]), first["seeds"]) == (1 / 3, 0.9221, "3")
    assert (second["paper"], third["ours"], third["std"]) == ("", "no data", "")
    assert results.read_rows(tmp_path) == written == rows + statuses
    assert {file.name for file in tmp_path.iterdir()} == {"results.csv", ".lock"}


def test_update_touches_no_other_exhibit_and_keeps_the_papers_order(tmp_path):
    for exhibit in ("figure_08", "table_10", "table_03", "figure_07b", "figure_07a"):
        results.update_exhibit(tmp_path, exhibit, [make_row(exhibit=exhibit, ours=0.5)])
    results.update_exhibit(tmp_path, "table_03", [make_row(ours=0.7), make_row(system="TSC", ours=0.6)])
    rows = results.read_rows(tmp_path)
    names = ["table_03", "table_03", "table_10", "figure_07a", "figure_07b", "figure_08"]
    assert [row.exhibit for row in rows] == names
    assert [row.ours for row in rows] == [0.7, 0.6, 0.5, 0.5, 0.5, 0.5]


def test_rows_that_are_kept_stay_byte_for_byte(tmp_path):
    """A count too: it is written as it will be read back."""
    counted = make_row(exhibit="table_02", system="Total", metric="frames", ours=200)
    results.update_exhibit(tmp_path, "table_02", [counted])
    before = (tmp_path / "results.csv").read_text()
    results.update_exhibit(tmp_path, "table_03", [make_row()])
    assert (tmp_path / "results.csv").read_text().startswith(before)


def test_only_the_cells_that_were_asked_for_are_replaced(tmp_path):
    """A cell is replaced as a whole: a protocol that the new rows lack is gone."""
    first = [
        make_row(system=system, column=name, dataset=name, protocol=protocol, commit="old")
        for system in ("OC-SVM", "sRNN-AE")
        for name in ("Ped2", "Walkway")
        for protocol in ("per_clip", "global")
    ]
    results.update_exhibit(tmp_path, "table_03", first)
    new = make_row(column="Walkway", dataset="Walkway", protocol="train", ours=0.9, commit="new")
    rows = results.update_exhibit(tmp_path, "table_03", [new])
    assert [(row.row, row.column, row.protocol, row.commit) for row in rows] == [
        ("OC-SVM", "Ped2", "per_clip", "old"),
        ("OC-SVM", "Ped2", "global", "old"),
        ("OC-SVM", "Walkway", "per_clip", "old"),
        ("OC-SVM", "Walkway", "global", "old"),
        ("sRNN-AE", "Ped2", "per_clip", "old"),
        ("sRNN-AE", "Ped2", "global", "old"),
        ("sRNN-AE", "Walkway", "train", "new"),
    ]
    assert results.read_rows(tmp_path) == rows


def test_a_status_never_replaces_a_number_and_a_number_replaces_a_status(tmp_path):
    absent = {"Ped2": ("no data", "Ped2 is not on disk")}

    def fill(numbers):
        return results.complete("table_03", numbers, absent)

    def cells():
        rows = [row for row in results.read_rows(tmp_path) if row.column == "Ped2"]
        return {row.row: row.ours for row in rows if row.row in ("sRNN-AE", "TSC", "MPPCA")}

    results.update_exhibit(tmp_path, "table_03", [make_row(system="TSC", column="Walkway")], fill)
    assert cells() == {"sRNN-AE": "no data", "TSC": "no data", "MPPCA": "no data"}
    results.update_exhibit(tmp_path, "table_03", [make_row(dataset="Ped2", ours=0.7)], fill)
    # There is a number of Ped2: what has none was not run.
    assert cells() == {"sRNN-AE": 0.7, "TSC": "not run", "MPPCA": "not run"}
    results.update_exhibit(tmp_path, "table_03", [make_row(system="TSC", dataset="Ped2", ours=0.6)], fill)
    assert cells() == {"sRNN-AE": 0.7, "TSC": 0.6, "MPPCA": "not run"}
    results.update_exhibit(tmp_path, "table_03", [make_row(system="TSC", column="Walkway")], fill)
    assert cells() == {"sRNN-AE": 0.7, "TSC": 0.6, "MPPCA": "not run"}


def test_the_papers_number_stands_beside_the_headline_alone(tmp_path):
    protocols = ("spatial + 0.5 temporal", "spatial alone", "temporal alone")
    rows = [make_row(protocol=protocol) for protocol in protocols]
    written = results.update_exhibit(tmp_path, "table_03", rows)
    assert [row.paper for row in written] == [0.9221, None, None]
    assert results.read_rows(tmp_path) == written
    single = make_row(system="Spatial features", exhibit="table_08")  # there it is the headline
    assert results.update_exhibit(tmp_path, "table_08", [single])[0].paper == 0.912
    other = make_row(protocol="global", compared=False)
    assert results.update_exhibit(tmp_path, "table_03", [other])[0].paper is None
    assert results.read_rows(tmp_path)[0].paper is None


def test_update_refuses_strangers_repeated_keys_and_statuses(tmp_path):
    with pytest.raises(ValueError, match="table_05"):
        results.update_exhibit(tmp_path, "table_03", [make_row(exhibit="table_05")])
    with pytest.raises(ValueError, match="two rows for table_03 / sRNN-AE"):
        results.update_exhibit(tmp_path, "table_03", [make_row(), make_row(ours=0.9)])
    with pytest.raises(ValueError, match=r"sRNN-AE / Ped2 / auc .* without one"):
        results.update_exhibit(tmp_path, "table_03", [make_row(ours="not run")])
    results.update_exhibit(tmp_path, "table_03", [make_row(), make_row(ours=0.9, protocol="global")])


WRITE_ROWS = """
import sys
from pathlib import Path
from experiments.lab.publishing.notes import write_note, write_summary
from experiments.lab.publishing.results import Row, update_exhibit
folder, name = Path(sys.argv[1]), sys.argv[2]
for first in range(0, 60, 6):
    columns = range(first, first + 6)
    rows = [Row("table_03", f"system {name}", f"column {i}", "auc", i / 60) for i in columns]
    update_exhibit(folder, "table_03", rows)
    write_note(folder, f"{name} {first}", "a note")
    write_summary(folder, "2 cores", {f"{name} {first}": "failed"})
"""


def test_four_processes_at_once_lose_no_row_no_note_and_no_failure(tmp_path):
    commands = [[sys.executable, "-c", WRITE_ROWS, str(tmp_path), name] for name in "abcd"]
    processes = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) for command in commands]
    assert [process.wait() for process in processes] == [0] * 4
    found = {(row.row, row.column, row.ours) for row in results.read_rows(tmp_path)}
    assert found == {(f"system {name}", f"column {i}", i / 60) for name in "abcd" for i in range(60)}
    written = {f"{name} {first}" for name in "abcd" for first in range(0, 60, 6)}
    assert set(notes.read_notes(tmp_path)) == written
    assert set(notes.read_summary(tmp_path)["failures"]) == written


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (lambda text: text[: len(text) - 30], "line 2: expected 14 values"),
        (lambda text: text.replace("std,", "", 1), "header"),
        (lambda text: "", "empty"),
        (lambda text: text.replace("0.8", "eighty"), "line 2: .*eighty"),
        (lambda text: text.replace("0.8", "nan"), "line 2: ours"),
        (lambda text: text.replace("table_03", "chair_03"), "line 2: exhibit"),
        (lambda text: text + text.splitlines()[1] + "\n", "two rows"),
        (lambda text: text + 'table_03,"unclosed', "CSV"),
    ],
)
def test_damaged_results_are_refused_in_one_line(tmp_path, damage, fault):
    path = tmp_path / "results.csv"
    results.update_exhibit(tmp_path, "table_03", [make_row(protocol="per_clip", command="x" * 25)])
    path.write_text(damage(path.read_text()))
    before = path.read_bytes()
    with pytest.raises(InputError, match=fault) as caught:
        results.update_exhibit(tmp_path, "table_03", [make_row()])
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before


def test_binary_and_absent_results_are_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        results.read_rows(tmp_path)
    (tmp_path / "results.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="UTF-8"):
        results.read_rows(tmp_path)


def test_complete_names_what_is_missing():
    absent = {name: ("no data", f"{name} is not on disk") for name in ("Avenue", "Exit")}
    rows = results.complete("table_03", [make_row(ours=0.8)], absent)
    status = {(row.row, row.column): row.ours for row in rows}
    assert len(rows) == len(published.published("table_03")) == len(status)
    assert rows[0].ours == status["sRNN-AE", "Ped2"] == 0.8
    assert status["MPPCA", "Ped2"] == "not run"
    assert status["sRNN-AE", "Avenue"] == "no data"
    assert next(row for row in rows if row.column == "Exit").protocol == "Exit is not on disk"
    figure = results.complete("figure_08", [], absent)
    assert {(row.ours, row.dataset) for row in figure} == {("no data", "Avenue")}
