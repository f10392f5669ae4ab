"""Who gave a setting its default: the paper, where nothing is said, another source, or a choice of ours."""

from dataclasses import field


def cited(default, source: str):
    """Return the field of a setting whose default is that of a source, which is not the paper."""
    return field(default=default, metadata={"source": source})


def later(default):
    """Return the field of a setting that runs were made without: with its default it is not in their hash."""
    return field(default=default, metadata={"source": "choice of ours at full size", "later": True})


def choice(default):
    """Return the field of a setting that the paper leaves open: its default is a choice of ours."""
    return cited(default, "choice of ours at full size")
