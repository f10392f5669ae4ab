"""Where the real data is, when it is there at all."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

REAL_DATA = Path(os.environ.get("SRNN_AE_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of real datasets (SRNN_AE_DATA, else ../shared/data), or skip the test."""
    if not (REAL_DATA / "ped2").is_dir():
        pytest.skip(f"no real data in {REAL_DATA}")
    return REAL_DATA
