"""How long exhibits take: what was measured once (`durations.csv`), scaled to the datasets that are there.

A line says how many minutes an exhibit took from nothing on two cores, on how many datasets of how many
frames together, with how many seeds. It runs on `all` datasets, on the `first`, or on `none` of them. Half
of the time is training, which takes as long on any dataset; half grows with the frames, as features do.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

from data_prep.datasets import Dataset
from data_prep.frames import count_frames

DURATIONS = Path(__file__).parents[1] / "durations.csv"


@dataclass(frozen=True)
class Measured:
    """What an exhibit took when it was measured, see the module."""

    minutes: float
    runs_on: str
    datasets: int
    frames: int
    seeds: int

    def minutes_for(self, frames: list[int], seeds: int) -> float:
        """Return what it takes on datasets of so many frames each, in their order, with so many seeds."""
        if self.runs_on == "none" or not frames:
            return self.minutes
        there = frames if self.runs_on == "all" else frames[:1]
        size = (len(there) / self.datasets + sum(there) / self.frames) / 2
        return self.minutes * size * seeds / self.seeds


def measured(profile: str) -> dict[str, Measured]:
    """Return what the exhibits took in a profile, by their names; those not measured lack."""
    with DURATIONS.open(newline="") as file:
        lines = [line for line in csv.DictReader(file) if line["profile"] == profile]
    return {
        line["exhibit"]: Measured(
            float(line["minutes"]),
            line["runs_on"],
            int(line["datasets"]),
            int(line["frames"]),
            int(line["seeds"]),
        )
        for line in lines
    }


def expected_minutes(context) -> dict[str, float]:
    """Return how long each exhibit takes from nothing in a context, in minutes, as far as it was measured."""
    frames = [n_frames(dataset) for dataset in context.datasets.values()]
    seeds = {"all": context.n_seeds, "first": context.n_ablation_seeds, "none": 1}
    return {
        exhibit: one.minutes_for(frames, seeds[one.runs_on])
        for exhibit, one in measured(context.profile).items()
    }


def n_frames(dataset: Dataset) -> int:
    """Return the number of frames of a dataset."""
    return sum(count_frames(clip.source) for clip in dataset.clips)
