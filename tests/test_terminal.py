"""What is taken from the terminal and said there: paths, numbers, one line for a fault, no secret."""

import argparse
import errno
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from data_prep.errors import InputError
from data_prep.files import naming, write_atomic
from data_prep.redaction import redacted, redacted_address
from data_prep.terminal import Parser, exit_code, given_path, number
from experiments.lab import cli
from experiments.lab.settings.schema import PAPER

ROOT = Path(__file__).parents[1]
THREE = "\N{ARABIC-INDIC DIGIT THREE}"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://camera:554/live", "rtsp://camera:554/live"),
        ("rtsp://ann:s3cret@camera:554/live", "rtsp://camera:554/live"),
        ("rtsp://ann:s3@cret@camera/live", "rtsp://camera/live"),
        ("rtsp://ann:s3/cret@camera/live", "rtsp://***"),
        ("rtsp://ann:s3?cret@camera/live", "rtsp://***"),
        ("rtsp://ann:s3#cret@camera", "rtsp://***"),
        ("rtsp://ann:s3 cret@camera/live", "rtsp://camera/live"),
        ("rtsp://camera/live?user=ann&password=s3cret", "rtsp://camera/live"),
        ("rtsp://camera/real?channel=1&subtype=0&pwd=s3cret", "rtsp://camera/real?channel=1&subtype=0"),
        ("rtsp://camera/user=ann_password=s3cret_channel=1.sdp", "rtsp://camera/***"),
        ("http://camera/live;token=s3cret", "http://camera/***"),
        ("rtsp://camera/live#s3cret", "rtsp://camera/live"),
        ("rtsp://[::1]:554/live", "rtsp://[::1]:554/live"),
    ],
)
def test_an_address_is_shown_without_its_secrets(address, shown):
    assert redacted_address(address) == shown
    if " " not in address:
        for told in (redacted(f"it is {address}: gone"), redacted(f"it is {Path(address)}: gone")):
            assert told.startswith(f"it is {shown}".rstrip("*"))
            assert told.endswith(" gone")
            assert "cret" not in told


def test_a_text_without_an_address_is_left_alone():
    text = "a@b.c: expected N=3, got https, 1:2 and x?y=3"
    assert redacted(text) == text


@pytest.mark.parametrize("text", ["0", "7", "-3", "+3", "1_000"])
def test_whole_numbers(text):
    assert number(text, int) == int(text)


@pytest.mark.parametrize("text", ["0.5", "1e-5", "-.5", "3", "2.", "1E+3", "1_000.5", "0"])
def test_numbers(text):
    assert number(text, float) == float(text)


@pytest.mark.parametrize("text", [THREE, " 3", "3 ", "3\n", "003", "0_3", "3__0", "", "3.0", "1e3", "0x3"])
def test_what_is_no_whole_number(text):
    with pytest.raises(ValueError, match="expected int, got"):
        number(text, int)
    with pytest.raises(InputError, match="setting depth: expected int, got"):
        PAPER.override(depth=text)


@pytest.mark.parametrize(
    "text", [f"{THREE}.5", " 0.5", "0.5 ", "nan", "inf", "1e", "e5", ".", "00.5", "1_.5"]
)
def test_what_is_no_number(text):
    with pytest.raises(ValueError, match="expected float, got"):
        number(text, float)
    with pytest.raises(InputError, match="setting gamma: expected float, got"):
        PAPER.override(gamma=text)


def test_settings_take_what_people_write():
    changed = PAPER.override(n_atoms="1_024", gamma="1e-3", trainable_lambda2="False", motion="flow")
    model = changed.model
    assert (model.n_atoms, model.gamma, model.trainable_lambda2) == (1024, 1e-3, False)
    for value in ("1", " true", "yes", ""):
        with pytest.raises(InputError, match="setting trainable_lambda2: expected bool"):
            PAPER.override(trainable_lambda2=value)
    with pytest.raises(InputError, match="setting 'self': unknown"):
        PAPER.override(**{"self": "3"})


@pytest.mark.parametrize("text", ["", "rtsp://ann:s3cret@camera/live", "a\udcff"])
def test_what_is_no_path(text):
    with pytest.raises(argparse.ArgumentTypeError, match="expected a") as told:
        given_path(text)
    assert "s3cret" not in str(told.value)
    assert given_path("a/ü b") == Path("a/ü b")


def code_and_line(work, capsys):
    code = exit_code(work)
    (line,) = capsys.readouterr().err.splitlines()
    return code, line


def raises(fault):
    def work():
        raise fault

    return work


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        (InputError("a.csv: empty"), "error: a.csv: empty"),
        (InputError("a\nb\x1b[2J: \udcff"), r"error: a\nb\x1b[2J: \udcff"),
        (InputError("rtsp://ann:s3cret@camera/x: gone"), "error: rtsp://camera/x: gone"),
        (FileExistsError(errno.EEXIST, "", "out"), "error: out: File exists"),
        (OSError(errno.ENAMETOOLONG, "", b"out"), "error: out: File name too long"),
        (OSError(errno.ENOSPC, ""), "error: output: No space left on device"),
        (OSError("Unable to open file"), "error: Unable to open file"),
        (MemoryError("Unable to allocate 9 GiB"), "error: not enough memory, Unable to allocate 9 GiB"),
    ],
)
def test_a_fault_is_one_line_and_exit_code_2(fault, line, capsys):
    assert code_and_line(raises(fault), capsys) == (2, line)


