"""Watching a video (`experiments.watch`): the runs that score it; every frame scored, drawn and written."""

import argparse
import shlex
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import fields, replace
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from data_prep.backbones import Backbone
from data_prep.errors import InputError
from data_prep.flow_windows.extraction import NAME
from data_prep.flow_windows.options import FlowWindowOptions
from data_prep.flow_windows.place import load_place
from data_prep.live_frames import FALLBACK_RATE, FrameStream
from data_prep.network_features import feature_function
from data_prep.normalization import load_normalization
from data_prep.pooling import PYRAMIDS
from experiments.lab import cli
from experiments.lab.context import Context
from experiments.lab.publishing.rows import backbones_of
from experiments.lab.scoring.calibration import CELLS_PER_SIDE, Calibration, calibrate, cell_boxes
from experiments.lab.scoring.footprints import map_side
from experiments.lab.scoring.measure import held_by
from experiments.lab.scoring.protocol import Protocol
from experiments.lab.scoring.score import DivergedError
from experiments.lab.settings.changes import names_of
from experiments.lab.settings.flow_windows import IN_PLACE, window_options
from experiments.lab.systems.reads import Reads
from experiments.lab.systems.srnn_ae import frame_by_frame
from experiments.lab.training.runs import Run, load_runs
from experiments.lab.watching import maps
from experiments.lab.watching.footage import frames_of_footage, train_on_footage
from experiments.lab.watching.live import FrameScore, Networks, live_scores, stop_on_signal
from experiments.lab.watching.outputs import Outputs, folder_for, folder_name

SYSTEM, STREAMS = "sRNN-AE", ("spatial", "temporal", "flow")
OF_MODEL = ("model", "train", *IN_PLACE.values())  # settings, and groups of them, that a run has
LIVE_FLOW = "expected picture or windows, for a live video, got stack"
MANY = 0.2  # of the frames of a video: so many are hardly abnormal


def run(arguments: argparse.Namespace) -> None:
    """Train where asked to, watch the video, say what was found."""
    if arguments.system != SYSTEM:
        maps.check_live(arguments.system)
    stream = FrameStream(arguments.video, arguments.rate)
    context = cli.context(arguments)
    of_command = "experiments.watch" if arguments.train else "experiments.watch --run"
    if arguments.run:
        refuse_model_settings(arguments)
    cli.refuse_unread(arguments, [reads(arguments)], context, of_command)
    if arguments.system != SYSTEM:
        watch_maps(stream, context, arguments)
        return
    if CELLS_PER_SIDE not in PYRAMIDS[context.settings.features.pyramid]:
        raise InputError(
            f"setting pyramid: expected the {CELLS_PER_SIDE}x{CELLS_PER_SIDE} cells, got "
            f"{context.settings.features.pyramid}"
        )
    if arguments.train:
        if context.settings.train.alignment != "causal":
            raise InputError("setting alignment: expected causal, for a live video, got centered")
        if "flow" in context.settings.score.streams and context.settings.flow.flow_input == "stack":
            raise InputError(f"setting flow_input: {LIVE_FLOW}")
        until = arguments.train_until or 1.0
        runs, size = train_on_footage(context, arguments.train, until, chooses_size(arguments, context))
        if size:
            print(size, flush=True)
    else:
        runs = load_runs(arguments.run)
        if list(runs) == ["flow"] and not on_windows(runs["flow"]):
            raise InputError(f"{arguments.run[0]}: a run on flow, expected a spatial one beside it")
        for trained in runs.values():
            check_run(trained, context)
    asked = Protocol.of(context.settings.score)
    protocol = held_by(runs, asked)
    if protocol.frame_error != asked.frame_error:
        raise InputError(
            f"setting frame_error: expected {protocol.frame_error}, the one kind that its regions have, "
            f"got {asked.frame_error}"
        )
    calibration = calibrate(runs, protocol, arguments.threshold)
    print(calibration, flush=True)
    scores = partial(network_scores, stream, context, runs, calibration)
    print(watch(stream, context, runs, calibration, scores, arguments.train, n_trained(stream, arguments)))
    if arguments.train:
        if size:
            print(f"n_atoms {size.n_atoms}, chosen by held-out frames as told above")
        print(f"again, or another video, without training: {command_of_runs(arguments, context, runs)}")
        if n_trained(stream, arguments):
            print("with --run frames of the footage count like others; it is not known which they are")


