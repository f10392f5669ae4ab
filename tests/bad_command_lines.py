"""Bad command lines and inputs, each with its exit code and first line, as a table.

    python -m tests.bad_command_lines [--only WORD] [--cheap]

Each is run as a process in a folder of its own, with small inputs made here. Expected are exit code 2 and one
line that begins with "error: ", or acceptance (code 0). The exit code is 1 where one is answered otherwise.
"""

import argparse
import concurrent.futures
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py

ROOT = Path(__file__).parents[1]
for place in (ROOT, ROOT / "tests"):
    sys.path.insert(0, str(place))

from synthetic import write_dataset  # noqa: E402

from tests.videos import pictures, write_video  # noqa: E402

TABLE = "experiments.table_02_dataset_statistics"
SMALL_FILES, DEEP = 20_000, "x" * 300
TINY = [
    f"--set={item}"
    for item in ("n_atoms=8", "similarity_units=4", "iterations=2", "checkpoint_every=2", "log_every=2")
]


@dataclass(frozen=True)
class Case:
    """One command line.

    Attributes:
        words: module and arguments; "SHARDS", "RUN", "VIDEO", "HERE" stand for what is made, for the folder.
        code: the exit code that is right.
        prepare: is called with the folder before.
        is_cheap: whether nothing heavy is loaded before it is refused.
        n_file_bytes: most bytes of a file, as where a disk is full; 0 for no limit.
        says: what the line holds, where another fault would be refused as well.
    """

    words: tuple[str, ...]
    code: int = 2
    prepare: Callable[[Path], object] = lambda here: None
    is_cheap: bool = False
    n_file_bytes: int = 0
    says: str = ""


def flags(module: str, *lines: str, **options) -> list[Case]:
    """Return a case for each line of arguments of one command."""
    return [Case((f"experiments.{module}", *line.split(" ")), **options) for line in lines]


def settings(*items: str, code: int = 2) -> list[Case]:
    """Return a case for each setting."""
    return [Case(("experiments.table_03_methods", "--set", item), code, is_cheap=True) for item in items]


def damage_shard(here: Path) -> None:
    with h5py.File(here / "shards" / "train" / "01.h5", "r+") as file:
        file["features"][0] = 7


def out_is_a_file(here: Path) -> None:
    (here / "file").write_text("")


