"""A run read from its folder, which `training.train` or `training.tsc` wrote."""

import functools
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from data_prep.errors import InputError
from experiments.lab.scoring import metrics
from experiments.lab.scoring.score import ClipScores, load_scores

MODEL_FILE = "last.keras"


@dataclass(frozen=True)
class Run:
    """A finished run: its folder and what is read from it."""

    folder: Path

    @property
    def config(self) -> dict:
        """Return the configuration that the run was trained with."""
        return json.loads((self.folder / "config.json").read_text())

    @property
    def history(self) -> list[dict]:
        """Return the training curves, one dict a logged step."""
        return json.loads((self.folder / "history.json").read_text())

    @property
    def metrics(self) -> dict:
        """Return the final metrics."""
        return json.loads((self.folder / "metrics.json").read_text())

    @property
    def steps(self) -> list[int]:
        """Return the steps at which the test clips were scored, ascending."""
        return sorted(int(path.stem.split("_")[1]) for path in (self.folder / "scores").glob("step_*.npz"))

    def scores(self, step: int | None = None) -> list[ClipScores]:
        """Return the test clips' scores at a checkpoint, the last by default."""
        return finished_scores(scores_path(self.folder, self.steps[-1] if step is None else step))

    def train_errors(self, frame_error="max") -> np.ndarray:
        """Return the frame errors of all training frames, (n,), for `normalization="train"`."""
        return np.concatenate(
            [
                metrics.frame_error(clip.error, frame_error)
                for clip in load_scores(self.folder / "train_errors.npz")
            ]
        )

    def model(self) -> keras.Model:
        """Return the trained model."""
        return keras.saving.load_model(self.folder / MODEL_FILE)


@functools.lru_cache(maxsize=8)
def finished_scores(path: Path) -> list[ClipScores]:
    """Return the scores in a finished run's file; several protocols read the same."""
    return load_scores(path)


def scores_path(folder: Path, step: int) -> Path:
    """Return where the test scores of a step are."""
    return folder / "scores" / f"step_{step:06d}.npz"


def load_model(folder: Path, name: str = MODEL_FILE) -> keras.Model:
    """Return the model of a run's newest checkpoint. InputError if it is damaged."""
    path = folder / name
    try:
        return keras.saving.load_model(path)
    except (OSError, ValueError, KeyError) as fault:
        raise InputError(f"{path}: expected a checkpoint of this run, got {fault}; delete it") from None


def commits_of(configs: Iterable[dict]) -> str:
    """Return the commits of the code that made some runs, each once: "5623e02 + 992c13b-dirty".

    Args:
        configs: the runs' configurations; a run that other code began has those before it under "earlier".
    """
    made = [record for config in configs for record in (*config.get("earlier", ()), config)]
    return " + ".join(dict.fromkeys(record["commit"] for record in made))


def load_runs(folders: Sequence[Path]) -> dict[str, Run]:
    """Return the runs by stream, spatial first. InputError unless they are one, or some that can be fused."""
    runs = [finished_run(folder) for folder in folders]
    configs = [run.config for run in runs]
    streams = {config["stream"]: run for config, run in zip(configs, runs, strict=True)}
    if len(runs) == 1:
        return streams
    ordered = [stream for stream in ("spatial", "temporal", "flow") if stream in streams]
    if len(ordered) != len(runs) or ordered[0] != "spatial":
        got = ", ".join(config["stream"] for config in configs)
        raise InputError(f"--run: expected one run, or a spatial one with temporal, flow or both, got {got}")
    first = streams["spatial"]
    for stream in ordered[1:]:
        run = streams[stream]
        keys = ("system", "dataset") if stream == "flow" else ("system", "dataset", "features")
        same = [(key, first.config[key], run.config[key]) for key in keys]
        for what, expected, got in [*same, ("steps", first.steps, run.steps)]:
            if expected != got:
                raise InputError(
                    f"{run.folder}: expected the {what} of the spatial run, {expected}, got {got}"
                )
    return {stream: streams[stream] for stream in ordered}


def finished_run(folder: Path) -> Run:
    """Return the run in a folder. InputError unless it is finished and its config can be read."""
    for name in ("config.json", "metrics.json"):
        if not (folder / name).is_file():
            raise InputError(f"{folder / name}: no such file, expected the folder of a finished run")
    run = Run(folder)
    try:
        config = run.config
    except ValueError as fault:
        raise InputError(f"{folder / 'config.json'}: damaged, expected JSON, got {fault}") from None
    keys = {"system", "dataset", "stream", "seed", "backbone", "features"}
    if missing := keys - set(config if isinstance(config, dict) else ()):
        raise InputError(f"{folder / 'config.json'}: expected the key {min(missing)}, got none")
    if not run.steps:
        raise InputError(f"{folder / 'scores'}: no scores, expected step_NNNNNN.npz files")
    return run
