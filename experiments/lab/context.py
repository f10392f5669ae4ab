"""What an exhibit runs in: its profile, data, features, trained runs, and the folder of its results."""

import functools
import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from data_prep import walkway
from data_prep.backbones import Backbone, load_backbone
from data_prep.datasets import (
    RECORDS,
    Dataset,
    find_datasets,
    frames_of,
    leave_out,
    near_misses,
    read_datasets,
)
from data_prep.errors import InputError
from data_prep.extraction import extract
from data_prep.flow_windows.extraction import FlowWindowRecipe
from data_prep.gray_frames import gray_frames
from data_prep.network_features import NetworkRecipe
from data_prep.normalization import load_normalization, normalize_shards
from data_prep.optical_flow import FlowOptions, FlowRecipe
from data_prep.provenance import git_commit
from data_prep.recipes import Recipe
from experiments.lab.publishing.results import NO_DATA, NOT_RUN
from experiments.lab.settings.changes import changes, differences, names_of, results_name
from experiments.lab.settings.chosen import CHOSEN
from experiments.lab.settings.flow_windows import reads_windows, window_options, with_window_settings
from experiments.lab.settings.schema import Settings
from experiments.lab.systems.catalogue import SYSTEMS, run_system
from experiments.lab.training.runs import Run

# Contexts with other settings, as a choice among them makes, share a network: loading one takes seconds.
_backbone = functools.lru_cache(maxsize=4)(load_backbone)
DEFAULT_BACKEND = "tensorflow"  # Keras's own
_PROCESS = secrets.token_hex(8)  # tells contexts that this process sends from those of other commands


