"""Your own video: where in it, and when, is something that normal footage does not show.

    python -m experiments.watch VIDEO --train NORMAL [--train-until 0.33]
    python -m experiments.watch VIDEO --run SPATIAL_RUN [TEMPORAL_RUN] [FLOW_RUN]

VIDEO is a video file, a folder of images, or live: an address such as rtsp://camera/stream, a FIFO, or "-"
for standard input. NORMAL is footage of the same camera on which nothing abnormal happens: a video, a folder
of images or a folder of clips; --train-until takes the first part of each alone, so that VIDEO can be its own
example. A sRNN-AE for each stream is trained on it as the profile says (the last tenth of each clip is held
out), or taken from earlier runs.

Writes to results/<profile>/watch/<name>/: scores.csv, a line a frame; intervals.csv, the intervals in which
the score is below the threshold; overview.png; annotated.mp4, the most abnormal of 4x4 cells outlined. A
score is low where a frame is abnormal: s of Sec. 3.7, normalized by the training frames' errors, with no look
ahead. The threshold lies below the scores of --threshold per cent of the training frames. Ctrl-C ends the
watching; what was written is kept. Of the common flags, --data, --datasets and --seeds are refused.
"""

import argparse
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from tqdm import tqdm

from data_prep.backbones import Backbone
from data_prep.errors import InputError
from data_prep.extraction import feature_function
from data_prep.live_frames import FALLBACK_RATE, FrameStream
from data_prep.normalization import load_normalization
from data_prep.pooling import PYRAMIDS
from experiments.lab import cli
from experiments.lab.context import Context
from experiments.lab.scoring.calibration import CELLS_PER_SIDE, Calibration, calibrate, cell_boxes
from experiments.lab.scoring.pixel_metrics import map_side
from experiments.lab.scoring.protocol import Protocol
from experiments.lab.training.runs import Run, load_runs
from experiments.lab.watching.footage import train_on_footage
from experiments.lab.watching.live import FrameScore, Networks, live_scores, stop_on_signal
from experiments.lab.watching.outputs import Outputs
from models.srnn_ae import Streaming

SYSTEM, STREAMS = "sRNN-AE", ("spatial", "temporal", "flow")
DEFAULT_PERCENTILE = 99.5
NOT_USED = ("data", "datasets", "seeds")


def main() -> None:
    """Parse the flags, watch, exit."""
    flags = cli.parser(__doc__)
    add = flags.add_argument
    add("video", help="video file, folder of images, address, FIFO, or - for standard input")
    how = flags.add_mutually_exclusive_group()
    how.add_argument("--train", type=Path, metavar="NORMAL", help="train on this normal footage")
    how.add_argument("--run", type=Path, nargs="+", metavar="FOLDER", help="a run, or one a stream")
    add("--train-until", type=float, metavar="SHARE", help="train on the first share alone, e.g. 0.33")
    add(
        "--threshold",
        type=float,
        default=DEFAULT_PERCENTILE,
        metavar="PERCENT",
        help="of the training frames that count as normal (default: %(default)s)",
    )
    add("--rate", type=float, default=FALLBACK_RATE, help="frames/s of a folder of images (%(default)s)")
    arguments = flags.parse_args()
    cli.exit_with(lambda: run(arguments))


def run(arguments: argparse.Namespace) -> None:
    """Train where asked to, watch the video, say what was found."""
    check(arguments)
    stream = FrameStream(arguments.video, arguments.rate)
    context = cli.context(arguments)
    if CELLS_PER_SIDE not in PYRAMIDS[context.settings.features.pyramid]:
        raise InputError(
            f"setting pyramid: expected the {CELLS_PER_SIDE}x{CELLS_PER_SIDE} cells, got "
            f"{context.settings.features.pyramid}"
        )
    if arguments.train:
        if context.settings.train.alignment != "causal":
            raise InputError("setting alignment: expected causal, for a live video, got centered")
        if "flow" in context.settings.score.streams and context.settings.flow.flow_input != "picture":
            raise InputError("setting flow_input: expected picture, for a live video, got stack")
        runs = train_on_footage(context, arguments.train, arguments.train_until or 1.0)
    else:
        runs = load_runs(arguments.run)
        if list(runs) == ["flow"]:
            raise InputError(f"{arguments.run[0]}: a run on flow, expected a spatial one beside it")
        for trained in runs.values():
            check_run(trained, context)
    calibration = calibrate(runs, Protocol.of(context.settings.score), arguments.threshold)
    print(calibration, flush=True)
    print(watch(stream, context, runs, calibration))


def check(arguments: argparse.Namespace) -> None:
    """Raise InputError for flags that do not go together or are out of range."""
    for flag in NOT_USED:
        if getattr(arguments, flag) is not None:
            raise InputError(f"--{flag}: not used here, expected a video and --train or --run alone")
    if not arguments.train and not arguments.run:
        raise InputError(
            "expected --train NORMAL (footage of the same camera on which nothing abnormal happens; for a "
            f"video whose own start is normal: --train {arguments.video} --train-until 0.33) or --run "
            "SPATIAL_RUN TEMPORAL_RUN, got neither"
        )
    if arguments.train_until is not None and not arguments.train:
        raise InputError("--train-until: expected --train beside it")
    if arguments.train_until is not None and not 0 < arguments.train_until <= 1:
        raise InputError(f"--train-until: expected a share in (0, 1], got {arguments.train_until}")
    if not 50 <= arguments.threshold <= 100:
        raise InputError(f"--threshold: expected a percentage from 50 to 100, got {arguments.threshold}")
    if not 0 < arguments.rate < float("inf"):
        raise InputError(f"--rate: expected frames per second above 0, got {arguments.rate}")


