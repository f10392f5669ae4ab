"""Figure 4: Moving-MNIST samples: a normal sequence, one with the white box outlined, one that moves apart.

    python -m experiments.figure_04_moving_mnist --data DIR

Paper: Fig. 4, Sec. 4.2. The sequences are those of Table 1's files: the first of each. Below the frames stand
the errors of their pixels under Table 1's sRNN-AE (seed 0), and s(t). The normal sequence is the one
below it without the box.
"""

if __name__ == "__main__":  # before what runs is imported: --help does not wait for TensorFlow
    from experiments.lab import cli

    cli.main(__spec__.name, cli.runs_parser(__doc__))

import numpy as np

from data_prep.moving_mnist import SEQUENCE_FRAMES, MovingMNIST
from experiments.lab.context import Context
from experiments.lab.distributing.points import Point
from experiments.lab.distributing.sequence_points import files_of, sequence_points
from experiments.lab.publishing import pictures
from experiments.lab.publishing.publish import publish
from experiments.lab.publishing.results import Row
from experiments.lab.publishing.rows import identity_of
from experiments.lab.scoring.fusion import anomaly
from experiments.lab.systems.moving_mnist import UNREAD, error_maps, idle_settings, task_on_sequences
from experiments.lab.systems.reads import Reads
from experiments.lab.systems.sequences import Files
from experiments.lab.training.runs import Run
from experiments.lab.training.train import make_run

EXHIBIT = "figure_04"
SYSTEM = "sRNN-AE"
READS = Reads(
    (SYSTEM,),
    ("pixels",),
    scored=False,
    also=("moving_mnist",),
    without=(*UNREAD, *idle_settings((SYSTEM,))),
    walkway="never",
)
SAMPLES = {  # caption -> kind, split
    "normal": ("spatial", "control"),
    "anomaly of appearance": ("spatial", "test"),
    "anomaly of motion": ("temporal", "test"),
}
TITLE = (
    "Moving-MNIST, frames and their errors under sRNN-AE: abnormal frames framed in orange, the white box "
    "outlined in blue"
)
SHOWN = np.linspace(0, SEQUENCE_FRAMES - 1, 10).round().astype(int)


def points(context: Context) -> list[Point]:
    """Return the runs that the figure needs."""
    return sequence_points(context, dict.fromkeys(kind for kind, _ in SAMPLES.values()), SYSTEM)


def run(context: Context) -> None:
    """Train what is not there; draw every sample; write how many abnormal frames each sequence has."""
    samples, rows = {}, []
    for caption, (kind, split) in SAMPLES.items():
        files = files_of(context, kind)
        trained = make_run(task_on_sequences(SYSTEM, files, context.settings, 0), context.out)
        samples[caption] = sample = sequence_sample(files, split, trained.model())
        data, n_abnormal = files.settings[split], int(sample.labels.sum())
        rows.append(sample_row(context, caption, data, trained, n_abnormal))
    pictures.sequence_samples(context.results_dir / f"{EXHIBIT}.png", samples, SHOWN, TITLE)
    note = (
        f"The first sequence of each of Table 1's files, digits of {files.settings['test']['digits']}, "
        f"steps of {files.settings['test']['step_px']} px, where the paper gives no step. The normal one is "
        "that of appearance without its box, its s(t) on the limits of that one. Error maps are of "
        "absolute errors; those of a sequence share a scale."
    )
    publish(context, EXHIBIT, rows, rows[0].command, note)


def sequence_sample(files: Files, split: str, model) -> pictures.SequenceSample:
    """Return the first sequence of a split; s(t) by Eq. (14), with the limits of the test sequence."""
    with MovingMNIST(getattr(files, split)) as reader:
        frames, labels = reader.frames(0, 1), reader.labels[0]
        box = (*reader.boxes[0], reader.settings.box_px)
    maps = error_maps(model, frames, files.pixels)[0]
    errors = limiting = maps.sum(axis=(1, 2))
    if split != "test":
        with MovingMNIST(files.test) as reader:
            limiting = error_maps(model, reader.frames(0, 1), files.pixels)[0].sum(axis=(1, 2))
    score = 1 - anomaly(errors, (limiting.min(), limiting.max()), "paper")
    return pictures.SequenceSample(frames[0], maps, score, labels, box)


def sample_row(context: Context, caption: str, data: dict, trained: Run, n_abnormal: int) -> Row:
    """Return the row that says how many of a sample's 20 frames are abnormal, with the run of its maps."""
    return Row(
        exhibit=EXHIBIT,
        row=caption,
        column="abnormal frames",
        metric="frames",
        ours=n_abnormal,
        protocol=f"sequence 1 of {data['n_sequences']} of the {data['split']} split, {data['kind']} kind",
        dataset=f"Moving-MNIST (digits of {data['digits']}, steps of {data['step_px']} px)",
        command=context.command("experiments.figure_04_moving_mnist"),
        **identity_of([{"pixels": trained}]),
    )
