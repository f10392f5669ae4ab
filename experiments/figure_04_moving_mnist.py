"""Figure 4: Moving-MNIST samples: a normal sequence, one with the white box outlined, one that moves apart.

    python -m experiments.figure_04_moving_mnist --data DIR

Paper: Fig. 4, Sec. 4.2. The sequences are those of Table 1's files: the first of each.
"""

if __name__ == "__main__":  # before what runs is imported: --help does not wait for TensorFlow
    from experiments.lab import cli

    cli.main(__spec__.name, cli.parser(__doc__))

import numpy as np

from data_prep.moving_mnist import SEQUENCE_FRAMES, MovingMNIST
from experiments.lab.context import Context
from experiments.lab.publishing import pictures
from experiments.lab.publishing.publish import publish
from experiments.lab.publishing.results import Row
from experiments.lab.settings.schema import config_hash
from experiments.lab.systems.reads import Reads
from experiments.lab.systems.sequences import sequence_files

EXHIBIT = "figure_04"
READS = Reads(
    also=("mnist_train_sequences", "mnist_test_sequences", "mnist_step_px", "mnist_seed"), walkway="never"
)
SAMPLES = {  # caption -> kind, split
    "normal": ("spatial", "train"),
    "anomaly of appearance": ("spatial", "test"),
    "anomaly of motion": ("temporal", "test"),
}
TITLE = "Moving-MNIST: abnormal frames framed in orange, the white box outlined in blue"
SHOWN = np.linspace(0, SEQUENCE_FRAMES - 1, 10).round().astype(int)


def run(context: Context) -> None:
    """Draw one row of frames a sample and write how many abnormal ones each sequence has."""
    folder, samples, rows = context.generated_dir / "moving_mnist", {}, []
    for caption, (kind, split) in SAMPLES.items():
        files = sequence_files(kind, context.settings, folder, context.data_dir)
        with MovingMNIST(getattr(files, split)) as reader:
            box = (*reader.boxes[0], reader.settings.box_px)
            samples[caption] = (reader.frames(0, 1)[0, SHOWN], reader.labels[0, SHOWN], box)
            rows.append(sample_row(context, caption, files.settings[split], int(reader.labels[0].sum())))
    pictures.sequence_samples(context.results_dir / f"{EXHIBIT}.png", samples, SHOWN + 1, TITLE)
    note = (
        f"The first sequence of each of Table 1's files, digits of {files.settings['test']['digits']}, "
        f"steps of {files.settings['test']['step_px']} px, where the paper gives no step."
    )
    publish(context, EXHIBIT, rows, rows[0].command, note)


def sample_row(context: Context, caption: str, data: dict, n_abnormal: int) -> Row:
    """Return the row that says how many of a sample's 20 frames are abnormal."""
    return Row(
        exhibit=EXHIBIT,
        row=caption,
        column="abnormal frames",
        metric="frames",
        ours=n_abnormal,
        protocol=f"sequence 1 of {data['n_sequences']} of the {data['split']} split, {data['kind']} kind",
        dataset=f"Moving-MNIST (digits of {data['digits']}, steps of {data['step_px']} px)",
        command=context.command("experiments.figure_04_moving_mnist"),
        config_hash=config_hash(data),
        commit=context.commit,
    )
