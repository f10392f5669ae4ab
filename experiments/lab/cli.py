"""The command line that every exhibit shares, and what its errors look like."""

import argparse
import importlib
import os
import shlex
import sys
from collections.abc import Container, Sequence
from pathlib import Path
from types import ModuleType

from data_prep.datasets import near_misses, refuse_empty
from data_prep.errors import InputError
from data_prep.terminal import Parser, exit_with, given_int, given_path
from experiments.lab.settings.chosen import CHOSEN
from experiments.lab.settings.compute_dtype import with_fast_dtypes
from experiments.lab.settings.memory import refuse_beyond_memory
from experiments.lab.settings.profiles import ABLATION_SEEDS, DEFAULT_SEEDS, PROFILES
from experiments.lab.settings.schema import Settings

MOST_SEEDS = 1000  # beyond, a slip of the keyboard
WHERE = ("jobs", "cluster", "tls")


def parser(description: str) -> argparse.ArgumentParser:
    """Return the parser of the common flags; argparse answers an unknown flag with exit code 2."""
    flags = settings_parser(description)
    add = flags.add_argument
    add("--data", type=given_path, help="folder of datasets (default: none, the embedded ones run)")
    add("--datasets", type=listed, help="names to use of those at hand, e.g. ped2,walkway (default: all)")
    return with_weights(flags)


def with_weights(flags: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Return a parser with the flag of the backbone's weights."""
    flags.add_argument(
        "--weights",
        type=given_path,
        help="weights of the backbone, .onnx for thin_resnet50 (default: its package's, or a download)",
    )
    return flags


def settings_parser(description: str) -> argparse.ArgumentParser:
    """Return the parser of the flags that make the settings (`settings`), and of --out."""
    flags = Parser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    flags.add_argument(
        "--profile", choices=PROFILES, default="quick", help="size of the run (default: quick)"
    )
    flags.add_argument("--out", type=given_path, default=Path("."), help="root of all outputs (default: .)")
    flags.add_argument(
        "--chosen",
        action="store_true",
        help="settings that experiments.choose_on_scenes chose, not the paper's",
    )
    flags.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="change one setting of experiments/lab/settings/schema.py, e.g. --set depth=5; repeatable",
    )
    return flags


def settings(arguments: argparse.Namespace) -> Settings:
    """Return the settings that --profile, --chosen and --set name. InputError for a bad one."""
    check_out(arguments.out)
    overrides = {}
    for item in arguments.set:
        name, separator, value = item.partition("=")
        if not separator:
            raise InputError(f"--set {item}: expected NAME=VALUE")
        overrides[name] = value
    chosen = CHOSEN if arguments.chosen else {}
    given = with_checkpoints(PROFILES[arguments.profile].override(**chosen).override(**overrides), overrides)
    refuse_beyond_memory(given)
    return with_fast_dtypes(given)


def with_checkpoints(settings: Settings, given: Container[str]) -> Settings:
    """Return the settings, with a checkpoint at the end alone where the iterations given fit no other."""
    train = settings.train
    fits = train.iterations % train.checkpoint_every == 0
    if "iterations" not in given or "checkpoint_every" in given or fits:
        return settings
    return settings.scored_at_end(train.log_every)


def check_out(out: Path) -> None:
    """Raise InputError for an --out that is, or leads through, something else than a folder."""
    there = next(path for path in (out, *out.parents) if path.is_dir() or os.path.lexists(path))
    if not there.is_dir():
        raise InputError(f"--out {out}: expected a folder, got another kind of file, {there}")


def context(arguments: argparse.Namespace):
    """Return the `Context` of parsed flags. InputError for a bad value."""
    all_settings, seeds = settings(arguments), getattr(arguments, "seeds", None)
    if seeds is not None and not 1 <= seeds <= MOST_SEEDS:
        raise InputError(f"--seeds: expected 1 to {MOST_SEEDS}, got {seeds}")
    if arguments.data is not None and not arguments.data.is_dir():
        raise InputError(f"--data {arguments.data}: no such folder")
    if arguments.data is not None:
        refuse_empty(arguments.data)
        for folder, fault in near_misses(arguments.data).items():
            print(f"WARNING: {folder}: left out, it looks like a labelled set, but {fault}", file=sys.stderr)
    if arguments.weights is not None and not arguments.weights.is_file():
        raise InputError(f"--weights {arguments.weights}: no such file")
    # Imported here: --help and bad flags answer without loading TensorFlow.
    from experiments.lab.context import Context

    return Context(
        profile=arguments.profile,
        settings=all_settings,
        out=arguments.out,
        data_dir=arguments.data,
        only_datasets=() if arguments.datasets is None else tuple(arguments.datasets),
        weights=arguments.weights,
        n_seeds=seeds or default_seeds(arguments.profile, arguments.data is not None),
        n_ablation_seeds=seeds or ABLATION_SEEDS[arguments.profile],
        chosen=arguments.chosen,
        flags=_flags_text(arguments),
    )


def default_seeds(profile: str, has_data: bool) -> int:
    """Return how many seeds compare systems: the profile's; quick on the embedded data alone has one."""
    return DEFAULT_SEEDS[profile] if has_data or profile == "paper" else ABLATION_SEEDS[profile]


