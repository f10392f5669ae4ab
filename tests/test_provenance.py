"""Commit, libraries and machine, as shards, runs and results record them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
from synthetic import write_clip

from data_prep import provenance
from data_prep.shards import read_info

ROOT = Path(__file__).parents[1]


def test_git_commit(tmp_path, monkeypatch):
    def commit_in(folder):
        monkeypatch.setattr(provenance, "ROOT", folder)
        return provenance.git_commit.__wrapped__()

    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert commit_in(tmp_path) == "unknown"
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b.c"]
    (tmp_path / "a.txt").write_text("1")
    for arguments in (["init", "-q"], ["add", "a.txt"], ["commit", "-qm", "one"], ["tag", "-m", "t", "v1"]):
        subprocess.run([*git, *arguments], check=True)
    assert re.fullmatch(r"[0-9a-f]{7,}", commit_in(tmp_path))
    (tmp_path / "a.txt").write_text("1")
    os.utime(tmp_path / "a.txt", (1, 1))  # as it was, but for its time
    before = (tmp_path / ".git" / "index").stat()
    assert re.fullmatch(r"[0-9a-f]{7,}", commit_in(tmp_path))
    assert (tmp_path / ".git" / "index").stat().st_ino == before.st_ino  # the repository is only read
    (tmp_path / "a.txt").write_text("2")
    assert re.fullmatch(r"[0-9a-f]{7,}-dirty", commit_in(tmp_path))


def test_shards_and_runs_record_the_same_commit(tmp_path):
    info = read_info(write_clip(tmp_path, "train", "01", np.ones((3, 21, 2), np.float32)))
    assert info.commit == provenance.made_with()["commit"] == provenance.git_commit()
    assert f"numpy {np.__version__}" in info.versions
    assert provenance.made_with()["versions"]["numpy"] == np.__version__


def test_processor_is_named_with_its_cores(monkeypatch):
    assert provenance.processor_name().endswith(f", {os.cpu_count()} cores")
    monkeypatch.setattr(Path, "read_text", lambda self: "no name in it")
    assert re.fullmatch(r"\w+, \d+ cores", provenance.processor_name())


def test_importing_it_loads_no_library():
    """What writes a note or a table imports it too."""
    code = (
        "import sys, data_prep.provenance; print({'keras', 'tensorflow', 'h5py', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