def test_a_fault_of_ours_is_no_bad_input():
    with pytest.raises(KeyError):
        exit_code(raises(KeyError("x")))


def test_an_interrupted_command_says_how_to_go_on(capsys):
    code, line = code_and_line(raises(KeyboardInterrupt()), capsys)
    assert (code, line) == (130, "error: interrupted; the same command goes on where it stopped")


def test_what_a_broken_off_command_holds_is_let_go_of_while_threads_run():
    """A training's iterator waits for its thread, which cannot run any more once the interpreter ends."""
    code = """if True:
        import sys
        from data_prep.terminal import exit_with
        class Held:
            def __init__(self):
                self.itself = self
            def __del__(self):
                print("too late" if sys.is_finalizing() else "in time", flush=True)
        def work():
            held = Held()
            raise KeyboardInterrupt
        exit_with(work)
    """
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (130, "in time\n")


def test_a_full_disk_names_the_file_that_was_to_be_written(tmp_path):
    path = tmp_path / "a.json"
    with pytest.raises(OSError, match="No space") as told, naming(path), open("/dev/full", "wb", 0) as file:
        file.write(b"x")
    assert told.value.filename == str(path)
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(OSError, match="exists"):
        write_atomic(blocked / "a.json", b"")
    long = tmp_path / ("x" * 250)
    with pytest.raises(OSError, match="File name too long") as told:
        write_atomic(long, b"")
    assert told.value.filename == str(long)


def test_a_full_disk_behind_stdout_is_one_line():
    program = "from data_prep.terminal import exit_with\nexit_with(lambda: print('x'))"
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert (done.returncode, done.stderr) == (2, "error: output: No space left on device\n")


def test_a_name_that_is_not_utf_8_is_printed():
    program = "from data_prep.terminal import exit_with\nexit_with(lambda: print('a\\udcff'))"
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8:strict"}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, "a\\udcff\n", "")


@pytest.mark.parametrize(
    "words",
    [
        ["--camera", "rtsp://ann:s3 cret@camera/live"],
        ["--n=rtsp://ann:s3cret@camera/live"],
        ["--n", "rtsp://ann:s3'cret@camera/live"],
    ],
)
def test_a_bad_command_line_is_one_line_without_secrets(words, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["command", *words])
    parser = Parser()
    parser.add_argument("--n", type=int)
    with pytest.raises(SystemExit) as end:
        parser.parse_args()
    (line,) = capsys.readouterr().err.splitlines()
    assert end.value.code == 2
    assert line.startswith("error: ")
    assert "cret" not in line


def context_of(*words):
    return cli.context(cli.exhibit_parser("").parse_args(words))


@pytest.mark.parametrize(
    "words", [["--datasets", ""], ["--datasets", "ped2,"], ["--data", ""], ["--out", ""], ["--seeds", THREE]]
)
def test_flags_without_a_value_are_refused(words, capsys):
    with pytest.raises(SystemExit) as end:
        context_of(*words)
    assert end.value.code == 2
    assert f"argument {words[0]}: expected" in capsys.readouterr().err


@pytest.mark.parametrize("seeds", ["0", "-1", "1000000000"])
def test_a_number_of_seeds_that_nobody_means_is_refused(seeds):
    with pytest.raises(InputError, match=f"--seeds: expected 1 to 1000, got {seeds}"):
        context_of("--seeds", seeds)


def test_out_that_is_no_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "in", Path("/dev/null")):
        with pytest.raises(InputError, match=f"--out {path}: expected a folder"):
            context_of("--out", str(path))


def test_flags_with_values_are_taken(tmp_path):
    (tmp_path / "mnist.npz").touch()  # a folder that holds nothing is refused
    context = context_of("--datasets", "ped2,walkway", "--data", str(tmp_path), "--seeds", "1000")
    assert (context.only_datasets, context.data_dir, context.n_seeds) == (("ped2", "walkway"), tmp_path, 1000)
    assert "--datasets ped2,walkway" in context.flags


def test_a_terminal_that_has_gone_is_written_to_no_more():
    """A pseudo-terminal is closed; stderr is a pipe, and still gets what is written."""
    program = (
        "import os, sys; from data_prep.terminal import leave_terminal\n"
        "sys.stdin.readline(); leave_terminal(); print('x', flush=True); print('y', file=sys.stderr)"
    )
    master, slave = pty.openpty()
    pipes = {"stdin": subprocess.PIPE, "stdout": slave, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, **pipes)
    os.close(slave), os.close(master)
    _, told = process.communicate("\n")
    assert (process.returncode, told.splitlines()[-1]) == (0, "y")
