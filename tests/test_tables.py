"""Result rows as people read them: numbers, Markdown tables, tables for a terminal."""

import pytest

from experiments.lab.publishing import tables
from experiments.lab.publishing.results import Row


def make_row(system="sRNN-AE", column="Ped2", ours=0.8, exhibit="table_03", metric="auc", **fields):
    return Row(exhibit, system, column, metric, ours, **fields)


ROWS = [
    make_row(system="TSC", column="Walkway", ours=0.95, std=0.0123, seeds=2, backbone="thin_resnet50"),
    make_row(ours=0.79836, seeds=2, protocol="per_clip", backbone="thin_resnet50"),
    make_row(ours=0.81, seeds=2, protocol="global", backbone="thin_resnet50"),
    make_row(column="Avenue", ours="no data", protocol="Avenue is not on disk"),
    make_row(system="MPPCA", ours="not run", protocol="the paper's number alone"),
]


def test_markdown_table(tmp_path):
    path = tables.write_markdown_table(tmp_path, "table_03", ROWS, "quick", "Settings: n_atoms 4.")
    lines = path.read_text().splitlines()
    assert path.name == "table_03.md"
    assert lines[0] == "# Table 3. AUC of all methods on the real datasets"
    # What has no number of ours is last.
    assert lines[2] == "|  | Ped2 | Walkway | Avenue |"
    assert lines[4] == "| TSC |  | 95.00 ± 1.23 |  |"
    assert lines[5] == "| sRNN-AE | 79.84 (92.21) |  | no data (83.48) |"
    assert lines[6] == "| MPPCA | not run (69.30) |  |  |"
    for part in ("Profile: quick", "AUC in per cent", "Backbone: thin_resnet50", "Seeds: 2"):
        assert part in lines[8]
    assert "- sRNN-AE: per_clip" in lines
    assert "Settings: n_atoms 4." in lines
    assert "## global, thin_resnet50" in lines
    assert lines[-1] == "| sRNN-AE | 81.00 |"


def test_text_table_has_the_headline_alone_and_says_what_is_missing():
    assert tables.text_table(ROWS, "quick").splitlines() == [
        "Table 3. AUC of all methods on the real datasets, profile quick: ours (the paper)",
        "                  Ped2       Walkway",
        "TSC                     95.00 ± 1.23",
        "sRNN-AE  79.84 (92.21)",
        "no data: Avenue; not run: MPPCA",
    ]


def test_an_interval_stands_after_its_number_and_the_caption_says_what_it_is(tmp_path):
    shared = {"seeds": 3, "protocol": "per_clip"}
    ends = [
        make_row(metric=f"auc_ci_{end}", ours=x, **shared) for end, x in (("low", 0.6612), ("high", 0.915))
    ]
    rows = [make_row(ours=0.7676, std=0.005, **shared), *ends, make_row(system="TSC", ours=0.7, seeds=3)]
    lines = tables.write_markdown_table(tmp_path, "table_03", rows, "quick").read_text().splitlines()
    assert "| sRNN-AE | 76.76 ± 0.50 (92.21) [66.12, 91.50] |" in lines
    assert "| TSC | 70.00 (91.03) |" in lines
    told = "± standard deviation over seeds (the paper's number), [95 % bootstrap interval over test clips]"
    assert any(told in line for line in lines)
    assert not any(line.startswith("## ") for line in lines)  # no table of their own
    assert "76.76 ± 0.50 (92.21) [66.12, 91.50]" in tables.text_table(rows, "quick")
    assert "interval" not in tables.caption(ROWS, "quick")


def test_rows_of_two_datasets_in_one_place_name_theirs():
    rows = [
        make_row(column="Training", exhibit="table_10", metric="hours", ours=2, dataset="Ped2"),
        make_row(column="Training", exhibit="table_10", metric="hours", ours=3, dataset="Walkway"),
        make_row(column="Inference", exhibit="table_10", metric="fps", ours=50, dataset="Ped2"),
    ]
    head, line = tables.text_grid(rows, tables.format_cell, "; ")
    assert dict(zip(head, line, strict=True)) == {
        "": "sRNN-AE",
        "Training": "2 h (1.2 h) [Ped2]; 3 h (1.2 h) [Walkway]",
        "Inference": "50 FPS (152 FPS)",
    }


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [
        ("auc", 0.8348, "83.48"),
        ("frames", 317398, "317,398"),
        ("fps", 152, "152 FPS"),
        ("fps", 16330.4, "16,330 FPS"),
        ("fps", 12.3456, "12.35 FPS"),
        ("hours", 1.2, "1.2 h"),
        ("hours", 0.05, "3 min"),
        ("hours", 0.0001, "0.36 s"),
        ("hours", 0, "0 s"),
        ("loss", 5.12345, "5.123"),
        ("loss", 51234.5, "51,234"),
    ],
)
def test_formats(metric, value, text):
    assert tables.format_value(metric, value) == text
