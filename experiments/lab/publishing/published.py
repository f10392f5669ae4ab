"""What the paper printed, as data: its exhibits, their titles, their numbers (`paper_values.csv`).

The last column of the file, `dataset`, is filled only where neither row nor column names the one dataset that
a number holds for. Table 10's, of Avenue, have none: they stand beside those of whatever is timed, which its
note says.
"""

import csv
import functools
import re
from pathlib import Path

PAPER_VALUES = Path(__file__).parents[2] / "paper_values.csv"
DATASET_ORDER = ("Avenue", "Ped2", "Ped1", "Entrance", "Exit", "ShanghaiTech", "LV", "Walkway")
GENERATED = "Moving-MNIST"  # how the names of its datasets begin
EXHIBIT_TITLES = {
    "table_01": "AUC on Moving-MNIST",
    "table_02": "Dataset statistics",
    "table_03": "AUC of all methods on the real datasets",
    "table_04": "AUC on LV",
    "table_05": "AUC of RNN variants",
    "table_06": "AUC of the similarity measurements",
    "table_07": "AUC and inference speed of the motion features",
    "table_08": "AUC of the spatial and the temporal stream alone",
    "table_09": "AUC of early and late fusion",
    "table_10": "Running time",
    "figure_02": "The network: sRNN-AE, unrolled",
    "figure_04": "Moving-MNIST samples",
    "figure_05": "Sample frames of the datasets",
    "figure_06": "Score, similarity and code distance along a clip",
    "figure_07": "AUC against lambda1, lambda2 and the dictionary size",
    "figure_07a": "AUC against lambda1 (TSC)",
    "figure_07b": "AUC against lambda2 (TSC)",
    "figure_07c": "AUC against the dictionary size",
    "figure_08": "AUC and sparsity against the number of layers K",
    "figure_09": "Training loss",
    "figure_10": "Learned against Gaussian similarity",
    "figure_11": "AUC against the temporal weight",
}
# Rows that are not the published system itself, by name -> the published row that they stand for.
STAND_INS = {
    "Hinami-style": "Hinami et al.",
    "after Lu et al.": "Lu et al.",
    "after Biswas et al.": "Biswas et al.",
    "after Javan et al.": "Javan et al.",
}
_EXHIBIT = re.compile(r"(table|figure)_(\d\d)([a-z]?)")


def exhibit_order(exhibit: str) -> tuple[bool, int, str]:
    """Return the sort key of an exhibit: tables first, then figures, by number. ValueError if malformed."""
    match = _EXHIBIT.fullmatch(exhibit)
    if not match:
        raise ValueError(f"exhibit: expected a name such as table_03 or figure_07a, got {exhibit!r}")
    return match[1] == "figure", int(match[2]), match[3]


def exhibit_title(exhibit: str) -> str:
    """Return `Table 3. AUC of ...` for `table_03`."""
    is_figure, number, letter = exhibit_order(exhibit)
    label = f"{'Figure' if is_figure else 'Table'} {number}{letter}"
    return f"{label}. {EXHIBIT_TITLES[exhibit]}" if exhibit in EXHIBIT_TITLES else label


def is_papers(dataset: str) -> bool:
    """Tell whether the paper's numbers may stand beside those of a dataset, by its title: not one's own."""
    papers = ("", *DATASET_ORDER)
    return dataset.casefold() in map(str.casefold, papers) or dataset.startswith(GENERATED)


@functools.cache
def published(exhibit: str) -> dict[tuple[str, str, str], tuple[float, str]]:
    """Return the paper's numbers of an exhibit: (row, column, metric) -> (number, dataset or "").

    A row has the name of what stands in for it here, see `STAND_INS`.
    """
    names = {name: stand_in for stand_in, name in STAND_INS.items()}
    with PAPER_VALUES.open(newline="", encoding="utf-8") as file:
        return {
            (names.get(line["row"], line["row"]), line["column"], line["metric"]): (
                float(line["paper"]),
                line["dataset"],
            )
            for line in csv.DictReader(file)
            if line["exhibit"] == exhibit
        }