@dataclass(frozen=True, eq=False)
class Context:
    """One invocation's choices, and what follows from them.

    Args:
        profile: "smoke", "quick" or "paper".
        settings: that profile's settings with the command line's overrides.
        out: root of everything written.
        data_dir: folder of datasets; None where there is none.
        only_datasets: names of the datasets to use; empty for all at hand.
        weights: the backbone's weights file; None for the usual download.
        n_seeds: seeds 0 .. n_seeds - 1 are run where systems are compared.
        n_ablation_seeds: likewise where sRNN-AE is varied, and in the sweeps.
        chosen: whether the settings are those that `experiments.choose_on_scenes` chose.
        flags: the command line as given, for the `command` column.
    """

    profile: str
    settings: Settings
    out: Path
    data_dir: Path | None = None
    only_datasets: tuple[str, ...] = ()
    weights: Path | None = None
    n_seeds: int = 1
    n_ablation_seeds: int = 1
    chosen: bool = False
    flags: str = ""

    @property
    def results_dir(self) -> Path:
        """Return the folder of the results: the profile's, or one of their own for other settings."""
        return self.out / "results" / results_name(self.profile, self.chosen, self.settings)

    @property
    def profile_name(self) -> str:
        """Return the profile as tables and figures name it: "quick", "quick, chosen settings, depth=5"."""
        chosen = ["chosen settings"] if self.chosen else []
        return ", ".join([self.profile, *chosen, *changes(self.profile, self.chosen, self.settings)])

    @property
    def generated_dir(self) -> Path:
        """Return the folder of what this profile generates."""
        return self.out / "generated" / self.profile

    @functools.cached_property
    def walkway_root(self) -> Path:
        """Return the folder of the walkway and its features, generated first where it is not there."""
        sizes = self.settings.walkway
        clips = (sizes.n_train_clips, sizes.n_test_clips)
        settings = walkway.Rendering(sizes.walkway_seed, *clips, sizes.clip_frames)
        return walkway.generate_under(self.generated_dir, settings)

    def command(self, module: str) -> str:
        """Return the command that runs one exhibit as here."""
        backend = os.environ.get("KERAS_BACKEND", DEFAULT_BACKEND)
        named = f"KERAS_BACKEND={backend}" if backend != DEFAULT_BACKEND else ""
        return " ".join(filter(None, (named, f"python -m {module}", self.flags)))

    @functools.cached_property
    def at_hand(self) -> dict[str, Dataset]:
        """Return the datasets that can be run on, by name: what is on disk, then the embedded walkway.

        The smoke profile looks at what --datasets names alone, so that it takes as long everywhere.
        """
        found, _ = self._on_disk
        # A sample of a dataset gives no number that may stand beside the paper's.
        found = {name: dataset for name, dataset in found.items() if dataset.complete}
        return {**found, "walkway": find_datasets(self.walkway_root)["walkway"]}

    @functools.cached_property
    def _on_disk(self) -> tuple[dict[str, Dataset], dict[str, InputError]]:
        """Return what is read of the folder of datasets, and by name the faults of what is left out.

        A walkway there is never used. Raises InputError: a fault of a dataset that is to be run on.
        """
        if self.data_dir is None or not self.looks_at_data:
            return {}, {}
        found, faults = read_datasets(self.data_dir)
        faults.pop("walkway", None)
        leave_out(faults, self.only_datasets or None)
        return found, faults

    @property
    def looks_at_data(self) -> bool:
        """Return whether the folder of datasets is looked at."""
        return self.profile != "smoke" or bool(set(self.only_datasets) - {"walkway"})

    @functools.cached_property
    def datasets(self) -> dict[str, Dataset]:
        """Return the datasets to run on: those of --datasets, else all (in smoke the walkway)."""
        found = self.at_hand
        if absent := [name for name in self.only_datasets if name not in found]:
            missed = near_misses(self.data_dir) if self.data_dir else {}
            faults = [f"; {path}: {fault}" for path, fault in missed.items() if path.name in absent]
            raise InputError(
                f"--datasets {', '.join(absent)}: not at hand, expected some of {', '.join(found)}"
                f"{''.join(faults)}{'' if self.data_dir else '; --data DIR names a folder of others'}"
            )
        return {name: found[name] for name in found if name in (self.only_datasets or found)}

    def heading(self, dataset: str) -> str:
        """Return what heads the column of a dataset at hand: the paper's word, or the title of one's own."""
        return self.datasets[dataset].record.heading

    @property
    def absent_datasets(self) -> dict[str, tuple[str, str]]:
        """Return status and reason of each dataset that is not run on, by its title."""
        smoke = "profile smoke runs on the walkway alone, unless --datasets names another"
        absent = {}
        at_hand = self.at_hand if self.looks_at_data else {}
        records = {**RECORDS, **{name: dataset.record for name, dataset in at_hand.items()}}
        for name, record in records.items():
            title = record.heading
            if name in self.datasets:
                continue
            if not self.looks_at_data:
                absent[title] = NOT_RUN, smoke
            elif name in at_hand:
                absent[title] = NOT_RUN, f"{title} is not among --datasets"
            elif name in (faults := self._on_disk[1]):
                absent[title] = NOT_RUN, f"{title} cannot be read: {faults[name]}"
            else:
                absent[title] = NO_DATA, f"{title} is not on disk"
        return absent

    def figure_path(self, exhibit: str, dataset: str) -> Path:
        """Return the picture of an exhibit that has one a dataset; the first on disk has no suffix."""
        first = "walkway"
        if self.profile != "smoke":
            on_disk = [name for name in (*RECORDS, *self.at_hand) if name != "walkway"]
            there = {*self.at_hand, *self._on_disk[1]}
            first = next((name for name in on_disk if name in there), first)
        return self.results_dir / f"{exhibit}{'' if dataset == first else f'_{dataset}'}.png"

    @functools.cached_property
    def backbone(self) -> Backbone:
        """Return the backbone asked for, or its loud fallback."""
        features = self.settings.features
        size_px, dtype = features.input_size_px, features.feature_compute_dtype
        return _backbone(features.backbone, self.weights, size_px, features.layer, compute_dtype=dtype)

    def network(self, input_size_px: int) -> Backbone:
        """Return the backbone for frames of another size, its last map."""
        features = self.settings.features
        dtype = features.feature_compute_dtype
        return _backbone(features.backbone, self.weights, input_size_px, compute_dtype=dtype)

    def root_of(self, dataset: str) -> Path:
        """Return the folder under which the features of a dataset at hand go."""
        return self.walkway_root if dataset == "walkway" else self.out

    def place_of(self, dataset: str) -> tuple[Dataset, Path]:
        """Return a dataset at hand, and the folder under which its features go."""
        return self.datasets[dataset], self.root_of(dataset)

    @functools.cache  # noqa: B019 - one context lives as long as its process
    def shards(self, dataset: str) -> Path:
        """Return the folder of a dataset's shards, extracted first where they are not there."""
        return self.features_of(*self.place_of(dataset))

    @functools.cache  # noqa: B019 - as above
    def flow_shards(self, dataset: str) -> Path:
        """Return the folder of a dataset's flow features, computed first where they are not there."""
        return self.features_of(*self.place_of(dataset), flow=True)

    def features_of(self, dataset: Dataset, root: Path, flow: bool = False) -> Path:
        """Return the folder of any dataset's shards under `root/features`, extracted where not there."""
        recipe = self.recipe(flow)
        shards = extract(dataset, recipe, root / "features")
        if isinstance(recipe, FlowWindowRecipe):
            return shards
        return normalize_shards(shards, self.settings.features.feature_normalization)

    def recipe(self, flow: bool = False) -> Recipe:
        """Return how features are made of frames, or of the flow between them."""
        if flow and self.settings.flow.flow_input == "windows":
            return FlowWindowRecipe(window_options(self.settings))
        return self.network_recipe(flow)

    def network_recipe(self, flow: bool = False) -> NetworkRecipe:
        """Return how a network makes features of frames, or of the flow between them."""
        features = self.settings.features
        how = (features.pooling, features.pyramid, features.feature_dtype)
        if flow:
            return FlowRecipe(self.flow_backbone, *how, options=self.flow_options)
        return NetworkRecipe(self.backbone, *how)

    def extractor(self, dataset: str, flow: bool = False) -> Callable[[np.ndarray], np.ndarray]:
        """Return the function from frames, or stacks of flow, to features as a dataset's shards hold them."""
        shards = self.flow_shards(dataset) if flow else self.shards(dataset)
        return self.network_recipe(flow).function(load_normalization(shards))

    @property
    def flow_options(self) -> FlowOptions:
        """Return how flow is computed."""
        flow = self.settings.flow
        return FlowOptions.of(self.flow_backbone, flow.flow_size_px, flow.flow_warps)

    @functools.cached_property
    def flow_backbone(self) -> Backbone:
        """Return the network for optical flow: that of `flow_weights`, else the backbone with its filters."""
        settings, flow = self.settings.features, self.settings.flow
        weights = Path(flow.flow_weights) if flow.flow_weights else self.weights
        how = (flow.flow_input_size_px, settings.layer, flow.flow_input)
        return _backbone(settings.backbone, weights, *how, compute_dtype=settings.feature_compute_dtype)

    def gray_shards(self, dataset: str, size_px: int) -> Path:
        """Return the folder of a dataset's gray frames, made first where they are not there."""
        source, root = self.place_of(dataset)
        return extract(source, self.gray_recipe(size_px), root / "features")

    def gray_recipe(self, size_px: int) -> NetworkRecipe:
        """Return how gray frames are made."""
        return NetworkRecipe(gray_frames(size_px), pooling="none")

    def run(self, dataset: str, stream: str, seed: int = 0, system: str = "sRNN-AE") -> Run:
        """Return the trained run of a system on one stream, trained first where it is not there.

        Args:
            dataset: name of a dataset at hand.
            stream: "spatial", "temporal", "early", "flow"; or the one that the system has.
            seed: seed of the run.
            system: as the paper names it, see `experiments.lab.systems.catalogue`.
        """
        folder = SYSTEMS[system].reads.folder(self, dataset, stream)
        return run_system(system, folder, stream, self.settings, seed, self.out, self.sample_frames(dataset))

    @functools.cache  # noqa: B019 - as above
    def changed(self, **overrides) -> "Context":
        """Return this context with some settings changed, by name; itself where none is."""
        settings = self.settings.override(**overrides)
        return self if settings == self.settings else replace(self, settings=settings)

    @functools.cached_property
    def beside(self) -> "Context | None":
        """Return this context with the chosen settings, for what stands beside; None where it has them."""
        return None if self.chosen else self.changed(**CHOSEN)

    def fused_runs_of(self, dataset: Dataset, root: Path) -> dict[str, Run]:
        """Return sRNN-AE on every stream that is fused late, of any dataset, its features under `root`."""
        return {
            stream: run_system(
                "sRNN-AE",
                self.features_of(dataset, root, flow=stream == "flow"),
                stream,
                self.settings,
                0,
                self.out,
                frames_of(dataset),
            )
            for stream in self.settings.score.streams
        }

    def sample_frames(self, dataset: str) -> Callable[[str, Sequence[int]], np.ndarray]:
        """Return what reads frames of a dataset's test clips, see `frames_of`."""
        return frames_of(self.place_of(dataset)[0])

    def differences(self, *systems: str, also: Sequence[str] = ()) -> str:
        """Return sentences on what differs from the paper: the backbone, the settings that act on systems.

        Args:
            systems: as the paper names them, see `experiments.lab.systems.catalogue`.
            also: groups of settings, or settings, that act beside theirs.
        """
        settings, sentences = self.settings, []
        entries = [SYSTEMS[system] for system in systems]
        windows = [reads_windows(stream, settings) for stream in settings.score.streams]
        acting = [name for entry in entries for name in entry.settings]
        if "flow" in settings.score.streams:
            acting.append("windows" if any(windows) else "flow")
        if all(windows):
            settings = with_window_settings(settings)
            acting = [name for name in acting if name != "features"]
            sentences.append("Features: flow windows alone, no network.")
        elif any(entry.reads.of_network for entry in entries):
            sentences.append(f"Backbone: {self.backbone.in_words}.")
        return " ".join([*sentences, differences(settings, names_of(*acting, *also))])

    @property
    def commit(self) -> str:
        """Return the commit that the code runs at."""
        return git_commit()

    def __reduce__(self):
        """Return how another process gets its own: pickled, a context is its choices, its paths absolute."""
        choices = ((f.name, _absolute(getattr(self, f.name))) for f in fields(self))
        return _received, (_PROCESS, type(self), tuple(choices))


@functools.lru_cache(maxsize=64)  # of one command, so that no worker knows files from before it
def _received(process: str, kind: type[Context], choices: tuple) -> Context:
    return kind(**dict(choices))


def _absolute(value):
    """Return a path, or the paths in a tuple, as they are found from any folder; others as they are."""
    if isinstance(value, tuple):
        return tuple(map(_absolute, value))
    return value.absolute() if isinstance(value, Path) else value
