"""The table of bad command lines (`tests.bad_command_lines`): those that are refused before much is loaded.

The others take a process of their own each: `python -m tests.bad_command_lines` runs them all.
"""

import runpy
import sys

import pytest

from tests.bad_command_lines import cases, fault_of

CHEAP = [case for case in cases() if case.is_cheap]


def test_the_table_has_what_it_should():
    assert len(cases()) >= 60
    assert len(CHEAP) >= 45
    assert {case.code for case in cases()} == {0, 2}


@pytest.mark.parametrize("case", CHEAP, ids=[" ".join(case.words) for case in CHEAP])
def test_a_bad_command_line_is_one_line_and_exit_code_2(case, tmp_path, monkeypatch, capsys):
    case.prepare(tmp_path)
    module, *words = (word.replace("HERE", str(tmp_path)) for word in case.words)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [module, *words])
    before = set(tmp_path.rglob("*"))
    with pytest.raises(SystemExit) as end:
        runpy.run_module(module, run_name="__main__")
    assert not fault_of(case, end.value.code, capsys.readouterr().err.splitlines())
    assert set(tmp_path.rglob("*")) == before  # nothing was begun
