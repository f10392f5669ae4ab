"""Render the default dataset.

python -m data_prep.walkway --out DIR
"""

import sys

from data_prep.terminal import Parser, exit_code, given_int, given_path
from data_prep.walkway import generate


def main(arguments: list[str] | None = None) -> int:
    """Generate the dataset under --out; return the exit code, see `exit_code`."""
    parser = Parser(prog="python -m data_prep.walkway", description="Render the default dataset.")
    parser.add_argument(
        "--out", type=given_path, required=True, metavar="DIR", help="folder that gets walkway/"
    )
    parser.add_argument("--seed", type=given_int, default=0)
    parser.add_argument("--train-clips", type=given_int, default=8)
    parser.add_argument("--test-clips", type=given_int, default=6)
    parser.add_argument("--clip-frames", type=given_int, default=120)
    flags = parser.parse_args(arguments)
    settings = (flags.seed, flags.train_clips, flags.test_clips, flags.clip_frames)
    return exit_code(lambda: print(generate(flags.out, *settings)))


if __name__ == "__main__":
    sys.exit(main())
