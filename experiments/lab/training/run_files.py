"""The files of a run's folder, read with every check: a fault is one line that says what to do.

`config.json` (what the numbers depend on, and what it was made with), `last.keras`, `history.json` (the
training curves), `scores/step_NNNNNN.npz` and `train_errors.npz` (`scoring.score_files`), `metrics.json`.
"""

import json
import math
import os
import zipfile
from pathlib import Path

import keras

from data_prep.errors import InputError
from data_prep.files import one_line, write_atomic
from experiments.lab.scoring.score_files import clips_of
from experiments.lab.training.model_files import read_model

MODEL_FILE = "last.keras"
CONFIG_KEYS = {
    "system": str, "dataset": str, "stream": str, "seed": int, "backbone": str, "features": dict,
}  # fmt: skip
TRAIN_AGAIN = "to train the run again, delete its folder"
FINISH_AGAIN = "delete the file: the command that trains the run finishes it again"


def read_config(folder: Path) -> dict:
    """Return the configuration of a run. InputError: absent, damaged, or without a key that a run has."""
    path = folder / "config.json"
    config = read_json(path, dict, TRAIN_AGAIN)
    for key, kind in CONFIG_KEYS.items():
        if not isinstance(config.get(key), kind):
            got = f"{config[key]!r}" if key in config else "none"
            raise InputError(f"{path}: expected the key {key}, {kind.__name__}, got {got}; {TRAIN_AGAIN}")
    return config


def read_history(folder: Path) -> list[dict]:
    """Return the training curves, a dict a logged step. InputError: absent, damaged, out of order."""
    path = folder / "history.json"
    history = read_json(path, list, TRAIN_AGAIN)
    steps = [row.get("step") if isinstance(row, dict) else None for row in history]
    if not steps or not all(isinstance(step, int) for step in steps) or sorted(set(steps)) != steps:
        raise InputError(f"{path}: expected a list of steps, ascending, got others; {TRAIN_AGAIN}")
    for row in history:
        check_numbers(path, row, ("seconds",), TRAIN_AGAIN)
    return history


def read_metrics(folder: Path) -> dict:
    """Return the final metrics of a run. InputError: absent, damaged, or not the numbers that a run has."""
    path = folder / "metrics.json"
    if not path.exists():
        raise InputError(
            f"{path}: no such file, expected the folder of a finished run; the command that trains it goes on"
        )
    metrics = read_json(path, dict, FINISH_AGAIN)
    check_numbers(path, metrics, ("steps", "training_seconds"), FINISH_AGAIN)
    return metrics


def read_json(path: Path, kind: type, advice: str):
    """Return the dict or list in a JSON file. InputError, with the advice: none, damaged, another kind."""
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        raise InputError(
            f"{path}: no such file, expected the folder of a finished run; {TRAIN_AGAIN}"
        ) from None
    except ValueError as fault:  # not UTF-8, not JSON
        raise InputError(f"{path}: damaged, expected JSON, got {one_line(fault)}; {advice}") from None
    if not isinstance(content, kind):
        raise InputError(f"{path}: expected a {kind.__name__}, got {type(content).__name__}; {advice}")
    return content


def check_numbers(path: Path, values: dict, needed: tuple[str, ...], advice: str) -> None:
    """Raise InputError unless all values are finite numbers or words, and numbers for the names `needed`."""
    for name in dict.fromkeys((*needed, *values)):
        value = values.get(name)
        if isinstance(value, str) and name not in needed:
            continue
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise InputError(f"{path}: expected a finite number as {name}, got {value!r}; {advice}")


def write_json(path: Path, value) -> None:
    """Write plain values as JSON, atomically."""
    write_atomic(path, (json.dumps(value, indent=1) + "\n").encode())


def check_model_file(path: Path) -> None:
    """Raise InputError unless a saved model is there and whole, by its archive's own table of contents."""
    if not path.exists():
        raise InputError(f"{path}: no such file, expected the trained model; {TRAIN_AGAIN}")
    if not zipfile.is_zipfile(path):
        raise InputError(f"{path}: damaged, expected a .keras archive; {TRAIN_AGAIN}")


def load_model(folder: Path, name: str = MODEL_FILE) -> keras.Model:
    """Return a model of a run's folder. InputError if it is absent or damaged."""
    path = folder / name
    check_model_file(path)
    try:
        return read_model(path)
    except InputError as fault:
        raise InputError(f"{fault}; {TRAIN_AGAIN}") from None


def save_model(model: keras.Model, path: Path) -> None:
    """Save weights, optimizer and step as .keras, whole or not at all."""
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        model.save(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def scores_path(folder: Path, step: int) -> Path:
    """Return where the test scores of a step are."""
    return folder / "scores" / f"step_{step:06d}.npz"


def scored_steps(folder: Path) -> list[int]:
    """Return the steps whose test scores are there, ascending."""
    return sorted(int(path.stem.split("_")[1]) for path in (folder / "scores").glob("step_*.npz"))


def set_aside_other_scores(folder: Path, test_clips: str) -> None:
    """Move the scores of other test clips into a folder of their own, those of `test_clips` back from theirs.

    One line says so: only the last model is kept, so that earlier checkpoints cannot be scored again.
    """
    root = folder / "scores"
    others = {path: clips_of(path) for path in map(lambda n: scores_path(folder, n), scored_steps(folder))}
    others = {path: clips for path, clips in others.items() if clips != test_clips}
    for path, clips in others.items():
        kept = root / (clips or "of_clips_unknown")
        kept.mkdir(exist_ok=True)
        os.replace(path, kept / path.name)
    back = sorted((root / test_clips).glob("step_*.npz"))
    for path in back:
        os.replace(path, root / path.name)
    if others:
        again = "those of these clips, kept from before, are back" if back else "the last model scores anew"
        what = "other test clips, features or labels"
        print(f"{folder}: its scores are of {what} and set aside; {again}", flush=True)
