"""Take numbers over from a results folder into experiments/our_values.csv, of which README's tables are made.

    python -m experiments.our_values --from results/quick/results.csv --exhibits table_03,table_08

Every measured row of the exhibits replaces what that folder gave of them before. Rows of uncommitted code are
refused: nobody could make them again. `python -m experiments.readme_tables` then writes the tables.
"""

import argparse

from data_prep.errors import InputError
from data_prep.terminal import Parser, exit_with, given_path
from experiments.lab import cli


def main() -> None:
    """Parse the flags, take over, exit."""
    flags = Parser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    flags.add_argument(
        "--from", dest="results", type=given_path, required=True, help="a results.csv, or its folder"
    )
    flags.add_argument(
        "--exhibits", type=cli.listed, required=True, help="some of its exhibits, e.g. table_03,table_08"
    )
    flags.add_argument(
        "--values", type=given_path, help="file to update (default: experiments/our_values.csv)"
    )
    arguments = flags.parse_args()
    exit_with(lambda: run(arguments))


def run(arguments: argparse.Namespace) -> None:
    """Take the rows over and say how many."""
    from experiments.lab.publishing.our_values import OUR_VALUES, take_over

    folder = arguments.results if arguments.results.is_dir() else arguments.results.parent
    if not arguments.results.is_dir() and arguments.results.name != "results.csv":
        raise InputError(f"--from {arguments.results}: expected a results.csv, or the folder of one")
    values = arguments.values or OUR_VALUES
    count = take_over(folder.resolve(), arguments.exhibits, values)
    print(f"{values}: {count} rows of {folder}")


if __name__ == "__main__":
    main()
