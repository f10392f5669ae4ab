"""Table 4: AUC on LV under its criterion, 20 % of the abnormal pixels covered; on the walkway without LV.

    python -m experiments.table_04_lv --data DIR

Paper: Table 4, Sec. 4.3: an abnormal frame is a true positive when at least 20 % of its abnormal region is
detected. The errors of the 4 x 4 cells are mapped back to the image (`lab.scoring.pixel_metrics`). Only
systems that score 21 regions have a row: Conv-AE and ConvLSTM-AE score whole frames and read "not run".
"""

import functools
from collections.abc import Mapping, Sequence

from experiments.lab.cli import exhibit_main
from experiments.lab.context import COLUMNS, Context
from experiments.lab.protocol import (
    auc,
    fusion_name,
    identity_of,
    late_fusion_runs,
    measured_row,
)
from experiments.lab.publishing.publish import publish
from experiments.lab.publishing.results import Row
from experiments.lab.scoring import metrics, pixel_metrics
from experiments.lab.settings.schema import CHOICES
from experiments.lab.training.runs import Run

EXHIBIT = "table_04"
SYSTEMS = ("TSC", "sRNN-AE")
CRITERION = f"pixel level, {100 * pixel_metrics.LV_OVERLAP:g} % covered"


def run(context: Context) -> None:
    """Score the systems on LV, or on the walkway where LV is not at hand, and write the table."""
    command = context.command("experiments.table_04_lv")
    with_masks = [name for name, dataset in context.datasets.items() if dataset.has_pixel_masks]
    chosen = next((name for name in ("lv", "walkway") if name in with_masks), None)
    rows = (
        [] if chosen is None else [row for s in SYSTEMS for row in system_rows(context, s, chosen, command)]
    )
    absent = (
        "" if chosen == "lv" else " LV and its masks are not at hand: the walkway stands in its own column."
    )
    note = f"Criterion: {CRITERION}.{absent} {context.differences(*SYSTEMS)}"
    publish(context, EXHIBIT, rows, command, note)


def system_rows(context: Context, system: str, dataset: str, command: str) -> list[Row]:
    """Return the rows of one system under every protocol, the headline first; the frame-level AUC is last."""
    score = context.settings.score
    seeded = late_fusion_runs(context, dataset, system=system)
    fusions = [score.streams, *((stream,) for stream in score.streams)]
    streams = {fusion_name(names, score.temporal_weight): names for names in fusions}
    fused = next(iter(streams))
    cases = {(name, score.normalization): streams[name] for name in streams}
    cases |= {(fused, other): streams[fused] for other in CHOICES["normalization"]}
    by_seed = [pixel_aucs(context, dataset, runs, cases) for runs in seeded]
    how = f"last checkpoint, {score.frame_error} over regions"
    values = {
        f"{CRITERION}, {name}, {normalization} normalization, {how}": [
            aucs[name, normalization] for aucs in by_seed
        ]
        for name, normalization in cases
    }
    frame_level = f"frame level, {fused}, {score.normalization} normalization, last checkpoint, {score.how}"
    values[frame_level] = [auc(runs, context) for runs in seeded]
    return [
        measured_row(
            context,
            numbers,
            exhibit=EXHIBIT,
            row=system,
            column=COLUMNS[dataset],
            metric="auc",
            protocol=protocol,
            dataset=COLUMNS[dataset],
            command=command,
            **identity_of(seeded),
        )
        for protocol, numbers in values.items()
    ]


def pixel_aucs(
    context: Context, dataset: str, runs: Mapping[str, Run], cases: Mapping[tuple[str, str], Sequence[str]]
) -> dict[tuple[str, str], float]:
    """Return the pixel-level AUC of each case, (name, normalization) -> its streams, in one pass."""
    score = context.settings.score
    side = pixel_metrics.map_side(runs["spatial"].config["features"])
    covers = pixel_metrics.footprints(side)
    truth, listeners = pixel_metrics.TruthCounts(covers), {}
    for (name, normalization), streams in cases.items():
        anomaly = pixel_metrics.region_anomaly(
            {stream: runs[stream].scores() for stream in streams},
            score.frame_error,
            normalization,
            score.temporal_weight,
            {stream: runs[stream].train_errors(score.frame_error) for stream in streams},
        )
        scores = pixel_metrics.PixelScores(covers, pixel_metrics.LV_OVERLAP)
        listeners[name, normalization] = scores, pixel_metrics.cell_errors(anomaly)
    cells = next(iter(listeners.values()))[1]
    clips = context.datasets[dataset].split("test")
    masks = [functools.partial(context.datasets[dataset].pixel_masks, clip) for clip in clips]
    pixel_metrics.stream_masks(masks, side, [*listeners.values(), (truth, cells)])
    return {case: metrics.frame_auc(scores.clips, truth.labels) for case, (scores, _) in listeners.items()}


if __name__ == "__main__":
    exhibit_main(__doc__, run)
