"""Run every exhibit in order: plan with estimated times, run, summary, report.

    python -m experiments.run --data DIR [--profile smoke|quick|paper] [--only table_03,figure_06]
        [--jobs N | --cluster tcp://HOST:PORT]

`./run_all.sh` calls this. Exit code: 0 all that could run ran; 2 bad input; 1 an exhibit broke.
"""

import importlib
import time
import traceback
from pathlib import Path

from data_prep.errors import InputError, NotApplicableError
from data_prep.terminal import exit_with, refuse, told
from experiments.lab import cli
from experiments.lab.publishing.findings import SMOKE, number_that_matters
from experiments.lab.publishing.results import read_rows

HERE = Path(__file__).parent
# Run before the others: a first table of counts in seconds, a first one of AUCs in minutes.
EARLY = ("table_02", "table_08")


def exhibits() -> dict[str, str]:
    """Return exhibit name (`table_03`) -> module, tables first, both in number order."""
    paths = [*sorted(HERE.glob("table_*.py")), *sorted(HERE.glob("figure_*.py"))]
    return {"_".join(path.stem.split("_")[:2]): f"experiments.{path.stem}" for path in paths}


def main() -> None:
    """Parse the flags, run, exit."""
    flags = cli.runs_parser(__doc__)
    flags.add_argument(
        "--only", type=cli.listed, help="exhibits to run, separated by commas, e.g. table_03,figure_06"
    )
    arguments = flags.parse_args()
    exit_with(lambda: run_all(arguments))


def run_all(arguments) -> int:
    """Run the chosen exhibits, write the report, print a summary; return the exit code."""
    known = exhibits()
    chosen = arguments.only or list(known)
    if strangers := [name for name in chosen if name not in known]:
        raise InputError(f"--only {', '.join(strangers)}: unknown, expected one of {', '.join(known)}")
    where = cli.where(arguments)
    context = cli.context(arguments)
    names = [name for name in known if name in chosen]
    modules = {name: importlib.import_module(known[name]) for name in names}
    read = [cli.reads_of(module, context) for module in modules.values()]
    cli.refuse_unread(arguments, read, context, "experiments.run")
    if where.elsewhere and not any(hasattr(module, "points") for module in modules.values()):
        raise InputError(f"--jobs, --cluster: nothing is trained by {', '.join(modules)}")
    names.sort(key=lambda name: EARLY.index(name) if name in EARLY else len(EARLY))
    from experiments.lab.durations import expected_minutes

    minutes = expected_minutes(context)
    print_plan(context, names, minutes)
    from experiments.lab.publishing.exhibit import publish_report, run_exhibit

    start = time.perf_counter()
    outcomes, left_out, code = {}, {}, 0
    for index, name in enumerate(names):
        left = sum(minutes.get(later, 0) for later in names[index:])
        print(f"\n== {name} ({index + 1} of {len(names)}; {in_words(left)} left) ==", flush=True)
        began = time.perf_counter()
        try:
            run_exhibit(context, modules[name], where)
        except BrokenPipeError:  # nobody reads what is printed: `exit_with` stops
            raise
        except (InputError, OSError) as fault:
            if isinstance(fault, NotApplicableError) and not arguments.only:
                left_out[name] = told(fault)
                print(f"left out {name}: {left_out[name]}", flush=True)
            else:
                outcomes[name], code = told(fault), max(code, 2)
                refuse(f"{name}: {outcomes[name]}")
        except Exception as fault:  # one broken exhibit does not cost the others; it is told at the end
            traceback.print_exc()
            outcomes[name], code = f"{type(fault).__name__}: {fault}", code or 1
        else:
            outcomes[name] = ""
            print(f"{name}: done in {time.perf_counter() - began:.0f} s")
        if index + 1 < len(names):
            # So that it can be read while the rest runs; an earlier failure of what is left out is forgotten.
            publish_report(context, outcomes | dict.fromkeys(left_out, ""))
    return summarize(context, outcomes, left_out, time.perf_counter() - start, code)


def in_words(minutes: float | None) -> str:
    """Return how long exhibits take, in words."""
    if minutes is None:
        return "not measured"
    return f"about {minutes:.1f} min" if minutes >= 0.1 else "a few seconds"


def print_plan(context, names: list[str], minutes: dict[str, float]) -> None:
    """Print the profile, the datasets at hand and missing, and the exhibits in order with their times."""
    from data_prep.datasets import RECORDS, where_to_get
    from data_prep.datasets.places import roots_in

    print(
        f"profile {context.profile_name}, seeds {context.n_seeds}, results in {context.results_dir.resolve()}"
    )
    for name, dataset in context.datasets.items():
        counts = [len(dataset.split(split)) for split in ("train", "test")]
        print(f"  dataset {name}: {counts[0]} training and {counts[1]} test clips in {dataset.root}")
    if context.profile == "smoke":
        print(f"  {SMOKE}")
        if context.data_dir and not context.only_datasets:
            there = ",".join(roots_in(context.data_dir))
            print(f"  --data is not run on in profile smoke, unless --datasets names what is there: {there}")
    elif not context.only_datasets:
        for name in RECORDS:
            if name not in context.datasets:
                print(f"  missing {name}: {' '.join(where_to_get(name).split())}")
    for name in names:
        print(f"  {name:10} {in_words(minutes.get(name))}")
    if known := [minutes[name] for name in names if name in minutes]:
        print(f"  together {in_words(sum(known))} on two cores; what is there is not run again")


def print_numbers(context, outcomes: dict[str, str]) -> None:
    """Print, of each exhibit that ran, the number that matters, and of what profile these are."""
    rows = read_rows(context.results_dir) if (context.results_dir / "results.csv").exists() else []
    for name in exhibits():
        if outcomes.get(name) == "":
            said = number_that_matters([row for row in rows if row.exhibit == name])
            print(f"  {name:10} {said or ('a picture' if name.startswith('figure') else 'no number')}")
    if context.profile == "smoke":
        print(SMOKE)


def summarize(context, outcomes: dict[str, str], left_out: dict[str, str], seconds: float, code: int) -> int:
    """Write summary and report, print where they are and what did not run; return the exit code."""
    from experiments.lab.publishing.exhibit import publish_report

    print()
    publish_report(context, outcomes | dict.fromkeys(left_out, ""))
    results = context.results_dir / "results.csv"
    print_numbers(context, outcomes)
    print(f"results: {results}; curves: tensorboard --logdir {context.out / 'logs'}")
    failures = {name: fault for name, fault in outcomes.items() if fault}
    for name, reason in left_out.items():
        print(f"left out {name}: {reason}")
    for name, fault in failures.items():
        print(f"FAILED {name}: {fault}")
    print(f"{'failed' if failures else 'done'} in {seconds / 60:.1f} min")
    return code


if __name__ == "__main__":
    main()
