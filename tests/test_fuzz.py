"""The fuzz command finds what it is to find, and nothing in this tree: ten cases a reader, of one seed."""

import subprocess
import sys

import numpy as np

from tests.fuzz.damage import damaged
from tests.test_cli import ROOT

FAULTS = """
import os, signal, time
from data_prep.errors import InputError
from tests.fuzz.children import faults
def run_case(number):
    if number == 1:
        os.kill(os.getpid(), signal.SIGSEGV)
    if number == 2:
        raise InputError("a.npy: damaged")
    if number == 3:
        raise InputError("a.npy:" + chr(10) + "damaged")
    if number == 4:
        raise KeyError("a")
    if number == 5:
        bytearray(3 * 10**9)
    if number == 6:
        os._exit(3)
    if number == 7:
        time.sleep(1000)
for number, fault in sorted(faults(run_case, iter((0, 1, 2, 3, 4, 5, 6, 8)), 2)):
    print(number, fault.partition(" at ")[0].splitlines()[:1])
print(*faults(run_case, iter([7]), 1, hang_seconds=1))
"""


def test_every_kind_of_fault_is_found():
    done = subprocess.run([sys.executable, "-c", FAULTS], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.splitlines() == [
        "0 []",
        "1 ['ends the process by SIGSEGV']",
        "2 []",
        "3 ['refuses in several lines: a.npy:']",
        """4 ['raises KeyError: "\\'a\\'"']""",
        """5 ["raises MemoryError: ''"]""",
        "6 ['ends the process by exit code 3']",
        "8 []",
        "(7, 'hangs')",
    ], done.stderr


def test_the_same_seed_gives_the_same_damage():
    content = bytes(range(256)) * 8
    one, again = ([damaged(content, np.random.default_rng([0, i])) for i in range(300)] for _ in "12")
    assert one == again
    assert sum(changed != content for changed in one) > 280
    assert len({*one}) > 280


def test_no_reader_dies_of_damage():
    command = [sys.executable, "-m", "tests.fuzz", "--cases", "310", "--seed", "0"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "310 cases, 0 findings"
