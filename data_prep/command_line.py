"""What the commands that extract features share: their flags, the datasets that they choose, how they end."""

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from data_prep.backbones import load_backbone
from data_prep.clip_list import SPLITS
from data_prep.datasets import Dataset, advice, leave_out, read_datasets
from data_prep.errors import InputError
from data_prep.extraction import extract
from data_prep.network_features import NetworkRecipe
from data_prep.normalization import FEATURE_NORMALIZATIONS, normalize_shards
from data_prep.pooling import PAPER_PYRAMID, POOLING_MODES, PYRAMIDS
from data_prep.pretrained_weights import N_BLOCKS
from data_prep.processor import fast_dtype
from data_prep.shards import DTYPES, expected_shards
from data_prep.terminal import Parser, exit_code, given_int, given_jobs, given_path


def run_command(options: argparse.Namespace, recipe_of: Callable[..., NetworkRecipe], flow: str = "") -> int:
    """Extract every chosen dataset, printing each folder; return the exit code, see `terminal.exit_code`.

    Args:
        options: what `command_line` parsed.
        recipe_of: the network, pooling, pyramid and dtype -> the recipe.
        flow: of the network, see `load_backbone`.
    """

    def work() -> None:
        datasets = chosen_datasets(options.data, options.dataset)
        dtype = fast_dtype("--compute-dtype", options.compute_dtype)
        with helpers(options, datasets):
            backbone = load_backbone(
                options.backbone, options.weights, options.input_size, options.layer, flow, dtype
            )
            recipe = recipe_of(backbone, options.pooling, options.pyramid, options.dtype)
            for dataset in datasets:
                folder = extract(dataset, recipe, options.out, options.part)
                print(_normalized(folder, options.normalization), flush=True)

    return exit_code(work)


@contextmanager
def helpers(options: argparse.Namespace, datasets: Sequence[Dataset]) -> Iterator[None]:
    """Have `options.jobs - 1` more processes run the same command meanwhile, as far as there are clips.

    They share the clips as commands on several machines do: by the locks of shards. What a killed one had in
    hand, and a fault that one meets, is this process's as well.
    """
    n_clips = sum(len(dataset.clips) for dataset in datasets)
    n_threads = str(max(1, os.cpu_count() // options.jobs))
    shared = {"TF_NUM_INTRAOP_THREADS": n_threads} if options.jobs > 1 else {}
    os.environ.update(shared)
    alone = [sys.executable, "-m", options.module, *options.words, "--jobs", "1"]  # the last --jobs counts
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    started = [subprocess.Popen(alone, **quiet) for _ in range(min(options.jobs, n_clips) - 1)]
    try:
        yield
    finally:
        for process in started:
            process.terminate()
            process.wait()


def _normalized(folder: Path, method: str) -> Path:
    """Return the folder of the normalized shards, or `folder` itself while other parts are at work on it."""
    if method != "none" and not all(path.is_file() for s in SPLITS for path in expected_shards(folder, s)):
        print(
            f"{folder}: not normalized yet, other parts are still to be extracted; then repeat this command",
            file=sys.stderr,
        )
        return folder
    return normalize_shards(folder, method)


def chosen_datasets(data_dir: Path, names: Sequence[str] | None) -> list[Dataset]:
    """Return the datasets of these names, all that are on disk for None; InputError for one that is not."""
    found, faults = read_datasets(data_dir)
    leave_out(faults, names)
    if not found and not faults:
        raise InputError(f"--data {data_dir}: no dataset in the folder. {advice(data_dir)}")
    missing = [name for name in names or () if name not in found]
    if missing:
        raise InputError(f"{data_dir}: no {missing[0]} in the folder, expected one of {', '.join(found)}")
    return [found[name] for name in names or found]


class ShardsParser(Parser):
    """The parser of a command that writes shards: its datasets, and where they go.

    What it parses has `module`, the command, and `words`, what it was given, from which `helpers` start.
    """

    def parse_args(self, args=None, namespace=None):
        """Return what was given."""
        words = sys.argv[1:] if args is None else args
        options = super().parse_args(words, namespace)
        options.module, options.words = self.prog.removeprefix("python -m "), words
        return options


def shards_parser(module: str, description: str) -> argparse.ArgumentParser:
    """Return the parser of a command that writes shards, with the flags that all have."""
    parser = ShardsParser(prog=f"python -m {module}", description=description)
    add = parser.add_argument
    add(
        "--data",
        type=given_path,
        required=True,
        metavar="DIR",
        help="folder of datasets, official or re-packed",
    )
    add("--out", type=given_path, required=True, metavar="DIR", help="parent folder of the shards")
    add("--dataset", nargs="+", metavar="NAME", help="these datasets alone (default: all that are on disk)")
    add("--part", type=_part, default=(1, 1), metavar="i/n", help="every n-th clip from clip i on")
    add(
        "--jobs", type=given_jobs, default=1, metavar="N", help="clips at a time, by N processes (default: 1)"
    )
    return parser


def command_line(module: str, description: str) -> argparse.ArgumentParser:
    """Return the parser of a command that extracts the features of a network."""
    parser = shards_parser(module, description)
    add = parser.add_argument
    add(
        "--backbone",
        default="resnet50",
        choices=N_BLOCKS,
        help="%(default)s by default, as profile paper has it; quick and smoke take thin_resnet50",
    )
    add("--weights", type=given_path, metavar="FILE", help="local weights file (default: download)")
    add(
        "--input-size",
        type=given_int,
        default=224,
        metavar="PX",
        help="side of the network's input (%(default)s)",
    )
    add("--layer", default="last", help="conv2, conv3, conv4, last, or several: conv3+conv4 (default: last)")
    add("--pooling", default="max", choices=POOLING_MODES)
    add(
        "--pyramid",
        default=PAPER_PYRAMID,
        choices=PYRAMIDS,
        metavar="CELLS",
        help=f"cells per side of each level: {' or '.join(PYRAMIDS)} (default: %(default)s)",
    )
    add(
        "--normalization",
        default="none",
        choices=FEATURE_NORMALIZATIONS,
        help="of the features (%(default)s)",
    )
    add("--dtype", default="float16", choices=DTYPES, help="of the stored features (default: %(default)s)")
    add(
        "--compute-dtype",
        default="float32",
        choices=("float32", "float16"),
        help="of the network's convolutions (default: %(default)s)",
    )
    return parser


def _part(text: str) -> tuple[int, int]:
    """Return (i, n) of "i/n" with 1 <= i <= n."""
    match = re.fullmatch(r"([0-9]+)/([0-9]+)", text)
    index, count = map(int, match.groups()) if match else (0, 0)
    if not 1 <= index <= count:
        raise argparse.ArgumentTypeError(f"expected i/n with 1 <= i <= n, got {text!r}")
    return index, count
