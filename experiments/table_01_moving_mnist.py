"""Table 1: frame-level AUC on Moving-MNIST, anomalies of appearance and of motion.

    python -m experiments.table_01_moving_mnist --data DIR [--systems "TSC,sRNN-AE"] [--anomalies spatial]

Paper: Table 1, Sec. 4.2. Over the frames of all test sequences, scores normalized per sequence (Eq. 14), and
over all sequences at once beside it. Ours are the rows of the mean training frame, scored as Conv-AE is, and
the controls of every system (`lab.scoring.controls`). At the paper's size a system takes hours: --systems and
--anomalies run some, others read "not run". DIR may hold `mnist.npz`; else the digits are downloaded, or
those that come with a package stand in.
"""

if __name__ == "__main__":  # before what runs is imported: --help does not wait for TensorFlow
    from experiments.lab import cli

    flags = cli.runs_parser(__doc__)
    flags.add_argument("--systems", type=cli.listed, help="some of the systems, by commas (default: all)")
    flags.add_argument("--anomalies", type=cli.listed, help="spatial, temporal, or both (default)")
    cli.main(__spec__.name, flags)

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from data_prep.errors import InputError
from experiments.lab.context import Context
from experiments.lab.distributing.points import Point
from experiments.lab.distributing.sequence_points import files_of, sequence_points
from experiments.lab.publishing.notes import held_out_note
from experiments.lab.publishing.publish import publish
from experiments.lab.publishing.results import Row
from experiments.lab.publishing.rows import held_out_rows, identity_of, measured_row, number_rows
from experiments.lab.scoring.controls import CONTROLS
from experiments.lab.scoring.measure import (
    Runs,
    auc,
    auc_interval,
    labels_of,
    protocols_of,
    regularity_of,
    train_errors_of,
)
from experiments.lab.scoring.metrics import bootstrap_interval, frame_auc
from experiments.lab.scoring.protocol import Protocol
from experiments.lab.settings.changes import differences as settings_differences
from experiments.lab.settings.changes import names_of
from experiments.lab.settings.schema import PAPER
from experiments.lab.systems.catalogue import SYSTEMS, asked_for, systems_of
from experiments.lab.systems.moving_mnist import (
    STARTED,
    UNREAD,
    control_scores,
    idle_settings,
    task_on_sequences,
)
from experiments.lab.systems.reads import Reads
from experiments.lab.systems.sequences import Files
from experiments.lab.training.train import make_run

EXHIBIT = "table_01"
READS = Reads(
    systems_of(EXHIBIT),
    ("pixels",),
    also=("moving_mnist",),
    without=UNREAD,
    walkway="never",
)
ANOMALIES = {"spatial": "Spatial Anomaly", "temporal": "Temporal Anomaly"}  # kind -> column
CONTROLS_NOTE = (
    'Rows of controls: "no anomaly" has the test sequences without their anomalies under the same labels, '
    "which is what the place of a frame in its sequence is worth under the paper's protocol (50: nothing); "
    '"equal times" has the abnormal frames against the same frames of those sequences, on one scale, where '
    'the place is worth nothing. "box on lit pixels" has the test sequences alone whose white box lies on '
    'pixels that some training frame lights: elsewhere anything white is new, and "unlit pixels" finds it '
    "without a model."
)
ON_LIT = "box on lit pixels"


def n_seeds(context: Context, system: str) -> int:
    """Return how many seeds of a system are run."""
    return context.n_ablation_seeds if SYSTEMS[system].drawn else 1


def reads(context: Context, systems: Sequence[str] | None = None, **_) -> Reads:
    """Return what a call with these flags reads: the settings of the systems asked for."""
    asked = asked_for(EXHIBIT, context.profile, systems)
    return replace(READS, systems=asked, without=(*UNREAD, *idle_settings(asked)))


