"""A run's files as somebody damaged or edited them: whatever reads them says one line that names the file."""

import io
import json
import shutil
import zipfile

import numpy as np
import pytest
from synthetic import write_dataset

from data_prep.errors import InputError
from data_prep.json_files import Maybe, check_shape, read_json
from experiments.lab.scoring.geometry import geometry_of
from experiments.lab.settings.schema import PAPER
from experiments.lab.systems.catalogue import run_system
from experiments.lab.training.model_card import write_model_card
from experiments.lab.training.runs import Run, finished_run

SMALL = PAPER.override(n_subspace_atoms=3)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The shards and the folder of a run that takes no time."""
    shards, out = write_dataset(tmp_path_factory.mktemp("shards")), tmp_path_factory.mktemp("out")
    return shards, run_system("Nearest Subspace", shards, "whole frame", SMALL, 0, out).folder


@pytest.fixture
def folder(made, tmp_path):
    return shutil.copytree(made[1], tmp_path / "run")


def edit(**changes):
    """Return what changes keys of a JSON object; ... removes one, a function changes its value."""

    def damage(path):
        content = json.loads(path.read_text())
        for key, change in changes.items():
            content[key] = change(content.get(key)) if callable(change) else change
        path.write_text(json.dumps({key: value for key, value in content.items() if value is not ...}))

    return damage


def edit_rows(**changes):
    def damage(path):
        rows = [row | changes for row in json.loads(path.read_text())]
        path.write_text(json.dumps([{k: v for k, v in row.items() if v is not ...} for row in rows]))

    return damage


def text(content):
    return lambda path: path.write_bytes(content if isinstance(content, bytes) else content.encode())


def as_folder(path):
    path.unlink()
    path.mkdir()


def without(key):
    return lambda value: {name: item for name, item in value.items() if name != key}


def with_item(**items):
    return lambda value: {**(value or {}), **items}


CONFIG = [
    edit(system=...),
    edit(system="no such system"),
    edit(system=["TSC"]),
    edit(dataset=None),
    edit(stream=3),
    edit(seed="0"),
    edit(seed=True),
    edit(seed=0.5),
    edit(backbone=...),
    edit(features=[]),
    edit(features={}),
    edit(features=without("layer")),
    edit(features=with_item(input_size_px="32")),
    edit(features=with_item(weights_sha256=None)),
    edit(commit=...),
    edit(commit=7),
    edit(versions=...),
    edit(versions=[]),
    edit(versions=with_item(keras=3)),
    edit(earlier={}),
    edit(earlier=[3]),
    edit(earlier=[{"commit": "a"}]),
    edit(train=[]),
    edit(train={}),
    edit(train={"iterations": "many"}),
    edit(sampling=3),
    edit(ahead_frames="one"),
    edit(cells={"rows": 3}),
    edit(cells={"rows": 3, "columns": 2, "cell_height_px": 1.0, "cell_width_px": 1.0, "depth": 3}),
]
METRICS = [
    edit(steps=...),
    edit(steps=1.5),
    edit(steps=True),
    edit(steps=-1),
    edit(steps="1"),
    edit(training_seconds=None),
    edit(loss=[]),
    text('{"steps": 1, "training_seconds": Infinity}'),
    text('{"steps": 1, "training_seconds": 1e999}'),
]
HISTORY = [
    edit_rows(step=...),
    edit_rows(step="1"),
    edit_rows(step=0),
    edit_rows(step=True),
    edit_rows(seconds=...),
    edit_rows(seconds=None),
    edit_rows(loss={}),
    text("[]"),
    text("[3]"),
    text("{}"),
]
ANY_JSON = [
    text(""),
    text("{"),
    text(b"\xff\xfe"),
    text("null"),
    text("[" * 100_000),
    text("{}"),
    text('"a"'),
    as_folder,
]
JSON = [
    *(("config.json", damage) for damage in [*ANY_JSON, *CONFIG]),
    *(("metrics.json", damage) for damage in [*ANY_JSON, *METRICS]),
    *(("history.json", damage) for damage in [*ANY_JSON, *HISTORY]),
]


def read_all(folder):
    """Read a run as the commands do."""
    run = finished_run(folder)
    run.train_errors(), run.history, run.metrics, run.ahead_frames
    write_model_card(folder)


def assert_refused(folder, name):
    with pytest.raises(InputError) as told:
        read_all(folder)
    assert str(told.value).startswith(f"{folder / name}: ")
    assert "\n" not in str(told.value)
    assert len(str(told.value)) < 500 + len(str(folder))


def test_a_whole_run_is_read(folder):
    read_all(folder)


@pytest.mark.parametrize(("name", "damage"), JSON, ids=[f"{n}-{i}" for i, (n, _) in enumerate(JSON)])
def test_an_edited_json_file_is_one_line(name, damage, folder):
    damage(folder / name)
    assert_refused(folder, name)


def arrays_with(**changes):
    """Return what changes arrays of an .npz file; None removes one."""

    def damage(path):
        with np.load(path) as stored:
            arrays = {**stored, **{k: v(stored[k]) if callable(v) else v for k, v in changes.items()}}
        np.savez(path, **{name: array for name, array in arrays.items() if array is not None})

    return damage


def with_member(name, content):
    def damage(path):
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(name, content)

    return damage


def header_of(shape):
    """The bytes of a .npy file that declares a shape and holds nothing."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return file.getvalue()


