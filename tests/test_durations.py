"""What is estimated of a run's length, from what was measured and the datasets that are there."""

from types import SimpleNamespace

import pytest

from experiments.lab import durations
from experiments.lab.durations import Measured, expected_minutes, measured
from experiments.run import exhibits

ALL = Measured(12.0, "all", 2, 6000, 3)


@pytest.mark.parametrize(
    ("one", "frames", "seeds", "minutes"),
    [
        (ALL, [4500, 1500], 3, 12.0),
        (ALL, [4500, 1500], 1, 4.0),
        (ALL, [1500], 3, (0.5 + 0.25) / 2 * 12),
        (ALL, [4500, 1500, 6000], 3, (1.5 + 2) / 2 * 12),
        (Measured(3.0, "first", 1, 4500, 1), [4500, 1500], 1, 3.0),
        (Measured(3.0, "first", 1, 4500, 1), [9000, 1500], 1, 4.5),
        (Measured(3.0, "none", 0, 0, 1), [1500], 1, 3.0),
    ],
)
def test_minutes_follow_the_datasets_and_the_seeds(one, frames, seeds, minutes):
    assert one.minutes_for(frames, seeds) == pytest.approx(minutes)


def test_every_exhibit_was_measured_in_the_short_profiles():
    for profile in ("smoke", "quick"):
        assert measured(profile).keys() == exhibits().keys()


def test_without_a_dataset_a_run_is_estimated_shorter(monkeypatch):
    monkeypatch.setattr(durations, "n_frames", lambda dataset: dataset)
    here = SimpleNamespace(profile="quick", datasets={"walkway": 1680}, n_seeds=1, n_ablation_seeds=1)
    both = SimpleNamespace(profile="quick", datasets={"p": 4560, "w": 1680}, n_seeds=3, n_ablation_seeds=1)
    alone, all_there = (sum(expected_minutes(context).values()) for context in (here, both))
    assert all_there == pytest.approx(sum(one.minutes for one in measured("quick").values()), rel=0.01)
    assert alone < 0.5 * all_there