def watch_maps(stream: FrameStream, context: Context, arguments: argparse.Namespace) -> None:
    """Fit a system that the paper quotes, watch the video, say what was found."""
    until = arguments.train_until or 1.0
    system = maps.fit_on_footage(context, arguments.train, until, arguments.system)
    maps.check_footage(system, arguments.threshold)
    calibration = calibrate(system.runs, Protocol.of(context.settings.score), arguments.threshold)
    print(calibration, flush=True)
    scores = partial(maps.live_map_scores, stream, system, context, calibration)
    print(
        watch(
            stream, context, system.runs, calibration, scores, arguments.train, n_trained(stream, arguments)
        )
    )


def reads(arguments: argparse.Namespace) -> Reads:
    """Return what the command reads: a run that is there has its model, streams and training already."""
    without = ("normalization", "checkpoint")  # limits are the training errors', the last model scores
    if arguments.train:
        return Reads((arguments.system,), without=without, walkway="never")
    made = (*without, *OF_MODEL)
    return Reads((SYSTEM,), STREAMS, also=("windows",), without=made, walkway="never")


def chooses_size(arguments: argparse.Namespace, context: Context) -> bool:
    """Return whether the models' size is chosen: it acts on them, and is not given by --set."""
    given = {item.partition("=")[0] for item in arguments.set}
    return "n_atoms" in reads(arguments).names(context.settings) - given


def refuse_model_settings(arguments: argparse.Namespace) -> None:
    """Raise InputError for a setting of the model or its training: a run has them."""
    for item in arguments.set:
        if (name := item.partition("=")[0]) in names_of(*OF_MODEL):
            raise InputError(
                f"--set {name}: {arguments.run[0]} has its own model, whose settings cannot be changed; "
                "--train NORMAL trains another"
            )


def check_run(trained: Run, context: Context) -> None:
    """Raise InputError where a run cannot score frames as they come, under these settings."""
    config, features = trained.config, context.settings.features
    if config["system"] != SYSTEM or config["stream"] not in STREAMS:
        raise InputError(
            f"{trained.folder}: expected a run of {SYSTEM}, {' or '.join(STREAMS)}, got {config['system']}, "
            f"{config['stream']}"
        )
    if on_windows(trained):
        check_options(trained, window_options(context.settings))
        return
    flow = config["stream"] == "flow"
    if flow and context.settings.flow.flow_input == "stack":
        raise InputError(f"{trained.folder}: setting flow_input: {LIVE_FLOW}")
    backbone = context.flow_backbone if flow else context.backbone
    asked = {
        "backbone": backbone.name,
        "input_size_px": backbone.input_size_px,
        "layer": backbone.layer,
        "pooling": features.pooling,
        "pyramid": features.pyramid,
        "normalization": features.feature_normalization,
        "weights_sha256": backbone.weights_sha256,
    }
    if flow:
        asked["flow"] = str(context.flow_options)
    made_with = {"backbone": config["backbone"], **config["features"]}
    made_with["normalization"] = load_normalization(trained.folder).method
    for name, value in asked.items():
        if made_with[name] != value:
            raise InputError(
                f"{trained.folder}: trained on features of {name} {made_with[name]}, expected {value}, which "
                "--profile, --set or --weights ask for"
            )
    if config["train"]["alignment"] != "causal":
        raise InputError(f"{trained.folder}: its temporal maximum looks ahead, expected alignment causal")


def on_windows(trained: Run) -> bool:
    """Return whether a run is on flow windows."""
    return trained.config["backbone"] == NAME


