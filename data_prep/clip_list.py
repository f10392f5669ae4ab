"""`clips.json` in a folder of shards: the dataset's own clips, in the dataset's order.

    {"dataset": "ped2", "train": ["01", "02", ...], "test": ["01", ...]}

Whoever extracts writes it before the first shard, and every part of the work knows all clips. So a folder's
shards are those of the clips that the dataset has, whatever else lies there, and what is still to be
extracted is known by name. Shards of clips that the dataset has no more stay where they are, unused.
"""

import json
import unicodedata
from dataclasses import asdict, dataclass
from pathlib import Path

from data_prep.errors import InputError
from data_prep.files import file_content, one_line, write_atomic

FILE = "clips.json"
SPLITS = ("train", "test")


@dataclass(frozen=True)
class ClipList:
    """The clips of a dataset by name, those of each split in the dataset's order."""

    dataset: str
    train: tuple[str, ...]
    test: tuple[str, ...]

    def __post_init__(self) -> None:
        """Raise ValueError for names that are no text, repeat, or would lead out of the folder of shards."""
        for name in (self.dataset, *self.train, *self.test):
            if not isinstance(name, str) or not is_file_name(name):
                raise ValueError(f"expected names that can name a file, got {name!r}")
        for split in SPLITS:
            names = self.of(split)
            if repeated := sorted({name for name in names if names.count(name) > 1}):
                raise ValueError(f"expected every {split} clip once, got {repeated[0]!r} again")

    def of(self, split: str) -> tuple[str, ...]:
        """Return the names of the clips of "train" or "test"."""
        return {"train": self.train, "test": self.test}[split]


def is_file_name(name: str) -> bool:
    """Tell whether a name can be a file's: not empty or hidden, on one line, without separators, in UTF-8."""
    if not name or name[0] == "." or set(name) & set("/\\"):
        return False
    return not {unicodedata.category(letter) for letter in name} & {"Cc", "Cs", "Zl", "Zp"}


def write_clip_list(folder: Path, clips: ClipList) -> None:
    """Write the list into a folder of shards, whole or not at all; one that says the same is left alone."""
    path = Path(folder) / FILE
    content = (json.dumps(asdict(clips), indent=1, ensure_ascii=False) + "\n").encode()
    try:
        if not path.is_file() or path.read_bytes() != content:
            write_atomic(path, content)
    except OSError as error:
        raise InputError(f"{path}: cannot be written, {one_line(error)}") from error


def read_clip_list(folder: Path) -> ClipList | None:
    """Return the list of a folder of shards, None where there is none. InputError where it is damaged."""
    path = Path(folder) / FILE
    if not path.exists():
        return None
    try:
        stored = json.loads(file_content(path))
        return ClipList(stored["dataset"], tuple(stored["train"]), tuple(stored["test"]))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            f"{path}: damaged list of clips, {one_line(error)}; extracting again writes it"
        ) from error
