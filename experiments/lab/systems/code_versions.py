"""Which code makes a system's runs: a run whose code has changed since is made again, under another name.

`code_versions.json` declares for each system its version and the fingerprint of the code that has it
(`python -m experiments.code_versions` writes it). A run's configuration, and so the name of its folder, holds
the version of its code, but for version 1; for code that nobody declared it holds the version that the code
was and its fingerprint.

A fingerprint covers the statements of the modules that make the system's task and open what it reads, and of
all modules of this repository that these import in turn, but those of `ACT_ON_NO_NUMBER`. It is blind to what
changes no number: comments, docstrings, types, formatting, error messages that are f-strings, where a
statement stands.
"""

import ast
import functools
import hashlib
import importlib.util
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from data_prep.errors import InputError
from data_prep.files import write_atomic
from data_prep.terminal import say_once
from experiments.lab.systems.catalogue import SYSTEMS

DECLARED = Path(__file__).with_name("code_versions.json")
PACKAGES = ("models", "data_prep", "experiments")
# Modules, or packages of them, whose code changes no number of a run, each with the reason.
ACT_ON_NO_NUMBER = {
    "experiments.lab.publishing": "prints numbers",
    "experiments.lab.watching": "reads finished runs",
    "experiments.lab.settings": "settings enter a run's configuration by value",
    "experiments.lab.scoring.score_files": "reads and writes scores, with every check",
    "experiments.lab.scoring.regularity": "acts on a run's errors when a table is made",
    "experiments.lab.systems.catalogue": "names, and what tables print of a system",
    "experiments.lab.systems.code_versions": "names code",
    "experiments.lab.systems.entry": "names, likewise",
    "experiments.lab.systems.quoted.entries": "likewise",
    "experiments.lab.systems.quoted.inputs": "finds what is read, likewise",
    "experiments.lab.systems.inputs": "finds what is read, whose checksums are in the configuration",
    "experiments.lab.training.model_card": "describes",
    "experiments.lab.training.run_files": "reads and writes, with every check",
    "experiments.lab.training.runs": "reads finished runs",
    "experiments.lab.training.task": "names what a run depends on, itself in its configuration",
    "experiments.lab.training.tensorboard": "logs",
    "experiments.lab.training.train": "calls the trainer, scores and saves",
    "data_prep.clip_list": "which clips there are is in the configuration",
    "data_prep.errors": "",
    "data_prep.files": "reads and writes",
    "data_prep.provenance": "describes",
}
# Data that code of their own opens for every system -> the modules with it.
DATA = {"Moving-MNIST": ("experiments.lab.systems.moving_mnist", "experiments.lab.systems.sequences")}
LEFT_OUT = ("annotation", "returns", "type_comment", "type_ignores", "kind", "ctx", "type_params")


def names() -> tuple[str, ...]:
    """Return all that has a version: the systems of the catalogue, and `DATA`."""
    return (*SYSTEMS, *DATA)


def code_name(system: str) -> str:
    """Return the name of the code behind one of `names`: "2", "" for version 1, "1+5f0c2a91" for undeclared.

    Code that is not as declared is told on stderr, once.
    """
    declared = read_declared().get(system, {"version": 1, "fingerprint": ""})
    version, found = declared["version"], fingerprint(system)
    if found == declared["fingerprint"]:
        return "" if version == 1 else str(version)
    name = f"{version}+{found[:8]}"
    fault = f"not that of version {version}" if declared["fingerprint"] else "not declared yet"
    say_once(f"{system}: its code is {fault} in {DECLARED.name}; its runs are made as {name}")
    return name


@functools.cache
def fingerprint(system: str) -> str:
    """Return the fingerprint of a system's code as it is, 64 hex digits."""
    if system in DATA:
        behind = modules_behind(*DATA[system])
    else:
        behind = modules_behind(SYSTEMS[system].task.partition(":")[0], SYSTEMS[system].reads.module)
    statements = sorted(digest for name in behind for digest in digests(source_of(name)))
    return hashlib.sha256("\n".join(statements).encode()).hexdigest()


