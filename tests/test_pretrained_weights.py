"""Weights read from every format, downloaded from every source; what is used in their place; bad files."""

import io
import json
import os
import re
import socket
import tarfile
from dataclasses import replace
from pathlib import Path

import h5py
import keras
import numpy as np
import onnx
import pytest

from data_prep import extract_features, hdf5, pretrained_weights
from data_prep.backbones import load_backbone
from data_prep.downloads import TIMEOUT_SECONDS
from data_prep.errors import InputError
from data_prep.pretrained_weights import sha256_of
from tests.networks import assert_same_map, expected_map, first_convolution, random_frames, random_resnet50
from tests.test_corrupt_inputs import make_walkway


@pytest.fixture(scope="module")
def network():
    return random_resnet50()


def test_resnet152_has_the_convolutions_of_keras_applications(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr(keras.Model, "load_weights", lambda *_: None)
    monkeypatch.setattr(pretrained_weights, "check_weights", lambda *_: None)
    convolutions = pretrained_weights.read_convolutions("resnet152", tmp_path / "file")
    assert len(convolutions) == 151 + 4
    assert convolutions[-1][0].shape == (1, 1, 512, 2048)


def tensorflow_js_files(network, epsilon):
    """A Keras ResNet-50 as a TensorFlow.js layers model of Keras 2.2: file name -> bytes."""

    def old_name(name):
        if name.startswith("conv1_"):
            return {"conv1_conv": "conv1", "conv1_bn": "bn_conv1"}[name]
        stage, block, index, kind = re.fullmatch(r"conv(.)_block(.)_(.)_(conv|bn)", name).groups()
        branch = {"0": "1", "1": "2a", "2": "2b", "3": "2c"}[index]
        return f"{'res' if kind == 'conv' else 'bn'}{stage}{' abcdef'[int(block)]}_branch{branch}"

    arrays, weights, topology = [], [], []
    # Not in the network's order: the names alone tell which is which.
    for layer in reversed([layer for layer in network.layers if layer.weights]):
        convolution = isinstance(layer, keras.layers.Conv2D)
        parts = ("kernel", "bias") if convolution else ("gamma", "beta", "moving_mean", "moving_variance")
        for part, array in zip(parts, layer.get_weights(), strict=True):
            name = f"{old_name(layer.name)}/{part}"
            weights.append({"name": name, "shape": list(array.shape), "dtype": "float32"})
            arrays.append(array.astype("<f4").tobytes())
        config = {"name": old_name(layer.name)} | ({} if convolution else {"epsilon": epsilon})
        topology.append({"class_name": type(layer).__name__, "config": config})
    content = b"".join(arrays)
    half = len(content) // 2 + 1  # in the middle of a number
    model = {
        "weightsManifest": [{"paths": ["shard1.bin", "shard2.bin"], "weights": weights}],
        "modelTopology": {"model_config": {"config": {"layers": topology}}},
    }
    shards = {"shard1.bin": content[:half], "shard2.bin": content[half:]}
    return {"model.json": json.dumps(model).encode(), **shards}


def write_archive(path, files):
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"package/ResNet50/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def test_tensorflow_js_weights_equal_keras_applications(network, tmp_path):
    other = keras.applications.ResNet50(include_top=False, weights=None)
    other.set_weights(network.get_weights())
    for layer in other.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.epsilon = 0.25  # so large that it would show if it were not read from the file
    path = write_archive(tmp_path / "model.tgz", tensorflow_js_files(other, 0.25))
    backbone = load_backbone("resnet50", path, input_size_px=65)
    frames = random_frames(2, 65)
    expected = expected_map(other, frames, "conv5_block3_out")
    assert_same_map(backbone.model.predict_on_batch(frames), expected)
    assert (backbone.name, backbone.fallback_reason) == ("resnet50", "")


def test_tensorflow_js_archive_that_does_not_match_is_refused(network, tmp_path):
    files = tensorflow_js_files(network, 1e-3)
    whole = write_archive(tmp_path / "whole.tgz", files)
    bad = {
        "missing.tgz": {name: files[name] for name in ("model.json", "shard1.bin")},
        "short.tgz": files | {"shard2.bin": files["shard2.bin"][:-4]},
        "other.tgz": {"package.json": b"{}"},
        "list.tgz": {"model.json": b"[]"},
    }
    paths = [write_archive(tmp_path / name, content) for name, content in bad.items()]
    (tmp_path / "truncated.tgz").write_bytes(whole.read_bytes()[:-50_000_000])
    for path in [*paths, tmp_path / "truncated.tgz"]:
        with pytest.raises(InputError, match=f"^{path}: not a TensorFlow.js model of resnet50 ") as caught:
            load_backbone("resnet50", path)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=r"not a TensorFlow\.js model of resnet152"):
        load_backbone("resnet152", whole)


