"""Table 10: training time and inference speed of every system.

    python -m experiments.table_10_running_time --data DIR

Paper: Table 10 and Sec. 4.8, on Avenue. Here on Avenue where it is at hand, else on Ped2, else on the first
dataset. Training is that of this profile's runs, seed 0, on the machine that trained them; nothing is
extrapolated to the paper's iterations. Inference is that of a live camera, one frame after another, nothing
overlapped, on one test clip. The paper counts Conv-AE with feature extraction, its input being the frames
themselves: so is "Inference" of Conv-AE and ConvLSTM-AE here; that of the other systems starts from features.
The systems that the authors quote are timed from frames alone.

Draws table_10_speed.png as well, which is ours and not the paper's: the AUC of Table 3, where that was made
before, against frames per second.
"""

if __name__ == "__main__":  # before what runs is imported: --help does not wait for TensorFlow
    from experiments.lab import cli

    cli.main(__spec__.name, cli.runs_parser(__doc__))

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median
from typing import cast

import keras
import numpy as np

from data_prep.datasets import Clip
from data_prep.errors import InputError
from data_prep.frames import count_frames, iter_frames, resize
from data_prep.provenance import processor_name
from data_prep.shards import Shard, shard_path
from experiments.lab.context import Context
from experiments.lab.distributing.points import Point, flat, runs_of, seeded_points
from experiments.lab.publishing import speed_plot
from experiments.lab.publishing.publish import publish
from experiments.lab.publishing.published import published
from experiments.lab.publishing.results import Row, read_rows
from experiments.lab.publishing.rows import identity_of, measured_row
from experiments.lab.settings.changes import values
from experiments.lab.settings.schema import PAPER
from experiments.lab.systems.catalogue import SYSTEMS, named, systems_of, task_of
from experiments.lab.systems.inputs import LiveScores
from experiments.lab.systems.quoted.inputs import QuotedInput
from experiments.lab.systems.quoted.tasks import WHOLE_CLIP, MapTask
from experiments.lab.systems.reads import Reads
from experiments.lab.training.fitting import Fit
from experiments.lab.training.runs import Run

EXHIBIT = "table_10"
READS = Reads(systems_of(EXHIBIT), ("spatial", "temporal"), scored=False, walkway="first")
PREFERRED = ("avenue", "ped2")
# Both multiples of the windows' length, so that as many windows as frames are timed.
WARM_FRAMES, TIMED_FRAMES = 10, 50
ROUNDS = 3
ALONE, END_TO_END = "Inference", "Inference with feature extraction"


def timed_dataset(context: Context) -> str:
    """Return the dataset on which systems are timed."""
    return next((name for name in PREFERRED if name in context.datasets), next(iter(context.datasets)))


def points(context: Context) -> list[Point]:
    """Return the runs that the table needs: what is timed here may be trained elsewhere."""
    dataset, names = timed_dataset(context), systems_of(EXHIBIT, context.profile)
    return flat(seeded_points(context, dataset, SYSTEMS[name].streams(PAPER), 1, name) for name in names)


def run(context: Context) -> None:
    """Time every system on one dataset, training what is not there, and write the table."""
    command = context.command("experiments.table_10_running_time")
    dataset = timed_dataset(context)
    title = context.heading(dataset)
    cell = partial(measured_row, context, exhibit=EXHIBIT, dataset=title, command=command)
    systems = systems_of(EXHIBIT, context.profile)
    rows = [row for name in systems for row in system_rows(context, dataset, name, cell)]
    note = f"Speeds are measured on {machine()}, {title} (paper: Avenue, on a machine that it does not name)."
    rows = publish(context, EXHIBIT, rows, command, f"{note} {context.differences(*systems)}")
    draw_speed(context, rows, title)


def draw_speed(context: Context, rows: Sequence[Row], title: str) -> None:
    """Draw the AUC of Table 3's systems against their speed; say so where Table 3 has none of the dataset."""
    accuracy = [row for row in read_rows(context.results_dir) if row.exhibit == "table_03"]
    systems = speed_plot.points(accuracy, rows, title, END_TO_END)
    path = context.results_dir / f"{EXHIBIT}_speed.png"
    if not systems:
        path.unlink(missing_ok=True)
        print(
            f"{path.name}: not drawn, {context.results_dir / 'results.csv'} has no row of Table 3 on {title}"
        )
        return
    in_paper = {row for row, _, _ in published("table_03")}
    quoted = {name for name, entry in SYSTEMS.items() if entry.quoted}
    groups = {
        "run in the paper": in_paper - quoted,
        "quoted in the paper, or part of one that is": quoted,
        "ours, for comparison": set(systems) - in_paper - quoted,
    }
    speed_plot.draw(path, systems, groups, f"{title}, profile {context.profile_name}\n{machine()}")


def machine() -> str:
    """Return the name of the processor, and how many GPUs the backend computes on."""
    gpus = len(keras.distribution.list_devices("gpu"))
    return f"{processor_name()}, {gpus or 'no'} GPU"


@dataclass(frozen=True)
class Camera:
    """The first test clip of a dataset, as frames to extract and as features in memory.

    Attributes:
        clip: which.
        extract: what makes features of its frames, see `network_features.feature_function`.
        input_size_px: of what it takes.
        features: of its first frames, float32 (n, R, C).
    """

    clip: Clip
    extract: Callable[[np.ndarray], np.ndarray]
    input_size_px: int
    features: np.ndarray

    @classmethod
    def of(
        cls, context: Context, dataset: str, shards: Path, extract: Callable, input_size_px: int
    ) -> "Camera":
        """Return the camera; InputError: a clip too short to be timed."""
        clip = context.datasets[dataset].split("test")[0]
        with Shard(shard_path(shards, clip.split, clip.name)) as shard:
            features = shard.features(0, WARM_FRAMES + TIMED_FRAMES)
        if len(features) <= WARM_FRAMES:
            raise InputError(
                f"{clip.source}: expected more than {WARM_FRAMES} frames to time, got {len(features)}"
            )
        return cls(clip, extract, input_size_px, features)

    def live(self) -> Callable[[], Iterator[np.ndarray]]:
        """Return the function that starts the clip: it decodes frames and gives their features (R, C)."""
        frames = partial(iter_frames, self.clip.source)
        return lambda: (self.extract(resize(frame, self.input_size_px)[None])[0] for frame in frames())


