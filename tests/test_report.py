"""The report: every number is in it, nothing outside it is needed, and its first lines tell the truth."""

import base64
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from data_prep.errors import InputError
from experiments.lab.publishing import findings, notes, pictures, report, results, verdict
from experiments.lab.publishing.results import Row


def make_row(system, column, ours, exhibit="table_03", metric="auc", **fields):
    return Row(exhibit, system, column, metric, ours, dataset=fields.pop("dataset", column), **fields)


ROWS = {
    "table_02": [
        make_row("Total", "Ped2", 4560, "table_02", "frames"),
        make_row("Irregularity", "Ped2", 1648, "table_02", "frames"),
    ],
    "table_03": [
        make_row("sRNN-AE", "Ped2", 0.8012, std=0.0034, seeds=3, protocol="per_clip, last",
                 backbone="thin_resnet50", command="python -m experiments.table_03 --only <all>",
                 config_hash="00aa11bb", commit="abc1234"),
        make_row("sRNN-AE", "Ped2", 0.9321, protocol="per_clip, best_on_test", backbone="thin_resnet50"),
        make_row("Conv-AE", "Ped2", 0.8021, seeds=3),
        make_row("OC-SVM", "Ped2", 0.8317, seeds=3),
        make_row("TSC", "Walkway", 0.9555, seeds=3),
        make_row("sRNN-AE", "Avenue", "no data", protocol="Avenue is not on disk"),
        make_row("MPPCA", "Ped2", "not run", protocol="quoted"),
    ],
    "table_10": [make_row("sRNN-AE", "Inference", 76.0, "table_10", "fps", dataset="Ped2")],
}  # fmt: skip


@pytest.fixture
def results_dir(tmp_path):
    for exhibit, rows in ROWS.items():
        results.update_exhibit(
            tmp_path,
            exhibit,
            [row for row in rows if row.measured],
            lambda numbers, rows=rows: [*numbers, *(row for row in rows if not row.measured)],
        )
    pictures.image_grid(tmp_path / "figure_06_ped2.png", [[np.zeros((8, 8), np.uint8)]], [["a"]], "t")
    (tmp_path / "other.png").write_bytes(b"not of an exhibit")
    notes.write_note(tmp_path, "table_03", "Features of a thin ResNet-50 & few iterations.")
    notes.write_summary(tmp_path, "2 cores", {"table_04": "LV: no <such> dataset"})
    return tmp_path


class Page(HTMLParser):
    """Collect the tags, the texts and the addresses of a page."""

    def __init__(self, text):
        super().__init__()
        self.open_tags, self.addresses, self.words, self.ids = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag not in ("meta", "br", "img"):
            self.open_tags.append(tag)
        for name, value in attributes:
            if name in ("src", "href"):
                self.addresses.append(value)
            if name == "id":
                self.ids.append(value)

    def handle_endtag(self, tag):
        assert self.open_tags.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture
def page(results_dir):
    path = report.build_report(results_dir, "quick", results_dir / "report.html")
    return Page(path.read_text(encoding="utf-8"))


def test_every_number_is_there_with_the_papers_and_the_difference(page):
    text = " ".join(page.words)
    for number in ("80.12 ± 0.34", "92.21", "-12.09 pp", "93.21", "80.21", "81.10", "-0.89 pp", "83.17",
                   "+4.59 pp", "95.55", "no data", "83.48", "not run", "69.30", "4,560", "1,648", "1,636",
                   "+12", "equal", "not reached", "76 FPS", "152 FPS", "0.5 times"):  # fmt: skip
        assert number in text, number
    for origin in ("per_clip, last", "per_clip, best_on_test", "thin_resnet50", "abc1234", "00aa11bb",
                   "python -m experiments.table_03 --only <all>", "Avenue is not on disk"):  # fmt: skip
        assert origin in text, origin
    assert "Features of a thin ResNet-50 & few iterations." in text


def test_the_page_is_well_formed_and_self_contained(page, results_dir):
    assert page.open_tags == []
    assert page.ids == ["table_02", "table_03", "table_10", "figure_06"]
    assert {address for address in page.addresses if address.startswith("#")} == {
        f"#{name}" for name in page.ids
    }
    (image,) = [address for address in page.addresses if not address.startswith("#")]
    encoded = image.removeprefix("data:image/png;base64,")
    assert base64.b64decode(encoded) == (results_dir / "figure_06_ped2.png").read_bytes()
    html = (results_dir / "report.html").read_text()
    assert not re.search(r"https?:|//[a-z]|@import|url\(|<script|<link", html.replace(encoded, ""))


