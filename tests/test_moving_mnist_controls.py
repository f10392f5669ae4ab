"""What Table 1 is held against: no model, boxes on lit pixels, controls of one checkpoint, names of runs."""

from types import SimpleNamespace

import numpy as np
import pytest

from data_prep.mnist_digits import Digits
from data_prep.moving_mnist import MovingMNIST
from experiments import table_01_moving_mnist
from experiments.lab.context import Context
from experiments.lab.scoring.protocol import Protocol
from experiments.lab.scoring.score import ClipScores
from experiments.lab.systems import sequences
from experiments.lab.systems.moving_mnist import task_on_sequences
from experiments.lab.systems.sequences import sequence_files
from experiments.lab.training.train import make_run
from tests.synthetic_mnist import TINY, all_frames, noise_files


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return noise_files(tmp_path_factory.mktemp("files"))


def test_pixels_that_training_never_lights_are_told_without_a_model(files, tmp_path):
    """A frame's share of energy there, and which boxes lie where training lights every pixel."""
    lit = (all_frames(files.train) > 0).any((0, 1))
    energy = np.square(all_frames(files.test).astype(float))
    expected = energy[:, :, ~lit].sum(-1) / energy.sum((2, 3))
    run = make_run(task_on_sequences("unlit pixels", files, TINY, 0), tmp_path)
    errors = np.array([clip.error[:, 0] for clip in run.scores()])
    np.testing.assert_allclose(errors, expected, atol=1e-6)
    assert (expected == 0).any()
    np.testing.assert_array_equal(errors == 0, expected == 0)  # rounding would rank frames that have nothing
    with MovingMNIST(files.test) as test:
        on_lit = [lit[y : y + 3, x : x + 3].all() for y, x in test.boxes]
    np.testing.assert_array_equal(files.boxes_on_lit, on_lit)


@pytest.mark.parametrize("kind", ["spatial", "temporal"])
def test_boxes_on_lit_pixels_are_scored_apart(kind, monkeypatch, tmp_path):
    digits = Digits(np.full((2, 28, 28), 200, np.uint8), "squares")
    monkeypatch.setattr(sequences, "digits", lambda split, data_dir: digits)
    made = sequence_files(kind, TINY.override(mnist_test_sequences=60), tmp_path, None)
    assert made.boxes_on_lit.shape == (60,)
    assert made.boxes_on_lit.any() == (kind == "spatial")
    if kind == "temporal":
        return
    with MovingMNIST(made.test) as test:
        truth = test.labels
    # Seen is what is on lit pixels; elsewhere normal frames have the larger errors.
    errors = np.where(made.boxes_on_lit[:, None], truth, 1.0 - truth)[..., None]
    clips = [ClipScores(f"{i:05d}", one, e) for i, (one, e) in enumerate(zip(truth, errors, strict=True))]
    runs = {"pixels": SimpleNamespace(steps=[1], scores=lambda *_: clips)}
    place = dict.fromkeys(("exhibit", "row", "command", "backbone", "config_hash", "commit"), "")
    place["exhibit"] = "table_01"
    protocol = Protocol(("pixels",), remark="60 test sequences")
    auc, low, high = table_01_moving_mnist.on_lit_rows([runs, runs], made, protocol, "appearance", place)
    assert (auc.ours, auc.seeds, auc.paper) == (1, 2, None)
    assert (low.metric, low.ours, high.metric, high.ours) == ("auc_ci_low", 1, "auc_ci_high", 1)
    assert f"the {made.boxes_on_lit.sum()} of 60 test sequences" in auc.protocol


def test_the_mean_frame_of_another_size_is_another_run(files):
    names = {
        task_on_sequences(system, files, TINY.override(conv_ae_size_px=size), 0).name
        for system in ("mean frame (error of Conv-AE)", "Conv-AE")
        for size in (39, 43)
    }
    assert len(names) == 4


def test_controls_are_of_the_last_checkpoint_whatever_the_headline_is(files, tmp_path):
    """The last model alone scores control sequences; no published number stands beside a chosen one."""
    settings = TINY.override(checkpoint="best_on_test", mnist_checkpoint_every=2, log_every=2)
    context = Context("smoke", settings, tmp_path)
    rows = table_01_moving_mnist.system_rows(context, "sRNN-AE", "Spatial Anomaly", files, "a command")
    controls = [row for row in rows if "control: " in row.protocol]
    assert controls
    assert not any("chosen on the test set" in row.protocol for row in controls)
    chosen = [row for row in rows if "chosen on the test set" in row.protocol]
    assert chosen
    assert all(row.paper is None for row in chosen)
