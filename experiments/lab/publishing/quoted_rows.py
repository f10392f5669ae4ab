"""Result rows of the systems that the paper quotes: one threshold over all clips is their headline.

Their papers draw one curve over all test clips, so that nothing is normalized per clip; those numbers stand
beside. Where a system's authors published the equal error rate, it has a column of its own. So has the AUC
without the clips that are abnormal throughout, of the systems that compare a clip with itself.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from experiments.lab.context import Context
from experiments.lab.publishing.results import Row
from experiments.lab.publishing.rows import (
    SEEDED_RUNS,
    backbones_of,
    identity_of,
    late_fusion_runs,
    number_rows,
    rows_under,
)
from experiments.lab.scoring import metrics
from experiments.lab.scoring.measure import labels_of, protocols_of, regularity_of
from experiments.lab.scoring.protocol import Protocol
from experiments.lab.settings.schema import ScoreSettings
from experiments.lab.systems.catalogue import SYSTEMS


def headline(score: ScoreSettings, system: str) -> Protocol:
    """Return the protocol of a quoted system's first row."""
    headline = replace(Protocol.of(score), fusion="paper", normalization="global")
    return replace(headline, remark=SYSTEMS[system].remark)


def quoted_rows(context: Context, exhibit: str, system: str, dataset: str, command: str) -> list[Row]:
    """Return the rows of a system that the paper quotes, on one dataset, under every protocol."""
    seeded = late_fusion_runs(context, dataset, system, n_seeds=1)
    place = {"exhibit": exhibit, "row": system, "command": command, "backbone": backbones_of(seeded[0])}
    protocols = protocols_of(seeded[0], headline(context.settings.score, system))
    protocols = with_known_limits(protocols, system, seeded)
    title = context.heading(dataset)
    rows = rows_under(protocols, title, seeded, place)
    if SYSTEMS[system].has_published_eer:
        rows += equal_error_rate_rows(protocols[:1], title, seeded, place)
    if not SYSTEMS[system].fitted:
        rows += changing_rows(protocols, title, seeded, place)
    return rows


def with_known_limits(protocols: Sequence[Protocol], system: str, seeded: SEEDED_RUNS) -> list[Protocol]:
    """Return the protocols whose limits there are: training errors give some if there are any that differ."""
    (run,) = seeded[0].values()
    has_limits = SYSTEMS[system].fitted and np.ptp(run.train_errors()) > 0
    return [one for one in protocols if has_limits or not one.needs_train_errors]


def equal_error_rate_rows(
    protocols: Sequence[Protocol], title: str, seeded: SEEDED_RUNS, place: dict[str, str]
) -> list[Row]:
    """Return the rows of the equal error rate, in a column of their own."""
    (runs,) = seeded
    return [
        Row(
            metric="equal_error_rate",
            ours=metrics.equal_error_rate([-s for s in regularity_of(runs, one)], labels_of(runs, one)),
            column=f"{title} EER",
            dataset=title,
            seeds=1,
            protocol=str(one),
            **place,
            **identity_of(seeded),
        )
        for one in protocols
    ]


def changing_rows(
    protocols: Sequence[Protocol], title: str, seeded: SEEDED_RUNS, place: dict[str, str]
) -> list[Row]:
    """Return the rows without the clips that are abnormal from end to end, in a column of their own.

    Nothing in these clips changes, so that what compares a clip with itself cannot find them. No rows where
    there are none, or where no abnormal frame is left.
    """
    (runs,) = seeded
    labels = labels_of(runs, protocols[0])
    kept = [index for index, truth in enumerate(labels) if not truth.all()]
    if len(kept) in (0, len(labels)) or not any(labels[index].any() for index in kept):
        return []
    left_out = f"{len(labels) - len(kept)} of {len(labels)} clips left out, abnormal throughout"
    rows = []
    for protocol in protocols:
        scores = regularity_of(runs, protocol)
        auc = metrics.frame_auc([-scores[index] for index in kept], [labels[index] for index in kept])
        remark = "; ".join(filter(None, (protocol.remark, left_out)))
        numbers = {replace(protocol, remark=remark): [auc]}
        rows += number_rows(numbers, None, title, {**place, **identity_of(seeded)})
    column = f"{title}, clips that change"
    return [replace(row, column=column, compared=False) for row in rows]