def test_first_screen_says_what_is_reached_and_what_is_not():
    rows = [row for exhibit_rows in ROWS.values() for row in exhibit_rows]
    summary = {
        "machine": "2 cores",
        "failures": {"table_04": "LV: no <such> dataset"},
    }
    lines = findings.first_screen(rows, "quick", summary)
    assert len(lines) <= 14
    text = "\n".join(re.sub("<[^>]+>", "", line) for line in lines)
    assert "Profile quick, data: Ped2, Walkway. Backbone: thin_resnet50" in text
    assert "Reproduced: 1 of 3 percentages of the paper, measured here, within 2 points or" in text
    assert "Not reproduced: 1 are below, 1 above." in text
    # Two more are counts, one a speed; of sRNN-AE on Avenue and of MPPCA there is the paper's alone.
    assert (
        "Of the paper's 8 numbers in these exhibits, 6 are measured here: 3 percentages, 2 counts and 1 "
        in text
    )
    assert "not judged. 2 have no number of ours beside them" in text
    assert text.count("--train NORMAL --chosen.\n") == 1  # the best of a table's rows is nobody's choice
    chosen = [
        make_row("sRNN-AE, chosen settings", "Ped2", 0.97),
        make_row("OC-SVM, chosen settings", "Ped2", 0.98),
    ]
    (line,) = (line for line in findings.first_screen(rows + chosen, "quick", {}) if "--chosen" in line)
    assert line.endswith(" AUC of sRNN-AE, chosen settings in Table 3: Ped2 97.00.")
    assert "Reached: Table 3 Conv-AE Ped2 80.21 (paper 81.10)." in text
    assert "Above: Table 3 OC-SVM Ped2 83.17 (paper 78.58)." in text
    assert "Not reached, largest gaps first: Table 3 sRNN-AE Ped2 80.12 ± 0.34 (paper 92.21)." in text
    assert "93.21" not in text  # the best checkpoint on the test set is no headline
    assert (
        "Dataset counts: 1 of 2 equal the paper's; not Table 2 Irregularity Ped2 1,648 (paper 1,636)." in text
    )
    assert "also ours in 0 of 1 table columns; not in Table 3 Ped2." in text
    assert "No data on disk: Avenue." in text
    assert "Not asked for, or not run by this profile: MPPCA." in text
    assert "Failed: table_04: LV: no &lt;such&gt; dataset" in text
    assert "Made by commit abc1234; last run on 2 cores." in text
    assert not any("smoke" in line for line in lines)
    assert "numbers mean nothing" in findings.first_screen(rows, "smoke", {})[0]


@pytest.mark.parametrize(
    ("ours", "expected"), [(0.9421, "reached"), (0.9022, "reached"), (0.9021, "reached"),
                           (0.902, "not reached"), (0.9422, "above"), ("not run", "")]
)  # fmt: skip
def test_verdict_at_the_tolerance(ours, expected):
    assert verdict.verdict(make_row("sRNN-AE", "Ped2", ours)) == expected


def test_counts_must_be_equal_and_speeds_are_not_judged():
    counts = [verdict.verdict(make_row("Total", "Ped2", n, "table_02", "frames")) for n in (4560, 4561, 4559)]
    assert counts == ["reached", "not reached", "not reached"]
    assert verdict.verdict(ROWS["table_10"][0]) == ""
    assert verdict.verdict(make_row("TSC", "Walkway", 0.9)) == ""


def test_a_report_needs_neither_notes_nor_summary(tmp_path):
    results.update_exhibit(tmp_path, "table_03", [make_row("TSC", "Ped2", 0.8)])
    page = report.build_report(tmp_path, "quick", tmp_path / "report.html").read_text()
    assert "Failed:" not in page
    assert "80.00" in page


def test_notes_of_exhibits_are_kept_apart(results_dir):
    notes.write_note(results_dir, "table_10", "Two cores.")
    notes.write_note(results_dir, "table_03", "New.")
    assert json.loads((results_dir / "notes.json").read_text()) == {
        "table_03": "New.",
        "table_10": "Two cores.",
    }


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("notes.json", "{", "JSON"),
        ("notes.json", "[1]", "expected it as dict"),
        ("notes.json", '{"table_03": 3}', "expected table_03 as str, got 3"),
        ("summary.json", '{"machine": 3}', "expected machine as str, got 3"),
        ("results.csv", "exhibit,row\n", "header"),
    ],
)
def test_damaged_input_is_refused_and_no_report_appears(results_dir, name, content, fault):
    (results_dir / name).write_text(content)
    with pytest.raises(InputError, match=fault) as caught:
        report.build_report(results_dir, "quick", results_dir / "report.html")
    assert name in str(caught.value)
    assert not (results_dir / "report.html").exists()


def test_the_number_that_matters():
    table = [make_row("TSC", "Ped2", 0.91, seeds=1), *ROWS["table_03"][:2]]
    assert findings.number_that_matters(table) == "sRNN-AE, Ped2: AUC 80.12 ± 0.34 (the paper: 92.21)"
    swept = [make_row("TSC", str(x), auc, "figure_07a", dataset="Yard") for x, auc in ((0.1, 0.6), (1, 0.7))]
    more = make_row("sRNN-AE", "1", 0.9, "figure_07a", dataset="Yard")
    assert findings.number_that_matters([*swept, more]) == "TSC, highest on test at 1, Yard: AUC 70.00"
    both = [
        make_row("sRNN-AE", column, auc, "table_01", dataset="Moving-MNIST")
        for column, auc in (("Temporal Anomaly", 0.97), ("Spatial Anomaly", 0.81))
    ]
    assert findings.number_that_matters(both).startswith("sRNN-AE, Spatial Anomaly")  # the paper's best
    counts = findings.number_that_matters(ROWS["table_02"])
    assert counts == "Total, Ped2: frames 4,560 (the paper: 4,560)"
    speed = [make_row("K", "sRNN-AE", 3, "table_10", "depth"), *ROWS["table_10"]]
    assert findings.number_that_matters(speed) == "sRNN-AE, Inference, Ped2: 76 FPS (the paper: 152 FPS)"
    assert findings.number_that_matters([ROWS["table_03"][-1]]) == ""
    shown = make_row("normal frames", "Ped2", 5, "figure_05", "shown")
    assert findings.number_that_matters([shown]) == ""