def modules_behind(*modules: str) -> list[str]:
    """Return modules and those of this repository that they import in turn and that act on numbers."""
    found, waiting = set(), list(modules)
    while waiting:
        name = waiting.pop()
        if name in found or any(f"{name}.".startswith(f"{other}.") for other in ACT_ON_NO_NUMBER):
            continue
        found.add(name)
        waiting += imported(ast.parse(source_of(name).read_text()))
    return sorted(found)


@functools.cache
def source_of(module: str) -> Path:
    """Return the file of a module, without importing it."""
    spec = importlib.util.find_spec(module)
    return Path(spec.origin)


def imported(tree: ast.Module) -> Iterator[str]:
    """Yield the modules of this repository that a module imports, wherever in it."""
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module, *(f"{node.module}.{name}" for name in names)]
        for name in names:
            if name.split(".")[0] in PACKAGES and is_module(name):
                yield name


@functools.cache
def is_module(name: str) -> bool:
    """Return whether a dotted name is a module's, not that of something in it."""
    parent, _, last = name.rpartition(".")
    if not parent:
        return True
    return (
        is_module(parent)
        and (spec := importlib.util.find_spec(parent)) is not None
        and any(
            (Path(folder) / f"{last}.py").exists() or (Path(folder) / last / "__init__.py").exists()
            for folder in spec.submodule_search_locations or ()
        )
    )


@functools.cache
def digests(path: Path) -> tuple[str, ...]:
    """Return a digest of each statement at the top level of a file that can act on a number."""
    tree = ast.parse(path.read_text())
    return tuple(hashlib.sha256(plain(node).encode()).hexdigest() for node in tree.body if acts(node))


def acts(node: ast.AST) -> bool:
    """Return whether a node is more than a docstring, a string alone, or an import from this repository."""
    if isinstance(node, ast.ImportFrom):
        return node.module.split(".")[0] not in PACKAGES
    if isinstance(node, ast.Import):
        return any(alias.name.split(".")[0] not in PACKAGES for alias in node.names)
    return not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant | ast.JoinedStr))


def plain(node) -> str:
    """Return a tree as text that is the same under every version of Python and blind to `LEFT_OUT`."""
    if isinstance(node, list):
        return f"[{' '.join(plain(one) for one in node if not isinstance(one, ast.stmt) or acts(one))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    if isinstance(node, ast.JoinedStr):  # messages and names of files
        return "f-string"
    fields = ((name, value) for name, value in ast.iter_fields(node) if name not in LEFT_OUT)
    told = " ".join(f"{name}={plain(value)}" for name, value in fields if value not in (None, []))
    return f"({type(node).__name__} {told})"


def read_declared() -> dict[str, dict]:
    """Return system -> its declared version and fingerprint. InputError: the file cannot be read."""
    try:
        return json.loads(DECLARED.read_text())
    except (OSError, ValueError) as fault:
        raise InputError(f"{DECLARED}: expected the declared versions of the code, got {fault}") from None


def declare(systems: Sequence[str], changed: bool) -> None:
    """Declare the code of some systems as it is: the same version as before, or the next."""
    declared = read_declared()
    for system in systems:
        version = declared[system]["version"] + changed if system in declared else 1
        declared[system] = {"version": version, "fingerprint": fingerprint(system)}
    lines = [f"{json.dumps(name)}: {json.dumps(declared[name])}" for name in names() if name in declared]
    write_atomic(DECLARED, ("{\n" + ",\n".join(lines) + "\n}\n").encode())  # a line a system, to merge


def stale() -> list[str]:
    """Return the systems whose code is not the one declared."""
    declared = read_declared()
    return [name for name in names() if declared.get(name, {}).get("fingerprint") != fingerprint(name)]
