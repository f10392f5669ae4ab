"""Whether a published number is reached: one rule for report.html, README.md and what else compares."""

from experiments.lab.publishing.results import PERCENT_METRICS, Row

# A published percentage is reached where ours lies within this distance of it, or within the spread of ours.
TOLERANCE_POINTS = 2.0
COUNT_METRICS = frozenset({"frames", "events", "scenes"})
REACHED, ABOVE, BELOW = "reached", "above", "not reached"


def difference(row: Row) -> float | None:
    """Return ours minus the paper's (percentage points for percentages), None when one is absent."""
    if row.paper is None or not row.measured:
        return None
    # Rounded so that a difference of exactly the tolerance counts as within it.
    return round((float(row.ours) - row.paper) * (100 if row.metric in PERCENT_METRICS else 1), 6)


def verdict(row: Row) -> str:
    """Return `REACHED`, `ABOVE` or `BELOW` for a percentage or a count, "" for what has no verdict.

    Percentages may differ by `TOLERANCE_POINTS` or by the standard deviation over seeds, whichever is more;
    counts not at all (another count is `BELOW`). Speeds and times depend on the machine and have no verdict.
    """
    gap = difference(row)
    if gap is None or row.metric not in PERCENT_METRICS | COUNT_METRICS:
        return ""
    percentage = row.metric in PERCENT_METRICS
    if abs(gap) <= (max(TOLERANCE_POINTS, 100 * (row.std or 0)) if percentage else 0):
        return REACHED
    return ABOVE if gap > 0 and percentage else BELOW
