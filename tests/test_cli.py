"""What every command shares: how it exits."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LITTLE, MUCH = "print(1, file={})", "for i in range(10**6): print(i, file={})"
PROGRAM = """
import sys
from data_prep.terminal import exit_with
def work():
    {}
exit_with(work)
"""


def run_without_reader(program, stream, unbuffered):
    """Run a program whose output nobody reads; return the exit code and what came on the other stream."""
    read, write = os.pipe()
    os.close(read)
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: write}
    options = {"cwd": ROOT, "text": True, "env": {**os.environ, "PYTHONUNBUFFERED": unbuffered}}
    done = subprocess.run([sys.executable, "-c", program], **streams, **options)
    os.close(write)
    return done.returncode, done.stderr if stream == "stdout" else done.stdout


@pytest.mark.parametrize(
    ("body", "stream", "unbuffered", "code"),
    [
        (LITTLE, "stdout", "", 0),  # all was done by the time that it was noticed
        (LITTLE, "stdout", "1", 141),
        (MUCH, "stdout", "", 141),
        (LITTLE, "stderr", "", 141),  # written at once
    ],
)
def test_a_reader_that_goes_away_is_no_traceback(body, stream, unbuffered, code):
    program = PROGRAM.format(body.format(f"sys.{stream}"))
    assert run_without_reader(program, stream, unbuffered) == (code, "")


def test_a_pipe_that_breaks_elsewhere_is_told():
    program = "from data_prep.terminal import exit_with; import os\n"
    program += "def work(): r, w = os.pipe(); os.close(r); os.write(w, b'1')\nexit_with(work)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "BrokenPipeError" in done.stderr


HELP = """
import contextlib, io, runpy, sys
for module in sys.argv[1:]:
    sys.argv = [module, "--help"]
    with contextlib.redirect_stdout(io.StringIO()) as text, contextlib.suppress(SystemExit):
        runpy.run_module(module, run_name="__main__")
    assert text.getvalue().startswith("usage: "), module
    heavy = {"tensorflow", "keras", "jax", "sklearn", "matplotlib"} & set(sys.modules)
    assert not heavy, f"{module} --help imports {heavy}"
"""


def test_help_of_every_command_waits_for_no_large_library():
    paths = (ROOT / "experiments").glob("*.py")
    modules = [f"experiments.{path.stem}" for path in paths if "__main__" in path.read_text()]
    assert len(modules) > 25
    modules += [f"data_prep.{name}" for name in ("datasets", "extract_features", "optical_flow", "walkway")]
    modules += ["data_prep.flow_windows"]
    done = subprocess.run([sys.executable, "-c", HELP, *modules], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_bad_command_line_whose_reader_has_gone_is_no_traceback():
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "experiments.evaluate"]
    done = subprocess.run(command, cwd=ROOT, stderr=writing, stdout=subprocess.PIPE, text=True)
    os.close(writing)
    assert (done.returncode, done.stdout) == (141, "")
