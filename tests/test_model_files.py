"""A saved model that was damaged or edited is one line, and no gigabytes are taken for what it promises."""

import io
import json
import os
import re
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from data_prep import memory
from data_prep.errors import InputError
from experiments.lab.training.model_files import read_model
from models.srnn_ae import SRNNAE

N_FEATURES = 12


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    model = SRNNAE(N_FEATURES, n_atoms=6, depth=2)
    model.compile(optimizer="rmsprop", jit_compile=False)
    model.fit(np.ones((2, 3, N_FEATURES), np.float32), verbose=0)
    path = tmp_path_factory.mktemp("saved") / "last.keras"
    model.save(path)
    return path


def edited(saved, tmp_path, name, change):
    """Return a copy of an archive in which the bytes of one member are changed."""
    path = tmp_path / "last.keras"
    with zipfile.ZipFile(saved) as archive, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as copy:
        for member in archive.namelist():
            content = archive.read(member)
            copy.writestr(member, change(content) if member == name else content)
    return path


def with_config(**changes):
    def change(content):
        config = json.loads(content)
        config["config"].update(changes)
        return json.dumps(config).encode()

    return change


def with_array(name, **declared):
    def change(content):
        file = io.BytesIO(content)
        with h5py.File(file, "r+") as weights:
            del weights[name]
            weights.create_dataset(name, **declared)
        return file.getvalue()

    return change


def refusal(path):
    with pytest.raises(InputError) as caught:
        read_model(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_whole_model_comes_back(saved):
    x = np.random.default_rng(0).normal(size=(2, 3, N_FEATURES)).astype(np.float32)
    one, other = read_model(saved), keras.saving.load_model(saved)
    np.testing.assert_array_equal(one(x)["codes"], other(x)["codes"])
    assert one.optimizer.iterations == 1


def peak() -> int:
    """The most memory that this process has held, KiB."""
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])


def peak_from_now() -> int:
    """The memory that this process holds, KiB, with which its peak begins anew."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak()


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="the peak is reset in /proc")
def test_a_model_that_declares_gigabytes_takes_none(saved, tmp_path):
    before = peak_from_now()
    path = edited(saved, tmp_path, "config.json", with_config(n_atoms=10**6))
    assert "damaged model, it declares 25,0" in refusal(path)
    path = edited(saved, tmp_path, "config.json", with_config(n_features=10**9))
    assert "damaged model, it declares 524,000,000,521 weights" in refusal(path)
    with keras.StatelessScope():
        pass  # at its end Keras makes every weight that waits to be made
    assert peak() - before < 2**16  # KiB


def test_weights_that_were_never_written_are_refused(saved, tmp_path):
    change = with_array("vars/0", shape=(10**9, 6), dtype=np.float32)
    path = edited(saved, tmp_path, "model.weights.h5", change)
    assert "/vars/0 declares 24,000,000,000 bytes and has 0" in refusal(path)


def test_an_archive_that_unpacks_to_more_than_the_machine_has_is_refused(saved, tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "machine_bytes", lambda: 10**7)
    read_model(saved)
    path = edited(saved, tmp_path, "metadata.json", lambda content: bytes(10**7))
    assert "asks for 0.0 GB of memory" in refusal(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda content: b"[]",
        lambda content: b"{",
        lambda content: b"[" * 10**5,
        lambda content: content.replace(b"SRNNAE", b"Unknown"),
        with_config(n_atoms="six"),
        with_config(n_atoms=-1),
        with_config(depth=[2]),
        with_config(unknown=1),
    ],
)
def test_an_edited_configuration_is_one_line(saved, tmp_path, change):
    assert "damaged model, " in refusal(edited(saved, tmp_path, "config.json", change))


def test_what_is_no_archive_is_one_line(saved, tmp_path):
    path = tmp_path / "last.keras"
    for content in (b"", b"PK\x03\x04", saved.read_bytes()[:-30]):
        path.write_bytes(content)
        refusal(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
    refusal(path)
