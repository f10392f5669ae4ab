"""Development scenes: labelled sets that are not the dataset which is reported, and two rendered walkways."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from data_prep import walkway
from data_prep.datasets import Dataset, find_datasets, read_labelled_set
from data_prep.errors import InputError
from experiments.lab.context import Context

N_WALKWAYS = 2
# What the columns beside the scenes are called, in the tables of what was tried.
TAKEN = {"stage", "system", "candidate", "model", "zero codes", "real", "walkway", "chosen"}
PER_CLIP = " per clip"  # ends the name of a second column of a scene


@dataclass(frozen=True)
class Scene:
    """A dataset, the folder that its features go under, and whether it is real."""

    name: str
    dataset: Dataset
    root: Path
    is_real: bool


@dataclass(frozen=True, eq=False)
class SceneContext(Context):
    """A context whose runs are on development scenes, by their names.

    Args:
        development: folders of labelled scenes.
    """

    development: tuple[Path, ...] = ()

    @classmethod
    def of(cls, context: Context, development: Sequence[Path]) -> "SceneContext":
        """Return a context with these scenes."""
        common = {field.name: getattr(context, field.name) for field in fields(context)}
        return cls(**common, development=tuple(development))

    @functools.cached_property
    def scenes(self) -> list[Scene]:
        """Return the scenes, see `scenes_for`."""
        return scenes_for(self, self.development)

    def changed(self, **overrides) -> "SceneContext":  # type: ignore[override] # which is cached
        """Return this context with some settings changed, by name; its scenes are found once."""
        other = super().changed(**overrides)
        if other.settings.walkway == self.settings.walkway:
            vars(other)["scenes"] = self.scenes
        return other

    def place_of(self, dataset: str) -> tuple[Dataset, Path]:
        """Return the dataset of a scene, and the folder under which its features go."""
        return next((scene.dataset, scene.root) for scene in self.scenes if scene.name == dataset)


def named_sets(context: Context) -> list[Dataset]:
    """Return the labelled sets of one's own that --datasets names in the folder of --data.

    Raises InputError: --data alone, a published dataset, on which nothing may be chosen: it is reported.
    """
    if context.data_dir and not context.only_datasets:
        raise InputError("--data: expected --datasets beside it, which names the labelled scenes")
    named = [context.datasets[name] for name in context.datasets] if context.only_datasets else []
    for dataset in named:
        if not dataset.own:
            raise InputError(
                f"--datasets {dataset.name}: expected labelled sets of your own, which are not reported"
            )
    return named


def scenes_for(context: Context, development: Sequence[Path]) -> list[Scene]:
    """Return the development scenes, then the walkways, rendered first where they are not there.

    Raises InputError: no scene, a folder that is no labelled set, two of one name, and as `named_sets`.
    """
    datasets = [read_labelled_set(folder) for folder in development] + named_sets(context)
    if not datasets:
        raise InputError("no labelled scene, expected --development DIR or --data DIR --datasets NAME")
    names = [dataset.name for dataset in datasets]
    if len(set(names)) < len(names):
        raise InputError(f"expected scenes of different names, got {', '.join(names)}")
    if taken := [
        name for name in names if name in TAKEN or name.startswith("walkway ") or name.endswith(PER_CLIP)
    ]:
        raise InputError(f"scene {taken[0]}: expected another name, this one is of a column of the table")
    scenes = [Scene(dataset.name, dataset, context.out, True) for dataset in datasets]
    sizes = context.settings.walkway
    for index in range(1, N_WALKWAYS + 1):
        clips = (sizes.n_train_clips, sizes.n_test_clips)
        another = walkway.Rendering(sizes.walkway_seed + index, *clips, sizes.clip_frames)
        root = walkway.generate_under(context.generated_dir, another)
        scenes.append(Scene(f"walkway {index}", find_datasets(root)["walkway"], root, False))
    return scenes
