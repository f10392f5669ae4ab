"""Fitting: a system that is made from the training frames in one go, and as well a second time."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data_prep.errors import InputError
from experiments.lab.training.run_files import read_history, write_json
from experiments.lab.training.task import Score, Task
from experiments.lab.training.tensorboard import TensorBoardLog


@dataclass(frozen=True)
class Fit:
    """The trainer (see `task.Trainer`) of a system without steps. It keeps no model: the fit is repeated.

    Attributes:
        fit: returns what is fitted, the same at every call; ValueError for data or settings that do not suit.
        details: what is fitted -> what it says of itself, numbers and words by name, for the final metrics.
        config: empty, as the run's own configuration holds the settings.
    """

    fit: Callable[[], Any]
    details: Callable[[Any], dict] = lambda fitted: {}
    config: dict = field(default_factory=dict, init=False)
    keeps_model = False

    def __call__(self, task: Task, folder: Path, log: TensorBoardLog) -> tuple[list[dict], Score]:
        """Fit; InputError: data or settings that do not suit."""
        clock = time.perf_counter()
        try:
            fitted = self.fit()
        except ValueError as fault:
            raise InputError(f"{task.title}: {fault}") from None
        seconds = time.perf_counter() - clock
        if not (folder / "history.json").exists():
            write_json(folder / "history.json", [{"step": 1, **self.details(fitted), "seconds": seconds}])
        return read_history(folder), task.scorer(fitted)

    def summary(self, history: list[dict]) -> dict:
        """Return the final metrics that the history tells."""
        details = dict(history[-1])
        return {"steps": details.pop("step"), "training_seconds": details.pop("seconds"), **details}