def check_run(trained: Run, context: Context) -> None:
    """Raise InputError where a run cannot score frames as they come, under these settings."""
    config, features = trained.config, context.settings.features
    if config["system"] != SYSTEM or config["stream"] not in STREAMS:
        raise InputError(
            f"{trained.folder}: expected a run of {SYSTEM}, {' or '.join(STREAMS)}, got {config['system']}, "
            f"{config['stream']}"
        )
    flow = config["stream"] == "flow"
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


def watch(stream: FrameStream, context: Context, runs: Mapping[str, Run], calibration: Calibration) -> str:
    """Score and draw every frame of a source; return in words what was found.

    Raises InputError: a source that breaks off, after what it gave has been written.
    """
    config = next(iter(runs.values())).config
    folder = context.results_dir / "watch" / folder_name(stream)
    names = f"{SYSTEM}, {' + '.join(runs)}, {config['backbone']}"
    title = f"{folder.name}: {names}, profile {context.profile_name}"
    boxes = cell_boxes(map_side(config["features"]))
    models = {name: Streaming(run.model()) for name, run in runs.items()}
    networks = networks_for(context, runs)
    window_frames = config["train"]["temporal_window_frames"]
    faults: list[InputError] = []
    outputs = None
    with ExitStack() as stack:
        stop = stack.enter_context(stop_on_signal())
        scored = live_scores(stream, networks, models, window_frames, calibration, stop)
        stack.callback(scored.close)
        stack.callback(stop.set)
        bar = stack.enter_context(tqdm(total=stream.n_frames, desc=folder.name, unit="frame", disable=None))
        for picture, frame in until_fault(scored, faults):
            if outputs is None:
                outputs = stack.enter_context(
                    Outputs(folder, title, calibration, boxes, stream.rate, stream.is_live)
                )
                start = time.perf_counter()
            if outputs.add(picture, frame):
                with bar.external_write_mode():
                    print(announcement(frame), flush=True)
            bar.update()
            seconds = time.perf_counter() - start
    if outputs is None:
        raise faults[0] if faults else InputError(f"{stream.name}: stopped before the first frame")
    if faults:
        raise InputError(f"{faults[0]}; what came until then is in {folder}")
    return summary(stream, outputs, frame, seconds)


def networks_for(context: Context, runs: Mapping[str, Run]) -> Networks:
    """Return the networks that the runs' features come from, their normalization included."""
    settings = context.settings.features
    backbone, flow = context.backbone, context.flow_backbone if "flow" in runs else None

    def extract(network: Backbone, run: Run) -> Callable[[np.ndarray], np.ndarray]:
        normalization = load_normalization(run.folder)
        return feature_function(network, settings.pooling, settings.pyramid, normalization)

    appearance = extract(backbone, next(iter(runs.values())))
    if flow is None:
        return Networks(backbone.input_size_px, appearance)
    return Networks(backbone.input_size_px, appearance, extract(flow, runs["flow"]), context.flow_options)


def until_fault(scored: Iterator, faults: list[InputError]) -> Iterator[tuple[np.ndarray, FrameScore]]:
    """Yield the items up to the end, or up to an InputError of the source, which goes to `faults`."""
    try:
        yield from scored
    except InputError as fault:
        faults.append(fault)


def announcement(frame: FrameScore) -> str:
    """Return a line for the beginning of an abnormal interval."""
    row, column = frame.place
    return (
        f"{frame.seconds:.1f} s: abnormal, frame {frame.number}, score {frame.score:.2f}, row {row}, column "
        f"{column} of 4x4"
    )


def summary(stream: FrameStream, outputs: Outputs, last: FrameScore, seconds: float) -> str:
    """Return what was found, how fast, and what was left out."""
    n_frames = outputs.n_frames
    lines = [
        f"{n_frames} frames, {last.seconds:.1f} s: {outputs.n_abnormal} abnormal in {outputs.n_intervals} "
        f"intervals; {(n_frames - 1) / seconds:.1f} frames/s"
    ]
    if dropped := last.number - n_frames:
        lines.append(f"{dropped} frames dropped: the source was faster than this machine")
    if stream.n_damaged:
        lines.append(f"{stream.n_damaged} damaged packets passed over")
    return "\n".join([*lines, f"wrote {outputs.folder}"])


def folder_name(stream: FrameStream) -> str:
    """Return the name of the folder for a source's outputs."""
    name = stream.name if stream.is_address else Path(stream.name).resolve().stem
    return re.sub(r"[^\w.-]+", "_", name).strip("_.") or "video"


if __name__ == "__main__":
    main()
