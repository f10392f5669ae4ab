"""What is told beside the numbers of a results folder: a note for each exhibit, and how the last run went."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from data_prep.files import locked, write_atomic
from data_prep.json_files import Maybe, read_json
from experiments.lab.publishing.results import HELD_OUT, Row
from experiments.lab.publishing.tables import format_value

LEAST_LEARNED = 0.1  # of the mean frame's error
EQUAL_SCORES = 0.5  # the AUC of scores that are all equal
_SUMMARY = {"machine": Maybe(str), "failures": Maybe({str: str})}


def write_note(results_dir: Path, exhibit: str, note: str) -> None:
    """Set the note of one exhibit in `notes.json`: what differs from the paper, what its numbers rest on."""
    with locked(results_dir):
        notes = read_notes(results_dir) | {exhibit: note}
        write_atomic(results_dir / "notes.json", json.dumps(notes, indent=1, sort_keys=True).encode())


def read_notes(results_dir: Path) -> dict[str, str]:
    """Return what `write_note` wrote, exhibit -> note, {} when there is none. InputError if damaged."""
    path = results_dir / "notes.json"
    return read_json(path, {str: str}) if path.exists() else {}


def held_out_note(rows: Sequence[Row]) -> str:
    """Return sentences on the systems' errors on held-out training clips against the mean frame's.

    A warning comes first where an error is not at least `LEAST_LEARNED` below it; "" without such rows.
    """
    values: dict[tuple[str, str], dict[str, Row]] = {}
    for row in rows:
        if row.metric in HELD_OUT:
            values.setdefault((row.row, row.column), {})[row.metric] = row
    warnings, told = [], []
    for (system, column), found in values.items():
        error, mean_frame = (found[metric] for metric in HELD_OUT)
        below = 1 - float(error.ours) / float(mean_frame.ours)
        numbers = " against ".join(format_value(row.metric, row.ours) for row in (error, mean_frame))
        told.append(f"{system}, {column}: {numbers} ({-100 * below:+.0f} %)")
        if below < LEAST_LEARNED:
            kept = error.protocol.rpartition("kept: ")[2]
            warnings.append(
                f"Warning: {system} on {column} has learned little: its error on training clips held out, "
                f"{numbers}, is not {100 * LEAST_LEARNED:g} % below that of the mean frame (kept: {kept})."
            )
    said = f"Error on training clips held out against the mean frame's: {'; '.join(told)}."
    return " ".join([*warnings, said]) if told else ""


def equal_scores_note(rows: Sequence[Row]) -> str:
    """Return a warning that names what has an AUC of exactly a half, as scores that are all equal have."""
    named = [f"{row.row} on {row.column}" for row in rows if row.metric == "auc" and row.ours == EQUAL_SCORES]
    if not named:
        return ""
    told = "; ".join(dict.fromkeys(named))
    return f"Warning: an AUC of exactly 50, as scores that are all equal have: {told}."


def write_summary(results_dir: Path, machine: str, outcomes: Mapping[str, str]) -> None:
    """Set in `summary.json` what was run on, and what became of some exhibits.

    `outcomes` holds a message for each exhibit that failed, "" for one that ran, whose failure is forgotten.
    """
    with locked(results_dir):
        failures = read_summary(results_dir).get("failures", {}) | outcomes
        failures = {exhibit: fault for exhibit, fault in failures.items() if fault}
        summary = {"machine": machine, "failures": failures}
        write_atomic(results_dir / "summary.json", json.dumps(summary, indent=1).encode())


def read_summary(results_dir: Path) -> dict:
    """Return what `write_summary` wrote, or {} when there is none. InputError if it is damaged."""
    path = results_dir / "summary.json"
    return read_json(path, _SUMMARY) if path.exists() else {}
