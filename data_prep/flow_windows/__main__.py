"""Extract the flow windows of every clip of the datasets on disk, one HDF5 shard per clip.

    python -m data_prep.flow_windows --data DIR --out DIR [--dataset NAME ...] [--jobs N]

Speed x direction histograms in windows of about one person's size, see `flow_windows.rows`; no network runs.
"""

import sys
from dataclasses import fields

from data_prep.command_line import chosen_datasets, helpers, shards_parser
from data_prep.extraction import extract
from data_prep.flow_windows.extraction import FlowWindowRecipe
from data_prep.flow_windows.options import FlowWindowOptions
from data_prep.terminal import exit_code, given_float, given_int

READERS = {int: given_int, float: given_float, str: str}


def main(arguments: list[str] | None = None) -> int:
    """Extract what the command line asks for; return the exit code, 2 for bad input."""
    parser = shards_parser("data_prep.flow_windows", "Extract flow windows into HDF5 shards.")
    names = {option.name: option.default for option in fields(FlowWindowOptions)}
    for name, default in names.items():
        parser.add_argument(
            f"--{name.replace('_', '-')}", type=READERS[type(default)], default=default, help="(%(default)s)"
        )
    given = parser.parse_args(arguments)

    def work() -> None:
        options = FlowWindowOptions(**{name: getattr(given, name) for name in names})
        datasets = chosen_datasets(given.data, given.dataset)
        with helpers(given, datasets):
            for dataset in datasets:
                print(extract(dataset, FlowWindowRecipe(options), given.out, given.part), flush=True)

    return exit_code(work)


if __name__ == "__main__":
    sys.exit(main())
