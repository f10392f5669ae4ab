"""Where the real data is, when it is there at all; the order of the files; what every file begins with."""

import gc
import os
import resource
import runpy
import sys
from pathlib import Path

import pytest
from filelock import FileLock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

REAL_DATA = Path(os.environ.get("SRNN_AE_DATA", Path(__file__).parents[2] / "shared" / "data"))

LONGEST = (
    *("test_commands.py", "test_watch.py", "test_watch_live.py", "test_settings_act.py", "test_runs.py"),
    "test_moving_mnist_exhibits.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first, so that none of them runs last and alone."""
    order = {name: index for index, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))


@pytest.fixture(scope="module", autouse=True)
def _frozen_heap() -> None:
    """Keep what earlier files left behind out of the garbage that imageio collects at each closed video."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of real datasets (SRNN_AE_DATA, else ../shared/data), or skip the test."""
    if not (REAL_DATA / "ped2").is_dir():
        pytest.skip(f"no real data in {REAL_DATA}")
    return REAL_DATA


@pytest.fixture
def written(monkeypatch) -> list[str]:
    """Return the feature shards that are written while a test runs, in order: "train/01"."""
    from data_prep import extraction  # not above: most files need no Keras

    names = []

    def spy(path, *rest):
        names.append(f"{path.parent.name}/{path.stem}")
        write(path, *rest)

    write = extraction.write_shard
    monkeypatch.setattr(extraction, "write_shard", spy)
    return names


@pytest.fixture
def small_files():
    """Let no file grow beyond 20 kB, as on a full disk: OSError."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def run_main(monkeypatch, capsys):
    """Return what runs a module as `python -m` does, in this process: exit code, stdout and stderr.

    To import TensorFlow in a process of its own takes longer than what most commands refuse.
    """

    def run(module: str, *words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", [module, *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            runpy.run_module(module, run_name="__main__")
        return end.value.code, *capsys.readouterr()

    return run


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """Return what `experiments.watch` leaves of its example, trained once, see `watched.train_example`."""
    from tests.watched import example_in, train_example  # not above: most files need no Keras

    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # by whichever process of the suite needs it first
        shared = shared.parent
    folder = shared / "watched"
    with FileLock(shared / "watched.lock"):
        if (folder / "done").exists():
            return example_in(folder)
        folder.mkdir()
        example = train_example(folder)
        (folder / "done").touch()
        return example


@pytest.fixture
def camera(tmp_path):
    """Give the host and port of a camera that is reached by HTTP, see `cameras.serving`."""
    from tests.cameras import serving  # not above, likewise

    with serving(tmp_path) as address:
        yield address


@pytest.fixture(scope="module")
def patch():
    """Set what a module holds under a name, until the tests of a file are over."""
    with pytest.MonkeyPatch.context() as patches:
        yield lambda where, name, what: patches.setattr(where, name, what, raising=False)


@pytest.fixture(scope="module")
def few_volumes_are_enough(patch):
    """Fit the words of Javan Roshtkhari & Levine on few volumes in the tests of a file."""
    from models.quoted import javan  # not above, likewise

    patch(javan, "CODEBOOK_VOLUMES", 2000)


@pytest.fixture(scope="module")
def lab(tmp_path_factory, patch):
    """Return a laboratory of fakes in which any command runs at once, see `settings_recorder`."""
    from tests.settings_recorder import open_lab  # not above, likewise

    return open_lab(tmp_path_factory.mktemp("shards"), patch)
