"""Controls of Table 1: their values for detectors whose answer is known."""

import numpy as np
import pytest

from experiments.lab.scoring.controls import equal_times, no_anomaly
from experiments.lab.scoring.protocol import ONE_ERROR, Protocol
from experiments.lab.scoring.regularity import micro_auc
from experiments.lab.scoring.score import ClipScores

PROTOCOL = Protocol(streams=("pixels",), frame_error=ONE_ERROR)
N, FRAMES = 40, np.arange(20)
MOTION = np.tile(FRAMES >= 10, (N, 1)).astype(np.uint8)
STARTS = np.arange(N)[:, None] % 16
APPEARANCE = ((FRAMES >= STARTS) & (FRAMES < STARTS + 5)).astype(np.uint8)


def scored(labels, errors):
    return [
        ClipScores(f"{i:02d}", truth, np.float32(error)[:, None])
        for i, (truth, error) in enumerate(zip(labels, errors, strict=True))
    ]


def numbers(labels, test_errors, control_errors):
    """Return the paper's protocol, no anomaly, equal times."""
    test = scored(labels, test_errors)
    control = scored(np.zeros_like(labels), control_errors)
    given = (test, control, PROTOCOL, None)
    return micro_auc({"pixels": test}, PROTOCOL), no_anomaly(*given), equal_times(*given)


@pytest.mark.parametrize("labels", [MOTION, APPEARANCE])
def test_a_perfect_detector(labels):
    assert numbers(labels, labels, np.zeros_like(labels)) == (1, 0.5, 1)


def test_a_detector_that_reads_the_clock():
    clock = np.tile(FRAMES, (N, 1))
    assert numbers(MOTION, clock, clock) == (1, 1, 0.5)
    assert numbers(MOTION, -clock, -clock) == (0, 0, 0.5)


def test_the_clock_says_little_of_a_box_at_any_time():
    """By hand: every frame of 20 has its share of abnormal ones among the N sequences."""
    clock = np.tile(FRAMES, (N, 1))
    positive, negative = APPEARANCE.sum(0), N - APPEARANCE.sum(0)
    below = [negative[:t].sum() + negative[t] / 2 for t in FRAMES]
    expected = (positive * below).sum() / (positive.sum() * negative.sum())
    paper, none, equal = numbers(APPEARANCE, clock, clock)
    assert paper == none == pytest.approx(expected)
    assert 0.4 < expected < 0.6
    assert equal == pytest.approx(0.5)


def test_a_detector_of_both():
    """Errors rise by 1 a frame, an anomaly adds 3; the pairs of frames 10 to 19 counted one by one."""
    clock = np.tile(FRAMES, (N, 1))
    _, none, equal = numbers(MOTION, clock + 3 * MOTION, clock)
    wins = [(a + 3 > b) + 0.5 * (a + 3 == b) for a in range(10, 20) for b in range(10, 20)]
    assert none == 1
    assert equal == pytest.approx(np.mean(wins))


def test_sequences_of_different_level_are_compared_on_one_scale():
    """A sequence's own level counts at equal times, and not under limits of each sequence."""
    level = 10.0 * np.arange(N)[:, None]
    paper, none, equal = numbers(MOTION, MOTION + level, np.zeros_like(MOTION) + level)
    assert (paper, none) == (1, 0.5)
    assert equal == pytest.approx(np.mean([(a + 0.1 > b) for a in range(N) for b in range(N)]))
