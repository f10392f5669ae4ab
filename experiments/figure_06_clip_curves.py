"""Figure 6: regularity score, similarity and code distance along a test clip, abnormal frames shaded.

    python -m experiments.figure_06_clip_curves --data DIR [--without-frames]

Paper: Fig. 6, Sec. 4.3. The score is the fused one; similarity and code distance are those of the
whole-frame region of the spatial stream. The clip is the first test clip with normal and abnormal frames.
Under the score of the profile stands that of the chosen settings.
"""

if __name__ == "__main__":  # before what runs is imported: --help does not wait for TensorFlow
    from experiments.lab import cli

    flags = cli.runs_parser(__doc__)
    flags.add_argument(
        "--without-frames",
        action="store_true",
        help="draw the curves alone: frames of some datasets may not be passed on",
    )
    cli.main(__spec__.name, flags)

import textwrap
from collections.abc import Callable, Sequence

import numpy as np

from data_prep.errors import InputError
from experiments.lab.context import Context
from experiments.lab.distributing.points import Point, flat, late_fusion_points
from experiments.lab.publishing import pictures
from experiments.lab.publishing.publish import publish
from experiments.lab.publishing.results import Row
from experiments.lab.publishing.rows import identity_of, measured_row
from experiments.lab.scoring.measure import Runs, held_by, regularity_of, step_of
from experiments.lab.scoring.protocol import CHECKPOINT_NAMES, Protocol
from experiments.lab.scoring.regularity import in_order
from experiments.lab.scoring.score import ClipScores
from experiments.lab.systems.reads import Reads
from experiments.lab.training.runs import Run

EXHIBIT = "figure_06"
READS = Reads(("sRNN-AE",))
WHOLE_FRAME = 0
SAMPLE_FRAMES = 6
TITLE_CHARACTERS = 140  # a line


def points(context: Context, without_frames: bool = False) -> list[Point]:
    """Return the runs that the figure needs."""
    contexts = [context, *([context.beside] if context.beside else [])]
    fused = [late_fusion_points(of, dataset, n_seeds=1) for of in contexts for dataset in context.datasets]
    # The codes of the spatial stream are drawn, fused or not.
    return flat(fused) + [Point(context, dataset, "spatial") for dataset in context.datasets]


def run(context: Context, without_frames: bool = False) -> None:
    """Draw one figure a dataset, with sample frames or without, and write the means over its frames."""
    rows = []
    for dataset in context.datasets:
        runs = runs_of(context, dataset)
        spatial = spatial_clips(context, dataset, runs)
        frames = None if without_frames else context.sample_frames(dataset)
        draw_clip(context, dataset, runs, spatial, frames)
        rows += mean_rows(context, dataset, runs, spatial)
    publish(context, EXHIBIT, rows, rows[0].command, context.differences("sRNN-AE"))


def runs_of(context: Context, dataset: str) -> dict[str, Run]:
    """Return the runs of the first seed on the streams that are fused."""
    return {stream: context.run(dataset, stream) for stream in context.settings.score.streams}


def spatial_clips(context: Context, dataset: str, runs: Runs) -> list[ClipScores]:
    """Return the spatial stream's scores of the test clips, in the order of the fused ones.

    They are those of the protocol's checkpoint where it is among the fused streams, else of its last one.
    """
    protocol = held_by(runs, Protocol.of(context.settings.score))
    if "spatial" in runs:
        clips = runs["spatial"].scores(step_of(runs, protocol))
    else:
        clips = context.run(dataset, "spatial").scores()
    names = [clip.clip for clip in runs[protocol.streams[0]].scores()]
    return in_order(clips, names, "spatial stream")


def draw_clip(
    context: Context,
    dataset: str,
    runs: Runs,
    spatial: Sequence[ClipScores],
    frames: Callable[[str, Sequence[int]], np.ndarray] | None,
) -> None:
    """Draw the curves of the first test clip that has both classes, under some of its frames."""
    protocol = held_by(runs, Protocol.of(context.settings.score))
    clip = next((clip for clip in spatial if 0 < clip.labels.mean() < 1), None)
    if clip is None:
        raise InputError(f"{context.heading(dataset)}: expected a test clip with normal and abnormal frames")
    scores = {"regularity score\ns(t)": score_of_clip(clip.clip, runs, context)}
    title = [
        f"{context.heading(dataset)}, test clip {clip.clip} "
        f"({context.backbone.name}, profile {context.profile_name})",
        f"s(t): {protocol}",
    ]
    if beside := context.beside:
        chosen = runs_of(beside, dataset)
        scores["s(t), chosen\nsettings"] = score_of_clip(clip.clip, chosen, beside)
        title.append(f"chosen settings: {held_by(chosen, Protocol.of(beside.settings.score))}")
    title.append("similarity, code distance: whole frame, spatial stream")
    shown = np.linspace(0, len(clip.labels) - 1, SAMPLE_FRAMES).astype(int)
    pictures.clip_curves(
        context.figure_path(EXHIBIT, dataset),
        frames(clip.clip, shown) if frames else None,
        shown + 1,
        scores
        | {
            "similarity\nS(t-1, t)": without_first(clip.of_codes("similarity")[:, WHOLE_FRAME]),
            "code distance\n||a(t) - a(t-1)||": without_first(clip.of_codes("code_distance")[:, WHOLE_FRAME]),
        },
        clip.labels,
        "\n".join(textwrap.fill(line, TITLE_CHARACTERS) for line in title),
    )


def score_of_clip(name: str, runs: Runs, context: Context) -> np.ndarray:
    """Return s(t) of the test clip of this name, (n_frames,), under the context's protocol."""
    protocol = held_by(runs, Protocol.of(context.settings.score))
    names = [clip.clip for clip in runs[protocol.streams[0]].scores()]
    return regularity_of(runs, protocol)[names.index(name)]


def without_first(curve: np.ndarray) -> np.ndarray:
    """Return the curve without its first number, which has no frame before it."""
    return np.concatenate([[np.nan], curve[1:]])


def mean_rows(context: Context, dataset: str, runs: Runs, clips: Sequence[ClipScores]) -> list[Row]:
    """Return the mean similarity and code distance over all normal and all abnormal test frames."""
    protocol = held_by(runs, Protocol.of(context.settings.score))
    checkpoint = protocol.checkpoint_name if "spatial" in runs else CHECKPOINT_NAMES["last"]
    labels = np.concatenate([clip.labels[1:] for clip in clips])
    rows = []
    for metric in ("similarity", "code_distance"):
        values = np.concatenate([clip.of_codes(metric)[1:, WHOLE_FRAME] for clip in clips])
        for name, wanted in (("normal frames", 0), ("abnormal frames", 1)):
            rows.append(
                measured_row(
                    context,
                    [float(values[labels == wanted].mean())],
                    exhibit=EXHIBIT,
                    row=name,
                    column=context.heading(dataset),
                    metric=metric,
                    protocol=f"spatial stream, whole-frame region, {checkpoint}",
                    dataset=context.heading(dataset),
                    command=context.command("experiments.figure_06_clip_curves"),
                    **identity_of([{"spatial": context.run(dataset, "spatial")}]),
                )
            )
    return rows
