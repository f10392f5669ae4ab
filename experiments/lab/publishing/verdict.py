"""Whether a published number is reached: one rule for report.html, README.md and what else compares."""

from experiments.lab.publishing.results import PERCENT_METRICS, Row

# A published percentage counts as reached when ours lies within this distance of it.
TOLERANCE_POINTS = 2.0
COUNT_METRICS = frozenset({"frames", "events", "scenes"})


def difference(row: Row) -> float | None:
    """Return ours minus the paper's (percentage points for percentages), None when one is absent."""
    if row.paper is None or not row.measured:
        return None
    # Rounded so that a difference of exactly the tolerance counts as within it.
    return round((row.ours - row.paper) * (100 if row.metric in PERCENT_METRICS else 1), 6)


def verdict(row: Row) -> str:
    """Return `reproduced`, `exceeded` or `short` for a percentage or a count, "" for what has no verdict.

    Percentages may differ by `TOLERANCE_POINTS`, counts not at all (another count is `short`). Speeds and
    times depend on the machine and have no verdict.
    """
    gap = difference(row)
    if gap is None or row.metric not in PERCENT_METRICS | COUNT_METRICS:
        return ""
    if abs(gap) <= (TOLERANCE_POINTS if row.metric in PERCENT_METRICS else 0):
        return "reproduced"
    return "exceeded" if gap > 0 and row.metric in PERCENT_METRICS else "short"