@pytest.fixture
def no_network(monkeypatch, tmp_path):
    """A download that fails, and nothing in the cache; lists the time limits that it ran under."""
    timeouts = []
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "cache"))

    def get_file(*_, **__):
        timeouts.append(socket.getdefaulttimeout())
        print("Downloading data from https://host/file")
        raise Exception("URL fetch failure on https://host/file: None --\n[Errno -2] Name not known")

    monkeypatch.setattr(keras.utils, "get_file", get_file)
    pretrained_weights.download.cache_clear()
    yield timeouts
    pretrained_weights.download.cache_clear()


def test_failed_download_of_a_flow_network_is_as_loud(no_network, capfd):
    backbone = load_backbone("resnet50", input_size_px=32, layer="conv2", flow="stack")
    assert (backbone.name, backbone.requested) == ("thin_resnet50-flow", "resnet50-flow")
    assert backbone.fallback_reason.startswith("no ImageNet weights")
    assert "using thin_resnet50 in its place" in capfd.readouterr().err


@pytest.mark.parametrize("name", ["resnet50", "resnet152"])
def test_failed_download_falls_back_loudly_and_is_remembered(no_network, capfd, name):
    backbone = load_backbone(name, input_size_px=64)
    assert (backbone.name, backbone.requested) == ("thin_resnet50", name)
    expected = "no ImageNet weights (keras.applications: URL fetch failure on https://host/file"
    assert backbone.fallback_reason.startswith(expected)
    assert "\n" not in backbone.fallback_reason
    (warning,) = capfd.readouterr().err.splitlines()
    assert warning.startswith(f"WARNING: {name}: no ImageNet weights")
    assert warning.endswith("using thin_resnet50 in its place")
    load_backbone(name, input_size_px=64)
    n_sources = len(pretrained_weights.SOURCES[name])
    assert no_network == [TIMEOUT_SECONDS] * n_sources
    assert socket.getdefaulttimeout() is None


@pytest.fixture
def served(monkeypatch, tmp_path):
    """A stand-in for the network: file name -> content to serve, else it fails; lists what was asked."""
    content, asked = {}, []

    def get_file(fname, origin, file_hash, hash_algorithm, cache_subdir, cache_dir):
        asked.append((origin, file_hash))
        assert hash_algorithm == "sha256"
        target = Path(cache_dir) / cache_subdir / fname
        name = origin.rsplit("/", 1)[1]
        assert not (target.parent / name).exists(), "half a file under its own name"
        if name not in content:
            raise Exception(f"URL fetch failure on {origin}")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content[name])
        return str(target)

    monkeypatch.setattr(keras.utils, "get_file", get_file)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "cache"))
    pretrained_weights.download.cache_clear()
    yield content, asked
    pretrained_weights.download.cache_clear()


def test_downloaded_file_is_used(network, served, tmp_path):
    network.save(tmp_path / "legacy.h5")  # the format of the files that Keras serves
    first = pretrained_weights.SOURCES["resnet50"][0]
    served[0][Path(first.url).name] = (tmp_path / "legacy.h5").read_bytes()
    backbone = load_backbone("resnet50", input_size_px=32, layer="conv2")
    assert (backbone.name, backbone.fallback_reason, backbone.channels) == ("resnet50", "", 256)
    frames = random_frames(1, 32)
    expected = expected_map(network, frames, "conv2_block3_out")
    assert_same_map(backbone.model.predict_on_batch(frames), expected)
    assert served[1] == [(first.url, first.sha256)]


