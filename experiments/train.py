"""Train a system on a folder of shards alone: no frames, no label files, no TensorFlow needed.

    KERAS_BACKEND=jax python -m experiments.train features/ped2/FOLDER --profile paper [--set iterations=500]
    KERAS_BACKEND=jax python -m experiments.table_03_methods --profile paper ...   # takes the runs up

For a machine with an accelerator that holds the features and not the dataset. Runs go to --out as those of
the exhibits do: where the two folders are one, an exhibit on the same backend and settings finds them
finished. Table 9's early fusion has twice the atoms: `--stream early --set n_atoms=` twice the profile's.
`--jobs N` or `--cluster tcp://HOST:PORT` trains streams and seeds side by side.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from data_prep.clip_list import SPLITS
from data_prep.errors import InputError
from data_prep.flow_windows.extraction import NAME
from data_prep.shards import list_shards, validate_shard
from data_prep.terminal import exit_with, given_int, given_path
from experiments.lab import cli
from experiments.lab.distributing.shards_run import ShardsRun, make_elsewhere
from experiments.lab.settings.flow_windows import reads_windows
from experiments.lab.settings.schema import Settings
from experiments.lab.systems.catalogue import SYSTEMS
from experiments.lab.systems.reads import Reads, refuse_unread

FEATURES_OF = {"spatial": "appearance", "temporal": "appearance", "early": "appearance", "flow": "flow"}


def main() -> None:
    """Parse the flags, train, exit."""
    flags = cli.settings_parser(__doc__)
    flags.add_argument(
        "shards", type=given_path, help="a dataset's features, with folders train and test in it"
    )
    readers = [name for name, entry in SYSTEMS.items() if entry.reads.of_network]
    flags.add_argument("--system", choices=readers, default="sRNN-AE", help="(default: sRNN-AE)")
    flags.add_argument(
        "--stream",
        nargs="+",
        choices=FEATURES_OF,
        help="(default: spatial temporal); flow: the shards are those of flow",
    )
    flags.add_argument("--seed", nargs="+", type=given_int, default=[0, 1, 2], help="(default: 0 1 2)")
    arguments = cli.with_where(flags).parse_args()
    exit_with(lambda: run(arguments))


def run(arguments) -> None:
    """Train every stream under every seed, where it is not there, and print each run's metrics."""
    where, settings = cli.where(arguments), cli.settings(arguments)
    if not arguments.shards.is_dir():
        raise InputError(f"{arguments.shards}: no such folder, expected one of data_prep.extract_features")
    if bad := [seed for seed in arguments.seed if not 0 <= seed < 2**32]:
        raise InputError(f"--seed: expected 0 to 2**32 - 1, got {bad[0]}")
    own = SYSTEMS[arguments.system].stream
    if own and arguments.stream:
        raise InputError(f"--stream: {arguments.system} has one stream, {own}, and takes no other")
    streams = arguments.stream or ([own] if own else ["spatial", "temporal"])
    # The shards are there: how they were made is no setting any more.
    made = ("features", "flow_size_px", "flow_warps", "flow_input_size_px", "flow_weights")
    reads = Reads((arguments.system,), tuple(streams), scored=False, without=made, walkway="never")
    given = (item.partition("=")[0] for item in arguments.set)
    refuse_unread(given, [reads], settings, "experiments.train")
    check_shards(arguments.shards, streams, settings)
    made_of = arguments.system, arguments.shards, settings, arguments.out
    runs = [ShardsRun(*made_of, stream, seed) for seed in arguments.seed for stream in streams]
    if where.elsewhere:
        make_elsewhere(runs, where)
    for one in runs:
        done = one.run()
        print(f"{done.folder}: {numbers(done.metrics)}", flush=True)


def check_shards(shards: Path, streams: Sequence[str], settings: Settings) -> None:
    """Raise InputError for shards that are not as they were extracted, or not what the streams are of.

    A run is named after their checksums, and a table takes it up by that name.
    """
    for path in [path for split in SPLITS for path in list_shards(shards, split)]:
        got = kind_of(validate_shard(path).backbone)
        for stream in streams:
            expected = "flow windows" if reads_windows(stream, settings) else FEATURES_OF.get(stream, got)
            if got != expected:
                raise InputError(f"{path}: expected features of {expected} for --stream {stream}, got {got}")


def kind_of(backbone: str) -> str:
    """Return what the features of a backbone are of."""
    if backbone == NAME:
        return "flow windows"
    return "flow" if "flow" in backbone else "appearance"


def numbers(metrics: Mapping[str, float | str]) -> str:
    """Return a run's final metrics on one line."""
    told = {name: value if isinstance(value, str) else f"{value:.6g}" for name, value in metrics.items()}
    return " ".join(f"{name} {value}" for name, value in told.items())


if __name__ == "__main__":
    main()