def _flags_text(arguments: argparse.Namespace) -> str:
    """Return the flags that a row's command repeats: all but the output folder."""
    flags = [f"--profile {arguments.profile}"]
    if arguments.data is not None:
        flags.append(f"--data {shlex.quote(str(arguments.data))}")
    if arguments.datasets is not None:
        flags.append(f"--datasets {shlex.quote(','.join(arguments.datasets))}")
    if (seeds := getattr(arguments, "seeds", None)) is not None:
        flags.append(f"--seeds {seeds}")
    if arguments.chosen:
        flags.append("--chosen")
    if arguments.weights is not None:
        flags.append(f"--weights {shlex.quote(str(arguments.weights))}")
    return " ".join([*flags, *(f"--set {shlex.quote(item)}" for item in arguments.set)])


def exhibit_parser(description: str) -> argparse.ArgumentParser:
    """Return the parser of an exhibit: every one takes --seeds, as `experiments.run` hands it on."""
    flags = parser(description)
    flags.add_argument("--seeds", type=given_int, help="number of seeds (default: 3 or 1, see README)")
    return flags


def runs_parser(description: str) -> argparse.ArgumentParser:
    """Return the parser of a command that trains under several seeds: an exhibit's, and where it is done."""
    return with_where(exhibit_parser(description))


def with_where(flags: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Return a parser with the flags that say where work is done, see `lab.distributing.where`."""
    where = flags.add_mutually_exclusive_group()
    where.add_argument("--jobs", type=given_int, default=1, help="clips or runs at a time here (default: 1)")
    where.add_argument("--cluster", metavar="tcp://HOST:PORT", help="Dask scheduler whose workers do them")
    flags.add_argument(
        "--tls",
        type=given_path,
        nargs=3,
        metavar=("CA", "CERT", "KEY"),
        help="PEM files for --cluster tls://HOST:PORT: the authority's, this machine's certificate, its key",
    )
    return flags


def where(arguments: argparse.Namespace):
    """Return the `Where` of parsed flags, this process alone without them. InputError for a bad value."""
    from experiments.lab.distributing.where import Where

    return Where(**{name: getattr(arguments, name) for name in WHERE if hasattr(arguments, name)})


def scenes_parser(description: str) -> argparse.ArgumentParser:
    """Return the parser of a command that trains on labelled scenes."""
    flags = runs_parser(description)
    flags.add_argument(
        "--development",
        type=given_path,
        nargs="+",
        default=(),
        metavar="DIR",
        help="labelled scenes (or --data DIR --datasets NAME[,NAME])",
    )
    return flags


def sweep_parser(description: str) -> argparse.ArgumentParser:
    """Return the parser of a sweep: that of a command that trains, and its grid."""
    flags = runs_parser(description)
    flags.add_argument("--grid", type=listed, help="values to run, e.g. 0.1,1,10 (default: the profile's)")
    return flags


def listed(text: str) -> list[str]:
    """Return the items of a flag that takes several, "A,B" or "A, B"; ArgumentTypeError: one is missing."""
    items = [item.strip() for item in text.split(",")]
    if not all(items):
        raise argparse.ArgumentTypeError(f"expected names or values between commas, got {text!r}")
    return items


def main(module: str, flags: argparse.ArgumentParser) -> None:
    """Run the `run(context)` of a module, then exit; it is imported, and TensorFlow, after flags are parsed.

    Flags beside those of `runs_parser` reach `run` by their names. Of an exhibit (a module with `EXHIBIT`),
    the table is printed, and the report is made again.
    """
    exit_with(lambda: _run(module, flags.parse_args()))


def _run(module: str, arguments: argparse.Namespace) -> None:
    at = where(arguments)
    here = context(arguments)
    common = vars(runs_parser("").parse_args([]))
    own = {name: value for name, value in vars(arguments).items() if name not in common}
    command = importlib.import_module(module)
    refuse_unread(arguments, [reads_of(command, here, **own)], here, module)
    if not hasattr(command, "EXHIBIT"):
        from experiments.lab.distributing.points import run_command

        if at.elsewhere and not hasattr(command, "points"):  # it knows what it needs only as it goes
            return command.run(here, where=at, **own)
        return run_command(command, here, at, **own)
    from experiments.lab.publishing.exhibit import publish_report, run_exhibit
    from experiments.lab.publishing.findings import SMOKE

    run_exhibit(here, command, at, **own)
    if here.profile == "smoke":
        print(SMOKE)
    return publish_report(here, {command.EXHIBIT: ""})


def reads_of(command: ModuleType, context, **own):
    """Return the `Reads` of a command: its `READS`, or what its `reads` says of the context and own flags."""
    return command.reads(context, **own) if hasattr(command, "reads") else command.READS


def refuse_unread(arguments: argparse.Namespace, read: Sequence, context, command: str) -> None:
    """Raise InputError for a setting of --set that acts on nothing, see `systems.reads.refuse_unread`."""
    from experiments.lab.systems import reads

    given = (item.partition("=")[0] for item in arguments.set)
    reads.refuse_unread(given, read, context.settings, command, context)
