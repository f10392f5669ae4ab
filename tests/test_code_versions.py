"""Runs are made again when the code behind them changes a number, and only then."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.lab.systems import code_versions
from experiments.lab.systems.code_versions import ACT_ON_NO_NUMBER, code_name, digests, modules_behind

ROOT = Path(__file__).parents[1]
SAY = """
from experiments.lab.systems.code_versions import code_name
print(*[code_name(system) or "1" for system in ("sRNN-AE", "TSC", "LSTM-AE", "OC-SVM")])
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The three packages, copied, and declared there as they are."""
    root = tmp_path_factory.mktemp("code")
    for package in code_versions.PACKAGES:
        shutil.copytree(ROOT / package, root / package, ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run([sys.executable, *DECLARE, "--same", "all"], cwd=root, check=True, capture_output=True)
    return root


DECLARE = ("-m", "experiments.code_versions")


def names(root):
    """The versions of four systems' code, and what is said of them, in a copy of the packages."""
    done = subprocess.run([sys.executable, "-c", SAY], cwd=root, capture_output=True, text=True, check=True)
    return done.stdout.split(), done.stderr


@pytest.fixture
def edited(copy):
    """A function that changes a file of the copy until the test ends."""
    before = {}

    def edit(name, old, new):
        path = copy / name
        before.setdefault(path, path.read_text())
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    yield edit
    for path, text in before.items():
        path.write_text(text)


def test_a_removed_soft_threshold_makes_the_runs_anew_that_it_is_part_of(copy, edited):
    assert names(copy) == (["1"] * 4, "")
    edited("models/proximal.py", "return ops.maximum(z - b, 0.0)", "return z")
    versions, said = names(copy)
    assert [version[:2] for version in versions] == ["1+", "1+", "1", "1"]
    assert said.count("\n") == 2
    assert "sRNN-AE: its code is not that of version 1 in code_versions.json; its runs are made as 1+" in said


def test_a_constant_far_from_the_system_counts(copy, edited):
    edited("data_prep/windows.py", "np.random.default_rng([self.seed, step])", "np.random.default_rng(step)")
    versions, _ = names(copy)
    assert all(version.startswith("1+") for version in versions[:3])


def test_words_types_and_places_change_nothing(copy, edited):
    edited("models/srnn_ae.py", '"""sRNN-AE: ', '"""Something else of sRNN-AE: ')
    edited("models/srnn_ae.py", "self.n_features = n_features", "self.n_features = n_features  # why")
    edited("models/proximal.py", "ops.maximum(z - b, 0.0)", "(ops.maximum(z - b,  0.0))")
    edited("models/blocks.py", "def jit_compile() -> bool:", "def jit_compile():")
    edited("experiments/lab/training/tensorboard.py", "import time", "import time\n\nHERE = 1")
    assert names(copy) == (["1"] * 4, "")


def test_declaring_gives_the_same_version_or_the_next(copy, edited):
    path = "experiments/lab/systems/code_versions.json"
    edited(path, "{", "{")  # as it was, at the end
    edited("models/lstm_ae.py", "return_sequences=True", "return_sequences=bool(1)")
    run = [sys.executable, *DECLARE]
    said = subprocess.run(run, cwd=copy, capture_output=True, text=True, check=True).stdout
    assert "LSTM-AE: not as declared" in said
    subprocess.run([*run, "--same", "LSTM-AE"], cwd=copy, check=True, capture_output=True)
    assert names(copy) == (["1"] * 4, "")
    edited("models/lstm_ae.py", "bool(1)", "bool(2)")
    subprocess.run([*run, "--changed", "LSTM-AE"], cwd=copy, check=True, capture_output=True)
    assert names(copy) == (["1", "1", "2", "1"], "")
    lines = (copy / path).read_text().splitlines()
    assert len(lines) == len(code_versions.names()) + 2  # a line a system
    refused = subprocess.run([*run, "--same", "SVM"], cwd=copy, capture_output=True, text=True)
    assert refused.returncode == 2
    assert "invalid choice: 'SVM'" in refused.stderr


def test_version_1_is_not_in_a_runs_name_and_others_are(monkeypatch):
    found = {"sRNN-AE": code_versions.fingerprint("sRNN-AE")}
    for version, name in ((1, ""), (3, "3")):
        declared = {"sRNN-AE": {"version": version, "fingerprint": found["sRNN-AE"]}}
        monkeypatch.setattr(code_versions, "read_declared", lambda declared=declared: declared)
        assert code_name("sRNN-AE") == name
    monkeypatch.setattr(code_versions, "read_declared", dict)
    assert code_name("sRNN-AE") == f"1+{found['sRNN-AE'][:8]}"


def test_what_makes_a_system_is_found_through_its_imports():
    behind = modules_behind("experiments.lab.systems.srnn_ae")
    for name in ("models.srnn_ae", "models.proximal", "data_prep.windows", "experiments.lab.scoring.score"):
        assert name in behind
    assert "models.lstm_ae" not in behind
    assert "experiments.lab.training.tensorboard" not in behind


def test_every_exception_is_a_module():
    for name in ACT_ON_NO_NUMBER:
        assert importlib.util.find_spec(name), name


def test_digests_are_blind_to_where_a_statement_stands(tmp_path):
    one, other = tmp_path / "one.py", tmp_path / "other.py"
    one.write_text(
        '"""One."""\nimport numpy as np\n\nA = 1\n\ndef f(x: int) -> int:\n    """Doc."""\n    return x + A\n'
    )
    other.write_text("import numpy as np\ndef f(x):\n    return (x + A)  # same\nA: int = 1\nA = 1\n")
    assert set(digests(one)) < set(digests(other))


def test_the_code_that_opens_moving_mnist_counts_for_runs_on_it_alone(copy, edited):
    ask = "from experiments.lab.systems.code_versions import stale; print(stale())"

    def stale():
        return subprocess.run([sys.executable, "-c", ask], cwd=copy, capture_output=True, text=True).stdout

    assert stale().strip() == "[]"
    edited("experiments/lab/systems/moving_mnist.py", "BLOCK_FRAMES = 5", "BLOCK_FRAMES = 4")
    assert stale().strip() == "['Moving-MNIST']"
