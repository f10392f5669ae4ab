"""How Keras and TensorFlow start under every command: as this code expects them, without their greetings.

Both are loaded late, by whichever module needs them first; so this is done when Python loads them.
"""

import importlib.abc
import importlib.machinery
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType

LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"  # 0 shows all that TensorFlow says
# What TensorFlow's C++ prints whatever LOG_LEVEL says, as its logging starts later. Of its errors (E) those
# alone that say that there is no GPU, or that a library came twice: whatever else is wrong is shown.
GREETINGS = (
    r"WARNING: All log messages before absl::InitializeLog\(\)"
    r"|[IW]\d{4} \d\d:\d\d:|\d{4}-\d\d-\d\d [\d:.]+: [IW] "
    r"|To enable the following instructions:"
    r"|E\d{4} \d\d:\d\d:.*(cuInit.*(\(303\)|NO_DEVICE)|Unable to register cu\w+ (factory|plugin))"
)
_FILTER = """
import re, sys
for line in sys.stdin.buffer:
    if not re.match(sys.argv[1].encode(), line):
        sys.stdout.buffer.write(line)
        sys.stdout.flush()
"""


@contextmanager
def without_greetings() -> Iterator[None]:
    """Pass on all that is written to stderr meanwhile, by C++ too, but TensorFlow's greetings.

    Another process does it: what a crash has said comes through.
    """
    stderr = os.dup(2)
    command = [sys.executable, "-I", "-S", "-c", _FILTER, GREETINGS]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=stderr, start_new_session=True) as passing:
        os.dup2(passing.stdin.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


class _AtStart(importlib.abc.MetaPathFinder):
    """Finds the libraries of `STARTS`, and has them start so."""

    def find_spec(self, name, path=None, target=None):
        """Return where a library of `STARTS` is, and how it is loaded; None for any other module."""
        spec = importlib.machinery.PathFinder.find_spec(name, path) if name in STARTS else None
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module
            spec.loader.exec_module = lambda module: STARTS[name](load, module)
        return spec


def _start_tensorflow(load: Callable[[ModuleType], None], tensorflow: ModuleType) -> None:
    if os.environ.setdefault(LOG_LEVEL, "2") in ("0", "1"):
        return load(tensorflow)
    with without_greetings():
        load(tensorflow)
        tensorflow.config.list_physical_devices()  # where no GPU is, it is told here
    return None


def _start_keras(load: Callable[[ModuleType], None], keras: ModuleType) -> None:
    """Load Keras; no ~/.keras/keras.json changes what the code assumes. `KERAS_BACKEND` names a backend."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    load(keras)
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")


STARTS = {"tensorflow": _start_tensorflow, "keras": _start_keras}


def start_as_expected() -> None:
    """Have Keras and TensorFlow start so in this process, once."""
    if not any(isinstance(finder, _AtStart) for finder in sys.meta_path):
        sys.meta_path.insert(0, _AtStart())