def test_weights_of_the_second_source_are_named(network, served, tmp_path, capfd):
    first, second = pretrained_weights.SOURCES["resnet50"]
    archive = write_archive(tmp_path / "model.tgz", tensorflow_js_files(network, 1.001e-5))
    served[0][Path(second.url).name] = archive.read_bytes()
    backbone = load_backbone("resnet50", input_size_px=32, layer="conv2")
    assert (backbone.name, backbone.requested, backbone.channels) == ("resnet50", "resnet50", 256)
    reason = f"weights of {second.title} (keras.applications: URL fetch failure on {first.url})"
    assert backbone.fallback_reason == reason
    assert f"WARNING: resnet50: {reason}" in capfd.readouterr().err
    from_file = load_backbone("resnet50", archive, input_size_px=32, layer="conv2")
    for ours, theirs in zip(first_convolution(backbone), first_convolution(from_file), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    # Downloaded once, under its own name.
    assert [path.name for path in (tmp_path / "cache" / "models").iterdir()] == [Path(second.url).name]
    assert served[1] == [(source.url, source.sha256) for source in (first, second)]


def test_what_is_in_the_cache_is_taken_before_the_network_is_asked(network, served, tmp_path, monkeypatch):
    first, second = pretrained_weights.SOURCES["resnet50"]
    (tmp_path / "cache" / "models").mkdir(parents=True)
    archive = tmp_path / "cache" / "models" / Path(second.url).name
    write_archive(archive, tensorflow_js_files(network, 1e-3))
    network.save(tmp_path / "legacy.h5")
    served[0][Path(first.url).name] = (tmp_path / "legacy.h5").read_bytes()
    files = {first: tmp_path / "legacy.h5", second: archive}
    sources = tuple(replace(source, sha256=sha256_of(path)) for source, path in files.items())
    monkeypatch.setitem(pretrained_weights.SOURCES, "resnet50", sources)
    path, reason = pretrained_weights.download("resnet50")
    assert (path, reason) == (archive, f"weights of {second.title} (in the cache)")
    assert served[1] == []
    # Where both are there, the first is.
    (tmp_path / "legacy.h5").rename(archive.with_name(Path(first.url).name))
    pretrained_weights.download.cache_clear()
    assert pretrained_weights.download("resnet50") == (archive.with_name(Path(first.url).name), "")


@pytest.mark.parametrize("fault", ["another hash", "interrupted"])
def test_a_failed_download_leaves_nothing(tmp_path, monkeypatch, fault):
    """Keras itself downloads; what the address serves is a file of this machine with other content."""
    models = tmp_path / "cache" / "models"
    models.mkdir(parents=True)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "cache"))
    (tmp_path / "weights.h5").write_bytes(b"other weights")
    source = pretrained_weights.Source("here", f"file://{tmp_path}/weights.h5", "ab" * 32)
    killed, recent = models / "123-weights.h5", models / "124-weights.h5"
    for path in (killed, recent, models / "mine-weights.h5"):
        path.write_bytes(b"half of the weights")
    os.utime(killed, (0, 0))
    if fault == "interrupted":
        monkeypatch.setattr(keras.utils, "get_file", interrupted)
    with pytest.raises(KeyboardInterrupt if fault == "interrupted" else ValueError):
        pretrained_weights._fetch(source)
    assert {path.name for path in models.iterdir()} == {"124-weights.h5", "mine-weights.h5"}
    right = replace(source, sha256=sha256_of(tmp_path / "weights.h5"))
    monkeypatch.undo()
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "cache"))
    assert pretrained_weights._fetch(right).read_bytes() == b"other weights"


def interrupted(name, *_, cache_dir, cache_subdir, **__):
    (Path(cache_dir) / cache_subdir / name).write_bytes(b"half of the weights")
    raise KeyboardInterrupt


@pytest.mark.parametrize("name", ["resnet50", "thin_resnet50"])
def test_weights_file_that_does_not_match_is_refused(name, tmp_path, no_network):
    missing = tmp_path / "missing.weights.h5"
    with pytest.raises(InputError, match=f"^{missing}: "):
        load_backbone(name, missing)
    for suffix in (".weights.h5", ".h5", ".txt"):
        garbage = tmp_path / f"garbage{suffix}"
        garbage.write_bytes(b"not weights" * 100)
        with pytest.raises(InputError, match=f"^{garbage}: not ") as caught:
            load_backbone(name, garbage)
        assert "\n" not in str(caught.value)
    assert no_network == []


