"""The rebuilt networks against onnxruntime and keras.applications; the fallbacks; files that do not match."""

import io
import json
import re
import socket
import tarfile
from pathlib import Path

import keras
import numpy as np
import onnx
import onnxruntime
import pytest

from data_prep import pretrained_weights
from data_prep.backbones import LAYERS, load_backbone
from data_prep.errors import InputError
from data_prep.extract_features import feature_function, resize
from data_prep.frames import read_frames
from data_prep.pooling import region_pyramid

ONNX_OUTPUTS = {"conv2": "Relu_9:0", "conv3": "Relu_21:0", "conv4": "Relu_39:0", "last": "Relu_48:0"}


def run_onnx(frames, output="Relu_48:0"):
    """Run the packaged ONNX graph up to a tensor: uint8 RGB (n, s, s, 3) -> float32 (n, h, w, C)."""
    model = onnx.load(pretrained_weights.packaged_onnx_file())
    graph = model.graph
    last = next(i for i, node in enumerate(graph.node) if output in node.output)
    del graph.node[last + 1 :], graph.output[:]
    graph.output.append(onnx.helper.make_empty_tensor_value_info(output))
    for dimension, size in zip(graph.input[0].type.tensor_type.shape.dim, frames.shape, strict=True):
        dimension.dim_value = size
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    bgr = frames[..., ::-1].astype(np.float32) - np.array([104, 117, 123], np.float32)
    return session.run([output], {graph.input[0].name: bgr})[0].transpose(0, 2, 3, 1)


def random_frames(n, size_px):
    return np.random.default_rng(0).integers(0, 256, (n, size_px, size_px, 3), np.uint8)


def assert_same_map(map_, expected):
    assert map_.shape == expected.shape
    assert map_.dtype == np.float32
    assert np.abs(map_ - expected).max() <= 1e-3 * np.ptp(expected)


@pytest.fixture(scope="module")
def thin():
    return load_backbone("thin_resnet50")


@pytest.fixture(scope="module")
def resnet50_file(tmp_path_factory):
    """Weights of a ResNet-50 whose batch normalizations all do something, and the network itself."""
    network = keras.applications.ResNet50(include_top=False, weights=None)
    rng = np.random.default_rng(1)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            gamma, beta, mean, variance = (rng.uniform(0.5, 1.5, w.shape) for w in layer.get_weights())
            layer.set_weights([gamma, beta - 1, mean - 1, variance])
    path = tmp_path_factory.mktemp("weights") / "resnet50.weights.h5"
    network.save_weights(path)
    return network, path


def test_thin_network_equals_onnxruntime_on_real_frames(thin, real_data):
    frames = read_frames(real_data / "ped2" / "testing" / "frames" / "01", [0, 90, 179])
    squares = np.stack([resize(frame, 224) for frame in frames])
    expected = run_onnx(squares)
    assert expected.shape == (3, 7, 7, 1024)
    assert_same_map(thin.model.predict_on_batch(squares), expected)


def test_thin_network_equals_onnxruntime_on_random_frames(thin):
    frames = random_frames(2, 224)
    assert_same_map(thin.model.predict_on_batch(frames), run_onnx(frames))
    assert (thin.channels, thin.input_size_px, thin.layer) == (1024, 224, "last")


@pytest.mark.parametrize("layer", LAYERS)
def test_every_layer_at_another_size(layer):
    backbone = load_backbone("thin_resnet50", input_size_px=96, layer=layer)
    frames = random_frames(2, 96)
    expected = run_onnx(frames, ONNX_OUTPUTS[layer])
    assert_same_map(backbone.model.predict_on_batch(frames), expected)
    assert backbone.channels == expected.shape[-1]


