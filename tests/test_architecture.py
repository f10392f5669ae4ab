"""Imports run experiments -> models, data_prep; those two import neither each other nor back.

Files, functions and signatures have a largest size.
"""

import ast
import pkgutil
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "data_prep": {"data_prep"},
    "models": {"models"},
    "experiments": {"experiments", "models", "data_prep"},
}

MOST_FILE_LINES, MOST_FUNCTION_LINES, MOST_PARAMETERS = 350, 60, 8
# What is over a limit today. The list may only shrink: what is within its limit again leaves it.
TOO_LARGE: set[str] = set()


def imported_packages(path: Path) -> set[str]:
    """Return the top-level packages that a file imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_run_one_way(package):
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    for path in files:
        assert imported_packages(path) & set(MAY_IMPORT) <= MAY_IMPORT[package], path


def imported_modules(path: Path) -> set[str]:
    """Return the modules of this repository that a file imports, `from package import module` too."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name for name in names if name.split(".")[0] in MAY_IMPORT}


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def test_no_command_is_imported():
    """What `python -m` runs is run alone: what several need is in a module that is no command."""
    files = [path for package in MAY_IMPORT for path in (ROOT / package).rglob("*.py")]
    commands = {module_of(path) for path in files if '__name__ == "__main__"' in path.read_text()}
    assert {"data_prep.extract_features", "data_prep.walkway.__main__", "experiments.run"} <= commands
    for path in files:
        assert not imported_modules(path) & commands, path


def loaded_with(path: Path) -> set[str]:
    """Return the top-level names of all that importing a file loads, modules of this repository followed."""
    names, to_read, read = set(), [path], set()
    while to_read:
        file = to_read.pop()
        read.add(file)
        body = ast.parse(file.read_text()).body  # not what functions import when they are called
        for node in body:
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names.add(node.module.split(".")[0])
                modules = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
                places = [ROOT.joinpath(*module.split(".")) for module in modules]
                files = [file for at in places for file in (at.with_suffix(".py"), at / "__init__.py")]
                to_read += [file for file in files if file.exists() and file not in read]
    return names


@pytest.mark.parametrize("name", ["shards", "windows", "extraction", "walkway/__init__"])
def test_what_stores_and_reads_features_loads_no_backend(name):
    assert not loaded_with(ROOT / "data_prep" / f"{name}.py") & {"keras", "tensorflow", "jax"}


@pytest.mark.parametrize("name", ["files", "clip_list", "downloads", "provenance"])
def test_what_writes_a_text_file_loads_no_heavy_library(name):
    heavy = {"h5py", "keras", "tensorflow", "numpy", "cv2"}
    assert not loaded_with(ROOT / "data_prep" / f"{name}.py") & heavy
    exhibit = ROOT / "experiments" / "table_10_running_time.py"
    assert heavy - {"tensorflow"} <= loaded_with(exhibit)  # Keras loads TensorFlow where it is the backend


def test_only_what_runs_an_exhibit_imports_the_page():
    page = "experiments.lab.publishing.report"
    importers = [p for p in (ROOT / "experiments").rglob("*.py") if page in imported_modules(p)]
    assert [module_of(path) for path in importers] == ["experiments.lab.publishing.exhibit"]


def test_scoring_does_not_import_publishing():
    for path in (ROOT / "experiments" / "lab" / "scoring").glob("*.py"):
        assert not any("publishing" in module for module in imported_modules(path)), path


def test_models_are_pure_keras():
    """All but one file: `keras.ops` has no product of bfloat16 factors whose sums are float32."""
    for path in set((ROOT / "models").rglob("*.py")) - {ROOT / "models" / "backend.py"}:
        assert not imported_packages(path) & {"tensorflow", "jax", "torch"}, path


def too_large(path: Path) -> set[str]:
    """Return the file, and "file function", that are over a limit; `self` and `**options` do not count."""
    name, text = path.relative_to(ROOT).as_posix(), path.read_text()
    found = {name} if len(text.splitlines()) > MOST_FILE_LINES else set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            n_parameters = sum(argument.arg not in ("self", "cls") for argument in arguments)
            n_lines = node.end_lineno - node.lineno + 1
            if n_lines > MOST_FUNCTION_LINES or n_parameters > MOST_PARAMETERS:
                found.add(f"{name} {node.name}")
    return found


def test_files_and_functions_are_small():
    files = [path for package in MAY_IMPORT for path in (ROOT / package).rglob("*.py")]
    assert set().union(*map(too_large, files)) == TOO_LARGE


def test_a_commit_is_checked_as_ci_checks_it():
    commands = re.findall(r"^\.venv/bin/python .*", (ROOT / ".ci/run").read_text(), re.MULTILINE)
    assert len(commands) == 4
    hooks = re.findall(r"entry: (.*)", (ROOT / ".pre-commit-config.yaml").read_text())
    assert hooks == commands


def room_of(module: str) -> str:
    """Return the room of ARCHITECTURE.md's table that a module stands in."""
    parts = module.split(".")
    if parts[0] != "experiments":
        return parts[0]
    if parts[1:2] != ["lab"]:
        return "commands"
    return parts[2] if (ROOT / "experiments" / "lab" / "/".join(parts[2:3])).is_dir() and parts[2:] else "lab"


def test_the_picture_of_the_house_is_that_of_the_imports():
    drawn: dict[str, set[str]] = {}
    for path in [path for package in MAY_IMPORT for path in (ROOT / package).rglob("*.py")]:
        own = room_of(module_of(path))
        drawn.setdefault(own, set()).update({room_of(name) for name in imported_modules(path)} - {own})
    drawn = {room: rooms - {"commands"} for room, rooms in drawn.items()}  # the package experiments itself
    page = (ROOT / "ARCHITECTURE.md").read_text().split("<!-- rooms")[1].split("<!-- end -->")[0]
    told = {}
    for line in page.splitlines()[3:]:
        name, _, imports = (cell.strip() for cell in line.split("|")[1:4])
        room = name.strip("`/").removeprefix("lab/")
        told[room] = set(filter(None, imports.split(", ")))
    assert told == drawn


def equations() -> list[tuple[str, str]]:
    """Return (what the paper calls it, dotted name) of ARCHITECTURE.md's table of equations."""
    page = (ROOT / "ARCHITECTURE.md").read_text().split("<!-- equations")[1].split("<!-- end -->")[0]
    return re.findall(r"^\| (.+?) \| `(.+?)` \|", page, re.M)


def test_the_page_has_the_papers_equations():
    numbers = {number for paper, _ in equations() for number in re.findall(r"\((\d+)\)", paper)}
    assert len(numbers) >= 10


@pytest.mark.parametrize(("paper", "name"), equations())
def test_an_equation_stands_where_the_page_says(paper, name):
    said = pkgutil.resolve_name(name).__doc__
    for number in re.findall(r"\((\d+)\)", paper):
        expanded = re.sub(r"\((\d+)\) to \((\d+)\)", lambda m: listed(int(m[1]), int(m[2])), said)
        assert f"({number})" in expanded
    assert ("Algorithm 1" in said) >= ("Algorithm 1" in paper)


def listed(first: int, last: int) -> str:
    return " ".join(f"({number})" for number in range(first, last + 1))
