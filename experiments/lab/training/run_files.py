"""The files of a run's folder, read with every check: a fault is one line that says what to do.

`config.json` (what the numbers depend on, and what it was made with), `last.keras`, `history.json` (the
training curves), `scores/step_NNNNNN.npz` and `train_errors.npz` (`scoring.score_files`), `metrics.json`.
"""

import json
import os
import re
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import keras

from data_prep.errors import InputError
from data_prep.files import write_atomic, written_whole
from data_prep.json_files import Maybe, Shape, check_shape, read_json
from experiments.lab.scoring.score_files import clips_of
from experiments.lab.systems.catalogue import SYSTEMS
from experiments.lab.training.model_files import read_model

MODEL_FILE = "last.keras"
_NUMBER_OR_WORD = (float, str)
_SAMPLING = {"window_frames": int, "temporal_window_frames": int, "alignment": str, str: object}
_FEATURES = {
    "layer": str,
    "input_size_px": int,
    "pooling": str,
    "pyramid": str,
    "normalization": str,
    "weights_sha256": str,
    str: object,
}
CONFIG = {  # of a run; all but `backbone`, which is empty without a network, says more where it is there
    "system": str,
    "dataset": str,
    "stream": str,
    "seed": int,
    "backbone": str,
    "features": {str: object},
    "commit": str,
    "versions": {str: str},
    "earlier": Maybe([{"commit": str, "versions": {str: str}}]),
    "train": Maybe({"iterations": int, **_SAMPLING}),
    "sampling": Maybe(_SAMPLING),
    "ahead_frames": Maybe(int),
    "cells": Maybe({"rows": int, "columns": int, "cell_height_px": float, "cell_width_px": float}),
    str: object,
}
HISTORY = [{"step": int, "seconds": float, str: _NUMBER_OR_WORD}]
METRICS = {"steps": int, "training_seconds": float, str: _NUMBER_OR_WORD}
TRAIN_AGAIN = "to train the run again, delete its folder"
FINISH_AGAIN = "delete the file: the command that trains the run finishes it again"


def read_config(folder: Path) -> dict:
    """Return the configuration of a run. InputError: absent, damaged, or not what a run has."""
    config = read(folder / "config.json", CONFIG, TRAIN_AGAIN)
    try:
        if config["backbone"]:
            check_shape(config["features"], _FEATURES, "features")
        if config["system"] not in SYSTEMS:
            raise ValueError(f"expected a system of the catalogue, got {config['system']!r}")
    except ValueError as fault:
        raise InputError(f"{folder / 'config.json'}: damaged, {fault}; {TRAIN_AGAIN}") from None
    return config


def read_history(folder: Path, curves: Collection[str] = ()) -> list[dict]:
    """Return the training curves, a dict a logged step.

    Args:
        folder: of the run.
        curves: numbers that every step must have.

    Raises InputError: absent, damaged, out of order, without a curve.
    """
    path = folder / "history.json"
    history = read(path, [HISTORY[0] | dict.fromkeys(curves, float)], TRAIN_AGAIN)
    steps = [row["step"] for row in history]
    if not steps or sorted(set(steps)) != steps or steps[0] < 1:
        raise InputError(f"{path}: damaged, expected steps from 1, ascending, got others; {TRAIN_AGAIN}")
    return history


def read_metrics(folder: Path) -> dict:
    """Return the final metrics of a run. InputError: absent, damaged, or not what a run has."""
    path = folder / "metrics.json"
    if not path.exists():
        raise InputError(
            f"{path}: no such file, expected the folder of a finished run; the command that trains it goes on"
        )
    metrics = read(path, METRICS, FINISH_AGAIN)
    if metrics["steps"] < 1:
        raise InputError(f"{path}: damaged, expected steps from 1, got {metrics['steps']}; {FINISH_AGAIN}")
    return metrics


def read(path: Path, shape: Shape, advice: str) -> Any:
    """Return what is in a JSON file of a run. InputError, with the advice: absent, damaged, another shape."""
    if not os.path.lexists(path):
        of_a_run = any((path.parent / name).exists() for name in (MODEL_FILE, "config.json"))
        where = f"; {TRAIN_AGAIN}" if of_a_run else ", checkpoints/DATASET/RUN"
        raise InputError(f"{path}: no such file, expected the folder of a finished run{where}")
    return read_json(path, shape, advice)


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
    with written_whole(path) as temporary:
        model.save(temporary)


def scores_path(folder: Path, step: int) -> Path:
    """Return where the test scores of a step are."""
    return folder / "scores" / f"step_{step:06d}.npz"


def scored_steps(folder: Path) -> list[int]:
    """Return the steps whose test scores are there, ascending."""
    names = (re.fullmatch(r"step_([0-9]{6,10})", path.stem) for path in (folder / "scores").glob("*.npz"))
    return sorted(int(name[1]) for name in names if name)


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
        again = (
            "those of these clips, kept from before, are back"
            if back
            else "the last model scores anew, and without earlier ones there is no best_on_test"
        )
        what = "other test clips, features or labels"
        print(f"{folder}: its scores are of {what} and set aside; {again}", flush=True)
