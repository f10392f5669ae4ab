"""Declare the code of systems, so that their runs keep their names or are made anew.

    python -m experiments.code_versions                       what is not as declared
    python -m experiments.code_versions --same SYSTEM ...     same numbers: a refactoring
    python -m experiments.code_versions --changed SYSTEM ...  other numbers: the next version

SYSTEM is one or several names of the catalogue, Moving-MNIST, or all. After a change to code that systems run
through (`lab.systems.code_versions`), a test fails until one of the two is said of it. With --same, runs made
by the code before are taken up; with --changed they stay as they are, and new ones stand beside them.
"""

import argparse

from data_prep.terminal import Parser, exit_with
from experiments.lab.systems.code_versions import code_name, declare, names, stale


def main() -> None:
    """Parse the flags; declare; say what is not as declared."""
    flags = Parser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    which = flags.add_mutually_exclusive_group()
    known = [*names(), "all"]
    which.add_argument("--same", nargs="+", choices=known, metavar="SYSTEM", help="the numbers are the same")
    which.add_argument("--changed", nargs="+", choices=known, metavar="SYSTEM", help="other numbers")
    arguments = flags.parse_args()
    exit_with(lambda: run(arguments.same or arguments.changed or (), bool(arguments.changed)))


def run(systems, changed: bool) -> None:
    """Declare the code of the systems, all for "all"; print how each system of the catalogue stands."""
    declare(list(names()) if "all" in systems else systems, changed)
    undeclared = stale()
    for system in names():
        print(f"{system}: {'not as declared' if system in undeclared else code_name(system) or '1'}")


if __name__ == "__main__":
    main()
