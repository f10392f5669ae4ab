"""Imports run experiments -> models, data_prep; those two import neither each other nor back."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "data_prep": {"data_prep"},
    "models": {"models"},
    "experiments": {"experiments", "models", "data_prep"},
}


def imported_packages(path: Path) -> set[str]:
    """Return the top-level packages of this repository that a file imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module.split(".")[0])
    return names & set(MAY_IMPORT)


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_run_one_way(package):
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    for path in files:
        assert imported_packages(path) <= MAY_IMPORT[package], path


def test_models_are_pure_keras():
    for path in (ROOT / "models").rglob("*.py"):
        assert "import tensorflow" not in path.read_text(), path
