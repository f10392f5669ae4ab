"""Train TSC by alternation; the same call resumes or returns what is there. Paper: Sec. 3.1 to 3.3.

A run's folder looks like that of a system trained by gradients (`training.train`), an alternation taking the
place of a step. The test clips are scored after the last one.
"""

import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import keras
from tqdm import tqdm

from data_prep.errors import InputError
from experiments.lab.scoring.score import ClipScores, save_scores
from experiments.lab.settings.schema import config_hash
from experiments.lab.training.runs import MODEL_FILE, Run, load_model, scores_path
from experiments.lab.training.tensorboard import TensorBoardLog
from experiments.lab.training.train import finish_run, save_model, write_config, write_json
from models.tsc import TSC, Alternation, Block, alternate


def train_tsc(
    config: dict,
    blocks: Callable[[], Iterable[Block]],
    build: Callable[[], TSC],
    scorer: Callable[[keras.Model], Callable[[str], list[ClipScores]]],
    out: Path,
    n_alternations: int,
    update_steps: int,
    atom_norm: str,
    coding: str,
) -> Run:
    """Return the finished run, training it, or the rest of it, where it is not there.

    Args:
        config: all that the dictionary depends on, plain values; "dataset", "stream" and "seed" name it.
        blocks: gives the training blocks anew at each call.
        build: the model with its initial dictionary.
        scorer: see `train.Task`.
        out: root of the outputs.
        n_alternations, update_steps, atom_norm, coding: see `models.tsc.alternate`.

    Raises:
        InputError: blocks that do not suffice, a checkpoint that cannot be read, exact coding without l1.
    """
    name = f"tsc-{config['stream']}-seed{config['seed']}-{config_hash(config)}"
    folder, logs = (out / root / config["dataset"] / name for root in ("checkpoints", "logs"))
    run = Run(folder)
    if (folder / "metrics.json").exists():
        return run
    write_config(folder, config)
    history = json.loads((folder / "history.json").read_text()) if (folder / "history.json").exists() else []
    try:
        model = load_model(folder, checkpoint_name(len(history))) if history else build()
    except ValueError as fault:
        raise InputError(f"{folder}: {fault}") from None
    if coding == "exact" and model.options.lambda1 == 0:
        raise InputError(f"{folder}: exact coding takes a lambda1 above 0, got 0")
    log = TensorBoardLog(logs)
    bar = tqdm(
        total=n_alternations,
        initial=len(history),
        desc=f"{config['dataset']} TSC {config['stream']} seed {config['seed']}",
        unit="alternation",
    )
    while len(history) < n_alternations:
        clock = time.perf_counter()
        # One at a time: a resumed run then goes through the very same operations.
        (record,) = alternate(model, blocks, 1, update_steps, atom_norm, coding)
        history.append({"step": len(history) + 1, **curves(record), "seconds": time.perf_counter() - clock})
        keep(folder, model, history)
        log_alternation(log, model, history[-1])
        bar.set_postfix(objective=f"{record.objective:.4g}", zeros=f"{record.zeros:.0%}")
        bar.update()
    bar.close()
    score = scorer(model)
    save_scores(scores_path(folder, n_alternations), score("test"))
    save_scores(folder / "train_errors.npz", score("train"))
    save_model(model, folder / MODEL_FILE)
    result = {
        "steps": n_alternations,
        "loss": history[-1]["objective"],
        "training_seconds": sum(row["seconds"] for row in history),
    }
    finish_run(folder, log, config, result, history[-1])
    (folder / checkpoint_name(n_alternations)).unlink(missing_ok=True)
    return run


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