def edit(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda here: (here / "run" / name).write_bytes(content)


def cases() -> list[Case]:
    """Return every case."""
    train = ["experiments.train", "SHARDS", "--stream", "spatial", "--seed", "0", *TINY]
    runs = ("experiments.evaluate", "--run", "RUN", "--data", "HERE")
    return [
        *settings(
            "depth=\N{ARABIC-INDIC DIGIT THREE}",
            "depth= 3",
            "depth=003",
            "depth=3.0",
            "depth=nan",
            "depth",
            "=3",
            "depht=3",
            "streams=flow",
            "self=3",
            "gamma=1e308",
            "gamma=inf",
            "lambda1=-1",
            "trainable_lambda2=yes",
            "conv_ae_size_px=100",
            "conv_lstm_size_px=100",
            "batch_clips=1000000000",
            "n_atoms=1000000",
            "window_frames=2000000000",
            "iterations=10000000000000",
            "n_train_clips=0",
            "pyramid=3",
        ),
        *flags(
            "table_02_dataset_statistics",
            "--profile huge",
            "--data ",
            "--data nowhere",
            "--datasets ",
            "--datasets ped2,",
            "--seeds 0",
            "--seeds 1000000000",
            "--seeds three",
            "--weights nowhere.h5",
            "--out ",
            "--out /dev/null",
            "--unknown",
            "surplus",
            is_cheap=True,
        ),
        Case((TABLE, "--out", "HERE/file"), prepare=out_is_a_file, is_cheap=True),
        Case((TABLE, "--profile", "smoke", "--out", f"HERE/{DEEP}")),
        *flags("run", "--only ", "--only table_99", "--only table_02,,table_03", is_cheap=True),
        *flags(
            "figure_08_depth",
            "--grid ",
            "--grid 3,x",
            "--jobs 0",
            "--jobs 2 --cluster tcp://127.0.0.1:9",
            "--cluster tls://127.0.0.1:9",
            "--cluster http://127.0.0.1:9",
            "--tls a b c",
        ),
        *flags(
            "watch",
            "rtsp://ann:s3cret@camera/live",
            "x.avi --train rtsp://ann:s3cret@camera/live",
            is_cheap=True,
        ),
        *flags("watch", "x.avi --train x.avi --threshold 30", says="--threshold: expected", is_cheap=True),
        *flags("watch", "x.avi --train x.avi --rate 0", says="--rate: expected", is_cheap=True),
        *flags("watch", "x.avi --train-until 2 --train x.avi", says="--train-until: expected", is_cheap=True),
        *flags("watch", "x.avi --train x.avi --seeds 2", says="arguments: --seeds 2", is_cheap=True),
        *flags("watch", "nowhere.avi --train nowhere.avi", "VIDEO --run nowhere"),
        *flags("evaluate", "--data x", "--run nowhere --data x", is_cheap=True),
        Case((*runs, "--resamples", "1000000000"), says="--resamples: expected", is_cheap=True),
        Case((*runs, "--smoothing-frames", "4"), says="smoothing_frames: expected", is_cheap=True),
        *(
            Case(runs, prepare=edit(name, content))
            for name, content in [
                ("config.json", b"{"),
                ("config.json", b"[]"),
                ("metrics.json", b'{"steps": NaN, "training_seconds": 1}'),
                ("scores/step_000001.npz", b""),
            ]
        ),
        Case(("experiments.train", "nowhere"), is_cheap=True),
        Case(("experiments.train", "HERE")),
        Case(("experiments.train", "SHARDS", "--seed", "-1")),
        Case(("experiments.train", "SHARDS", "--stream", "flow")),
        Case(("experiments.train", "SHARDS"), prepare=damage_shard),
        Case((*train, "--out", "HERE/out"), n_file_bytes=SMALL_FILES),
        Case((*train, "--out", "HERE/out", "--set", "gamma=1e38")),
        Case((*train, "--out", "HERE/out", "--set", "learning_rate=1e38")),
        Case((*train, "--out", "HERE/out"), code=0),
    ]  # fmt: skip


def make_inputs(here: Path) -> None:
    """Write shards, a run and a video."""
    from experiments.lab.settings.schema import PAPER
    from experiments.lab.systems.catalogue import run_system

    write_dataset(here / "shards", n_train=1)
    settings = PAPER.override(n_subspace_atoms=3)
    run = run_system("Nearest Subspace", here / "shards", "whole frame", settings, 0, here / "made")
    shutil.copytree(run.folder, here / "run")
    write_video(here / "video.avi", pictures(20))


def answer(case: Case, inputs: Path) -> tuple[int, list[str]]:
    """Return the exit code of a case and the lines that it says on stderr but for progress and warnings."""
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder) / "here"
        shutil.copytree(inputs, here)
        case.prepare(here)
        places = {"SHARDS": "shards", "RUN": "run", "VIDEO": "video.avi"}
        words = [
            str(here / places[word]) if word in places else word.replace("HERE", str(here))
            for word in case.words
        ]
        if case.n_file_bytes:
            limit = (case.n_file_bytes, resource.RLIM_INFINITY)
            before = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit)  # noqa: E731
        else:
            before = None
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
        done = subprocess.run(
            [sys.executable, "-m", *words],
            cwd=here, env=environment, capture_output=True, text=True, preexec_fn=before,
        )  # fmt: skip
    lines = done.stderr.replace("\r", "\n").replace(str(here), "HERE").splitlines()
    return done.returncode, lines


def fault_of(case: Case, code: int, lines: Sequence[str]) -> str:
    """Return what is wrong with an answer; "" where it is right."""
    if code != case.code:
        return f"exit code {code}"
    if any("Traceback" in line or "s3cret" in line for line in lines):
        return "traceback or secret"
    if code == 0:
        return ""
    errors = [line for line in lines if line.startswith("error: ")]
    if len(errors) != 1 or lines[-1] != errors[0]:
        return f"{len(errors)} error lines"
    return "" if case.says in errors[0] else f"nothing of {case.says!r}"


def table(some: Sequence[Case], inputs: Path) -> tuple[list[str], list[str]]:
    """Return the lines of the table, and what was wrong."""
    rows, faults = ["| command | code | first line |", "|---|---|---|"], []
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for case, (code, lines) in zip(some, pool.map(lambda case: answer(case, inputs), some), strict=True):
            command = (
                " ".join(word or "''" for word in case.words)
                .replace(DEEP, "xxx..")
                .replace("experiments.", "")
            )
            errors = [line for line in lines if line.startswith("error: ")]
            said = (errors[0] if errors else "").replace(DEEP, "xxx..").replace("|", "\\|")
            rows.append(f"| `{command}` | {code} | {said[:200]} |")
            if fault := fault_of(case, code, lines):
                faults.append(f"{command}: {fault}\n    " + "\n    ".join(lines[-4:]))
    return rows, faults


def main() -> int:
    """Print the table and what was wrong; return 1 if anything was."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="cases with this in their words")
    parser.add_argument("--cheap", action="store_true", help="those alone that load nothing heavy")
    arguments = parser.parse_args()
    some = [case for case in cases() if arguments.only in " ".join(case.words)]
    some = [case for case in some if case.is_cheap or not arguments.cheap]
    with tempfile.TemporaryDirectory() as folder:
        inputs = Path(folder)
        if not arguments.cheap:
            make_inputs(inputs)
        rows, faults = table(some, inputs)
    print("\n".join(rows))
    print(f"\n{len(some)} cases, {len(faults)} answered otherwise than they should be")
    print("\n".join(faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