def check_options(trained: Run, asked: FlowWindowOptions) -> None:
    """Raise InputError where a run's flow windows are computed otherwise than the settings ask for."""
    made = load_place(trained.folder).options
    for field in fields(FlowWindowOptions):
        if getattr(made, field.name) != getattr(asked, field.name):
            raise InputError(
                f"{trained.folder}: trained on flow windows of {field.name} {getattr(made, field.name)}, "
                f"expected {getattr(asked, field.name)}, which --profile or --set ask for"
            )


def network_scores(
    stream: FrameStream,
    context: Context,
    runs: Mapping[str, Run],
    calibration: Calibration,
    stop: threading.Event,
) -> Generator[tuple[np.ndarray, FrameScore]]:
    """Return what sRNN-AE says of each frame, see `live.live_scores`."""
    first = next(iter(runs.values()))
    config = first.config
    cells = cell_boxes(map_side(config["features"])) if not on_windows(first) else np.empty((0, 4))
    models = {name: frame_by_frame(run.model()) for name, run in runs.items()}
    window_frames = runs.get("temporal", first).config["train"]["temporal_window_frames"]
    networks = networks_for(context, runs)
    return live_scores(stream, networks, models, window_frames, calibration, cells, stop)


def watch(
    stream: FrameStream,
    context: Context,
    runs: Mapping[str, Run],
    calibration: Calibration,
    scores: Callable[[threading.Event], Generator[tuple[np.ndarray, FrameScore]]],
    footage: Path | None = None,
    n_trained: int = 0,
) -> str:
    """Score and draw every frame of a source; return in words what was found.

    Args:
        stream, context, runs, calibration: what is watched, in what, with which models and threshold.
        scores: begins to score the source, until the event is set, see `live.live_scores`.
        footage: what the models were trained on just now.
        n_trained: how many frames of the source that is, its first ones.

    Raises, after what came until then has been written: InputError, a source that breaks off, a model that
    diverges; BrokenPipeError, nobody reads what is printed.
    """
    config = next(iter(runs.values())).config
    size = f" of {config['model']['n_atoms']} atoms" if config["system"] == SYSTEM else ""
    names = f"{config['system']}{size}, {' + '.join(runs)}, {backbones_of(runs)}"
    title = f"{folder_name(stream)}: {names}, profile {context.profile_name}"
    faults: list[Exception] = []
    outputs = None
    with ExitStack() as stack:
        stop = stack.enter_context(stop_on_signal())
        scored = scores(stop)
        stack.callback(scored.close)
        stack.callback(stop.set)
        bar = tqdm(total=stream.n_frames, desc=folder_name(stream), unit="frame", disable=None)
        stack.enter_context(bar)
        for picture, frame in until_fault(scored, faults):
            if outputs is None:
                folder = stack.enter_context(folder_for(context.results_dir / "watch", stream, footage))
                outputs = Outputs(folder, title, calibration, stream.rate, stream.is_live, n_trained)
                stack.enter_context(outputs)
                start = time.perf_counter()
            begins = outputs.add(picture, frame)
            seconds = time.perf_counter() - start
            try:
                if begins:
                    with bar.external_write_mode():
                        print(announcement(frame), flush=True)
                bar.update()
            except BrokenPipeError as gone:
                faults.append(gone)
                break
    if outputs is None:
        raise faults[0] if faults else InputError(f"{stream.name}: stopped before the first frame")
    if faults and isinstance(faults[0], BrokenPipeError):
        raise faults[0]
    if faults:
        named = f"{stream.name}: " if isinstance(faults[0], DivergedError) else ""
        raise InputError(f"{named}{faults[0]}; what came until then is in {folder}")
    return summary(stream, outputs, frame, seconds)


