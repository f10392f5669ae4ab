"""What Table 4 says of the dataset that it is of."""

import pytest

from experiments import table_04_lv


@pytest.mark.parametrize(
    ("scored", "said"),
    [
        ({"lv", "yard"}, ""),
        ({"walkway"}, "the walkway stands in its own column."),
        ({"yard"}, "nothing stands in."),
    ],
)
def test_table_4_says_what_stands_in_for_lv(scored, said):
    assert table_04_lv.absence(scored) == (said and f" LV and its masks are not at hand: {said}")
