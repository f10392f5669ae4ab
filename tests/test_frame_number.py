"""The control that counts frames, against scikit-learn on the frames' numbers."""

from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from experiments.lab.scoring.protocol import Protocol
from experiments.lab.scoring.regularity import micro_auc
from experiments.lab.settings.schema import PAPER
from experiments.lab.systems.frame_number import frame_number_task
from experiments.lab.systems.quoted.sources import Footage

LABELS = [np.array(truth, np.uint8) for truth in ([0, 0, 1, 1], [1, 0, 0, 0, 0, 0, 1], [0, 1])]


@pytest.mark.parametrize(("normalization", "shares"), [("global", False), ("per_clip", True)])
def test_it_knows_nothing_but_how_late_a_frame_is(normalization, shares):
    clips = [Footage(f"{index:02d}", truth, iter) for index, truth in enumerate(LABELS)]
    source = SimpleNamespace(split=lambda split: clips, data=None)
    scores = frame_number_task(source, PAPER, 0).scorer(None)("test")
    late = [np.arange(len(truth)) / (len(truth) - 1 if shares else 1) for truth in LABELS]
    expected = roc_auc_score(np.concatenate(LABELS), np.concatenate(late))
    found = micro_auc({"numbers": scores}, Protocol(("numbers",), normalization=normalization))
    assert found == pytest.approx(expected)
    assert expected != pytest.approx(0.5, abs=0.05)