def n_trained(stream: FrameStream, arguments: argparse.Namespace) -> int:
    """Return how many frames of the source, its first ones, are of the footage; 0 of another video."""
    if stream.is_live or not arguments.train:
        return 0
    return frames_of_footage(arguments.train, arguments.train_until or 1.0, Path(stream.name))


def command_of_runs(arguments: argparse.Namespace, context: Context, runs: Mapping[str, Run]) -> str:
    """Return the command that watches the same video with the runs that were trained just now."""
    read = reads(argparse.Namespace(train=None)).names(context.settings)
    kept = [item for item in arguments.set if item.partition("=")[0] in read]
    words = [arguments.video, "--run", *(str(run.folder) for run in runs.values())]
    words += ["--profile", arguments.profile, *(["--chosen"] if arguments.chosen else [])]
    words += [word for item in kept for word in ("--set", item)]
    words += ["--weights", str(arguments.weights)] if arguments.weights else []
    words += ["--rate", f"{arguments.rate:g}"] if arguments.rate != FALLBACK_RATE else []
    words += ["--threshold", f"{arguments.threshold:g}", "--out", str(arguments.out)]
    return f"python -m experiments.watch {shlex.join(words)}"


def networks_for(context: Context, runs: Mapping[str, Run]) -> Networks:
    """Return what makes the runs' features, the networks with their normalization."""
    settings = context.settings.features

    def extract(network: Backbone, run: Run) -> Callable[[np.ndarray], np.ndarray]:
        normalization = load_normalization(run.folder)
        return feature_function(network, settings.pooling, settings.pyramid, normalization)

    networks = Networks()
    if of_frames := [run for stream, run in runs.items() if stream != "flow"]:
        appearance = extract(context.backbone, of_frames[0])
        networks = Networks(context.backbone.input_size_px, appearance)
    if "flow" not in runs:
        return networks
    if on_windows(runs["flow"]):
        return replace(networks, place=load_place(runs["flow"].folder))
    flow = extract(context.flow_backbone, runs["flow"])
    return replace(networks, flow=flow, options=context.flow_options)


def until_fault(scored: Iterator, faults: list[Exception]) -> Iterator[tuple[np.ndarray, FrameScore]]:
    """Yield the items up to the end, or up to an InputError of the source, which goes to `faults`."""
    try:
        yield from scored
    except InputError as fault:
        faults.append(fault)


def announcement(frame: FrameScore) -> str:
    """Return a line for the beginning of an abnormal interval."""
    row, column = frame.place
    return (
        f"{frame.seconds:.1f} s: abnormal, {frame.place_in_words} (row {row}, column {column} of "
        f"{CELLS_PER_SIDE}x{CELLS_PER_SIDE} parts of the picture), frame {frame.number}, "
        f"score {frame.score:.2f}"
    )


def summary(stream: FrameStream, outputs: Outputs, last: FrameScore, seconds: float) -> str:
    """Return what was found, how fast, and what was left out."""
    n_frames, n_new = outputs.n_frames, outputs.n_frames - outputs.n_trained
    of_new = ""
    if outputs.n_trained:
        of_new = f"the first {outputs.n_trained} are the footage; of the other {n_new}, "
    if not n_new:
        of_new = "all are the footage, in which nothing is called abnormal; "
    lines = [
        f"{n_frames} frames, {last.seconds:.1f} s: {of_new}{outputs.n_abnormal} abnormal in "
        f"{outputs.n_intervals} interval{'s' if outputs.n_intervals != 1 else ''}; "
        f"{(n_frames - 1) / seconds:.1f} frames/s"
    ]
    if outputs.n_abnormal > MANY * n_new:
        lines.append(
            f"WARNING: {100 * outputs.n_abnormal / n_new:.0f} % of them are abnormal, which is hardly true: "
            "the model knows too little of what is normal here; docs/alarms.md says what helps"
        )
    if dropped := last.number - n_frames:
        lines.append(f"{dropped} frames dropped: the source was faster than this machine")
    return "\n".join([*lines, *stream.notes(), f"wrote {outputs.folder}"])
