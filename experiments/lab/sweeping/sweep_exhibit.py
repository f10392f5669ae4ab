"""From a sweep's trained points to its exhibit: result rows, the figure, and HParams sessions.

The sweeps are over test AUC, as in the paper: they show how a setting acts and select nothing.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from data_prep.errors import InputError
from experiments.lab.context import Context
from experiments.lab.publishing import plots
from experiments.lab.publishing.publish import publish
from experiments.lab.publishing.published import exhibit_title
from experiments.lab.publishing.results import Row
from experiments.lab.publishing.rows import identity_of, measured_row
from experiments.lab.scoring.measure import auc, held_by, zero_share
from experiments.lab.scoring.protocol import Protocol
from experiments.lab.settings.changes import values
from experiments.lab.settings.chosen import CHOSEN_ROW
from experiments.lab.settings.schema import Settings
from experiments.lab.sweeping.sweep import Point, parse_grid, run_points, security_of, streams_of
from experiments.lab.systems.catalogue import SYSTEMS
from experiments.lab.systems.reads import Reads
from experiments.lab.training.runs import Run
from experiments.lab.training.tensorboard import TensorBoardLog

NOT_A_SELECTION = "sweep over test AUC, as in the paper: not a selection"
UNITS = {"auc": "AUC (%)", "sparsity": "zero codes (%)"}


@dataclass(frozen=True)
class Sweep:
    """What one figure sweeps.

    Attributes:
        exhibit: its name.
        module: the script's, for the `command` column.
        settings: system, as the paper names it -> its setting that is swept.
        grids: profile -> default values.
        xlabel: of the figure.
        metrics: "auc", "sparsity" (share of zero codes of the test frames).
        with_chosen: whether the chosen settings are swept beside, in panels of their own.
    """

    exhibit: str
    module: str
    settings: Mapping[str, str]
    grids: Mapping[str, Sequence[float]]
    xlabel: str
    metrics: tuple[str, ...] = ("auc",)
    with_chosen: bool = False

    @property
    def reads(self) -> "SweepReads":
        """Return what the figure reads of the settings."""
        return SweepReads(tuple(self.settings), swept=self.settings)


@dataclass(frozen=True)
class SweepReads(Reads):
    """What a sweep reads: not the setting that it sweeps, nor those of which points have less.

    Attributes:
        swept: system -> its setting that is swept.
    """

    swept: Mapping[str, str] = field(default_factory=dict)

    def names(self, settings: Settings) -> set[str]:
        """Return the names of the settings that act on something under these settings."""
        streams = ("spatial",) if settings.sweep.sweep_streams == "spatial" else None
        swept = tuple(self.swept.values())
        names = Reads(self.systems, streams, also=("sweep_streams",), without=swept).names(settings)
        limits = {limit for system in self.swept for limit in limits_of(self.swept, system).values()}
        reduced = {name for system in self.swept for name in reductions(settings, self.swept, system)}
        return (names | limits) - reduced

    def walkway_is_read(self, context: Context) -> bool:
        """Return whether the embedded dataset is swept on."""
        return "walkway" in swept_datasets(context)


def run_sweep(
    context: Context,
    sweep: Sweep,
    grid: Sequence[str] | None = None,
    jobs: int = 1,
    cluster: str | None = None,
    tls: Sequence[Path] | None = None,
) -> None:
    """Run all points, then write rows, note, figure and HParams.

    Args:
        context: what it runs in.
        sweep: what is swept.
        grid: values as texts; None for the profile's.
        jobs, cluster, tls: see `run_points`.
    """
    if jobs < 1:
        raise InputError(f"--jobs: expected at least 1, got {jobs}")
    if tls is not None and cluster is None:
        raise InputError("--tls: expected --cluster tls://HOST:PORT beside it")
    if cluster is not None:
        security_of(cluster, tls)  # refused before features are extracted
    if grid is None:
        grid = [str(value) for value in sweep.grids[context.profile]]
    else:
        context = replace(context, flags=f"{context.flags} --grid {','.join(grid)}")
    where = {"jobs": jobs, "cluster": cluster, "tls": tls}
    rows = swept_rows(context, sweep, grid, "{}", **where)
    if sweep.with_chosen and context.beside:
        rows += swept_rows(on_chosen(context.beside, sweep), sweep, grid, CHOSEN_ROW, **where)
    rows = publish(context, sweep.exhibit, rows, command(context, sweep), note(context, sweep))
    draw(context, sweep, rows)


def on_chosen(context: Context, sweep: Sweep) -> Context:
    """Return a context with the chosen settings in which a point is a full run on all streams."""
    limits = {limit for system in sweep.settings for limit in limits_of(sweep.settings, system).values()}
    return context.changed(sweep_streams="late_fusion", **dict.fromkeys(limits, 0))


def swept_rows(context: Context, sweep: Sweep, grid: Sequence[str], row: str, **where: object) -> list[Row]:
    """Return the rows of all points, trained first where they are not there; `row` is a pattern of names.

    `where` they run: see `run_points`.
    """
    grids = {system: parse_grid(context, setting, grid) for system, setting in sweep.settings.items()}
    cells = {
        (dataset, system, x): points_of(context, sweep, dataset, system, value)
        for dataset in swept_datasets(context)
        for system in sweep.settings
        for x, value in grids[system].items()
    }
    points = [point for seeded in cells.values() for point in seeded]
    runs_of = run_points(context, points, **where)
    trained = dict(zip((p.name for p in points), runs_of, strict=True))
    rows = []
    for (dataset, system, x), seeded in cells.items():
        runs = [trained[point.name] for point in seeded]
        rows += cell_rows(context, sweep, dataset, system, x, runs, row.format(system))
        for point, streams in zip(seeded, runs, strict=True):
            log_hparams(context, sweep, point, streams)
    return rows


def swept_datasets(context: Context) -> list[str]:
    """Return the datasets to sweep on: those asked for, all in the paper profile, else the first at hand."""
    names = list(context.datasets)
    return names if context.only_datasets or context.profile == "paper" else names[:1]


def points_of(context: Context, sweep: Sweep, dataset: str, system: str, value) -> list[Point]:
    """Return the points of one x, one a seed."""
    overrides = {sweep.settings[system]: value, **reductions(context.settings, sweep.settings, system)}
    return [Point(dataset, system, seed, overrides) for seed in range(context.n_ablation_seeds)]


def limits_of(swept: Mapping[str, str], system: str) -> dict[str, str]:
    """Return the settings of which a point may have less than a full run -> the one that says how much."""
    limits = SYSTEMS[system].sweep_limits.items()
    return {name: limit for name, limit in limits if name != swept[system]}


def reductions(settings: Settings, swept: Mapping[str, str], system: str) -> dict[str, int]:
    """Return the settings in which a point is less than a full run, with their values (`SweepSettings`)."""
    full, limits = values(settings), limits_of(swept, system)
    reduced = {name: full[limit] for name, limit in limits.items() if 0 < full[limit] < full[name]}
    if "iterations" in reduced:
        reduced["checkpoint_every"] = reduced["iterations"]  # scored once, at the end
    return reduced


def measure(metric: str, runs: Mapping[str, Run], protocol: Protocol) -> float:
    """Return the AUC of a point, or the share of zero codes over its test frames and streams."""
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
            for curves, value in ((panels, row.ours), (std, row.std or 0)):
                curve = curves.setdefault(quantity, {}).setdefault(series, [math.nan] * len(x))
                curve[place] = 100 * value
        if row.paper is not None:
            published.setdefault(quantity, {}).setdefault(series, {})[float(row.column)] = 100 * row.paper
    made_of = f"{context.backbone.name}, profile {context.profile_name}"
    datasets = ", ".join(dict.fromkeys(row.dataset for row in measured))
    title = f"{exhibit_title(sweep.exhibit)}, {datasets} ({made_of})\n{NOT_A_SELECTION}"
    several_seeds = any(row.seeds > 1 for row in measured)
    path = context.results_dir / f"{sweep.exhibit}.png"
    plots.sweep_curves(path, x, panels, sweep.xlabel, title, std if several_seeds else None, published)


def log_hparams(context: Context, sweep: Sweep, point: Point, runs: Mapping[str, Run]) -> None:
    """Add the point to TensorBoard's HParams as one session, once: settings, final AUC and sparsity."""
    name = f"{point.name} {identity_of([runs])['config_hash']}".replace(" ", "-")
    folder = context.out / "logs" / "sweeps" / sweep.exhibit / name
    if folder.exists():
        return
    chosen = {"dataset": point.dataset, "system": point.system, "seed": point.seed, **point.overrides}
    log = TensorBoardLog(folder)
    protocol = held_by(runs, protocol_of(context, sweep, point.system))
    result = {f"final/{metric}": measure(metric, runs, protocol) for metric in sweep.metrics}
    log.hparams({"sweep": sweep.exhibit, **chosen}, result, step=0)
    log.close()
