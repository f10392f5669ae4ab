"""Damage files at random and read them, as many as fit into some minutes; print what was found.

    python -m tests.fuzz [--minutes 5] [--seed 0] [--cases N] [--readers mat,video] [--case NUMBER]

Every reader of files that others may have made is run on a whole file with random damage, in child processes
that may take 2 GB each. Anything but success or an InputError of one line is a finding: a crash, a hang, a
traceback, more memory. Exit code 1 where something was found. The same seed gives the same cases.
"""

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from data_prep.errors import InputError
from tests.fuzz.children import faults
from tests.fuzz.damage import damaged
from tests.fuzz.readers import READERS, Reader


def main() -> int:
    """Run cases until the time is up; return 1 where something was found."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--minutes", type=float, default=5.0)
    flags.add_argument("--seed", type=int, default=0)
    flags.add_argument("--cases", type=int, help="so many in place of --minutes")
    flags.add_argument("--readers", default="", help="those that have one of these words in their names")
    flags.add_argument("--case", type=int, help="this one alone, its damaged file kept")
    given = flags.parse_args()
    words = given.readers.split(",")
    readers = {name: reader for name, reader in READERS.items() if any(word in name for word in words)}
    with tempfile.TemporaryDirectory() as folder:
        cases = Cases(readers, given.seed, Path(folder))
        if given.case is not None:
            numbers = iter([given.case])
        elif given.cases is not None:
            numbers = iter(range(given.cases))
        else:
            numbers = until(60 * given.minutes)
        return report(cases, numbers, given.case is not None)


class Cases:
    """The cases of a seed, by number: case i damages the file of reader i, readers in turn."""

    def __init__(self, readers: dict[str, Reader], seed: int, folder: Path):
        self.names, self._readers, self._seed, self._folder = list(readers), readers, seed, folder
        self._whole: dict[str, bytes] = {}
        # In a child: whoever makes a model starts threads, and a process with threads cannot be forked well.
        made = [fault for _, fault in faults(self._make, iter(range(len(readers))), 1)]
        for number, name in enumerate(self.names):
            path = self._path(number)
            if made[number] or not path.is_file():
                raise RuntimeError(f"{name}: no file to damage, {made[number]}")
            self._whole[name] = path.read_bytes()

    def name(self, number: int) -> str:
        """Return the name of a case's reader."""
        return self.names[number % len(self.names)]

    def _path(self, number: int) -> Path:
        return self._folder / f"whole-{number}" / self._readers[self.names[number]].file

    def _make(self, number: int) -> None:
        self._path(number).parent.mkdir()
        reader = self._readers[self.names[number]]
        reader.make(self._path(number))
        if not reader.refused:
            _read_whole(reader, self._path(number))

    def content(self, number: int) -> bytes:
        """Return the bytes of a case's damaged file."""
        return damaged(self._whole[self.name(number)], np.random.default_rng([self._seed, number]))

    def __call__(self, number: int) -> None:
        """Run a case."""
        reader = self._readers[self.name(number)]
        folder = self._folder / f"case-{os.getpid()}"
        folder.mkdir(exist_ok=True)
        (folder / reader.file).write_bytes(self.content(number))
        try:
            reader.read(folder / reader.file)
        finally:
            (folder / reader.file).unlink(missing_ok=True)

    def keep(self, number: int) -> Path:
        """Return where the damaged file of a case is left for whoever mends its reader."""
        name = f"fuzz-{self._seed}-{number}-{self._readers[self.name(number)].file}"
        path = Path(tempfile.gettempdir()) / name
        path.write_bytes(self.content(number))
        return path


def _read_whole(reader: Reader, path: Path) -> None:
    """Read a whole file. RuntimeError where it is refused: then its damage would say nothing."""
    try:
        reader.read(path)
    except InputError as fault:
        raise RuntimeError(f"a whole file is refused, {fault}") from fault


def until(seconds: float) -> Iterator[int]:
    """Yield numbers from 0 until the time is up."""
    end, number = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        yield number
        number += 1


def report(cases: Cases, numbers: Iterator[int], keep: bool) -> int:
    """Run the cases, print each finding, then how many cases each reader had; return the exit code."""
    n_run, found = Counter(), Counter()
    for number, fault in faults(cases, numbers, os.cpu_count() or 1):
        name = cases.name(number)
        n_run[name] += 1
        if fault or keep:
            found[name] += bool(fault)
            print(f"case {number}, {name}: {fault or 'in order'}; {cases.keep(number)}", flush=True)
    for name in cases.names:
        print(f"{name}: {n_run[name]} cases, {found[name]} findings")
    print(f"{n_run.total()} cases, {found.total()} findings")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
