"""The models on Keras' JAX backend: a run trained by TensorFlow scores alike, and training works there."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from synthetic import write_dataset

from experiments.lab.scoring.score_files import load_scores
from experiments.lab.settings.profiles import PROFILES
from experiments.lab.systems.catalogue import run_system

TINY = {
    "n_atoms": 8, "similarity_units": 8, "iterations": 40, "checkpoint_every": 20, "log_every": 10,
    "learning_rate": 1e-2, "window_frames": 5, "tsc_n_atoms": 8, "tsc_depth": 5, "tsc_alternations": 2,
    "lstm_units": 8,
}  # fmt: skip
SYSTEMS = ("sRNN-AE", "TSC", "LSTM-AE")
ON_JAX = """
import json, sys
sys.modules["tensorflow"] = None  # as on a machine without it: importing it fails
from pathlib import Path
import keras
from experiments.lab.training.runs import Run
from experiments.lab.scoring.score import score_clips
from experiments.lab.scoring.score_files import save_scores
from experiments.lab.settings.profiles import PROFILES
from experiments.lab.systems.catalogue import run_system
from data_prep.shards import list_shards
from models.srnn_ae import Streaming

assert keras.backend.backend() == "jax"
shards, out, folders = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
settings = PROFILES["smoke"].override(**json.loads(sys.argv[4]))
for system, folder in folders.items():
    if system != "LSTM-AE":
        scored = score_clips(Streaming(Run(Path(folder)).model()), list_shards(shards, "test"), "spatial")
        save_scores(out / f"{system}.npz", scored)
import numpy as np
from models.srnn_ae import SRNNAE

model = SRNNAE(6, n_atoms=10, similarity_units=4, compute_dtype="bfloat16")  # N > C: A^T and A in turn
x = np.random.default_rng(0).uniform(0, 1, (5, 1, 6)).astype("float32")
error = np.square(x - np.asarray(model(x)["reconstruction"])).sum(-1)
live = Streaming(model, frame_by_frame=True)
np.testing.assert_allclose(live.step(x, live.initial_state(5))[0]["error"], error, rtol=2e-3)
trained = {system: str(run_system(system, shards, "spatial", settings, 0, out).folder) for system in folders}
print(json.dumps(trained))
"""


@pytest.fixture(scope="module")
def on_jax(tmp_path_factory):
    """Return runs trained here, by TensorFlow, the output folder of a process on JAX, and its runs."""
    root = tmp_path_factory.mktemp("jax")
    shards, settings = write_dataset(root / "shards"), PROFILES["smoke"].override(**TINY)
    runs = {system: run_system(system, shards, "spatial", settings, 0, root / "tf") for system in SYSTEMS}
    folders = json.dumps({system: str(run.folder) for system, run in runs.items()})
    done = subprocess.run(
        [sys.executable, "-c", ON_JAX, str(shards), str(root / "jax"), folders, json.dumps(TINY)],
        env={**os.environ, "KERAS_BACKEND": "jax", "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "no graph in TensorBoard: Keras runs on jax" in done.stderr
    return runs, root / "jax", json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("system", ["sRNN-AE", "TSC"])
def test_a_run_scores_alike_on_both_backends(on_jax, system):
    runs, out, _ = on_jax
    for ours, theirs in zip(runs[system].scores(), load_scores(out / f"{system}.npz"), strict=True):
        assert ours.clip == theirs.clip
        for name in ("error", "similarity", "code_distance"):
            np.testing.assert_allclose(
                getattr(theirs, name), getattr(ours, name), rtol=1e-3, atol=1e-4, err_msg=name
            )


@pytest.mark.parametrize("system", SYSTEMS)
def test_training_on_jax_lowers_the_loss_and_says_where_it_ran(on_jax, system):
    folder = Path(on_jax[2][system])
    history = json.loads((folder / "history.json").read_text())
    key = "loss" if "loss" in history[0] else "objective"
    assert history[-1][key] < history[0][key]
    versions = json.loads((folder / "config.json").read_text())["versions"]
    assert versions["backend"] == "jax"
    assert {"jax", "device"} <= set(versions)
    assert "tensorflow" not in versions
    ours = on_jax[0][system].config["versions"]
    assert ours["backend"] == keras.backend.backend() == "tensorflow"
