"""Every package that the code imports is listed with a range, and the environment is within it."""

import ast
import re
import sys
from importlib.metadata import packages_distributions, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
OWN = {"data_prep", "models", "experiments"}
LINES = [line.partition(" #")[0].strip() for line in (ROOT / "requirements.txt").read_text().splitlines()]
LISTED = {canonicalize_name(r.name): r for r in map(Requirement, (x for x in LINES if x and x[0] != "#"))}
OPTIONAL = {"spams-bin"}
NOT_INSTALLED = {"spams"}  # of the optional ones: nothing tells then which distribution brings it


def imported_modules():
    """Return the top-level modules that the packages import, "google.protobuf" for the one of a namespace."""
    names = set()
    for package in OWN:
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import):
                    names |= {alias.name for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and not node.level:
                    names.add(node.module)
    return {"google.protobuf" if name.startswith("google.protobuf") else name.split(".")[0] for name in names}


def distributions_of(module):
    """Return the distributions that bring a module."""
    return {"protobuf"} if module == "google.protobuf" else set(packages_distributions().get(module, ()))


@pytest.mark.parametrize("module", sorted(imported_modules() - OWN - sys.stdlib_module_names))
def test_what_is_imported_is_listed(module):
    found = {canonicalize_name(name) for name in distributions_of(module)}
    assert found & (set(LISTED) | OPTIONAL) or module in NOT_INSTALLED, f"{module}: not in requirements.txt"


@pytest.mark.parametrize("name", sorted(LISTED))
def test_the_environment_is_within_the_ranges(name):
    specifier = LISTED[name].specifier
    assert version(name) in specifier
    assert {one.operator for one in specifier} == {">=", "<"}


def test_what_reads_files_of_others_has_no_known_holes():
    """The last versions with a hole that a prepared file opens; README and requirements.txt say which."""
    for name, last_with_a_hole in [("onnx", "1.20.1"), ("pillow", "12.2.0")]:
        assert last_with_a_hole not in LISTED[name].specifier


def test_readme_lists_the_same_packages():
    section = (ROOT / "README.md").read_text().split("## Dependencies")[1].split("\n## ")[0]
    cells = [line.split(" | ")[0].strip("| ") for line in section.splitlines() if line.startswith("| ")][1:]
    names = [name.strip() for cell in cells for name in re.sub(r"\(.*\)|\[.*\]", "", cell).split(",")]
    assert sorted(map(canonicalize_name, names)) == sorted(set(LISTED) | OPTIONAL)
