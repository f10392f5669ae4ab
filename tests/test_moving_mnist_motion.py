"""Readings of the paper's anomalies of motion: how digits move, and that every setting acts."""

import csv

import numpy as np
import pytest

from data_prep.errors import InputError
from data_prep.mnist_digits import Digits
from experiments import moving_mnist_motion as motion
from experiments.lab.context import Context
from experiments.lab.settings.schema import PAPER

TINY = PAPER.override(mnist_train_sequences=6, mnist_test_sequences=4, mnist_n_atoms=8)
IMAGES = np.random.default_rng(0).integers(1, 200, (9, 28, 28)).astype(np.uint8)


def steps(reading, split, index=0):
    return motion.steps_of(reading, np.random.default_rng(index), split)


@pytest.mark.parametrize("reading", motion.READINGS, ids=lambda reading: reading.name)
def test_the_control_goes_on_as_the_test_sequence_began(reading):
    for index in range(5):
        test, control = steps(reading, "test", index), steps(reading, "control", index)
        assert (control == control[:1, :1]).all()
        np.testing.assert_array_equal(test[:9], control[:9])
        assert (test[9:, 0] != test[9:, 1]).any(axis=-1).all()
        assert ((test[9:] == test[9]).all()) == (reading.drawn == "once")


def test_what_is_trained_on_moves_as_the_reading_says():
    for reading in motion.READINGS:
        apart = (steps(reading, "train")[:, 0] != steps(reading, "train")[:, 1]).any(axis=-1)
        first = {"together": 19, "both halves": 9, "random walks": 0}[reading.trained_on]
        np.testing.assert_array_equal(apart, np.arange(19) >= first)


def test_a_digit_that_bounces_stays_in_the_image_whole():
    """All pixels of the one digit that is not black are there, at steps that lead out of the image."""
    images = np.stack([IMAGES[0], np.zeros_like(IMAGES[0])])
    reading = motion.Reading("", times=3, bounces=True)
    settings = TINY.override(mnist_step_px=4)
    for index in range(6):
        frames = motion.sequence(settings, reading, images, "control", index)
        assert ((frames > 0).sum(axis=(1, 2)) == 28 * 28).all()


def test_digits_that_move_together_bounce_together():
    """With steps of 12 px they reach every border; normal ones stay side by side, others part."""
    reading, start = motion.READINGS[-1], motion.first_corners(28)
    turned = 0
    for index in range(20):
        for split in ("control", "test"):
            moves = 12 * steps(reading, split, index)
            corners = motion.bounced(start, moves)
            assert corners.min() >= 0
            assert corners.max() <= 225 - 28
            n_together = 20 if split == "control" else 10
            assert (corners[:n_together, 1] - corners[:n_together, 0] == (0, 28)).all()
            turned += int((np.diff(corners, axis=0)[:9, 0] != moves[:9, 0]).any())
            assert ((corners[n_together:, 1] - corners[n_together:, 0]) != (0, 28)).any() == (split == "test")
    assert turned > 10


def test_steps_that_lead_out_of_the_image_are_refused():
    with pytest.raises(InputError, match=r"step_px: expected at most 4 beside a digit_px of 28.*; got 5$"):
        motion.scored(Context("smoke", TINY.override(mnist_step_px=5), None), motion.READINGS[0])


def test_every_reading_has_a_line_and_every_setting_acts(tmp_path, monkeypatch):
    monkeypatch.setattr(motion, "digits", lambda split, folder: Digits(IMAGES, "noise"))
    motion.run(Context("smoke", TINY, tmp_path))
    (path,) = tmp_path.rglob("moving_mnist_motion.csv")
    lines = list(csv.DictReader(path.open()))
    assert [line["reading"] for line in lines] == [reading.name for reading in motion.READINGS]
    assert all(0 <= float(line["auc"]) <= 100 for line in lines)
    usual = motion.scored(Context("smoke", TINY, tmp_path), motion.READINGS[0])
    others = {"mnist_train_sequences": 4, "mnist_test_sequences": 5, "mnist_seed": 1, "mnist_step_px": 2}
    others |= {"mnist_n_atoms": 4, "threshold": "two_sided"}
    assert set(others) == set(motion.READS.also)
    for name, value in others.items():
        context = Context("smoke", TINY.override(**{name: value}), tmp_path)
        assert motion.scored(context, motion.READINGS[0]) != usual
