"""Write the tables of the documents from experiments/our_values.csv, or check that they are what it gives.

    python -m experiments.readme_tables [README.md ...] [--check]

A table stands between two markers; what is between them is replaced:

    <!-- table: quick/table_03 | Ped2 | Ped2 (train normalization) | Walkway -->
    <!-- end -->

quick is the results folder, table_03 the exhibit, then come its columns: all, where none is named. Words in
parentheses choose the row beside the headline whose protocol has them. "rows: TSC, OC-SVM" takes these alone.
"""

import argparse
from pathlib import Path

from data_prep.errors import InputError
from data_prep.terminal import Parser, exit_with, given_path

ROOT = Path(__file__).parents[1]
DOCUMENTS = (ROOT / "README.md", ROOT / "docs" / "results.md")


def main() -> None:
    """Parse the flags, write or check, exit."""
    flags = Parser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    flags.add_argument(
        "files", type=given_path, nargs="*", help="Markdown files (default: README.md, docs/results.md)"
    )
    flags.add_argument("--check", action="store_true", help="change nothing; 2 where a table is another")
    flags.add_argument("--values", type=given_path, help="our numbers (default: experiments/our_values.csv)")
    arguments = flags.parse_args()
    exit_with(lambda: run(arguments))


def run(arguments: argparse.Namespace) -> None:
    """Write the tables of every file, or check them; print what was done."""
    from data_prep.files import write_atomic
    from experiments.lab.publishing.marked_tables import with_tables
    from experiments.lab.publishing.our_values import OUR_VALUES, read_our_values

    values = read_our_values(arguments.values or OUR_VALUES)
    for path in arguments.files or DOCUMENTS:
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise InputError(f"{path}: no such file") from None
        made, count = with_tables(text, values, path)
        if made == text:
            print(f"{path}: {count} tables, all as they should be")
        elif arguments.check:
            raise InputError(f"{path}: tables are not those of our_values.csv: run experiments.readme_tables")
        else:
            write_atomic(path, made.encode())
            print(f"{path}: {count} tables written")


if __name__ == "__main__":
    main()
