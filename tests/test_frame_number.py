"""The control that counts frames, against scikit-learn on the frames' numbers."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from data_prep import walkway
from data_prep.datasets import find_datasets
from experiments.lab.scoring.measure import auc, held_by
from experiments.lab.scoring.protocol import Protocol
from experiments.lab.settings.profiles import PROFILES
from experiments.lab.systems.catalogue import run_system
from experiments.lab.systems.quoted.sources import Frames


@pytest.mark.parametrize("normalization", ["global", "per_clip"])
def test_it_knows_nothing_but_how_late_a_frame_is(tmp_path, normalization):
    walkway.generate(tmp_path / "data", n_train_clips=1, n_test_clips=3, clip_frames=24)
    dataset = find_datasets(tmp_path / "data")["walkway"]
    run = run_system("frame number", Frames(dataset), "numbers", PROFILES["smoke"], 0, tmp_path)
    labels = [dataset.frame_labels(clip) for clip in dataset.split("test")]
    late = [np.arange(len(truth)) / (len(truth) if normalization == "per_clip" else 1) for truth in labels]
    protocol = held_by({"numbers": run}, Protocol(normalization=normalization))
    expected = roc_auc_score(np.concatenate(labels), np.concatenate(late))
    assert auc({"numbers": run}, protocol) == pytest.approx(expected)
