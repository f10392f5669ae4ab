"""Figure 5: sample frames of the datasets at hand, normal ones and, framed in red, abnormal ones.

    python -m experiments.figure_05_sample_frames --data DIR

Paper: Fig. 5, Sec. 4.3. Normal frames are training frames; of abnormal ones the anomaly is outlined where the
dataset has pixel masks.
"""

if __name__ == "__main__":  # before what runs is imported: --help does not wait for TensorFlow
    from experiments.lab import cli

    cli.main(__spec__.name, cli.exhibit_parser(__doc__))

from itertools import islice

import cv2
import numpy as np

from data_prep.datasets import Clip, Dataset
from data_prep.frames import read_frames
from experiments.lab.context import Context
from experiments.lab.publishing import pictures
from experiments.lab.publishing.publish import publish
from experiments.lab.publishing.results import Row
from experiments.lab.settings.schema import config_hash
from experiments.lab.systems.reads import Reads

EXHIBIT = "figure_05"
READS = Reads()
SAMPLES = 5
TITLE = "Sample frames; abnormal ones framed in orange, the anomaly outlined in blue where masks are at hand"
OUTLINE_RGB = (86, 180, 233)  # Okabe and Ito's sky blue, seen on gray, red and orange alike
KINDS = {"normal": ("train", 0), "abnormal": ("test", 1)}


def run(context: Context) -> None:
    """Draw two rows of frames a dataset and write how many of each are shown."""
    images, captions, abnormal, rows = [], [], [], []
    for name, dataset in context.datasets.items():
        for kind, (split, label) in KINDS.items():
            samples = spread_samples(dataset, split, label)
            images.append([picture(dataset, clip, index) for clip, index in samples])
            title = f"{context.heading(name)}, {kind}\n{split}"
            captions.append([f"{title} {clip.name}, frame {index + 1}" for clip, index in samples])
            abnormal.append([bool(label)] * len(samples))
            rows.append(sample_row(context, name, kind, samples))
    path = context.results_dir / f"{EXHIBIT}.png"
    pictures.image_grid(path, images, captions, TITLE, abnormal)
    note = (
        "Normal frames are of the training split, abnormal ones of the test split, spread evenly over the "
        "clips; the outline is the dataset's pixel mask, where it has one."
    )
    publish(context, EXHIBIT, rows, rows[0].command, note)


def spread_samples(dataset: Dataset, split: str, label: int) -> list[tuple[Clip, int]]:
    """Return `SAMPLES` (clip, frame index), spread over the clips that have frames of that label."""
    found = [(clip, np.flatnonzero(dataset.frame_labels(clip) == label)) for clip in dataset.split(split)]
    found = [(clip, indices) for clip, indices in found if len(indices)]
    samples = []
    for number in range(SAMPLES):
        clip, indices = found[number * len(found) // SAMPLES]
        samples.append((clip, int(indices[(2 * number + 1) * len(indices) // (2 * SAMPLES)])))
    return samples


def picture(dataset: Dataset, clip: Clip, index: int) -> np.ndarray:
    """Return a frame, uint8 (H, W, 3), its abnormal pixels outlined where the clip has pixel masks."""
    frame = read_frames(clip.source, [index])[0]
    if clip.split == "train" or clip.name not in dataset.mask_sources:
        return frame
    mask = next(islice(dataset.pixel_masks(clip), index, None))
    return outlined(frame, mask)


def outlined(frame: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return a copy of a frame, uint8 (H, W, 3), with a line around the mask's (H, W) True pixels."""
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    width_px = max(2, round(frame.shape[1] / 180))
    return cv2.drawContours(frame.copy(), contours, -1, OUTLINE_RGB, width_px)


def sample_row(context: Context, name: str, kind: str, samples: list[tuple[Clip, int]]) -> Row:
    """Return the row that says how many frames of a kind are shown and from how many clips."""
    shown = [[clip.split, clip.name, index] for clip, index in samples]
    return Row(
        exhibit=EXHIBIT,
        row=f"{kind} frames",
        column=context.heading(name),
        metric="shown",
        ours=len(samples),
        protocol=f"of {len({clip.name for clip, _ in samples})} clips of the {samples[0][0].split} split",
        dataset=context.heading(name),
        command=context.command("experiments.figure_05_sample_frames"),
        config_hash=config_hash({"dataset": name, "shown": shown}),
        commit=context.commit,
    )
