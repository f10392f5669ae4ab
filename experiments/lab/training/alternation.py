"""Training TSC: coding and dictionary update in turn. Paper: Sec. 3.1 to 3.3.

An alternation takes the place of a step, and the test clips are scored after the last one.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from data_prep.errors import InputError
from data_prep.files import remove_leftovers
from experiments.lab.training.run_files import MODEL_FILE, load_model, read_history, save_model, write_json
from experiments.lab.training.task import Score, Task
from experiments.lab.training.tensorboard import TensorBoardLog
from models.coding import Block
from models.tsc import TSC, Alternation, alternate


@dataclass(frozen=True)
class Alternations:
    """The trainer (see `task.Trainer`) of TSC.

    Attributes:
        blocks: gives the training blocks anew at each call.
        build: the model with its initial dictionary.
        n_alternations, update_steps, atom_norm, coding: see `models.tsc.alternate`.
        config: empty, as the run's own configuration holds these.
    """

    blocks: Callable[[], Iterable[Block]]
    build: Callable[[], TSC]
    n_alternations: int
    update_steps: int
    atom_norm: str
    coding: str
    config: dict = field(default_factory=dict, init=False)
    keeps_model = True

    def __call__(self, task: Task, folder: Path, log: TensorBoardLog) -> tuple[list[dict], Score]:
        """Train from the last alternation on, where there is one.

        Raises InputError: blocks that do not suffice, exact coding without l1.
        """
        history = read_history(folder, ("objective",)) if (folder / "history.json").exists() else []
        finished = len(history) == self.n_alternations and (folder / MODEL_FILE).exists()
        model = load_model(folder) if finished else self.begin(folder, len(history))
        shown = {"total": self.n_alternations, "desc": task.title, "unit": "alternation"}
        blocks = ShownBlocks(self.blocks)
        with tqdm(initial=len(history), **shown) as bar:
            while len(history) < self.n_alternations:
                clock = time.perf_counter()
                # One at a time: a resumed run then goes through the very same operations.
                (record,) = alternate(model, blocks, 1, self.update_steps, self.atom_norm, self.coding)
                seconds = time.perf_counter() - clock
                history.append({"step": len(history) + 1, **curves(record), "seconds": seconds})
                keep(folder, model, history)
                log_alternation(log, model, history[-1])
                bar.set_postfix(objective=f"{record.objective:.4g}", zeros=f"{record.zeros:.0%}")
                bar.update()
        if not finished:
            save_model(model, folder / MODEL_FILE)
        for number in range(1, len(history) + 1):  # the last one, and what killed commands have left
            remove_leftovers(folder / checkpoint_name(number))
            (folder / checkpoint_name(number)).unlink(missing_ok=True)
        return history, task.scorer(model)

    def begin(self, folder: Path, n_done: int) -> TSC:
        """Return the model after `n_done` alternations."""
        try:
            model = load_model(folder, checkpoint_name(n_done)) if n_done else self.build()
        except ValueError as fault:
            raise InputError(f"{folder}: {fault}") from None
        if self.coding == "exact" and model.options.lambda1 == 0:
            raise InputError(f"{folder}: exact coding takes a lambda1 above 0, got 0")
        return model

    def summary(self, history: list[dict]) -> dict:
        """Return the final metrics that the history tells."""
        return {
            "steps": history[-1]["step"],
            "loss": history[-1]["objective"],
            "training_seconds": sum(row["seconds"] for row in history),
        }


class ShownBlocks:
    """The training blocks, each time anew, under a bar: an alternation over many can take minutes.

    Args:
        blocks: gives them; how many there are is known after the first time.
    """

    def __init__(self, blocks: Callable[[], Iterable[Block]]) -> None:
        self.blocks = blocks
        self.n_blocks: int | None = None

    def __call__(self) -> Iterator[Block]:
        """Yield the blocks, each shown when it is done."""
        with tqdm(self.blocks(), "coding", self.n_blocks, unit="block", leave=False) as bar:
            yield from bar
            self.n_blocks = bar.n


def curves(record: Alternation) -> dict[str, float]:
    """Return what the history keeps of an alternation; `sparsity` is the share of zeros."""
    return {
        "objective": record.objective,
        "updated_objective": record.updated_objective,
        "reconstruction": record.reconstruction,
        "l1": record.sparsity,
        "coherence": record.coherence,
        "sparsity": record.zeros,
        "n_used_atoms": record.n_used_atoms,
        "gamma": record.gamma,
    }


def checkpoint_name(alternation: int) -> str:
    """Return the name of the file with the model after an alternation."""
    return f"alternation_{alternation:04d}.keras"


def keep(folder: Path, model: TSC, history: list[dict]) -> None:
    """Save the model under its alternation's name, then the history that names it: they always agree."""
    save_model(model, folder / checkpoint_name(len(history)))
    write_json(folder / "history.json", history)
    (folder / checkpoint_name(len(history) - 1)).unlink(missing_ok=True)


def log_alternation(log: TensorBoardLog, model: TSC, values: dict) -> None:
    """Write one alternation's curves and the histogram of the dictionary to TensorBoard."""
    step = values["step"]
    log.scalars(step, {f"train/{key}": value for key, value in values.items() if key != "step"})
    log.histograms(step, {"dictionary": model.dictionary})
    log.flush()
