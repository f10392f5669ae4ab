"""Development scenes: labelled sets that are not the dataset which is reported, and two rendered walkways."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from data_prep import walkway
from data_prep.datasets import Dataset, find_datasets, read_labelled_set
from data_prep.errors import InputError
from experiments.lab.context import Context

N_WALKWAYS = 2


@dataclass(frozen=True)
class Scene:
    """A dataset, the folder that its features go under, and whether it is real."""

    name: str
    dataset: Dataset
    root: Path
    is_real: bool


def scenes_for(context: Context, development: Sequence[Path]) -> list[Scene]:
    """Return the development scenes, then the walkways, rendered first where they are not there.

    Raises InputError: flags that name other datasets, a folder that is no labelled set, two of one name.
    """
    for name, given in (("data", context.data_dir), ("datasets", context.only_datasets)):
        if given:
            raise InputError(f"--{name}: not used here, expected --development alone")
    datasets = [read_labelled_set(folder) for folder in development]
    names = [dataset.name for dataset in datasets]
    if len(set(names)) < len(names):
        raise InputError(f"--development: expected folders of different names, got {', '.join(names)}")
    scenes = [Scene(dataset.name, dataset, context.out, True) for dataset in datasets]
    sizes = context.settings.walkway
    for index in range(1, N_WALKWAYS + 1):
        clips = (sizes.n_train_clips, sizes.n_test_clips)
        another = walkway.Rendering(sizes.walkway_seed + index, *clips, sizes.clip_frames)
        root = walkway.generate_under(context.generated_dir, another)
        scenes.append(Scene(f"walkway {index}", find_datasets(root)["walkway"], root, False))
    return scenes
