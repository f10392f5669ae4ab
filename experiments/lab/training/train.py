"""Make one run: a system trained and scored on one stream of a dataset; the same call goes on or returns it.

A run's folder holds the files that `run_files` names. Batches depend on (seed, step) alone, so a run that was
broken off ends as an unbroken one. A finished run is whole: what is missing of its scores, or is of other
clips than the dataset has, is scored again from its last model; its weights stay.
"""

from pathlib import Path

import numpy as np

from data_prep.files import locked, remove_leftovers
from data_prep.provenance import made_with
from experiments.lab.scoring.regularity import micro_auc
from experiments.lab.scoring.score import ClipScores
from experiments.lab.scoring.score_files import clips_of, load_scores, save_scores
from experiments.lab.training.custom_gradients import custom_gradients_let_go
from experiments.lab.training.freed_memory import freed_memory_kept
from experiments.lab.training.model_card import write_model_card
from experiments.lab.training.run_files import (
    MODEL_FILE,
    check_model_file,
    read_config,
    read_history,
    read_metrics,
    scored_steps,
    scores_path,
    set_aside_other_scores,
    write_json,
)
from experiments.lab.training.runs import Run
from experiments.lab.training.task import Score, Task
from experiments.lab.training.tensorboard import TensorBoardLog


def make_run(task: Task, out: Path) -> Run:
    """Return the finished run of a task, making it, or the rest of it, where it is not there.

    The run goes to `out/checkpoints/<dataset>/`, its logs to `out/logs/<dataset>/`.

    Raises:
        InputError: bad settings, training that diverges, or a file of the run that cannot be read.
    """
    folder = out / "checkpoints" / task.dataset / task.name
    with locked(folder), custom_gradients_let_go(), freed_memory_kept():
        if not is_whole(folder, task):
            (folder / "metrics.json").unlink(missing_ok=True)  # it says that a run is finished
            remove_leftovers(folder / MODEL_FILE)
            set_aside_other_scores(folder, task.clips["test"])
            write_config(folder, task.full_config)
            log = TensorBoardLog(out / "logs" / task.dataset / task.name)
            history, score = task.trainer(task, folder, log)
            finish(task, folder, log, history, score)
    return Run(folder, task.clips["test"])


def is_whole(folder: Path, task: Task) -> bool:
    """Return whether a run is finished and its scores are all there and of the dataset's clips.

    Raises InputError: another of its files is missing or damaged.
    """
    if not (folder / "metrics.json").exists():
        return False
    read_config(folder)
    read_history(folder)
    if task.trainer.keeps_model:
        check_model_file(folder / MODEL_FILE)
    steps, last = scored_steps(folder), read_metrics(folder)["steps"]
    return (
        steps[-1:] == [last]
        and all(clips_of(scores_path(folder, step)) == task.clips["test"] for step in steps)
        and clips_of(folder / "train_errors.npz") == task.clips["train"]
    )


def write_config(folder: Path, config: dict) -> None:
    """Write a run's configuration with the commit, the libraries and the device that it runs with.

    A run that goes on with others keeps those that it ran with before, under "earlier". Raises InputError:
    a run that was begun has no configuration, or a damaged one.
    """
    now = made_with()
    begun = (folder / "config.json").exists() or (folder / MODEL_FILE).exists()
    stored = read_config(folder) if begun else now
    before, earlier = {name: stored.get(name) for name in now}, stored.get("earlier", [])
    earlier += [before] if before != now else []
    write_json(folder / "config.json", {**config, **now, **({"earlier": earlier} if earlier else {})})


def finish(task: Task, folder: Path, log: TensorBoardLog, history: list[dict], score: Score) -> None:
    """Score what the last model has not scored yet, write card and HParams, and last `metrics.json`."""
    result = task.trainer.summary(history)
    last = next(row for row in history if row["step"] == result["steps"])
    for step in scored_steps(folder):
        if step > last["step"]:  # of a checkpoint that was broken off, and then was none
            scores_path(folder, step).unlink()
    test, train = scores_path(folder, last["step"]), folder / "train_errors.npz"
    if clips_of(test) != task.clips["test"]:
        save_scores(test, score("test"), task.clips["test"])
    if clips_of(train) != task.clips["train"]:
        errors = [ClipScores(clip.clip, clip.labels, clip.error) for clip in score("train")]
        save_scores(train, errors, task.clips["train"])
    if "sparsity" in last:
        result["sparsity"] = last["sparsity"]
    scores = load_scores(test)
    if has_both_classes(scores):
        result["auc_per_clip"] = micro_auc({task.stream: scores})
    final = {f"final/{key}": value for key, value in result.items() if not isinstance(value, str)}
    log.hparams(hyper_parameters(task.full_config), final, last["step"])
    log.close()
    write_model_card(folder, result)
    write_json(folder / "metrics.json", result)  # last: it says that the run is finished


def hyper_parameters(config: dict) -> dict:
    """Return the plain values of a configuration, those of its groups beside its own, for HParams."""
    groups = [
        config,
        *(value for key, value in config.items() if isinstance(value, dict) and key != "features"),
    ]
    return {k: v for group in groups for k, v in group.items() if isinstance(v, (str, int, float, bool))}


def has_both_classes(scores: list[ClipScores]) -> bool:
    """Return whether an AUC is defined: there are normal and abnormal frames."""
    return len(np.unique(np.concatenate([clip.labels for clip in scores]))) == 2
