"""From a sweep's trained points to its exhibit: result rows, the figure, and HParams sessions.

The sweeps are over test AUC, as in the paper: they show how a setting acts and select nothing.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from experiments.lab.context import Context
from experiments.lab.distributing.points import Point, make, runs_of
from experiments.lab.distributing.where import HERE
from experiments.lab.publishing import plots
from experiments.lab.publishing.publish import publish
from experiments.lab.publishing.published import exhibit_title
from experiments.lab.publishing.results import Row
from experiments.lab.publishing.rows import identity_of, measured_row
from experiments.lab.scoring.measure import auc, held_by, zero_share
from experiments.lab.scoring.protocol import Protocol
from experiments.lab.settings.changes import values
from experiments.lab.settings.chosen import CHOSEN_ROW
from experiments.lab.sweeping.sweep import (
    Sweep,
    cells_of,
    has_beside,
    on_chosen,
    overrides_of,
    reductions,
    streams_of,
    swept_points,
)
from experiments.lab.training.runs import Run
from experiments.lab.training.tensorboard import TensorBoardLog

NOT_A_SELECTION = "sweep over test AUC, as in the paper: not a selection"
UNITS = {"auc": "AUC (%)", "sparsity": "zero codes (%)"}


def run_sweep(context: Context, sweep: Sweep, grid: Sequence[str] | None = None) -> None:
    """Run all points that are not there, then write rows, note, figure and HParams.

    Args:
        context: what it runs in.
        sweep: what is swept.
        grid: values as texts; None for the profile's.
    """
    if grid is not None:
        context = replace(context, flags=f"{context.flags} --grid {','.join(grid)}")
    make(swept_points(context, sweep, grid), HERE)  # a point that fails keeps no other from running
    rows = swept_rows(context, sweep, grid, "{}")
    if has_beside(context, sweep):
        rows += swept_rows(on_chosen(context.beside, sweep), sweep, grid, CHOSEN_ROW)
    rows = publish(context, sweep.exhibit, rows, command(context, sweep), note(context, sweep))
    draw(context, sweep, rows)


def swept_rows(context: Context, sweep: Sweep, grid: Sequence[str] | None, row: str) -> list[Row]:
    """Return the rows of all points; `row` is a pattern of names."""
    rows = []
    for (dataset, system, x), seeded in cells_of(context, sweep, grid).items():
        runs = runs_of(seeded)
        rows += cell_rows(context, sweep, dataset, system, x, runs, row.format(system))
        for points, streams in zip(seeded, runs, strict=True):
            log_hparams(context, sweep, next(iter(points.values())), streams)
    return rows


def measure(metric: str, runs: Mapping[str, Run], protocol: Protocol) -> float:
    """Return the AUC of a point, or the share of zero codes, see `zero_share`."""
    return auc(runs, protocol) if metric == "auc" else zero_share(runs, protocol)


def cell_rows(
    context: Context,
    sweep: Sweep,
    dataset: str,
    system: str,
    x: str,
    seeded: Sequence[Mapping[str, Run]],
    row: str,
) -> list[Row]:
    """Return the rows of one system at one x, over its seeds, named `row`."""
    protocol = held_by(seeded[0], protocol_of(context, sweep, system))
    return [
        measured_row(
            context,
            [measure(metric, runs, protocol) for runs in seeded],
            exhibit=sweep.exhibit,
            row=row,
            column=x,
            metric=metric,
            protocol=str(protocol),
            dataset=context.heading(dataset),
            command=command(context, sweep),
            # The AUCs that the paper gives in the text are of the fused streams, its Table 9's.
            compared=metric != "auc" or len(protocol.streams) > 1,
            **identity_of(seeded),
        )
        for metric in sweep.metrics
    ]


def protocol_of(context: Context, sweep: Sweep, system: str) -> Protocol:
    """Return the protocol of a point's numbers."""
    reduced = [
        f"{name} {value}" for name, value in reductions(context.settings, sweep.settings, system).items()
    ]
    remark = "; ".join([", ".join(reduced), NOT_A_SELECTION] if reduced else [NOT_A_SELECTION])
    return replace(Protocol.of(context.settings.score, streams_of(context)), remark=remark)


