"""The table of bad command lines (`tests.bad_command_lines`): those that are refused before much is loaded.

The others take a process of their own each: one slow test, or `python -m tests.bad_command_lines` for all.
"""

import pytest

from tests.bad_command_lines import cases, fault_of, make_inputs, table

CHEAP = [case for case in cases() if case.is_cheap]


def test_the_table_has_what_it_should():
    assert len(cases()) >= 60
    assert len(CHEAP) >= 45
    assert {case.code for case in cases()} == {0, 2}


@pytest.mark.parametrize("case", CHEAP, ids=[" ".join(case.words) for case in CHEAP])
def test_a_bad_command_line_is_one_line_and_exit_code_2(case, tmp_path, monkeypatch, run_main):
    case.prepare(tmp_path)
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.rglob("*"))
    code, _, errors = run_main(*(word.replace("HERE", str(tmp_path)) for word in case.words))
    assert not fault_of(case, code, errors.splitlines())
    assert set(tmp_path.rglob("*")) == before  # nothing was begun


@pytest.mark.slow
def test_the_others_are_answered_alike_by_processes_of_their_own(tmp_path):
    make_inputs(tmp_path)
    _, faults = table([case for case in cases() if not case.is_cheap], tmp_path)
    assert faults == []
