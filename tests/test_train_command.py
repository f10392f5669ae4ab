"""`experiments.train` on shards that are not what they seem: nothing is trained, one line says why."""

import sys
from dataclasses import replace
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from synthetic import write_dataset

from data_prep.shards import Shard, write_shard
from experiments import train
from experiments.lab.distributing import shards_run


@pytest.fixture
def shards(tmp_path):
    return write_dataset(tmp_path / "shards", n_train=1)


@pytest.fixture
def call(monkeypatch, capsys):
    """Run the command, which trains nothing; return its exit code, its error and the streams it came to."""

    def call(*arguments):
        trained = []

        def note(system, folder, stream, *rest):
            trained.append(stream)
            return SimpleNamespace(folder="run", metrics={})

        monkeypatch.setattr(shards_run, "run_system", note)
        monkeypatch.setattr(sys, "argv", ["train", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            train.main()
        errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
        return end.value.code, "".join(errors), trained

    return call


def rewrite_as(shards, backbone):
    for path in shards.rglob("*.h5"):
        with Shard(path) as shard:
            features, labels, info = shard.features(), shard.labels, replace(shard.info, backbone=backbone)
        write_shard(path, [features], info, labels)


@pytest.mark.parametrize(("split", "name"), [("train", "features"), ("test", "features"), ("test", "labels")])
def test_other_features_under_the_same_name_are_not_trained_on(split, name, shards, call):
    path = shards / split / "01.h5"
    with h5py.File(path, "r+") as file:
        file[name][...] = np.asarray(file[name])[::-1]
        file[name][0] = 1
    code, error, trained = call(shards, "--stream", "spatial")
    assert (code, trained) == (2, [])
    assert f"{path}: damaged shard, its features and labels do not match their checksum" in error


@pytest.mark.parametrize(
    ("backbone", "flags", "expected", "got"),
    [
        ("thin_resnet50", ["--stream", "flow"], "flow for --stream flow", "appearance"),
        ("thin_resnet50", ["--stream", "spatial", "flow"], "flow for --stream flow", "appearance"),
        ("thin_resnet50-flow", ["--stream", "spatial"], "appearance for --stream spatial", "flow"),
        ("thin_resnet50-flow", [], "appearance for --stream spatial", "flow"),
        ("thin_resnet50-flow_picture", ["--stream", "early"], "appearance for --stream early", "flow"),
        ("flow_windows", ["--stream", "flow"], "flow for --stream flow", "flow windows"),
        (
            "resnet50",
            ["--stream", "flow", "--set=flow_input=windows"],
            "flow windows for --stream flow",
            "appearance",
        ),
    ],
)
def test_a_stream_is_trained_on_its_own_features(backbone, flags, expected, got, shards, call):
    rewrite_as(shards, backbone)
    code, error, trained = call(shards, *flags)
    assert (code, trained) == (2, [])
    assert f"01.h5: expected features of {expected}, got {got}" in error


@pytest.mark.parametrize(
    ("backbone", "flags", "streams"),
    [
        ("thin_resnet50-flow", ["--stream", "flow"], ["flow"]),
        ("thin_resnet50", [], ["spatial", "temporal"]),
        ("thin_resnet50", ["--stream", "early"], ["early"]),
        ("flow_windows", ["--stream", "flow", "--set=flow_input=windows"], ["flow"]),
        ("thin_resnet50", ["--system", "OC-SVM"], ["whole frame"]),
    ],
)
def test_what_fits_is_trained(backbone, flags, streams, shards, call):
    rewrite_as(shards, backbone)
    assert call(shards, "--seed", "4294967295", *flags) == (0, "", streams)


def test_a_seed_that_no_generator_takes_is_refused(shards, call):
    refused = (2, "error: --seed: expected 0 to 2**32 - 1, got 4294967296", [])
    assert call(shards, "--seed", "0", "4294967296") == refused


def test_a_system_with_one_stream_takes_no_other(shards, call):
    code, error, trained = call(shards, "--system", "OC-SVM", "--stream", "spatial")
    assert (code, trained) == (2, [])
    assert "--stream: OC-SVM has one stream, " in error


def test_with_jobs_others_make_the_runs_first(shards, call, monkeypatch):
    """They are given paths that hold wherever a worker is."""
    made = []

    def carry_out(tasks, where, *_):
        made.extend(tasks)
        assert where.jobs == 2
        return []

    monkeypatch.setattr(shards_run, "carry_out", carry_out)
    monkeypatch.chdir(shards.parent)
    code, _, trained = call(shards.name, "--jobs", 2, "--seed", 0, 1, "--out", "out")
    assert (code, trained) == (0, ["spatial", "temporal"] * 2)
    assert [(one.stream, one.seed) for one in made] == [
        (stream, seed) for seed in (0, 1) for stream in ("spatial", "temporal")
    ]
    assert {(one.shards, one.out) for one in made} == {(shards, shards.parent / "out")}


@pytest.mark.parametrize("system", ["unlit pixels", "principal directions"])
def test_what_reads_sequences_alone_is_no_system_of_shards(system, shards, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["train", str(shards), "--system", system])
    with pytest.raises(SystemExit) as end:
        train.main()
    assert end.value.code == 2
    assert f"invalid choice: '{system}'" in capsys.readouterr().err
