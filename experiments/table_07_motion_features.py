"""Table 7: optical flow against the temporal maximum of appearance: AUC, and frames per second end to end.

    python -m experiments.table_07_motion_features --data DIR

Paper: Table 7, Sec. 4.7. The flow stream is a sRNN-AE of its own on features of TV-L1 flow
(`data_prep.optical_flow`); of two streams the scores are added, the motion's times `temporal_weight`. Speed
is that of a live camera: decoding, flow, networks and sRNN-AE on one frame after another, nothing overlapped,
on the first test clip of the first dataset. The flow network has not been trained on flow, see DEVIATIONS.md.
The row of flow windows is ours: no network, see `data_prep.flow_windows`.
"""

if __name__ == "__main__":  # before what runs is imported: --help does not wait for TensorFlow
    from experiments.lab import cli

    cli.main(__spec__.name, cli.runs_parser(__doc__))

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import repeat, tee

import numpy as np

from data_prep.errors import InputError
from data_prep.flow_windows.place import load_place
from data_prep.frames import Source, iter_frames, resize
from data_prep.optical_flow import FlowOptions, flow_inputs
from experiments.lab.context import Context
from experiments.lab.distributing.points import Point, Seeded, flat, runs_of, seeded_points
from experiments.lab.publishing.publish import publish
from experiments.lab.publishing.results import Row
from experiments.lab.publishing.rows import backbones_of, identity_of, measured_row, rows_under
from experiments.lab.scoring.measure import protocols_of
from experiments.lab.scoring.protocol import Protocol
from experiments.lab.settings.changes import names_of
from experiments.lab.settings.flow_windows import reads_windows, window_options
from experiments.lab.settings.schema import PAPER
from experiments.lab.systems.reads import Reads
from experiments.lab.systems.srnn_ae import frame_by_frame
from experiments.lab.watching.live import RegionErrors, TemporalMaximum
from models.srnn_ae import Streaming

EXHIBIT = "table_07"
SPEED_COLUMN = "average inference time"
ROWS = {
    "Optical flow based only": ("flow",),
    "Appearance aggregation based only": ("temporal",),
    "Appearance+Optical flow based": ("spatial", "flow"),
    "Appearance+Appearance aggregation based": ("spatial", "temporal"),
}
WINDOWS_ROW = "Flow windows based only"
# Those of the last row act whatever `flow_input` is.
ON_WINDOWS = Reads(("sRNN-AE",), ("flow",)).names(PAPER.override(flow_input="windows"))
READS = Reads(
    ("sRNN-AE",),
    ("spatial", "temporal", "flow"),
    also=("checkpoint", *ON_WINDOWS.intersection(names_of("windows"))),
)
WARM_FRAMES = 5
TIMED_FRAMES = 50


def run(context: Context) -> None:
    """Train and score the streams on every dataset at hand, time them on one clip, and write the table."""
    command = context.command("experiments.table_07_motion_features")
    rows = [row for dataset in context.datasets for row in auc_rows(context, dataset, command)]
    rows += speed_rows(context, next(iter(context.datasets)), command)
    note = f"{context.differences('sRNN-AE', also=['flow'])} {flow_note(context)}"
    publish(context, EXHIBIT, rows, command, note)


def contexts_of(context: Context) -> dict[str, tuple[Context, tuple[str, ...]]]:
    """Return the settings and the streams of each row of the table."""
    windows = context.changed(flow_input="windows", frame_error="max")
    paper = {name: (context, streams) for name, streams in ROWS.items()}
    return {**paper, WINDOWS_ROW: (windows, ("flow",))}


def points(context: Context) -> list[Point]:
    """Return the runs that the table needs."""
    several = [row_points(context, dataset) for dataset in context.datasets]
    return flat(seeded for rows in several for seeded in rows.values())


def row_points(context: Context, dataset: str) -> dict[str, Seeded]:
    """Return the runs of each row on one dataset."""
    n_seeds = context.n_ablation_seeds
    rows = contexts_of(context).items()
    return {name: seeded_points(own, dataset, streams, n_seeds) for name, (own, streams) in rows}


def flow_note(context: Context) -> str:
    """Return what the flow features are, in a sentence or two."""
    if reads_windows("flow", context.settings):
        return f"Flow windows: {window_options(context.settings)}."
    return (
        f"Flow: {context.flow_options}. Flow network: {context.flow_backbone.name} at "
        f"{context.flow_backbone.input_size_px} px (paper: a network trained on UCF101)."
    )


def auc_rows(context: Context, dataset: str, command: str) -> list[Row]:
    """Return the AUC of every row of the table on one dataset, the headline normalization first."""
    rows = []
    for name, several in row_points(context, dataset).items():
        own, seeded = next(iter(several[0].values())).context, runs_of(several)
        headline, *beside = protocols_of(seeded[0], Protocol.of(own.settings.score))
        # Each stream alone has a row of its own in this table.
        protocols = [headline, *(one for one in beside if one.streams == headline.streams)]
        place = {"exhibit": EXHIBIT, "row": name, "command": command, "backbone": backbones_of(seeded[0])}
        # The paper's flow is that of a network; with windows in its place its row is another system's.
        compared = "flow" not in headline.streams or not reads_windows("flow", own.settings)
        rows += rows_under(protocols, context.heading(dataset), seeded, place, compared)
    return rows