def speed_row(of: Callable[..., Row], camera: Camera, scores: LiveScores, column: str, how: str) -> Row:
    """Return the frames per second of a system, from the features in memory or from the frames."""
    n_frames = len(camera.features) - WARM_FRAMES
    if column == ALONE:
        start, source = "features in memory", lambda: iter(camera.features)
    else:
        start, source = "decoding and feature extraction included", camera.live()
    timed = f"{n_frames} frames of clip {camera.clip.name}, warm, median of {ROUNDS}"
    rate = frames_per_second(lambda: scores(source()), n_frames)
    return of([rate], column=column, metric="fps", protocol=f"{how}, {start}, {timed}, {machine()}")


def frames_per_second(results: Callable[[], Iterator[object]], n_frames: int) -> float:
    """Return the rate of `n_frames` results that follow `WARM_FRAMES`, the median over rounds begun anew."""
    rates = []
    for _ in range(ROUNDS):
        iterator = results()
        deque(islice(iterator, WARM_FRAMES), maxlen=0)
        start = time.perf_counter()
        deque(islice(iterator, n_frames), maxlen=0)
        rates.append(n_frames / (time.perf_counter() - start))
    return median(rates)


def training_row(of: Callable[..., Row], runs: Mapping[str, Run], unit: str = "iterations") -> Row:
    """Return the hours that the runs of one system took, all streams together."""
    n_steps = next(iter(runs.values())).history[-1]["step"]  # those after the checkpoint that is kept, too
    return of(
        [sum(run.metrics["training_seconds"] for run in runs.values()) / 3600],
        column="Training",
        metric="hours",
        protocol=f"{' and '.join(runs)}, {n_steps:,} {unit}",
    )


def system_rows(context: Context, dataset: str, name: str, cell: Callable[..., Row]) -> list[Row]:
    """Return the rows of one system: all its streams, then the first alone where it has several.

    "Inference" of a system that reads the frames themselves counts their decoding, as in the paper.
    """
    entry = SYSTEMS[name]
    if entry.quoted:
        return map_rows(context, dataset, name, cell)
    (runs,) = runs_of(seeded_points(context, dataset, entry.streams(PAPER), 1, name))
    first, *others = runs
    cases = [runs, *([{first: runs[first]}] if others else [])]
    of = partial(cell, row=name, backbone=runs[first].config["backbone"], **identity_of([runs]))
    rows = [training_row(of, case, entry.unit) for case in cases]
    if entry.depth:
        depth = values(context.settings)[entry.depth]
        rows.append(of([depth], column="K", metric="depth", protocol="steps a frame"))
    if not entry.live:
        return rows
    folder = entry.reads.folder(context, dataset, first)
    source = entry.reads.source(folder, first, context.settings)
    camera = Camera.of(context, dataset, folder, *entry.reads.live(context, dataset))
    for case in cases:
        how, scores = named(entry.live)(case, context.settings, source)
        alone = speed_row(of, camera, scores, ALONE, how)
        if case is runs:
            full = speed_row(of, camera, scores, END_TO_END, how)
            rows.append(full)
            if not entry.reads.of_network:
                rows.append(of([full.ours], column=ALONE, metric="fps", protocol=full.protocol))
        rows.append(alone)
    return rows


def map_rows(context: Context, dataset: str, name: str, cell: Callable[..., Row]) -> list[Row]:
    """Return the rows of a system that the authors quote, fitted anew: its run keeps scores alone.

    It is timed from the frames on: its cells are of several of them.
    """
    entry, settings = SYSTEMS[name], context.settings
    run = context.run(dataset, entry.stream, 0, name)
    of = partial(cell, row=name, backbone=run.config["backbone"], **identity_of([{entry.stream: run}]))
    source = entry.reads.source(entry.reads.folder(context, dataset, entry.stream), entry.stream, settings)
    task: MapTask = task_of(name, source, settings, 0)
    trainer: Fit = task.trainer
    fitted, clip = trainer.fit(), context.datasets[dataset].split("test")[0]
    reads = cast(QuotedInput, entry.reads)

    def maps() -> Iterator[np.ndarray]:
        return task.method.maps(fitted, reads.of_frames(iter_frames(clip.source), settings))

    if task.method.ahead_frames == WHOLE_CLIP:
        rate, timed = clip_rate(maps), f"clip {clip.name} as a whole"
    else:
        n_timed = min(TIMED_FRAMES, count_frames(clip.source) - WARM_FRAMES)
        rate = frames_per_second(maps, n_timed)
        timed = f"{n_timed} frames of clip {clip.name}, warm, median of {ROUNDS}"
    protocol = f"cells, decoding included, {timed}, {machine()}"
    rows = [training_row(of, {entry.stream: run}, entry.unit)] if fitted is not None else []
    return [*rows, of([rate], column=END_TO_END, metric="fps", protocol=protocol)]


def clip_rate(results: Callable[[], Iterator[object]]) -> float:
    """Return the rate of all results, which come when the last frame has been seen."""
    start = time.perf_counter()
    n_frames = sum(1 for _ in results())
    return n_frames / (time.perf_counter() - start)
