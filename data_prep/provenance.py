"""What made something: commit, libraries, device, processor, as shards, runs and results record them."""

import functools
import os
import platform
import subprocess
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[1]
RUN_LIBRARIES = ("keras", "numpy", "scikit-learn", "h5py")  # and Keras' backend
SHARD_LIBRARIES = ("tensorflow", "keras", "numpy", "h5py", "opencv-contrib-python-headless")


@functools.cache
def git_commit() -> str:
    """Return the short SHA of the code, with `-dirty` for uncommitted changes; `unknown` outside git."""
    try:
        commit = _git("describe", "--always", "--exclude=*")
        # Not `describe --dirty`: that takes the repository's lock, and leaves it behind where it is killed.
        changes = _git("--no-optional-locks", "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{commit}-dirty" if changes else commit


def _git(*arguments: str) -> str:
    """Return what a git command says of the code."""
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@functools.cache
def shard_libraries() -> str:
    """Return the versions of the libraries that features pass through, in words."""
    return ", ".join(f"{name} {number}" for name, number in versions_of(SHARD_LIBRARIES).items())


def made_with() -> dict:
    """Return what a run records beside what its weights depend on: commit, libraries, device."""
    return {"commit": git_commit(), "versions": run_libraries()}


def run_libraries() -> dict[str, str]:
    """Return the versions of the libraries that a run passes through, Keras' backend, and its device."""
    import keras

    backend = keras.backend.backend()
    return {**versions_of((*RUN_LIBRARIES, backend)), "backend": backend, "device": device_name()}


def device_name() -> str:
    """Return what Keras computes on: "cpu", or an accelerator, by name where the backend tells it."""
    import keras

    if keras.backend.backend() == "jax":
        import jax

        return jax.devices()[0].device_kind
    return (keras.distribution.list_devices("gpu") or ["cpu"])[0]


def processor_name() -> str:
    """Return the processor's name and the number of its cores."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.machine()
    return f"{name}, {os.cpu_count()} cores"


def versions_of(libraries: Iterable[str]) -> dict[str, str]:
    """Return the installed versions of libraries by their names."""
    return {library: version(library) for library in libraries}
