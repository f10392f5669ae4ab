"""Every metric of one trained run, or of a system's runs on several streams fused.

    python -m experiments.evaluate --run SPATIAL_RUN [TEMPORAL_RUN] [FLOW_RUN] --data DIR

Prints an aligned table and writes `evaluation.json` into the first run's folder, or into --out. Every metric
stands for the last checkpoint and for the best on the test set, under the three normalizations; with --fusion
calibrated or log there is none to choose. Pixel-level numbers need the dataset's pixel masks and a system
that scores the regions of a frame. Intervals are over test clips. Paper: Sec. 4.1, Sec. 4.3.
"""

import argparse
from collections.abc import Sequence
from functools import partial

from data_prep.errors import InputError
from data_prep.terminal import Parser, exit_with, given_float, given_int, given_path
from experiments.lab.scoring.protocol import Protocol
from experiments.lab.settings.honoured import idle_score_settings
from experiments.lab.settings.limits import CHOICES
from experiments.lab.settings.schema import PAPER, ScoreSettings

MOST_RESAMPLES = 1_000_000  # the interval's ends are then known to a thousandth of its width
SCORE_FLAGS = {  # settings of `ScoreSettings` that are flags here
    "frame_error": "from the errors of regions to that of a frame",
    "fusion": "of several streams",
    "temporal_weight": "of each stream of motion, in fusion paper",
    "spatial_weight": "of the spatial stream, in fusion log",
    "smoothing_frames": "frame-level numbers: the mean of so many frames' scores",
    "smoothing": "around each frame, an odd number of them, or the last ones",
}


def main() -> None:
    """Parse the flags, evaluate, exit."""
    flags = Parser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    defaults = ScoreSettings()
    add = flags.add_argument
    add("--run", type=given_path, nargs="+", required=True, metavar="FOLDER", help="a run, or one a stream")
    add(
        "--data",
        type=given_path,
        required=True,
        help="folder of datasets, with the one that the run was scored on",
    )
    add("--out", type=given_path, help="folder of evaluation.json (default: the first run's)")
    for name, text in SCORE_FLAGS.items():
        flag, default = f"--{name.replace('_', '-')}", getattr(defaults, name)
        kind = {int: given_int, float: given_float}.get(type(default), str)
        add(flag, type=kind, choices=CHOICES.get(name), default=default, help=f"{text} (%(default)s)")
    add("--seed", type=given_int, default=0, help="of the bootstrap (default: 0)")
    add(
        "--resamples",
        dest="n_resamples",
        metavar="N",
        type=given_int,
        default=1000,
        help="of the bootstrap (default: 1000)",
    )
    arguments = flags.parse_args()
    exit_with(lambda: evaluate(arguments))


def evaluate(arguments: argparse.Namespace) -> None:
    """Write `evaluation.json` and print the table of the runs."""
    score = PAPER.override(**{name: getattr(arguments, name) for name in SCORE_FLAGS}).score
    if arguments.seed < 0:
        raise InputError(f"--seed: expected at least 0, got {arguments.seed}")
    if not 1 <= arguments.n_resamples <= MOST_RESAMPLES:
        raise InputError(f"--resamples: expected 1 to {MOST_RESAMPLES}, got {arguments.n_resamples}")
    from data_prep.provenance import git_commit
    from experiments.lab.scoring import evaluation
    from experiments.lab.scoring.measure import held_by
    from experiments.lab.scoring.metrics import bootstrap_interval
    from experiments.lab.training.run_files import write_json
    from experiments.lab.training.runs import load_runs

    runs = load_runs(arguments.run)
    refuse_idle(score, tuple(runs))
    dataset = evaluation.find_test_set(arguments.data, runs)
    protocol = held_by(runs, Protocol.of(score))
    drawn = partial(bootstrap_interval, seed=arguments.seed, n_resamples=arguments.n_resamples)
    results, notes = evaluation.measure(runs, dataset, protocol, drawn)
    title = evaluation.describe(runs, dataset, protocol)
    path = (arguments.out or arguments.run[0]) / "evaluation.json"
    content = {"title": title, "runs": [str(run.folder) for run in runs.values()]}
    flags = {name: value for name, value in vars(arguments).items() if name not in ("run", "data", "out")}
    content |= {"options": flags, "results": results, "notes": notes, "commit": git_commit()}
    write_json(path, content)
    print(evaluation.format_table(title, results, notes))
    print(f"\nwrote {path}")


def refuse_idle(score: ScoreSettings, streams: Sequence[str]) -> None:
    """Raise InputError for a flag that changes nothing beside the others."""
    for name, reason in idle_score_settings(score, streams).items():
        if name in SCORE_FLAGS and getattr(score, name) != getattr(ScoreSettings(), name):
            raise InputError(f"--{name.replace('_', '-')}: acts on nothing here, {reason}")


if __name__ == "__main__":
    main()
