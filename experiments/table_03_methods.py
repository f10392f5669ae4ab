"""Table 3: frame-level AUC of all methods on the real datasets, and on the embedded walkway.

    python -m experiments.table_03_methods --data DIR [--systems "Nearest Subspace,OC-SVM,TSC,sRNN-AE"]
        [--jobs N | --cluster tcp://HOST:PORT]

Paper: Table 3, Sec. 4.3. All systems and, beside Conv-AE and ConvLSTM-AE, the mean training frame scored as
they are (ours); or those of --systems; others read "not run", absent datasets "no data". The systems that the
authors quote have one threshold over all clips as their headline. The systems that read features have a
second row, with the settings of --chosen (docs/choosing.md), unless --without-chosen is given.
"""

if __name__ == "__main__":  # before what runs is imported: --help does not wait for TensorFlow
    from experiments.lab import cli

    flags = cli.runs_parser(__doc__)
    flags.add_argument("--systems", type=cli.listed, help="some of the systems, by commas (default: all)")
    flags.add_argument(
        "--without-chosen",
        dest="with_chosen",
        action="store_false",
        help="without the rows of the chosen settings",
    )
    cli.main(__spec__.name, flags)

import shlex
from collections.abc import Sequence
from dataclasses import replace

from experiments.lab.context import Context
from experiments.lab.distributing.points import Point, flat, late_fusion_points
from experiments.lab.publishing.notes import held_out_note
from experiments.lab.publishing.publish import publish
from experiments.lab.publishing.quoted_rows import quoted_rows
from experiments.lab.publishing.results import Row
from experiments.lab.publishing.rows import auc_rows, late_fusion_runs
from experiments.lab.settings.chosen import CHOSEN_ROW
from experiments.lab.settings.flow_windows import reads_windows
from experiments.lab.systems.catalogue import SYSTEMS, asked_for, systems_of
from experiments.lab.systems.reads import Reads

EXHIBIT = "table_03"
READS = Reads(systems_of(EXHIBIT))


def reads(context: Context, systems: Sequence[str] | None = None, **_) -> Reads:
    """Return what a call with these flags reads: the settings of the systems asked for."""
    return replace(READS, systems=asked_for(EXHIBIT, context.profile, systems))


def points(context: Context, systems: Sequence[str] | None = None, with_chosen: bool = True) -> list[Point]:
    """Return the runs that the table needs, of the flags of `run`."""
    places = [(context, name) for name in asked_for(EXHIBIT, context.profile, systems)]
    if context.beside and with_chosen:
        places += [(context.beside, name) for _, name in places if follows(name, context.beside)]
    return flat(
        late_fusion_points(of, dataset, name, 1 if SYSTEMS[name].quoted else None)
        for dataset in context.datasets
        for of, name in places
    )


def run(context: Context, systems: Sequence[str] | None = None, with_chosen: bool = True) -> None:
    """Train and score the methods on every dataset at hand and write the table.

    Args:
        context: what it runs in.
        systems: some of those of this table; None for all that the profile has by itself.
        with_chosen: whether rows of the settings of `--chosen` stand beside those of the profile.
    """
    usual, systems = asked_for(EXHIBIT, context.profile, None), asked_for(EXHIBIT, context.profile, systems)
    command = context.command("experiments.table_03_methods")
    if systems != usual:
        command += f" --systems {shlex.quote(','.join(systems))}"
    if not with_chosen:
        command += " --without-chosen"
    rows: list[Row] = []
    beside = context.beside
    for dataset in context.datasets:
        for name in systems:
            rows += method_rows(context, name, name, dataset, command)
        for name in systems:
            if beside and with_chosen and follows(name, beside):
                rows += method_rows(beside, name, CHOSEN_ROW.format(name), dataset, command)
    publish(context, EXHIBIT, rows, command, lambda all_rows: note(context, all_rows))


def follows(system: str, chosen: Context) -> bool:
    """Return whether a system reads what the chosen settings are about, flow windows where they name them."""
    entry, score = SYSTEMS[system], chosen.settings.score
    windows = {stream for stream in score.streams if reads_windows(stream, chosen.settings)}
    return entry.reads.of_network and windows <= set(entry.streams(chosen.settings))


def note(context: Context, rows: Sequence[Row]) -> str:
    """Return what differs from the paper in the rows of the table, those with the chosen settings apart."""
    measured, known = {row.row for row in rows if row.measured}, systems_of(EXHIBIT)
    sentences = [held_out_note(rows), context.differences(*(name for name in known if name in measured))]
    others = [name for name in known if CHOSEN_ROW.format(name) in measured]
    if others and context.beside:
        sentences.append(f'Rows "{CHOSEN_ROW.format("...")}": {context.beside.differences(*others)}')
    if slow := [name for name in known if SYSTEMS[name].paper_profile_alone and name not in measured]:
        sentences.append(f"{', '.join(slow)}: slow, in profile paper or by --systems alone.")
    return " ".join(filter(None, sentences))


def method_rows(context: Context, system: str, row: str, dataset: str, command: str) -> list[Row]:
    """Return the rows of one method on one dataset under every protocol."""
    if SYSTEMS[system].quoted:
        return quoted_rows(context, EXHIBIT, system, dataset, command)
    return auc_rows(context, EXHIBIT, row, dataset, late_fusion_runs(context, dataset, system), command)
