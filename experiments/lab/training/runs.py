"""A run read from its folder, which `training.train` wrote."""

import functools
import importlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from data_prep.errors import InputError
from data_prep.flow_windows import place
from data_prep.flow_windows.extraction import NAME as FLOW_WINDOWS
from experiments.lab.scoring import metrics
from experiments.lab.scoring.score import ClipScores
from experiments.lab.scoring.score_files import load_scores
from experiments.lab.systems.catalogue import SYSTEMS
from experiments.lab.training.run_files import (
    load_model,
    read_config,
    read_history,
    read_metrics,
    scored_steps,
    scores_path,
)


@dataclass(frozen=True)
class Run:
    """A finished run: its folder and what is read from it; every reader raises InputError for a damaged file.

    Attributes:
        folder: of the run.
        test_clips: what tells the test clips that it is read for from others; None for whichever it has.
    """

    folder: Path
    test_clips: str | None = None

    @property
    def config(self) -> dict:
        """Return the configuration that the run was trained with."""
        return read_config(self.folder)

    @property
    def history(self) -> list[dict]:
        """Return the training curves, one dict a logged step."""
        return read_history(self.folder)

    @property
    def metrics(self) -> dict:
        """Return the final metrics."""
        return read_metrics(self.folder)

    @property
    def steps(self) -> list[int]:
        """Return the steps at which the test clips were scored, ascending; the last one is the run's."""
        steps, last = scored_steps(self.folder), self.metrics["steps"]
        if not steps or steps[-1] != last:
            raise InputError(
                f"{scores_path(self.folder, last)}: no such file, expected the last checkpoint's scores; the "
                "command that trained the run scores it again"
            )
        return steps

    @property
    def ahead_frames(self) -> float:
        """Return up to how many frames after t the errors at t depend on; infinite for all of the clip."""
        config = self.config
        if "ahead_frames" in config:
            return config["ahead_frames"] if config["ahead_frames"] >= 0 else math.inf
        sampling = config.get("sampling", config.get("train", {}))
        if config["system"] in SYSTEMS and SYSTEMS[config["system"]].in_windows:
            return sampling["window_frames"] - 1
        if config.get("backbone") == FLOW_WINDOWS:
            return place.load_place(self.folder).options.delay_frames
        centered = config["stream"] in ("temporal", "early") and sampling.get("alignment") == "centered"
        return (sampling["temporal_window_frames"] - 1) // 2 if centered else 0

    def scores(self, step: int | None = None) -> list[ClipScores]:
        """Return the test clips' scores at a checkpoint, the last by default."""
        path = scores_path(self.folder, self.steps[-1] if step is None else step)
        changed_ns = path.stat().st_mtime_ns if path.exists() else 0
        return read_once(path, changed_ns, self.test_clips)

    def train_errors(self, frame_error="max") -> np.ndarray:
        """Return the frame errors of all training frames, (n,), for `normalization="train"`."""
        return np.concatenate(
            [
                metrics.frame_error(clip.error, frame_error)
                for clip in load_scores(self.folder / "train_errors.npz")
            ]
        )

    def model(self) -> keras.Model:
        """Return the trained model. InputError: of a system that keeps none, or whose file is damaged."""
        system = self.config["system"]
        if system in SYSTEMS and (use := SYSTEMS[system].use):
            importlib.import_module(use.module)  # registers the model's classes
        return load_model(self.folder)


@functools.lru_cache(maxsize=8)
def read_once(path: Path, changed_ns: int, test_clips: str | None) -> list[ClipScores]:
    """Return the scores in a file that was last changed at `changed_ns`; several protocols read the same."""
    return load_scores(path, test_clips)


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
        if not (run.folder / place.FILE).exists():  # flow windows have steps of their own
            same.append(("steps", first.steps, run.steps))
        for what, expected, got in same:
            if expected != got:
                raise InputError(
                    f"{run.folder}: expected the {what} of the spatial run, {expected}, got {got}"
                )
    return {stream: streams[stream] for stream in ordered}


def finished_run(folder: Path) -> Run:
    """Return the run in a folder. InputError unless it is finished, readable and scored as runs are now."""
    run = Run(folder)
    config = read_config(folder)
    run.scores()  # checked once, before anything is made of them
    rounded = config.get("model", {}).get("compute_dtype", "float32") != "float32"
    if rounded and config["dataset"] != "moving_mnist" and "products" not in config:
        raise InputError(
            f"{folder}: scored in bfloat16 as it was done before; the command that trained it makes another"
        )
    return run