@pytest.mark.parametrize("layer", ["conv3+conv4", "conv2+last", "conv2+conv3+conv4+last"])
def test_several_layers_are_those_of_the_network_side_by_side(layer):
    several = load_backbone("thin_resnet50", input_size_px=96, layer=layer)
    frames, names = random_frames(2, 96), layer.split("+")
    expected = [run_onnx(frames, ONNX_OUTPUTS[name]) for name in names]
    for got, want in zip(several.model.predict_on_batch(frames), expected, strict=True):
        assert_same_map(got, want)
    assert several.channels == sum(want.shape[-1] for want in expected)
    pooled = feature_function(several)(frames)
    by_hand = np.concatenate([np.asarray(region_pyramid(want)) for want in expected], -1)
    np.testing.assert_allclose(pooled, by_hand, atol=1e-3 * by_hand.max())


@pytest.mark.parametrize("layer", ["conv4+conv3", "conv3+conv3", "conv3+", "conv1", ""])
def test_layers_that_do_not_exist_or_are_out_of_order(layer):
    with pytest.raises(InputError, match="layer: expected one of conv2, conv3, conv4, last, or several"):
        load_backbone("thin_resnet50", layer=layer)


def test_sizes_that_do_not_divide_give_a_map_too():
    assert load_backbone("thin_resnet50", input_size_px=100).model.output.shape == (None, 4, 4, 1024)
    assert load_backbone("thin_resnet50", input_size_px=32).model.output.shape == (None, 1, 1, 1024)


def test_bytes_and_floats_give_the_same(thin):
    frames = random_frames(1, 224)
    from_bytes = thin.model.predict_on_batch(frames)
    np.testing.assert_array_equal(from_bytes, thin.model.predict_on_batch(frames.astype(np.float32)))


def test_thin_network_asked_for_by_name_is_no_fallback(thin):
    assert (thin.name, thin.requested, thin.fallback_reason) == ("thin_resnet50", "thin_resnet50", "")
    beside = pretrained_weights.packaged_onnx_file().with_name("open-nsfw.onnx.sha256")
    assert thin.weights_sha256 in beside.read_text()  # the package states it too


@pytest.mark.parametrize(("layer", "output"), [("last", "conv5_block3_out"), ("conv3", "conv3_block4_out")])
def test_resnet50_equals_keras_applications(resnet50_file, layer, output):
    network, path = resnet50_file
    backbone = load_backbone("resnet50", path, input_size_px=65, layer=layer)
    frames = random_frames(2, 65)
    prepared = keras.applications.resnet.preprocess_input(frames.astype(np.float32))
    reference = keras.Model(network.input, network.get_layer(output).output)
    assert_same_map(backbone.model.predict_on_batch(frames), reference.predict_on_batch(prepared))
    assert (backbone.name, backbone.requested, backbone.fallback_reason) == ("resnet50", "resnet50", "")


def keras_first_convolution(network):
    """The first convolution with its batch normalization folded in, by hand: kernel, bias."""
    kernel, bias = network.get_layer("conv1_conv").get_weights()
    gamma, beta, mean, variance = network.get_layer("conv1_bn").get_weights()
    scale = gamma / np.sqrt(variance + network.get_layer("conv1_bn").epsilon)
    return kernel * scale, beta + (bias - mean) * scale


def first_convolution(backbone):
    return next(x for x in backbone.model.layers if isinstance(x, keras.layers.Conv2D)).get_weights()


