"""Table 4: AUC on LV under its criterion, 20 % of the abnormal pixels covered; on the walkway without LV.

    python -m experiments.table_04_lv --data DIR

Paper: Table 4, Sec. 4.3: an abnormal frame is a true positive when at least 20 % of its abnormal region is
detected. The errors of the finest cells, 4 x 4 in the paper's pyramid, are mapped back to the image
(`lab.scoring.pixel_metrics`). Only systems that score regions have a row: Conv-AE and ConvLSTM-AE score whole
frames and read "not run". Those that the authors quote have cells of their own, and rows on Ped2 beside.
"""

if __name__ == "__main__":  # before what runs is imported: --help does not wait for TensorFlow
    from experiments.lab import cli

    cli.main(__spec__.name, cli.runs_parser(__doc__))

import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from data_prep.datasets import Dataset
from experiments.lab.context import Context
from experiments.lab.distributing.points import Point, Seeded, flat, late_fusion_points, runs_of
from experiments.lab.publishing.publish import publish
from experiments.lab.publishing.quoted_rows import headline, with_known_limits
from experiments.lab.publishing.results import Row
from experiments.lab.publishing.rows import backbones_of, identity_of, number_rows
from experiments.lab.scoring import metrics, pixel_metrics
from experiments.lab.scoring.geometry import geometry_of
from experiments.lab.scoring.measure import Runs, auc, beside, held_by, scores_of, train_errors_of
from experiments.lab.scoring.protocol import Protocol
from experiments.lab.systems.catalogue import SYSTEMS, systems_of
from experiments.lab.systems.reads import Reads
from experiments.lab.training.runs import Run

EXHIBIT = "table_04"
EXTRA = "ped2"  # where the systems that the authors quote have rows beside
LV_VARIANT = {"Reddy et al.": {"reddy_rule": "both", "reddy_known": 0.95}}  # a re-implementation, for LV
READS = Reads(systems_of(EXHIBIT), without=tuple(name for own in LV_VARIANT.values() for name in own))


def places(context: Context) -> list[tuple[str, str]]:
    """Return the system and the dataset of each cell of the table."""
    with_masks = [name for name, dataset in context.datasets.items() if dataset.has_pixel_masks]
    main = [name for name in ("lv", "walkway") if name in with_masks][:1]
    own = [name for name in with_masks if context.datasets[name].own]
    extra = [EXTRA] if EXTRA in with_masks else []
    systems = systems_of(EXHIBIT)
    several = [(system, name) for name in (*main, *own) for system in systems]
    return several + [(system, name) for name in extra for system in systems if SYSTEMS[system].quoted]


def points(context: Context) -> list[Point]:
    """Return the runs that the table needs."""
    return flat(cell_points(context, *place) for place in places(context))


def cell_points(context: Context, system: str, dataset: str) -> Seeded:
    """Return the runs of one system on one dataset."""
    own = context.changed(**LV_VARIANT.get(system, {}))
    return late_fusion_points(own, dataset, system, 1 if SYSTEMS[system].quoted else None)


def run(context: Context) -> None:
    """Score the systems on LV, or on the walkway where LV is not at hand, and write the table."""
    command, systems = context.command("experiments.table_04_lv"), systems_of(EXHIBIT)
    rows = [row for system, name in places(context) for row in system_rows(context, system, name, command)]
    criterion = f"Criterion: pixel level, {100 * pixel_metrics.LV_OVERLAP:g} % covered."
    absent = absence({name for _, name in places(context)})
    variant = (
        " Reddy et al.: the variant for LV, speed and size improbable together, known textures above 0.95."
    )
    note = f"{criterion}{absent}{variant} {context.differences(*systems)}"
    publish(context, EXHIBIT, rows, command, note)


def absence(scored: set[str]) -> str:
    """Return what stands in for LV, in a sentence, given the datasets scored; "" where it is among them."""
    if "lv" in scored:
        return ""
    beside = "the walkway stands in its own column" if "walkway" in scored else "nothing stands in"
    return f" LV and its masks are not at hand: {beside}."


def system_rows(context: Context, system: str, dataset: str, command: str) -> list[Row]:
    """Return the rows of one system under every protocol, the headline first; the frame-level AUC is last."""
    quoted, score = SYSTEMS[system].quoted, context.settings.score
    seeded = runs_of(cell_points(context, system, dataset))
    frame_level = held_by(seeded[0], headline(score, system) if quoted else Protocol.of(score))
    variant = "variant for LV" if system in LV_VARIANT else ""
    frame_level = replace(frame_level, remark="; ".join(filter(None, (frame_level.remark, variant))))
    protocols = pixel_protocols(seeded[0], frame_level)
    if quoted:
        protocols = with_known_limits(protocols, system, seeded)
    by_seed = [pixel_scores(context.datasets[dataset], runs, protocols) for runs in seeded]
    labels = by_seed[0][1]
    of_seeds = {one: [scores[one] for scores, _ in by_seed] for one in protocols}
    numbers = {one: [metrics.frame_auc(scores, labels) for scores in of_seeds[one]] for one in protocols}
    interval = metrics.bootstrap_interval(of_seeds[protocols[0]], labels)
    told = "; ".join(filter(None, (variant, "frame level")))
    numbers[replace(frame_level, remark=told)] = [auc(runs, frame_level) for runs in seeded]
    place = {"exhibit": EXHIBIT, "row": system, "command": command, "backbone": backbones_of(seeded[0])}
    return number_rows(numbers, interval, context.heading(dataset), {**place, **identity_of(seeded)})


def pixel_protocols(runs: Runs, frame_level: Protocol) -> list[Protocol]:
    """Return the pixel-level protocols: the headline's, each stream alone, the other normalizations.

    Maps of regions are not smoothed over time.
    """
    first = replace(frame_level, overlap=pixel_metrics.LV_OVERLAP, smoothing_frames=1)
    return [first, *(one for one in beside(runs, first) if one.checkpoint == first.checkpoint)]


def pixel_scores(
    dataset: Dataset, runs: Mapping[str, Run], protocols: Sequence[Protocol]
) -> tuple[dict[Protocol, list[np.ndarray]], list[np.ndarray]]:
    """Return what the masks are passed once for: protocol -> scores (n_frames,) a clip, and the labels so.

    The frame-level AUC of these scores against these labels is the pixel-level AUC.
    """
    geometry = geometry_of(runs, dataset)
    truth, listeners = pixel_metrics.TruthCounts(geometry.covers), {}
    for protocol in protocols:
        streams, train_errors = scores_of(runs, protocol), train_errors_of(runs, protocol)
        cells = geometry.regions(pixel_metrics.region_anomaly(streams, protocol, train_errors))
        listeners[protocol] = pixel_metrics.PixelScores(geometry.covers, protocol.overlap), cells
    masks = {clip.name: functools.partial(dataset.pixel_masks, clip) for clip in dataset.split("test")}
    pixel_metrics.stream_masks(masks, geometry.entries, [*listeners.values(), (truth, cells)])
    return {protocol: scores.clips for protocol, (scores, _) in listeners.items()}, truth.labels
