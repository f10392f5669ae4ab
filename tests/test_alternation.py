"""The bar of an alternation: each block once, and how many there are from the second time on."""

from experiments.lab.training.alternation import ShownBlocks


def test_blocks_are_given_anew_and_counted(capsys):
    made = []

    def blocks():
        made.append("a pass")
        yield from "abc"

    shown = ShownBlocks(blocks)
    assert list(shown()) == list("abc")
    first = capsys.readouterr().err
    assert list(shown()) == list("abc")
    assert "coding: 0block" in first
    assert "0/3" in capsys.readouterr().err
    assert len(made) == 2


def test_blocks_that_were_broken_off_leave_no_number():
    shown = ShownBlocks(lambda: iter("abc"))
    half = shown()
    next(half)
    half.close()
    assert shown.n_blocks is None