def test_flow_network_from_rgb_weights_has_their_mean(resnet50_file):
    network, path = resnet50_file
    backbone = load_backbone("resnet50", path, input_size_px=32, layer="conv2", flow="stack")
    assert (backbone.name, backbone.requested) == ("resnet50-flow", "resnet50-flow")
    assert backbone.model.input.shape == (None, 32, 32, 20)
    kernel, bias = first_convolution(backbone)
    rgb_kernel, rgb_bias = keras_first_convolution(network)
    expected = np.tile(rgb_kernel.mean(axis=2, keepdims=True), (1, 1, 20, 1))
    np.testing.assert_allclose(kernel, expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(bias, rgb_bias, rtol=1e-4, atol=1e-6)


def test_unknown_flow_input_is_refused():
    with pytest.raises(InputError, match="flow input: expected one of stack, picture, got 'colors'"):
        load_backbone("thin_resnet50", flow="colors")


def test_weights_of_a_flow_network_are_taken_as_they_are(tmp_path):
    network = keras.applications.ResNet50(include_top=False, weights=None, input_shape=(None, None, 20))
    path = tmp_path / "flow.weights.h5"
    network.save_weights(path)
    backbone = load_backbone("resnet50", path, input_size_px=32, layer="conv2", flow="stack")
    for ours, theirs in zip(first_convolution(backbone), keras_first_convolution(network), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def test_resnet152_has_the_convolutions_of_keras_applications(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr(keras.Model, "load_weights", lambda *_: None)
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


def test_tensorflow_js_weights_equal_keras_applications(resnet50_file, tmp_path):
    network = keras.applications.ResNet50(include_top=False, weights=None)
    network.set_weights(resnet50_file[0].get_weights())
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.epsilon = 0.25  # so large that it would show if it were not read from the file
    path = write_archive(tmp_path / "model.tgz", tensorflow_js_files(network, 0.25))
    backbone = load_backbone("resnet50", path, input_size_px=65)
    frames = random_frames(2, 65)
    prepared = keras.applications.resnet.preprocess_input(frames.astype(np.float32))
    assert_same_map(backbone.model.predict_on_batch(frames), network.predict_on_batch(prepared))
    assert (backbone.name, backbone.fallback_reason) == ("resnet50", "")


def test_tensorflow_js_archive_that_does_not_match_is_refused(resnet50_file, tmp_path):
    files = tensorflow_js_files(resnet50_file[0], 1e-3)
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
def no_network(monkeypatch):
    """A download that fails; lists the time limits that it ran under."""
    timeouts = []

    def get_file(*_, **__):
        timeouts.append(socket.getdefaulttimeout())
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


def test_onnx_weights_of_a_flow_network_are_for_flow_alone(tmp_path):
    model = onnx.load(pretrained_weights.packaged_onnx_file())
    first = next(node for node in model.graph.node if node.op_type == "Conv")
    tensor = next(t for t in model.graph.initializer if t.name == first.input[1])
    kernel = np.random.default_rng(3).normal(size=(64, 20, 7, 7)).astype(np.float32)
    tensor.CopyFrom(onnx.numpy_helper.from_array(kernel, tensor.name))
    path = tmp_path / "flow.onnx"
    onnx.save(model, path)
    flow = load_backbone("thin_resnet50", path, input_size_px=32, layer="conv2", flow="stack")
    np.testing.assert_array_equal(first_convolution(flow)[0], kernel.transpose(2, 3, 1, 0))
    with pytest.raises(InputError, match=f"^{path}: expected a first convolution of 3 channels, got 20"):
        load_backbone("thin_resnet50", path, input_size_px=32, layer="conv2")


@pytest.mark.parametrize("name", ["resnet50", "resnet152"])
def test_failed_download_falls_back_loudly_and_is_remembered(no_network, capfd, name):
    backbone = load_backbone(name, input_size_px=64)
    assert (backbone.name, backbone.requested) == ("thin_resnet50", name)
    expected = "no ImageNet weights (keras.applications: URL fetch failure on https://host/file"
    assert backbone.fallback_reason.startswith(expected)
    assert "\n" not in backbone.fallback_reason
    warning = capfd.readouterr().err.strip().splitlines()[-1]
    assert warning.startswith(f"WARNING: {name}: no ImageNet weights")
    assert warning.endswith("using thin_resnet50 in its place")
    load_backbone(name, input_size_px=64)
    n_sources = len(pretrained_weights.SOURCES[name])
    assert no_network == [pretrained_weights.DOWNLOAD_TIMEOUT_SECONDS] * n_sources
    assert socket.getdefaulttimeout() is None


@pytest.fixture
def served(monkeypatch, tmp_path):
    """A stand-in for the network: file name -> content to serve, else it fails; lists what was asked."""
    content, asked = {}, []

    def get_file(fname, origin, file_hash, cache_subdir, cache_dir):
        asked.append((origin, file_hash))
        if (target := Path(cache_dir) / cache_subdir / fname).exists():
            return str(target)
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


def test_downloaded_file_is_used(resnet50_file, served, tmp_path):
    network = resnet50_file[0]
    network.save(tmp_path / "legacy.h5")  # the format of the files that Keras serves
    first = pretrained_weights.SOURCES["resnet50"][0]
    served[0][Path(first.url).name] = (tmp_path / "legacy.h5").read_bytes()
    backbone = load_backbone("resnet50", input_size_px=32, layer="conv2")
    assert (backbone.name, backbone.fallback_reason, backbone.channels) == ("resnet50", "", 256)
    frames = random_frames(1, 32)
    prepared = keras.applications.resnet.preprocess_input(frames.astype(np.float32))
    reference = keras.Model(network.input, network.get_layer("conv2_block3_out").output)
    assert_same_map(backbone.model.predict_on_batch(frames), reference.predict_on_batch(prepared))
    assert served[1] == [(first.url, first.file_hash)]


def test_weights_of_the_second_source_are_named(resnet50_file, served, tmp_path, capfd):
    first, second = pretrained_weights.SOURCES["resnet50"]
    archive = write_archive(tmp_path / "model.tgz", tensorflow_js_files(resnet50_file[0], 1.001e-5))
    served[0][Path(second.url).name] = archive.read_bytes()
    backbone = load_backbone("resnet50", input_size_px=32, layer="conv2")
    assert (backbone.name, backbone.requested, backbone.channels) == ("resnet50", "resnet50", 256)
    reason = f"weights of {second.title} (keras.applications: URL fetch failure on {first.url})"
    assert backbone.fallback_reason == reason
    assert f"WARNING: resnet50: {reason}" in capfd.readouterr().err
    from_file = load_backbone("resnet50", archive, input_size_px=32, layer="conv2")
    for ours, theirs in zip(first_convolution(backbone), first_convolution(from_file), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    # Downloaded once, under its own name; the next process finds it there and checks it again.
    assert [path.name for path in (tmp_path / "cache" / "models").iterdir()] == [Path(second.url).name]
    served[0].clear()
    pretrained_weights.download.cache_clear()
    assert load_backbone("resnet50", input_size_px=32, layer="conv2").fallback_reason == reason
    assert served[1] == 2 * [(source.url, source.file_hash) for source in (first, second)]


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


@pytest.mark.parametrize("suffix", [".weights.h5", ".h5"])
def test_weights_of_another_network_are_refused(tmp_path, suffix):
    other = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3), keras.layers.Conv2D(4, 3)])
    path = tmp_path / f"other{suffix}"
    other.save(path) if suffix == ".h5" else other.save_weights(path)
    with pytest.raises(InputError, match=f"^{path}: not weights of resnet50"):
        load_backbone("resnet50", path)


def test_another_onnx_graph_is_refused(tmp_path):
    path = tmp_path / "other.onnx"
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph([], "empty", [], [])), path)
    with pytest.raises(InputError, match=f"^{path}: not thin_resnet50, expected 53 convolutions"):
        load_backbone("thin_resnet50", path)


def test_unknown_requests_are_refused():
    with pytest.raises(InputError, match=r"backbone: expected one of .*, got 'resnet18'"):
        load_backbone("resnet18")
    with pytest.raises(InputError, match=r"layer: expected one of .*, got 'conv9'"):
        load_backbone("thin_resnet50", layer="conv9")
    with pytest.raises(InputError, match="input size: expected at least 32 px, got 16"):
        load_backbone("thin_resnet50", input_size_px=16)