def declare(shape):
    def damage(path):
        with np.load(path) as stored:
            arrays = {name: stored[name] for name in stored.files if name != "error"}
        np.savez(path, **arrays)
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("error.npy", header_of(shape))

    return damage


ARRAYS = [
    text(""),
    text(b"PK\x03\x04"),
    as_folder,
    arrays_with(error=None),
    arrays_with(labels=None),
    arrays_with(clips=None),
    arrays_with(n_frames=None),
    arrays_with(error=lambda x: x[:-1]),
    arrays_with(error=lambda x: x[:, 0]),
    arrays_with(error=lambda x: x.astype(int)),
    arrays_with(error=lambda x: x * np.nan),
    arrays_with(error=lambda x: x.astype(object).astype("S8")),
    arrays_with(labels=lambda x: x + 2),
    arrays_with(labels=lambda x: x.astype(float)),
    arrays_with(labels=lambda x: x[None]),
    arrays_with(clips=lambda x: np.arange(len(x))),
    arrays_with(clips=lambda x: x[:1].repeat(len(x))),
    arrays_with(n_frames=lambda x: x + 1),
    arrays_with(n_frames=lambda x: x * 0),
    arrays_with(n_frames=lambda x: x.astype(float)),
    arrays_with(n_frames=lambda x: -x),
    declare((10**9, 21)),
    declare((10**12, 10**12)),
    with_member("codes.npy", b"no array"),
]


@pytest.mark.parametrize("name", ["scores/step_000001.npz", "train_errors.npz"])
@pytest.mark.parametrize("damage", ARRAYS)
def test_edited_scores_are_one_line(damage, name, folder):
    damage(folder / name)
    assert_refused(folder, name)


def test_files_beside_the_scores_are_left_alone(folder):
    for name in ("step_x.npz", "step_000001 (copy).npz", "notes.txt", ".step_000009.npz", "step_9.npz"):
        (folder / "scores" / name).write_text("the user's own")
    assert Run(folder).steps == [1]
    read_all(folder)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"features": with_item(layer="conv9")}, "features of layer 'conv9'"),
        ({"features": with_item(input_size_px=0)}, "0 px: expected those of a network"),
        ({"features": with_item(input_size_px=10**9)}, "1000000000 px: expected those of a network"),
        (
            {"cells": {"rows": 3, "columns": 2, "cell_height_px": 1, "cell_width_px": 1.0}},
            "errors of 2 cells, expected those of",
        ),
        ({}, "regions: expected those of a pyramid"),
    ],
)
def test_regions_that_no_network_has_say_nothing_about_where(changes, told, folder):
    edit(**changes)(folder / "config.json")
    arrays_with(error=lambda x: x[:, :1].repeat(2, 1))(folder / "scores" / "step_000001.npz")
    with pytest.raises(InputError, match=told):
        geometry_of({"whole frame": Run(folder)}, None)


def test_shapes_say_what_they_expect():
    shape = {"a": int, "b": Maybe([{"c": (float, str)}]), "d": {str: str}}
    check_shape({"a": 1, "d": {}}, shape)
    check_shape({"a": 1, "b": [{"c": 1}, {"c": "x"}], "d": {"e": "f"}}, shape)
    for content, fault in [
        ({"d": {}}, "expected a, int, got none"),
        ({"a": 1.0, "d": {}}, "expected a as int, got 1.0"),
        ({"a": False, "d": {}}, "expected a as int, got False"),
        ({"a": 1, "d": {"e": 3}}, r"expected d\.e as str, got 3"),
        ({"a": 1, "b": [{"c": 1}, {}], "d": {}}, r"expected b\[1\]\.c, a finite number or str, got none"),
        ({"a": 1, "d": {}, "z": 0}, "expected no z, got 0"),
        ([], r"expected it as dict, got \[\]"),
        ({"a": "x" * 1000, "d": {}}, r"got 'x{76}\.\.\.$"),
    ]:
        with pytest.raises(ValueError, match=fault):
            check_shape(content, shape)


def test_a_number_is_finite(tmp_path):
    for content in ("NaN", "1e999", "-Infinity", "1" + "0" * 400):
        (tmp_path / "a.json").write_text(content)
        with pytest.raises(InputError, match=r"a\.json: damaged, expected .*; try again"):
            read_json(tmp_path / "a.json", float, "try again")