def test_weights_that_hdf5_reads_without_an_end_are_refused(tmp_path, monkeypatch, capfd):
    """HDF5 goes through a heap object by object, and never gets past one that declares no size."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.attrs["backend"] = "tensorflow"
    content = bytearray(path.read_bytes())
    place = content.index(b"GCOL") + 16
    while int.from_bytes(content[place : place + 2], "little"):  # an object's number, 0 for what is free
        place += 16 + -(-int.from_bytes(content[place + 8 : place + 16], "little") // 8) * 8
    content[place + 8 : place + 16] = bytes(8)
    path.write_bytes(content)
    monkeypatch.setattr(hdf5, "READ_SECONDS", 2)
    make_walkway(tmp_path / "data")
    folders = ["--data", str(tmp_path / "data"), "--out", str(tmp_path / "out")]
    assert extract_features.main([*folders, "--weights", str(path)]) == 2
    assert capfd.readouterr().err == f"error: {path}: damaged, reading it does not end\n"


@pytest.mark.parametrize("suffix", [".weights.h5", ".h5"])
def test_weights_of_another_network_are_refused(tmp_path, suffix):
    other = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3), keras.layers.Conv2D(4, 3)])
    path = tmp_path / f"other{suffix}"
    other.save(path) if suffix == ".h5" else other.save_weights(path)
    with pytest.raises(InputError, match=f"^{path}: not weights of resnet50"):
        load_backbone("resnet50", path)


def onnx_with(kernel_of, path):
    """Write an ONNX file with the thin network's number of convolutions, each with this kernel."""
    tensors, nodes = [], []
    for number in range(53):
        tensors += [
            kernel_of(f"w{number}"),
            onnx.numpy_helper.from_array(np.zeros(4, np.float32), f"b{number}"),
        ]
        nodes.append(onnx.helper.make_node("Conv", ["x", f"w{number}", f"b{number}"], ["x"]))
    path.write_bytes(
        onnx.helper.make_model(onnx.helper.make_graph(nodes, "g", [], [], tensors)).SerializeToString()
    )
    return path


def declared(name):
    return onnx.TensorProto(name=name, data_type=1, dims=[10**9, 10**3, 3, 3], raw_data=bytes(16))


def outside(name):
    entry = onnx.StringStringEntryProto(key="location", value="/etc/hostname")
    return onnx.TensorProto(name=name, data_type=1, dims=[2], data_location=1, external_data=[entry])


@pytest.mark.parametrize(
    ("kernel_of", "message"),
    [
        (declared, "not a readable ONNX file"),
        (outside, "not a readable ONNX file"),
        (lambda name: onnx.numpy_helper.from_array(np.zeros(3, np.float32), name), "not thin_resnet50"),
        (lambda name: onnx.numpy_helper.from_array(np.zeros(3, np.float32), "x" + name), "not thin_resnet50"),
        (
            lambda name: onnx.numpy_helper.from_array(np.zeros((4, 3, 7, 7), np.float32), name),
            "expected a kernel",
        ),
    ],
    ids=["gigabytes", "a file elsewhere", "a vector", "no such kernel", "other kernels"],
)
def test_onnx_kernels_that_are_none_are_refused(tmp_path, kernel_of, message):
    path = onnx_with(kernel_of, tmp_path / "weights.onnx")
    with pytest.raises(InputError, match=f"^{path}: .*{message}"):
        load_backbone("thin_resnet50", path)


def test_weights_that_declare_gigabytes_are_refused(tmp_path, monkeypatch):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("conv1_conv/kernel", (10**9, 7, 3, 64), np.float32)
    with pytest.raises(InputError, match=r"a\.h5: damaged, /conv1_conv/kernel declares .* bytes and has 0"):
        load_backbone("resnet50", tmp_path / "a.h5")


def test_another_onnx_graph_is_refused(tmp_path):
    path = tmp_path / "other.onnx"
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph([], "empty", [], [])), path)
    with pytest.raises(InputError, match=f"^{path}: not thin_resnet50, expected 53 convolutions"):
        load_backbone("thin_resnet50", path)
