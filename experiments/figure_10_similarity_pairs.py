"""Figure 10: learned and Gaussian similarity of two consecutive frames, a normal and an abnormal pair.

    python -m experiments.figure_10_similarity_pairs --data DIR

Paper: Fig. 10, Eqs. (10) and (11), Sec. 4.6. Both similarities are of the same spatial features; the learned
one is that of the trained sRNN-AE, seed 0. The pairs are the middle ones of the first test clip that has both
kinds; the outlined region is the one of lowest learned similarity.
"""

if __name__ == "__main__":  # before what runs is imported: --help does not wait for TensorFlow
    from experiments.lab import cli

    cli.main(__spec__.name, cli.runs_parser(__doc__))

from collections.abc import Mapping, Sequence
from pathlib import Path

import keras
import numpy as np

from data_prep.errors import InputError
from data_prep.pooling import level_regions
from data_prep.shards import Shard, list_shards, read_info
from experiments.lab.context import Context
from experiments.lab.distributing.points import Point
from experiments.lab.publishing import pictures
from experiments.lab.publishing.publish import publish
from experiments.lab.publishing.results import Row
from experiments.lab.publishing.rows import identity_of, measured_row
from experiments.lab.scoring.calibration import cell_boxes
from experiments.lab.scoring.footprints import map_side
from experiments.lab.systems.reads import Reads
from models.similarity import GaussianSimilarity

EXHIBIT = "figure_10"
READS = Reads(("sRNN-AE",), ("spatial",), scored=False, without=("similarity",))
LEARNED, GAUSSIAN = "Trainable similarity", "Gaussian kernel"
WHOLE_FRAME = 0
BLOCK_FRAMES = 256
KINDS = {0: "normal", 1: "abnormal"}


def points(context: Context) -> list[Point]:
    """Return the runs that the figure needs."""
    return [Point(context.changed(similarity="learned"), dataset, "spatial") for dataset in context.datasets]


def run(context: Context) -> None:
    """Draw one figure a dataset and write the means over normal and abnormal frames."""
    rows: list[Row] = []
    for dataset in context.datasets:
        trained = context.changed(similarity="learned").run(dataset, "spatial")
        layers = {
            LEARNED: trained.model().srnn.similarity,
            GAUSSIAN: GaussianSimilarity(context.settings.model.delta_squared),
        }
        shards = list_shards(context.shards(dataset), "test")
        similarities = [clip_similarities(layers, path) for path in shards]
        draw_pairs(context, dataset, shards, similarities, context.figure_path(EXHIBIT, dataset))
        rows += mean_rows(context, dataset, shards, similarities, identity_of([{"spatial": trained}]))
    publish(context, EXHIBIT, rows, rows[0].command, context.differences("sRNN-AE"))


def clip_similarities(layers: Mapping[str, keras.layers.Layer], path: Path) -> dict[str, np.ndarray]:
    """Return S_{t-1,t} of each region of a shard under each layer, float32 (n_frames - 1, R).

    Read in blocks, so that memory does not grow with the clip. Paper: Eqs. (10) and (11)
    """
    with Shard(path) as shard:
        parts = {name: [np.empty((0, shard.n_regions), np.float32)] for name in layers}
        for start in range(0, shard.n_frames - 1, BLOCK_FRAMES):
            features = shard.features(start, start + BLOCK_FRAMES + 1)
            for name, layer in layers.items():
                embedding = layer(features)
                S = layer.compare(embedding[1:], embedding[:-1])
                parts[name].append(keras.ops.convert_to_numpy(S)[..., 0])
    return {name: np.concatenate(blocks) for name, blocks in parts.items()}


def middle_pair(labels: np.ndarray, label: int) -> int | None:
    """Return t of the middle one of a clip's pairs (t - 1, t) of two frames with that label, None if none."""
    pairs = np.flatnonzero((labels[1:] == label) & (labels[:-1] == label)) + 1
    return int(pairs[len(pairs) // 2]) if len(pairs) else None


def region_box(region: int, map_side: int, n_regions: int) -> tuple[float, float, float, float]:
    """Return left, top, width and height of what a region pools, as shares of the frame. Sec. 3.6.

    On a map whose side the level does not divide, cells overlap. `n_regions` are those of the pyramid.
    """
    for level, places in level_regions(n_regions).items():
        if places.start <= region < places.stop:
            left, top, right, bottom = cell_boxes(map_side, level)[region - places.start].tolist()
            return left, top, right - left, bottom - top
    raise ValueError(f"region: expected one of {n_regions}, got {region}")


def chosen_pairs(shards: Sequence[Path]) -> tuple[int, str, dict[int, int]]:
    """Return number, name and, by label, the middle pair of the first clip that has both kinds of pairs.

    Raises InputError when no clip has.
    """
    for number, path in enumerate(shards):
        with Shard(path) as shard:
            at = {label: middle_pair(shard.labels, label) for label in KINDS}
            if None not in at.values():
                return number, shard.info.clip, at
    raise InputError(
        f"{shards[0].parent}: expected a clip with two neighboring normal and two abnormal frames, got none"
    )


def draw_pairs(context: Context, dataset: str, shards, similarities, path: Path) -> None:
    """Draw the chosen pairs, with both similarities of the whole frame and of the outlined region."""
    number, clip, at = chosen_pairs(shards)
    learned, gaussian = (similarities[number][name] for name in (LEARNED, GAUSSIAN))
    lowest = {label: int(learned[t - 1].argmin()) for label, t in at.items()}
    captions = [
        f"{KINDS[label]} pair: frames {t} and {t + 1}\n"
        f"whole frame: learned {learned[t - 1, WHOLE_FRAME]:.3f}, "
        f"Gaussian {gaussian[t - 1, WHOLE_FRAME]:.3f}\n"
        f"outlined region (lowest learned): learned {learned[t - 1, lowest[label]]:.3f}, "
        f"Gaussian {gaussian[t - 1, lowest[label]]:.3f}"
        for label, t in at.items()
    ]
    frames, info = context.sample_frames(dataset), read_info(shards[number])
    side = map_side({"layer": info.layer, "input_size_px": info.input_size_px})
    pictures.frame_pairs(
        path,
        [frames(clip, (t - 1, t)) for t in at.values()],
        captions,
        [region_box(lowest[label], side, learned.shape[1]) for label in at],
        [bool(label) for label in at],
        f"{context.heading(dataset)}, test clip {clip} "
        f"({context.backbone.name}, profile {context.profile_name})",
    )


def mean_rows(context: Context, dataset: str, shards, similarities, identity: Mapping[str, str]) -> list[Row]:
    """Return the mean of both similarities over all normal and all abnormal test frames but first ones."""
    labels = []
    for path in shards:
        with Shard(path) as shard:
            labels.append(shard.labels[1:])
    of_frame = np.concatenate(labels)
    return [
        measured_row(
            context,
            [
                float(
                    np.concatenate([s[name][:, WHOLE_FRAME] for s in similarities])[of_frame == label].mean()
                )
            ],
            exhibit=EXHIBIT,
            row=name,
            column=f"{kind} frames",
            metric="similarity",
            protocol="mean over the test set, spatial stream, whole-frame region, last checkpoint",
            dataset=context.heading(dataset),
            command=context.command("experiments.figure_10_similarity_pairs"),
            **identity,
        )
        for name in (LEARNED, GAUSSIAN)
        for label, kind in KINDS.items()
        if (of_frame == label).any()
    ]
