"""How Keras and TensorFlow start: the user's keras.json changes nothing, their greetings are not shown."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from data_prep import extract_features
from data_prep.libraries import LOG_LEVEL
from data_prep.shards import Shard
from tests.test_cli import ROOT
from tests.test_corrupt_inputs import make_walkway

HOSTILE = {
    "floatx": "float64", "epsilon": 1e-3, "backend": "torch", "image_data_format": "channels_first"
}  # fmt: skip
GREETINGS = """WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
I0000 00:00:1795872185.226298   14038 port.cc:153] oneDNN custom operations are on.
W0000 00:00:1795872185.226298   14038 gpu_device.cc:2342] Cannot dlopen some GPU libraries.
2026-11-28 13:00:00.000000: I tensorflow/core/util/port.cc:153] oneDNN custom operations are on.
To enable the following instructions: AVX2 AVX512F FMA, in other operations, rebuild TensorFlow.
E0000 00:00:1795872153.306099   13441 cuda_platform.cc:52] failed call to cuInit: INTERNAL: CUDA error: (303)
E0000 00:00:1795872153.306099   13441 cuda_fft.cc:477] Unable to register cuFFT factory: there is one
"""
FAULTS = """E0000 00:00:1795872153.306099   13441 cuda_platform.cc:52] cuInit: CUDA_ERROR_UNKNOWN
F0000 00:00:1795872153.306099   13441 cpu_feature_guard.cc:1] This machine has no AVX
Traceback (most recent call last):
not UTF-8: \\xff
"""


@pytest.fixture
def environment(tmp_path):
    """A user's environment whose keras.json is another, and in which nothing was set for TensorFlow."""
    (tmp_path / ".keras").mkdir()
    (tmp_path / ".keras/keras.json").write_text(json.dumps(HOSTILE))
    without = (LOG_LEVEL, "KERAS_HOME", "KERAS_BACKEND")
    return {name: value for name, value in os.environ.items() if name not in without} | {
        "HOME": str(tmp_path)
    }


def python(environment, *arguments):
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True)


def test_greetings_are_not_shown_and_all_else_is_before_a_crash_too(environment):
    said = f"""
import os
from data_prep.libraries import without_greetings
with without_greetings():
    os.write(2, {(GREETINGS + FAULTS).encode("latin-1")!r}.replace(rb"\\xff", b"\\xff"))
os.write(2, b"I0000 00:00: later\\n")
with without_greetings():
    os.write(2, b"the last\\n")
    os.abort()
"""
    done = python(environment, "-c", said)
    assert done.returncode < 0
    passed = FAULTS.encode().replace(rb"\xff", b"\xff")
    assert done.stderr == passed + b"I0000 00:00: later\nthe last\n"


def test_a_command_shows_its_own_lines_alone_and_computes_the_same_under_another_keras_json(
    environment, tmp_path
):
    make_walkway(tmp_path / "data")
    arguments = ["--data", str(tmp_path / "data"), "--backbone", "thin_resnet50", "--input-size", "32"]
    done = python(
        environment, "-m", "data_prep.extract_features", *arguments, "--out", str(tmp_path / "theirs")
    )
    assert done.returncode == 0, done.stderr
    lines = re.split(r"[\r\n]+", done.stderr.decode())
    assert [line for line in lines if line and "frame/s]" not in line] == []
    assert extract_features.main([*arguments, "--out", str(tmp_path / "ours")]) == 0
    ours, theirs = (sorted((tmp_path / name).rglob("*.h5")) for name in ("ours", "theirs"))
    assert ours
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        with Shard(one) as expected, Shard(other) as got:
            np.testing.assert_array_equal(got.features(), expected.features())
