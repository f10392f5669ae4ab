"""The result rows: schema, published numbers, replacement, damage, Markdown tables."""

import csv
import re
import subprocess

import pytest

from data_prep.errors import InputError
from experiments.lab.publishing import results
from experiments.lab.publishing.results import Row

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
        (("table_04", "Lu et al.", "LV", "auc"), 0.112),
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
    with results.PAPER_VALUES.open(newline="") as file:
        lines = list(csv.DictReader(file))
    keys = [(line["exhibit"], line["row"], line["column"], line["metric"]) for line in lines]
    assert len(set(keys)) == len(keys)
    per_exhibit = {name: sum(key[0] == name for key in keys) for name, *_ in keys}
    # Cells with a number, counted on the pages of the paper.
    assert per_exhibit == {
        "table_01": 6, "table_02": 49, "table_03": 41, "table_04": 8, "table_05": 9, "table_06": 6,
        "table_07": 16, "table_08": 6, "table_09": 6, "table_10": 9, "figure_08": 4, "figure_09": 1,
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
        make_row(column="Avenue", ours="no data", protocol="Avenue is not on disk"),
        make_row(system="MPPCA", ours="not run"),
    ]  # fmt: skip
    path = results.replace_exhibit(tmp_path, "table_03", rows)
    assert path.read_text().splitlines()[0] == HEADER
    with path.open(newline="") as file:
        first, second, _ = csv.DictReader(file)
    assert (float(first["ours"]), float(first["paper"]), first["seeds"]) == (1 / 3, 0.9221, "3")
    assert (second["ours"], second["std"]) == ("no data", "")
    assert results.read_rows(tmp_path) == rows
    assert [file.name for file in tmp_path.iterdir()] == ["results.csv"]


def test_replace_exhibit_touches_no_other_and_keeps_the_papers_order(tmp_path):
    for exhibit in ("figure_08", "table_10", "table_03", "figure_07b", "figure_07a"):
        results.replace_exhibit(tmp_path, exhibit, [make_row(exhibit=exhibit, ours=0.5)])
    new = [make_row(ours=0.7), make_row(system="TSC", ours=0.6)]
    results.replace_exhibit(tmp_path, "table_03", new)
    rows = results.read_rows(tmp_path)
    names = ["table_03", "table_03", "table_10", "figure_07a", "figure_07b", "figure_08"]
    assert [row.exhibit for row in rows] == names
    assert [row.ours for row in rows] == [0.7, 0.6, 0.5, 0.5, 0.5, 0.5]


def test_rows_that_are_kept_stay_byte_for_byte(tmp_path):
    """A count too: it is written as it will be read back."""
    counted = make_row(exhibit="table_02", system="Total", metric="frames", ours=200)
    path = results.replace_exhibit(tmp_path, "table_02", [counted])
    before = path.read_text()
    results.replace_exhibit(tmp_path, "table_03", [make_row()])
    assert path.read_text().startswith(before)


def test_replace_exhibit_refuses_strangers_and_repeated_keys(tmp_path):
    with pytest.raises(ValueError, match="table_05"):
        results.replace_exhibit(tmp_path, "table_03", [make_row(exhibit="table_05")])
    with pytest.raises(ValueError, match="two rows for table_03 / sRNN-AE"):
        results.replace_exhibit(tmp_path, "table_03", [make_row(), make_row(ours=0.9)])
    results.replace_exhibit(tmp_path, "table_03", [make_row(), make_row(ours=0.9, protocol="global")])


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
    path = results.replace_exhibit(tmp_path, "table_03", [make_row(protocol="per_clip", command="x" * 25)])
    path.write_text(damage(path.read_text()))
    before = path.read_bytes()
    with pytest.raises(InputError, match=fault) as caught:
        results.replace_exhibit(tmp_path, "table_03", [make_row()])
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
    rows = results.complete("table_03", [make_row(ours=0.8)], with_data={"Ped2"})
    status = {(row.row, row.column): row.ours for row in rows}
    assert len(rows) == len(results.published("table_03")) == len(status)
    assert rows[0].ours == status["sRNN-AE", "Ped2"] == 0.8
    assert status["MPPCA", "Ped2"] == "not run"
    assert status["sRNN-AE", "Avenue"] == "no data"
    assert next(row for row in rows if row.column == "Exit").protocol == "Exit is not on disk"
    figure = results.complete("figure_08", [], with_data={"Ped2"})
    assert {(row.ours, row.dataset) for row in figure} == {("no data", "Avenue")}


def test_markdown_table(tmp_path):
    rows = [
        make_row(system="TSC", column="Walkway", ours=0.95, std=0.0123, seeds=2, backbone="thin_resnet50"),
        make_row(ours=0.79836, seeds=2, protocol="per_clip", backbone="thin_resnet50"),
        make_row(ours=0.81, seeds=2, protocol="global", backbone="thin_resnet50"),
        make_row(column="Avenue", ours="no data"),
        make_row(system="MPPCA", ours="not run"),
    ]
    path = results.write_markdown_table(
        tmp_path, "table_03", rows, "quick", "per_clip", "last", "Settings: n_atoms 4."
    )
    lines = path.read_text().splitlines()
    assert path.name == "table_03.md"
    assert lines[0] == "# Table 3. AUC of all methods on the real datasets"
    assert lines[2] == "|  | Avenue | Ped2 | Walkway |"
    assert lines[4] == "| MPPCA |  | not run (69.30) |  |"
    assert lines[5] == "| TSC |  |  | 95.00 ± 1.23 |"
    assert lines[6] == "| sRNN-AE | no data (83.48) | 79.84 (92.21) |  |"
    note = lines[8]
    for part in (
        "Profile: quick",
        "Backbone: thin_resnet50",
        "Normalization: per_clip",
        "Checkpoint: last",
        "Seeds: 2",
    ):
        assert part in note
    assert lines[10] == "Settings: n_atoms 4."
    assert "## global, thin_resnet50" in lines
    assert lines[-1] == "| sRNN-AE | 81.00 |"


def test_formats():
    assert results.format_value("auc", 0.83485) in ("83.48", "83.49")
    assert results.format_value("frames", 317398) == "317,398"
    assert results.format_value("fps", 152) == "152 FPS"
    assert results.format_value("hours", 1.2) == "1.2 h"


def test_git_commit(tmp_path, monkeypatch):
    def commit_in(folder):
        monkeypatch.setattr(results, "PAPER_VALUES", folder / "paper_values.csv")
        return results.git_commit.__wrapped__()

    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert commit_in(tmp_path) == "unknown"
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b.c"]
    (tmp_path / "a.txt").write_text("1")
    for arguments in (["init", "-q"], ["add", "a.txt"], ["commit", "-qm", "one"], ["tag", "-m", "t", "v1"]):
        subprocess.run([*git, *arguments], check=True)
    assert re.fullmatch(r"[0-9a-f]{7,}", commit_in(tmp_path))
    (tmp_path / "a.txt").write_text("2")
    assert re.fullmatch(r"[0-9a-f]{7,}-dirty", commit_in(tmp_path))