def note(context: Context, sweep: Sweep) -> str:
    """Return the sentences on what differs from the paper."""
    reduced = "; ".join(
        f"{system} at {name} {value}"
        for system in sweep.settings
        for name, value in reductions(context.settings, sweep.settings, system).items()
    )
    differs = context.differences(*sweep.settings)
    points = f" Points are less than full runs: {reduced}." if reduced else ""
    text = f"{NOT_A_SELECTION[0].upper()}{NOT_A_SELECTION[1:]}.{points} {differs}"
    if not sweep.with_chosen or not context.beside:
        return text
    return f'{text} Rows "{CHOSEN_ROW.format("...")}": {context.beside.differences(*sweep.settings)}'


def command(context: Context, sweep: Sweep) -> str:
    """Return the command that makes the exhibit."""
    return context.command(sweep.module)


def draw(context: Context, sweep: Sweep, rows: Sequence[Row]) -> None:
    """Draw a panel for each metric, a line for each dataset; with two systems a panel for each dataset.

    The chosen settings have panels of their own.
    """
    measured = [row for row in rows if row.measured]
    x = sorted({float(row.column) for row in measured})
    panels, std, published = {}, {}, {}
    chosen = {CHOSEN_ROW.format(system) for system in sweep.settings}
    for row in rows:
        quantity, series = UNITS[row.metric], row.dataset
        if len(sweep.settings) > 1:
            quantity, series = f"{UNITS[row.metric]}, {row.dataset}", row.row
        elif row.row in chosen:
            quantity = f"{UNITS[row.metric]}, chosen settings"
        if row.measured:
            place = x.index(float(row.column))
            bar = math.nan if row.std is None else row.std  # one seed has no spread
            for curves, value in ((panels, row.ours), (std, bar)):
                curve = curves.setdefault(quantity, {}).setdefault(series, [math.nan] * len(x))
                curve[place] = 100 * value
        if row.paper is not None:
            published.setdefault(quantity, {}).setdefault(series, {})[float(row.column)] = 100 * row.paper
    made_of = f"{context.backbone.name}, profile {context.profile_name}"
    datasets = ", ".join(dict.fromkeys(row.dataset for row in measured))
    title = f"{exhibit_title(sweep.exhibit)}, {datasets} ({made_of})\n{NOT_A_SELECTION}"
    path = context.results_dir / f"{sweep.exhibit}.png"
    plots.sweep_curves(path, x, panels, sweep.xlabel, title, std, published)


def log_hparams(context: Context, sweep: Sweep, point: Point, runs: Mapping[str, Run]) -> None:
    """Add the point to TensorBoard's HParams as one session, once: settings, final AUC and sparsity."""
    value = values(point.context.settings)[sweep.settings[point.system]]
    overrides = overrides_of(context, sweep, point.system, value)
    changed = "-".join(f"{name}={setting}" for name, setting in overrides.items())
    of_runs = f"seed={point.seed}-{identity_of([runs])['config_hash']}"
    name = f"{point.dataset}-{point.system}-{changed}-{of_runs}".replace(" ", "-")
    folder = context.out / "logs" / "sweeps" / sweep.exhibit / name
    if folder.exists():
        return
    chosen = {"dataset": point.dataset, "system": point.system, "seed": point.seed, **overrides}
    protocol = held_by(runs, protocol_of(context, sweep, point.system))
    result = {f"final/{metric}": measure(metric, runs, protocol) for metric in sweep.metrics}
    log = TensorBoardLog(folder)  # last: the folder says that the session is there
    log.hparams({"sweep": sweep.exhibit, **chosen}, result, step=0)
    log.close()
