"""Frame labels as a table that a spreadsheet writes: `labels.csv`, a line an abnormal interval.

    clip,first,last
    02,61,180
    05,,

Frames count from 1, `last` is abnormal too. A clip may have several lines; one without abnormal frames has a
line with neither number, so that it is not taken for a clip that nobody has looked at.
"""

import csv
import io
from pathlib import Path
from unicodedata import normalize

import numpy as np

from data_prep.clip_list import is_file_name
from data_prep.errors import InputError
from data_prep.files import file_content

COLUMNS = ("clip", "first", "last")


def read_table_intervals(path: Path) -> dict[str, np.ndarray]:
    """Return the abnormal intervals of each clip by its name, int64 (n, 2): 1-based start, inclusive end.

    Names are in Unicode's composed form (NFC), whatever the table has.

    Raises InputError: not a text in UTF-8, another header, a line without clip, something else than numbers,
    a clip that two lines call normal and abnormal.
    """
    try:
        text = file_content(path).decode("utf-8-sig")  # spreadsheets begin a file with a mark
        content = io.StringIO(text, newline=None)  # line ends of any system
        lines = list(csv.reader(content, strict=True, skipinitialspace=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: expected text in UTF-8 with commas, got another ({error})") from error
    stripped = [(number, _cells(cells)) for number, cells in enumerate(lines, start=1)]
    (_, header), *filled = [(number, cells) for number, cells in stripped if any(cells)] or [(1, [])]
    if header != list(COLUMNS):
        raise InputError(f"{path}: expected the first line {','.join(COLUMNS)}, got {','.join(header)!r}")
    intervals: dict[str, list[tuple[int, int]]] = {}
    for number, cells in filled:
        clip, interval = _line(path, number, cells)
        if clip in intervals and bool(intervals[clip]) != bool(interval):
            raise InputError(
                f"{path}: line {number}: clip {clip} has an abnormal interval in one line and none in "
                "another, expected one or the other"
            )
        intervals.setdefault(clip, []).extend(interval)
    return {clip: np.array(found, np.int64).reshape(-1, 2) for clip, found in intervals.items()}


def _cells(cells: list[str]) -> list[str]:
    """Return the cells of a line without space around them, and without empty columns beside the table."""
    cells = [cell.strip() for cell in cells]
    return cells if any(cells[len(COLUMNS) :]) else cells[: len(COLUMNS)]


def _line(path: Path, number: int, cells: list[str]) -> tuple[str, list[tuple[int, int]]]:
    """Return the clip of a line and its interval, none where nothing in the clip is abnormal."""
    ends = cells[1:]
    is_whole = [end.isascii() and end.isdecimal() and len(end) < 10 for end in ends]
    if len(cells) != len(COLUMNS) or not is_file_name(cells[0]) or not (all(is_whole) or not any(ends)):
        raise InputError(
            f"{path}: line {number}: expected a clip, its first and last abnormal frame or neither, "
            f"got {','.join(cells)!r}"
        )
    return normalize("NFC", cells[0]), [(int(ends[0]), int(ends[1]))] if any(ends) else []
