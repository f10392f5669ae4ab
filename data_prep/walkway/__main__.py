"""Render the default dataset.

python -m data_prep.walkway --out DIR
"""

import argparse
import sys
from pathlib import Path

from data_prep.errors import InputError
from data_prep.walkway import generate


def main(arguments: list[str] | None = None) -> int:
    """Generate the dataset under --out; return the exit code, 2 for bad input."""
    parser = argparse.ArgumentParser(
        prog="python -m data_prep.walkway", description="Render the default dataset."
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder that gets walkway/")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--train-clips", type=int, default=8)
    parser.add_argument("--test-clips", type=int, default=6)
    parser.add_argument("--clip-frames", type=int, default=120)
    flags = parser.parse_args(arguments)
    try:
        print(generate(flags.out, flags.seed, flags.train_clips, flags.test_clips, flags.clip_frames))
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