def kinds_of(anomalies: Sequence[str] | None) -> tuple[str, ...]:
    """Return the kinds of --anomalies in the table's order, both for None. InputError for an unknown one."""
    if strangers := [name for name in anomalies or () if name not in ANOMALIES]:
        raise InputError(f"--anomalies {', '.join(strangers)}: unknown, expected {' or '.join(ANOMALIES)}")
    return tuple(kind for kind in ANOMALIES if anomalies is None or kind in anomalies)


def points(
    context: Context, systems: Sequence[str] | None = None, anomalies: Sequence[str] | None = None
) -> list[Point]:
    """Return the runs that the table needs, of the flags of `run`."""
    return [
        point
        for system in asked_for(EXHIBIT, context.profile, systems)
        for point in sequence_points(context, kinds_of(anomalies), system, n_seeds(context, system))
    ]


def run(
    context: Context, systems: Sequence[str] | None = None, anomalies: Sequence[str] | None = None
) -> None:
    """Generate the sequences, train and score the systems, write the table.

    Args:
        context: what it runs in.
        systems: some of those of this table; None for all.
        anomalies: of "spatial" and "temporal"; None for both.
    """
    asked, kinds = asked_for(EXHIBIT, context.profile, systems), kinds_of(anomalies)
    command = context.command("experiments.table_01_moving_mnist")
    if systems is not None:
        command += f" --systems {shlex.quote(','.join(asked))}"
    if anomalies is not None:
        command += f" --anomalies {','.join(kinds)}"
    rows, of_kinds = [], [files_of(context, kind) for kind in kinds]
    for files in of_kinds:
        for system in asked:
            rows += system_rows(context, system, ANOMALIES[files.kind], files, command)
    publish(context, EXHIBIT, rows, command, lambda all_rows: note(context, of_kinds, all_rows))


def note(context: Context, of_kinds: Sequence[Files], rows: Sequence[Row]) -> str:
    """Return how the systems rank, what the controls are, and what differs from the paper in the rows."""
    measured = {row.row for row in rows if row.measured}
    systems = [name for name in systems_of(EXHIBIT) if name in measured]
    told = [order_note(column, rows) for column in ANOMALIES.values()]
    told += [pixels_note(of_kinds), CONTROLS_NOTE, held_out_note(rows)]
    told += [differences(context, of_kinds[0], systems)]
    return " ".join(filter(None, told))


def system_rows(context: Context, system: str, column: str, files: Files, command: str) -> list[Row]:
    """Return the rows of one system on one kind of anomaly: every protocol, the controls, what it learned."""
    seeds = range(n_seeds(context, system))
    tasks = [task_on_sequences(system, files, context.settings, seed) for seed in seeds]
    seeded = [{"pixels": make_run(task, context.out)} for task in tasks]
    data = files.settings["test"]
    remark = f"{data['n_sequences']} test sequences"
    headline, *beside = protocols_of(seeded[0], replace(Protocol.of(context.settings.score), remark=remark))
    beside = [one for one in beside if not one.needs_train_errors]
    numbers = {one: [auc(runs, one) for runs in seeded] for one in (headline, *beside)}
    place = {
        "exhibit": EXHIBIT,
        "dataset": f"Moving-MNIST (digits of {data['digits']}, steps of {data['step_px']} px)",
        "backbone": "",
        "command": command,
        **identity_of(seeded),
    }
    rows = number_rows(numbers, auc_interval(seeded, headline), column, {"row": system, **place})
    last = replace(headline, checkpoint="last")  # of which there are scores of the control sequences
    controls = {
        name: [
            control(
                runs["pixels"].scores(),
                control_scores(task, runs["pixels"]),
                last,
                train_errors_of(runs, last),
            )
            for task, runs in zip(tasks, seeded, strict=True)
        ]
        for name, control in CONTROLS.items()
    }
    if files.boxes_on_lit.any():
        rows += on_lit_rows(seeded, files, last, column, {"row": f"{system}, {ON_LIT}", **place})
    place["column"] = column
    for name, values in controls.items():
        fields = {"row": f"{system}, {name}", "metric": "auc", "protocol": f"{last}; control: {name}"}
        rows.append(measured_row(context, values, **fields, **place))
    return rows + held_out_rows(seeded, {"row": system, **place})


