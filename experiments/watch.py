"""Your own video: where in it, and when, is something that normal footage does not show.

    python -m experiments.watch VIDEO --train NORMAL [--train-until 0.33]
    python -m experiments.watch VIDEO --run SPATIAL_RUN [TEMPORAL_RUN] [FLOW_RUN]
    python -m experiments.watch VIDEO --train NORMAL --system HOFM

VIDEO is a video file, a folder of images, or live: an address such as rtsp://camera/stream, a camera of this
machine such as /dev/video0, a FIFO, or "-" for standard input; an address of HTTP that ends as a video file's
name does is a file. NORMAL is footage of the same camera on which nothing abnormal happens: a video, a folder
of images, or a folder of clips, in folders of their own too; --train-until takes the first part of each
alone, so that VIDEO can be its own example. A sRNN-AE for each stream is trained on it as the profile says,
but for a fifth of each clip, in blocks, that choose how many atoms it has and where the threshold lies; or it
is taken from earlier runs: the last line printed is the command that does. --system names another one, of
those that the paper quotes: "Reddy et al.", HOFM, "after Lu et al." and others. These learn in seconds to
minutes; most need no network, and some give a frame's score a few frames later.

Writes to results/<profile>/watch/<name>/ scores.csv, a line a frame; intervals.csv, the intervals in which
the score is below the threshold; overview.png; annotated.mp4, the most abnormal region outlined, a window or
one of 4x4 cells. A file that is watched again replaces its own results; what is live, or has the name of
another, gets a folder of its own, <name>-2. A score is low where a frame is abnormal: s of Sec. 3.7,
normalized by the training frames' errors. With --chosen it comes four frames late. The threshold lies below
the scores of --threshold per cent of the training frames, and of those held out. Frames of the footage just
trained on raise no alarm. docs/alarms.md says what helps against too many. Ctrl-C ends the watching; what was
written is kept.
"""

import argparse

from data_prep.errors import InputError
from data_prep.live_frames import FALLBACK_RATE
from data_prep.terminal import exit_with, given_float, given_path
from experiments.lab import cli

DEFAULT_PERCENTILE = 99.5
DEFAULT_SYSTEM = "sRNN-AE"


def main() -> None:
    """Parse the flags, watch, exit."""
    flags = cli.with_weights(cli.settings_parser(__doc__))
    flags.set_defaults(data=None, datasets=None)  # of a context, which is of datasets elsewhere
    add = flags.add_argument
    add(
        "video",
        type=given_source,
        help="video file, folder of images, address, FIFO, or - for standard input",
    )
    how = flags.add_mutually_exclusive_group()
    how.add_argument("--train", type=given_path, metavar="NORMAL", help="train on this normal footage")
    how.add_argument("--run", type=given_path, nargs="+", metavar="FOLDER", help="a run, or one a stream")
    add("--system", default=DEFAULT_SYSTEM, metavar="NAME", help="what scores frames (default: %(default)s)")
    add("--train-until", type=given_float, metavar="SHARE", help="train on the first share alone, e.g. 0.33")
    add(
        "--threshold",
        type=given_float,
        default=DEFAULT_PERCENTILE,
        metavar="PERCENT",
        help="of the training frames that count as normal (default: %(default)s)",
    )
    add(
        "--rate", type=given_float, default=FALLBACK_RATE, help="frames/s of a folder of images (%(default)s)"
    )
    arguments = flags.parse_args()
    exit_with(lambda: run(arguments))


def given_source(text: str) -> str:
    """Return a source given on the command line: an address as it is, else a path."""
    return text if "://" in text and not text.startswith("file://") else str(given_path(text))


def run(arguments: argparse.Namespace) -> None:
    """Train where asked to, watch the video, say what was found."""
    check(arguments)
    from experiments.lab.watching import session

    session.run(arguments)


def check(arguments: argparse.Namespace) -> None:
    """Raise InputError for flags that do not go together or are out of range."""
    if not arguments.train and not arguments.run:
        raise InputError(
            "expected --train NORMAL (footage of the same camera on which nothing abnormal happens; for a "
            "video whose own start is normal: --train VIDEO --train-until 0.33) or --run "
            "SPATIAL_RUN TEMPORAL_RUN, got neither"
        )
    if arguments.system != DEFAULT_SYSTEM and not arguments.train:
        raise InputError(f"--system {arguments.system}: expected --train beside it, no model of it is kept")
    if arguments.train_until is not None and not arguments.train:
        raise InputError("--train-until: expected --train beside it")
    if arguments.train_until is not None and not 0 < arguments.train_until <= 1:
        raise InputError(f"--train-until: expected a share in (0, 1], got {arguments.train_until}")
    if not 50 <= arguments.threshold <= 100:
        raise InputError(f"--threshold: expected a percentage from 50 to 100, got {arguments.threshold}")
    if not 0 < arguments.rate < float("inf"):
        raise InputError(f"--rate: expected frames per second above 0, got {arguments.rate}")


if __name__ == "__main__":
    main()
