"""How the commands of data_prep end: bad input, Ctrl-C, a reader that goes away, an --out that cannot be."""

import os
import subprocess
import sys
import time
from dataclasses import asdict

import psutil
import pytest

from data_prep import walkway
from data_prep.shards import validate_shard
from tests.test_cli import ROOT

COMMANDS = ("datasets", "walkway", "extract_features", "optical_flow", "flow_windows")
PROGRAM = """
import importlib, os, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background ignores it
command = importlib.import_module("data_prep.{name}")
command = command if hasattr(command, "main") else importlib.import_module("data_prep.{name}.__main__")
def meanwhile(*_, **__):
    {body}
for module in (command, importlib.import_module("data_prep.command_line")):
    for name in ("generate", "read_datasets", "chosen_datasets"):
        if hasattr(module, name):
            setattr(module, name, meanwhile)
sys.exit(command.main(sys.argv[1:]))
"""
CTRL_C = "os.kill(os.getpid(), signal.SIGINT); time.sleep(600)"
PRINTED = "print('much', flush=True); return []"


def run(name, body, arguments, **streams):
    """Run a command in whose place of work something else happens."""
    command = [sys.executable, "-c", PROGRAM.format(name=name, body=body), *arguments]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
    return subprocess.run(command, cwd=ROOT, text=True, **streams)


def arguments_of(name, tmp_path):
    data, out = ["--data", str(tmp_path)], ["--out", str(tmp_path / "out")]
    return {"datasets": data, "walkway": out}.get(name, [*data, *out])


@pytest.mark.parametrize("name", COMMANDS)
def test_ctrl_c_is_one_line(name, tmp_path):
    done = run(name, CTRL_C, arguments_of(name, tmp_path))
    expected = "error: interrupted; the same command goes on where it stopped\n"
    assert (done.returncode, done.stdout, done.stderr) == (130, "", expected)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_reader_that_goes_away_is_no_traceback(name, tmp_path):
    read, write = os.pipe()
    os.close(read)
    done = run(name, PRINTED, arguments_of(name, tmp_path), stdout=write)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize("name", COMMANDS)
def test_bad_input_is_one_line(name, tmp_path):
    (tmp_path / "file").touch()
    data, out = ["--data", str(tmp_path / "file")], ["--out", str(tmp_path / "file" / "out")]
    arguments = {"datasets": data, "walkway": out}.get(name, [*data, *out])
    command = [sys.executable, "-m", f"data_prep.{name}", *arguments]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True)
    (line,) = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (2, "")
    assert line.startswith(f"error: {tmp_path}/")


def test_an_out_that_cannot_be_written_is_one_line(tmp_path, run_main):
    """Of an extraction: its list of clips is the first thing that it writes."""
    walkway.generate(tmp_path / "data", n_train_clips=1, n_test_clips=1, clip_frames=20)
    (tmp_path / "file").touch()
    arguments = ["--data", tmp_path / "data", "--out", tmp_path / "file" / "out"]
    code, _, errors = run_main("data_prep.flow_windows", *arguments)
    (line,) = errors.splitlines()
    assert code == 2
    assert line.startswith(f"error: {tmp_path}/file/out/walkway/flow_windows")


@pytest.mark.parametrize(
    ("name", "flags", "told"),
    [
        ("walkway", ["--clip-frames", "1000000000"], "walkway: clips of 1000000000 frames"),
        ("extract_features", ["--input-size", "1000000"], "input size of 1000000 px"),
        ("optical_flow", ["--flow-size", "1000000"], "flow size of 1000000 px"),
        ("flow_windows", ["--width-px", "100000000"], "width_px 100000000, height_px 240"),
    ],
)
def test_sizes_that_no_machine_holds_are_refused(name, flags, told, tmp_path, run_main):
    walkway.generate(tmp_path, n_train_clips=1, n_test_clips=1, clip_frames=20)
    backbone = ["--backbone", "thin_resnet50"] if name in ("extract_features", "optical_flow") else []
    code, said, errors = run_main(f"data_prep.{name}", *arguments_of(name, tmp_path), *flags, *backbone)
    line = errors.splitlines()[-1]
    assert (code, said) == (2, "")
    assert line.startswith(f"error: {told}: asks for ")


def shards_of(folder):
    """Return all that shards say of themselves, the checksum of what is in them too, checked."""
    return {path.relative_to(folder): asdict(validate_shard(path)) for path in folder.rglob("*.h5")}


def is_helper(child):
    """Tell whether a child of a command runs its words with one job; others are git's, and end soon."""
    try:
        return child.cmdline()[-2:] == ["--jobs", "1"]
    except psutil.Error:
        return False


def test_processes_that_share_the_clips_write_what_one_does_though_one_is_killed(tmp_path):
    walkway.generate(tmp_path / "data", n_train_clips=3, n_test_clips=2, clip_frames=60)

    def command(out, *flags):
        given = ["--data", str(tmp_path / "data"), "--out", str(tmp_path / out), *flags]
        return [sys.executable, "-m", "data_prep.flow_windows", *given]

    subprocess.run(command("alone"), cwd=ROOT, check=True, capture_output=True)
    with subprocess.Popen(command("shared", "--jobs", "3"), cwd=ROOT, stderr=subprocess.PIPE) as process:
        parent, helpers = psutil.Process(process.pid), []
        while process.poll() is None and len(helpers) < 2:
            helpers = [*filter(is_helper, parent.children())]
            time.sleep(0.01)
        while process.poll() is None and not list((tmp_path / "shared").rglob(".*.lock")):  # nobody began
            time.sleep(0.01)
        helpers[0].kill()
        process.communicate()
    assert process.returncode == 0
    assert not [child for child in helpers if child.is_running()]
    shards = shards_of(tmp_path / "shared")
    assert len(shards) == 5
    assert shards == shards_of(tmp_path / "alone")


def test_a_bad_number_of_processes_is_refused(tmp_path, run_main):
    arguments = arguments_of("flow_windows", tmp_path)
    code, _, errors = run_main("data_prep.flow_windows", *arguments, "--jobs", 0)
    assert code == 2
    assert "argument --jobs: expected 1 to 256, got 0" in errors