def speed_rows(context: Context, dataset: str, command: str) -> list[Row]:
    """Return the frames per second of every row of the table on the first test clip of a dataset."""
    clip = context.datasets[dataset].split("test")[0]
    rows = contexts_of(context)
    cameras = {own: live_camera(own, dataset) for own, _ in rows.values()}
    runs = {name: {s: own.run(dataset, s) for s in streams} for name, (own, streams) in rows.items()}
    results = {
        name: cameras[rows[name][0]].errors(
            clip.source,
            {stream: frame_by_frame(run.model()) for stream, run in parts.items()},
        )
        for name, parts in runs.items()
    }
    rates, n_frames = frames_per_second(results, clip.source)
    return [
        measured_row(
            context,
            [rates[name]],
            exhibit=EXHIBIT,
            row=name,
            column=SPEED_COLUMN,
            metric="fps",
            protocol=f"decoding to region errors, one frame after another, {n_frames} frames of test clip "
            f"{clip.name}, warm",
            dataset=context.heading(dataset),
            backbone=backbones_of(parts),
            command=command,
            **identity_of([parts]),
        )
        for name, parts in runs.items()
    ]


@dataclass(frozen=True)
class LiveCamera:
    """From frames to region errors as they come.

    Attributes:
        appearance: the network with pooling, see `network_features.feature_function`.
        flow: frames of a clip -> the features of the flow of each, (R, C).
        input_size_px: of the appearance network.
        temporal_window_frames: of the temporal maximum, which is causal here.
    """

    appearance: Callable[[np.ndarray], np.ndarray]
    flow: Callable[[Iterable[np.ndarray]], Iterator[np.ndarray]]
    input_size_px: int
    temporal_window_frames: int

    def errors(self, source: Source, models: Mapping[str, Streaming]) -> Iterator[dict[str, np.ndarray]]:
        """Yield the region errors, float32 (R,), of every stream in `models`, frame after frame."""
        yield from map(RegionErrors(models), self.features(source, models.keys()))

    def features(self, source: Source, streams: Collection[str]) -> Iterator[dict[str, np.ndarray]]:
        """Yield the features, float32 (R, C), of "spatial", "temporal" and "flow", as far as asked for.

        Frames are decoded once; where only flow is asked for, the appearance network does not run.
        """
        frames, again = tee(iter_frames(source))
        flows = self.flow(again) if "flow" in streams else repeat(None)
        temporal_maximum = TemporalMaximum(self.temporal_window_frames)
        for frame, flow in zip(frames, flows, strict=False):
            features = {} if flow is None else {"flow": flow}
            if {"spatial", "temporal"} & set(streams):
                features |= temporal_maximum(self.appearance(resize(frame, self.input_size_px)[None])[0])
            yield features


def live_camera(context: Context, dataset: str) -> LiveCamera:
    """Return what scores a dataset's frames under these settings, its networks compiled."""
    return LiveCamera(
        context.extractor(dataset),
        live_flow(context, dataset),
        context.backbone.input_size_px,
        context.settings.train.temporal_window_frames,
    )


def live_flow(context: Context, dataset: str) -> Callable[[Iterable[np.ndarray]], Iterator[np.ndarray]]:
    """Return the function from the frames of a clip to the features of the flow of each, as they come."""
    if reads_windows("flow", context.settings):
        return load_place(context.flow_shards(dataset)).rows
    return through_network(context.extractor(dataset, flow=True), context.flow_options)


def through_network(
    network: Callable[[np.ndarray], np.ndarray], options: FlowOptions
) -> Callable[[Iterable[np.ndarray]], Iterator[np.ndarray]]:
    """Return the same through a network with pooling, see `network_features.feature_function`."""
    return lambda frames: (network(stack[None])[0] for stack in flow_inputs(frames, options))


def frames_per_second(
    results: Mapping[str, Iterator[object]], source: Source
) -> tuple[dict[str, float], int]:
    """Return the rate of each iterator once warm, and how many results of each were timed.

    They take turns, so that what else the machine does falls on all alike. InputError: a clip too short.
    """
    rounds = []
    while len(rounds) < WARM_FRAMES + TIMED_FRAMES:
        taken = [seconds_of_next(iterator) for iterator in results.values()]
        if None in taken:
            break
        rounds.append(taken)
    timed = np.array(rounds[WARM_FRAMES:])
    if not len(timed):
        raise InputError(f"{source}: expected more than {WARM_FRAMES} frames to time, got {len(rounds)}")
    return dict(zip(results, (1 / timed.mean(axis=0)).tolist(), strict=True)), len(timed)


def seconds_of_next(iterator: Iterator[object]) -> float | None:
    """Return how long the next result took, None where there is none."""
    start = time.perf_counter()
    result = next(iterator, None)
    return None if result is None else time.perf_counter() - start
