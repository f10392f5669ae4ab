"""Extract the features of every clip of the datasets on disk, one HDF5 shard per clip.

    python -m data_prep.extract_features --data DIR --out DIR [--dataset NAME ...] [--part 1/4] [--jobs N]

A shard that is there, whole and made as asked for, is kept, so that the same command resumes what was
interrupted. Several processes, `--jobs N` of one machine or this command on many, may write into one folder:
each takes the clips that no other has in hand.
`--part i/n` extracts every n-th clip, for machines that share no folder. Paper: Sec. 3.6.
"""

import sys

from data_prep.command_line import command_line, run_command
from data_prep.network_features import NetworkRecipe


def main(arguments: list[str] | None = None) -> int:
    """Extract what the command line asks for; return the exit code, 2 for bad input."""
    options = command_line("data_prep.extract_features", "Extract features into HDF5 shards.").parse_args(
        arguments
    )
    return run_command(options, NetworkRecipe)


if __name__ == "__main__":
    sys.exit(main())
