"""run_all.sh with Pythons that say what they are and note what is asked of them: nothing is installed."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
FAKE = """#!/bin/sh
about='{about}'
if [ "$1" = -c ]; then [ -n "$about" ] && echo "$about"; exit; fi
echo "$*" >>"{log}"
if [ "$2" = venv ]; then
    rm -rf .venv; mkdir -p .venv/bin .venv/lib; touch .venv/pyvenv.cfg; cp "$0" .venv/bin/python
elif [ "$2" = pip ]; then exit "${{PIP_EXIT:-0}}"; fi
"""
LINUX = "3.12 Linux x86_64"


READY = "ready: source .venv/bin/activate\n"


class Checkout:
    """A copy of run_all.sh with its requirements, and Pythons by their names in PATH."""

    def __init__(self, folder: Path):
        self.folder, self.bin, self.log = folder / "checkout", folder / "bin", folder / "log"
        self.folder.mkdir()
        self.bin.mkdir()
        for name in ("run_all.sh", "requirements.txt", "requirements.lock"):
            shutil.copy(ROOT / name, self.folder)
        for name in ("python3", "python3.13", "python3.12", "python3.11"):
            self.python(name, "")

    def python(self, name: str, about: str) -> None:
        """Put a Python into PATH; it does not run where it says nothing about itself."""
        path = self.bin / name
        path.write_text(FAKE.format(about=about, log=self.log))
        path.chmod(0o755)

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
        """Run ./run_all.sh; `self.said` is what the Pythons were asked to do meanwhile."""
        self.log.write_text("")
        plain = {k: v for k, v in os.environ.items() if k not in ("PYTHON", "REQUIREMENTS")}
        plain["PATH"] = f"{self.bin}:{plain['PATH']}"
        done = subprocess.run(
            [self.folder / "run_all.sh", *arguments], env=plain | environment, capture_output=True, text=True
        )
        self.said = self.log.read_text().splitlines()
        self.ended = done.stdout.endswith(READY)
        done.stdout = done.stdout.removesuffix(READY)
        return done


@pytest.fixture
def checkout(tmp_path) -> Checkout:
    return Checkout(tmp_path)


@pytest.mark.parametrize(
    ("about", "reason"),
    [
        ("3.10 Linux x86_64", "Python 3.10, for which TensorFlow has no wheels"),
        ("3.14 Linux x86_64", "Python 3.14, for which TensorFlow has no wheels"),
        ("2.7 Linux x86_64", "Python 2.7, for which TensorFlow has no wheels"),
        ("3.12 Darwin x86_64", "macOS on Intel (x86_64), for which TensorFlow has no wheels"),
        ("", "no Python that runs, expected 3.11, 3.12 or 3.13"),
    ],
)
def test_what_cannot_have_the_packages_is_refused_before_pip(checkout, about, reason):
    checkout.python("python3", about)
    done = checkout.run("setup")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith(f"error: python3: {reason}")
    assert not checkout.said
    assert not (checkout.folder / ".venv").exists()


def test_another_python_in_path_that_fits_is_taken_unless_one_is_named(checkout):
    checkout.python("python3", "3.14 Linux x86_64")
    checkout.python("python3.11", "3.11 Linux x86_64")
    assert checkout.run("setup", PYTHON="python3").returncode == 2
    assert checkout.run("setup").returncode == 0
    assert (checkout.folder / ".venv/installed").read_text().splitlines()[1] == "3.11 Linux x86_64"


@pytest.mark.parametrize(
    ("about", "asked", "taken"),
    [
        ("3.11 Linux x86_64", "", "requirements.lock"),
        ("3.13 Linux x86_64", "", "requirements.lock"),
        ("3.12 Linux aarch64", "", "requirements.txt"),
        ("3.12 Darwin arm64", "", "requirements.txt"),
        ("3.12 Linux x86_64", "requirements.txt", "requirements.txt"),
    ],
)
def test_the_lock_is_installed_where_it_fits_and_the_ranges_elsewhere(checkout, about, asked, taken):
    checkout.python("python3", about)
    done = checkout.run("setup", **({"REQUIREMENTS": asked} if asked else {}))
    assert done.stdout == f"setting up .venv from {taken} (a few minutes)\n"
    (pip,) = [line for line in checkout.said if line.startswith("-m pip install")]
    assert pip.endswith(f"-r {taken}")
    assert ("--require-hashes" in pip) == (taken == "requirements.lock")
    assert (checkout.folder / ".venv/installed").read_text().split()[0] == taken
    assert checkout.run("--profile", "smoke").stdout == ""  # set up once
    assert checkout.said == ["-m experiments.run --profile smoke"]


def touch_lock(checkout):
    with (checkout.folder / "requirements.lock").open("a") as file:
        file.write("# another\n")


def move(checkout):
    checkout.folder = checkout.folder.rename(checkout.folder.with_name("moved"))


def other_machine(checkout):
    fake = FAKE.format(about="3.12 Linux aarch64", log=checkout.log)
    (checkout.folder / ".venv/bin/python").write_text(fake)


def python_gone(checkout):
    (checkout.folder / ".venv/bin/python").unlink()


def stamp_of_before(checkout):
    shutil.copy(checkout.folder / "requirements.txt", checkout.folder / ".venv/installed")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (touch_lock, "other requirements"),
        (move, "elsewhere"),
        (other_machine, "another machine"),
        (python_gone, "its Python does not run"),
        (stamp_of_before, "other requirements"),
    ],
)
def test_an_environment_that_is_stale_or_foreign_is_built_again(checkout, spoil, reason):
    checkout.python("python3", LINUX)
    checkout.run("setup")
    spoil(checkout)
    done = checkout.run("setup")
    assert done.returncode == 0
    assert re.fullmatch(rf"setting up \.venv from requirements\.lock again, as .*{reason}.*\n", done.stdout)
    assert "-m venv --clear .venv" in checkout.said
    assert (checkout.run("setup").stdout, checkout.said) == ("", [])


def test_the_environment_of_another_checkout_is_not_cleared(checkout):
    checkout.python("python3", LINUX)
    checkout.run("setup")
    other = (checkout.folder / ".venv").rename(checkout.folder.with_name("other"))
    (checkout.folder / ".venv").symlink_to(other)
    move(checkout)
    done = checkout.run("setup")
    assert (done.returncode, done.stdout, checkout.said) == (2, "", [])
    assert re.fullmatch(
        r"error: \.venv: a link to .*other, where .*elsewhere.*; remove the link\n", done.stderr
    )
    assert (other / "bin/python").exists()


def test_a_set_up_that_did_not_end_begins_again(checkout):
    checkout.python("python3", LINUX)
    assert checkout.run("setup", PIP_EXIT="1").returncode == 1
    assert not (checkout.folder / ".venv/installed").exists()
    assert "again, as its set-up did not end" in checkout.run("setup").stdout
    assert checkout.run("setup").stdout == ""


def test_another_python_that_is_named_gets_an_environment_of_its_own(checkout):
    checkout.python("python3", LINUX)
    checkout.python("python3.13", "3.13 Linux x86_64")
    checkout.run("setup")
    assert checkout.run("setup", PYTHON="python3").stdout == ""
    assert "it has another Python than python3.13" in checkout.run("setup", PYTHON="python3.13").stdout


def test_set_up_says_at_its_end_what_comes_next(checkout):
    checkout.python("python3", LINUX)
    for _ in ("new", "there already"):
        checkout.run("setup")
        assert checkout.ended


def test_a_folder_that_is_no_environment_stays(checkout):
    checkout.python("python3", LINUX)
    (checkout.folder / ".venv").mkdir()
    mine = checkout.folder / ".venv" / "mine.txt"
    mine.write_text("mine")
    done = checkout.run("setup")
    assert (done.returncode, done.stderr) == (2, "error: .venv: not an environment of Python; move it away\n")
    assert mine.read_text() == "mine"


def test_the_lock_is_within_the_ranges_and_has_a_hash_of_every_file():
    lines = (ROOT / "requirements.lock").read_text().replace("\\\n", " ").splitlines()
    locked = [line.partition(" --hash=") for line in lines if line[:1] not in ("#", "")]
    assert all(re.fullmatch(r"(sha256:[0-9a-f]{64}(\s+--hash=)?)+", hashes.strip()) for *_, hashes in locked)
    exact = {canonicalize_name(r.name): r for r in (Requirement(text) for text, *_ in locked)}
    assert {one.operator for r in exact.values() for one in r.specifier} == {"=="}
    for line in (ROOT / "requirements.txt").read_text().splitlines():
        if line[:1] != "#":
            asked = Requirement(line.partition(" #")[0])
            (version,) = exact[canonicalize_name(asked.name)].specifier
            assert version.version in asked.specifier, line
