"""Result rows of a system under every protocol: which of them the paper's number stands beside."""

from dataclasses import replace

import pytest

from experiments.lab.publishing.results import update_exhibit
from experiments.lab.publishing.rows import number_rows
from experiments.lab.scoring.protocol import Protocol

HEADLINE = Protocol()
PLACE = {"exhibit": "table_03", "row": "sRNN-AE", "backbone": "thin"}


def published_beside(headline: Protocol, folder, **place):
    """What is written: (protocol, metric, the paper's number) of each row."""
    protocols = [headline, *headline.beside()]
    numbers = {protocol: [0.7 + index / 100, 0.72] for index, protocol in enumerate(protocols)}
    rows = number_rows(numbers, (0.6, 0.8), "Ped2", {**PLACE, **place})
    written = update_exhibit(folder, rows[0].exhibit, rows)
    return [(row.protocol, row.metric, row.paper) for row in written]


def test_the_papers_number_stands_beside_the_headline_alone(tmp_path):
    (protocol, metric, paper), *others = published_beside(HEADLINE, tmp_path)
    assert (protocol, metric, paper) == (str(HEADLINE), "auc", 0.9221)
    assert {"spatial alone", "temporal alone"} <= {protocol.split(",")[0] for protocol, *_ in others}
    assert len(others) >= 7  # the interval's ends too
    assert {paper for *_, paper in others} == {None}


def test_a_stream_alone_has_the_number_of_table_8_in_table_8(tmp_path):
    alone = replace(HEADLINE, streams=("spatial",))
    found = published_beside(alone, tmp_path, exhibit="table_08", row="Spatial features")
    assert found[0] == (str(alone), "auc", 0.912)


@pytest.mark.parametrize("checkpoint", ["last", "best_on_test"])
def test_no_published_number_beside_a_checkpoint_chosen_on_the_test_set(checkpoint, tmp_path):
    (_, _, paper), *others = published_beside(replace(HEADLINE, checkpoint=checkpoint), tmp_path)
    assert paper == (0.9221 if checkpoint == "last" else None)
    assert {paper for *_, paper in others} == {None}