def on_lit_rows(
    seeded: Sequence[Runs], files: Files, protocol: Protocol, column: str, place: Mapping[str, str]
) -> list[Row]:
    """Return the rows of the AUC, and its interval, of the sequences whose box lies on lit pixels."""
    kept = np.flatnonzero(files.boxes_on_lit)
    remark = f"the {len(kept)} of {protocol.remark} with the box on pixels that training lights"
    protocol = replace(protocol, remark=remark)
    truth = labels_of(seeded[0], protocol)
    labels = [truth[index] for index in kept]
    scores = [regularity_of(runs, protocol) for runs in seeded]
    anomaly = [[-of_seed[index] for index in kept] for of_seed in scores]
    values = [frame_auc(of_seed, labels) for of_seed in anomaly]
    return number_rows({protocol: values}, bootstrap_interval(anomaly, labels), column, place, compared=False)


def order_note(column: str, rows: Sequence[Row]) -> str:
    """Return a sentence on how the systems rank on a column, and whether the paper's rank so; "" for one."""
    compared = [row for row in rows if row.column == column and row.measured and row.paper is not None]
    first = {row.row: row for row in reversed(compared)}
    if len(first) < 2:
        return ""
    ours, paper = (
        sorted(first, key=lambda name: -getattr(first[name], value)) for value in ("ours", "paper")
    )
    said = "as in the paper" if ours == paper else f"in the paper {' > '.join(paper)}"
    return f"{column}: {' > '.join(ours)}, {said}."


def pixels_note(of_kinds: Sequence[Files]) -> str:
    """Return a sentence on how many of a frame's pixels TSC and sRNN-AE hold, by the kind of anomaly."""
    lit = " and ".join(f"{len(files.pixels):,} ({files.kind})" for files in of_kinds)
    return f"Of the C = 50,625 pixels, {lit} are ever lit in training and enter TSC and sRNN-AE."


def differences(context: Context, files: Files, systems: Sequence[str]) -> str:
    """Return sentences on the data, on TSC's similarity, and on every setting that is not the paper's."""
    settings, data, usual = context.settings, files.settings, PAPER.model
    options = settings.moving_mnist
    least = math.exp(-2 / settings.tsc.tsc_delta_squared)
    sentences = [
        f"{data['train']['n_sequences']} training and {data['test']['n_sequences']} test sequences of each "
        f"kind, digits of {data['test']['digits']}, steps of {data['test']['step_px']} px (the paper gives "
        "no step)."
    ]
    if "TSC" in systems:
        sentences.append(
            f"S of TSC is never below {least:.2f}: frames of length 1 lie within sqrt(2) of each other, and "
            f"delta^2 = {settings.tsc.tsc_delta_squared:g}."
        )
    if "sRNN-AE" in systems:
        sentences.append(
            f"sRNN-AE starts at lambda1 = {options.mnist_lambda1:g} (elsewhere {usual.lambda1:g}, much for "
            f"frames of length 1); its weight decay is {options.mnist_weight_decay:g} (paper: "
            f"{usual.weight_decay:g}, with which it reconstructs such frames less well)."
        )
    if options.mnist_start == "principal" and STARTED.keys() & set(systems):
        sentences.append(
            "TSC and sRNN-AE start at principal directions of training frames, each with both signs (the "
            "paper gives no initial values), so that N atoms begin as N / 2 directions."
        )
    groups = ("conv_ae", "frames") if "Conv-AE" in systems else ()
    without = ("frames_hold_out_every", "conv_ae_iterations", *idle_settings(systems))
    names = [name for name in names_of("moving_mnist", *groups) if name not in without]
    return " ".join([*sentences, settings_differences(settings, names)])
