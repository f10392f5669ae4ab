"""What a run's folder says: the commits that made it; one line for a file that is missing or damaged."""

from experiments.lab.protocol import identity
from experiments.lab.training.runs import commits_of


def test_a_row_names_every_commit_behind_it_once_and_in_order():
    plain, begun_elsewhere = {"commit": "bbb"}, {"commit": "ccc-dirty", "earlier": [{"commit": "aaa"}]}
    assert commits_of([plain]) == "bbb"
    assert commits_of([begun_elsewhere, plain, plain]) == "aaa + ccc-dirty + bbb"


def test_a_rows_hash_is_of_what_the_weights_depend_on_alone():
    here = {"seed": 0, "commit": "aaa", "versions": {"keras": "3"}}
    there = {"seed": 0, "commit": "bbb", "versions": {"keras": "4"}, "earlier": [here]}
    assert identity([here])["config_hash"] == identity([there])["config_hash"]
    assert identity([here])["config_hash"] != identity([here | {"seed": 1}])["config_hash"]
    assert identity([there])["commit"] == "aaa + bbb"
