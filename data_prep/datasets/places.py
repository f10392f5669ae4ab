"""Where datasets are on disk, and what to say of a folder in which there is none. Nothing is read here."""

import os
from collections.abc import Iterable
from pathlib import Path

from data_prep.datasets.own import LABELS_FOLDER, label_places, layout_of, missing_part
from data_prep.errors import InputError
from data_prep.files import natural_order
from data_prep.layouts import Layout, Record
from data_prep.records import RECORDS

UCSD_ARCHIVE = "UCSD_Anomaly_Dataset.v1p2"  # UCSDped1 and UCSDped2 are in it
SAMPLE_SUFFIX = "_sample"
DIGITS = ("mnist.npz", "mnist/mnist.npz")  # not a dataset of clips, and reason enough for a --data
SPLIT_WORDS = {"training", "testing", "train", "test"}
MOST_NAMED = 3


def stored(record: Record, data_dir: Path, suffix: str = "") -> tuple[Path, Layout] | None:
    """Return the folder of a published dataset and its layout, None where there is no folder of its name.

    Raises InputError: a folder of its name that is stored in none of its layouts.
    """
    names = [f"{folder}{suffix}".lower() for folder in record.folders]
    parents = [parent for parent in (data_dir, data_dir / UCSD_ARCHIVE) if parent.is_dir()]
    folders = [path for parent in parents for path in sorted(parent.iterdir()) if path.is_dir()]
    roots = [path for name in names for path in folders if path.name.lower() == name]
    for layout in record.layouts:
        for root in roots:
            if _has(root, layout):
                return root, layout
    if roots:
        got = [path for layout in record.layouts for path in layout.needs if (roots[0] / path).exists()]
        raise InputError(
            f"{roots[0]}: no known layout, expected {needs(record)}, got {', '.join(got) or 'neither'}; "
            f"{another_name(record)}"
        )
    return None


def needs(record: Record) -> str:
    """Return what a folder of a published dataset holds, in words."""
    return " or ".join(" and ".join(layout.needs) for layout in record.layouts)


def another_name(record: Record) -> str:
    """Return what to do with a set of one's own that has the name of a published one, in words."""
    return f"a set of your own needs a name of its own: rename its folder, e.g. my_{record.name}"


def own_folders(data_dir: Path) -> list[Path]:
    """Return the folders of labelled sets of one's own: clips of both splits, and labels of some kind."""
    return [path for path in _others(data_dir) if not missing_part(path)]


def near_misses(data_dir: Path) -> dict[Path, str]:
    """Return the folders that look like a labelled set and are none -> what is missing."""
    looks = [
        path
        for path in _others(data_dir)
        if {child.name.lower() for child in _folders(path)} & SPLIT_WORDS or label_places(path)
    ]
    return {path: fault for path in looks if (fault := missing_part(path))}


def roots_in(folder: Path, strict: bool = False) -> dict[str, Path]:
    """Return the folders of the datasets in a folder by their names, samples among them.

    `strict` raises InputError as `stored` does; without it a folder of a dataset's name alone is none.
    """
    roots = {}
    for name, record in RECORDS.items():
        try:
            found = stored(record, folder) or stored(record, folder, SAMPLE_SUFFIX)
        except InputError:
            if strict:
                raise
            continue
        if found:
            roots[name] = found[0]
    return roots | {path.name: path for path in own_folders(folder)}


def refuse_empty(data_dir: Path) -> None:
    """Raise InputError where a folder given as --data holds neither a dataset nor MNIST's digits."""
    if roots_in(data_dir) or any((data_dir / name).is_file() for name in DIGITS):
        return
    if not roots_in(data_dir, strict=True):  # else the fault of what has the name of a dataset says more
        raise InputError(f"--data {data_dir}: no dataset in the folder. {advice(data_dir)}")


def advice(data_dir: Path) -> str:
    """Return what a folder without a dataset is, and which --data would work; else what was looked for."""
    here = Path(os.path.abspath(data_dir))
    up = data_dir.parent if data_dir.name and data_dir.parent.name else here.parent
    above = roots_in(up)
    if any(Path(os.path.abspath(root)) == here for root in above.values()):
        return f"It is a dataset itself, expected the folder that it is in: --data {up}"
    if layout_of(here) or any(_has(here, layout) for record in RECORDS.values() for layout in record.layouts):
        fault = near_misses(up).get(up / here.name) or f"its name is not that of {_published()}"
        return f"It is stored as a dataset is, one level below what --data expects, but {fault}"
    for path in _folders(data_dir):
        if inside := roots_in(path):
            return f"One level down there is {_some(inside)}: --data {path}"
    if above:
        return f"One level up there is {_some(above)}: --data {up}"
    for path, fault in near_misses(data_dir).items():
        return f"{path.name} is no labelled set of your own: {fault}"
    return (
        f"Looked for {_published()}, and for labelled sets of your own: <name>/{{training,testing}}/{{frames,"
        "videos}/; for footage without labels there is python -m experiments.watch"
    )


def _published() -> str:
    """Return the names that folders of published datasets have."""
    return ", ".join(record.folders[0] for record in RECORDS.values() if record.url)


def _some(names: Iterable[str]) -> str:
    """Return the first names, and how many more there are."""
    first, rest = list(names)[:MOST_NAMED], list(names)[MOST_NAMED:]
    return ", ".join(first) + (f" and {len(rest)} more" if rest else "")


def _has(root: Path, layout: Layout) -> bool:
    """Tell whether a folder is stored this way."""
    return all((root / path).exists() for path in layout.needs)


def _folders(parent: Path) -> list[Path]:
    """Return the folders in a folder that are not hidden, in natural order; none where it cannot be read."""
    try:
        inside = [path for path in parent.iterdir() if path.is_dir() and not path.name.startswith(".")]
    except OSError:  # the search goes one level up and down, where others' folders are
        return []
    return sorted(inside, key=lambda path: natural_order(path.name))


def _others(data_dir: Path) -> list[Path]:
    """Return the folders that no published dataset, nor what belongs to one, has the name of."""
    known = {folder.lower() for record in RECORDS.values() for folder in record.folders}
    known |= {f"{name}{SAMPLE_SUFFIX}" for name in known} | {UCSD_ARCHIVE.lower(), LABELS_FOLDER}
    others = (path for path in _folders(data_dir) if path.name.lower() not in known)
    return [path for path in others if os.access(path, os.R_OK | os.X_OK)]  # as lost+found is not
