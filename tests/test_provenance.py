"""Which code made a file."""

import re
import subprocess

from data_prep import provenance


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
    (tmp_path / "a.txt").write_text("2")
    assert re.fullmatch(r"[0-9a-f]{7,}-dirty", commit_in(tmp_path))
