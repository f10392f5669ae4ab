"""Where the real data is, when it is there at all; the order of the files; what every file begins with."""

import gc
import os
import resource
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

REAL_DATA = Path(os.environ.get("SRNN_AE_DATA", Path(__file__).parents[2] / "shared" / "data"))

LONGEST = ("test_commands.py", "test_watch.py", "test_watch_live.py")


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


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """Return what `experiments.watch` leaves of its example, trained once, see `watched.train_example`."""
    from tests.watched import train_example  # not above: most files need no Keras

    return train_example(tmp_path_factory.mktemp("watch"))


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
def lab(tmp_path_factory, patch):
    """Return a laboratory of fakes in which any command runs at once, see `settings_recorder`."""
    from tests.settings_recorder import open_lab  # not above, likewise

    return open_lab(tmp_path_factory.mktemp("shards"), patch)
