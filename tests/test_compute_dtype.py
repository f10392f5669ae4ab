"""The settings of compute dtypes: what they name, where they fall back, and runs that are made with one."""

import hashlib
import json
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from synthetic import write_dataset

from data_prep import processor
from data_prep.errors import InputError
from data_prep.shards import list_shards
from experiments.lab import cli
from experiments.lab.scoring.score import score_clips
from experiments.lab.settings.changes import values
from experiments.lab.settings.schema import LATER, PAPER, config_hash
from experiments.lab.systems.catalogue import run_system
from experiments.lab.training.runs import finished_run
from models.srnn_ae import Streaming

SMALL = PAPER.override(
    n_atoms=8, similarity_units=4, iterations=12, checkpoint_every=4, log_every=2, learning_rate=1e-3,
    tsc_n_atoms=8, tsc_depth=4, tsc_lambda1=0.01, tsc_alternations=2, compute_dtype="bfloat16",
)  # fmt: skip


def test_runs_of_before_keep_their_names():
    """What has no such setting, and what has it at float32, have one hash: that of the plain values."""
    now = {"system": "sRNN-AE", "model": asdict(PAPER.model), "runs": [{"model": asdict(PAPER.model)}]}
    before = json.loads(json.dumps(now))
    for model in (before["model"], before["runs"][0]["model"]):
        assert model.pop("compute_dtype") == "float32"
    plain = hashlib.sha256(json.dumps(before, sort_keys=True).encode()).hexdigest()[:8]
    assert config_hash(now) == config_hash(before) == plain
    now["runs"][0]["model"]["compute_dtype"] = "bfloat16"
    assert config_hash(now) != plain
    assert LATER["compute_dtype"] == "float32"


def given(name, *flags):
    return values(cli.settings(cli.settings_parser("").parse_args([*flags])))[name]


@pytest.mark.parametrize(
    ("name", "dtype"), [("compute_dtype", "bfloat16"), ("feature_compute_dtype", "float16")]
)
@pytest.mark.parametrize(
    ("flags", "accelerator", "used"),
    [("sse2 amx_bf16 avx512_fp16", False, "low"), ("sse2", True, "low"), ("sse2", False, "float32")],
)
def test_where_a_dtype_is_not_fast_float32_is_used_and_told(
    monkeypatch, capsys, flags, accelerator, used, name, dtype
):
    monkeypatch.setattr(processor, "processor_flags", lambda: set(flags.split()))
    monkeypatch.setattr(processor, "on_accelerator", lambda: accelerator)
    assert given(name) == "float32"
    assert given(name, "--set", f"{name}={dtype}") == (dtype if used == "low" else used)
    told = capsys.readouterr().err
    assert told.count("\n") == (used == "float32")
    assert ("float32 is used, and recorded" in told) == (used == "float32")
    assert told.startswith(f"{name} {dtype}: " if used == "float32" else "")


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("shards"))


@pytest.fixture(scope="module", params=["sRNN-AE", "TSC"])
def run(shards, request, tmp_path_factory):
    return run_system(request.param, shards, "spatial", SMALL, 0, tmp_path_factory.mktemp("out"))


def test_a_run_is_loaded_and_scores_the_same(run, shards):
    assert run.config["model"]["compute_dtype"] == "bfloat16"
    assert "| `compute_dtype` | bfloat16 |" in (run.folder / "model_card.md").read_text()
    model = run.model()
    assert model.srnn.options.compute_dtype == "bfloat16"
    assert {weight.dtype for weight in model.weights} == {"float32"}
    again = score_clips(Streaming(model), list_shards(shards, "test"), "spatial")
    for kept, ours in zip(run.scores(), again, strict=True):
        np.testing.assert_array_equal(kept.error, ours.error)


def test_a_run_scored_as_before_is_refused(run, tmp_path):
    folder = Path(shutil.copytree(run.folder, tmp_path / "run"))
    assert finished_run(folder).config["products"] == "A^T and A in turn where N > C"
    config = json.loads((folder / "config.json").read_text())
    del config["products"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="run: scored in bfloat16 as it was done before"):
        finished_run(folder)


def test_a_run_has_other_numbers_than_float32_and_nearly_the_same(run, shards, tmp_path):
    plain = run_system(
        run.config["system"], shards, "spatial", SMALL.override(compute_dtype="float32"), 0, tmp_path
    )
    assert plain.folder.name != run.folder.name
    ours, theirs = (np.concatenate([clip.error for clip in one.scores()]) for one in (run, plain))
    assert (ours != theirs).any()
    np.testing.assert_allclose(ours, theirs, rtol=0.05, atol=0.01 * theirs.max())
