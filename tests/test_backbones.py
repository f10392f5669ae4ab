"""The rebuilt networks against onnxruntime and keras.applications; networks for flow; what is refused."""

import keras
import numpy as np
import onnx
import onnxruntime
import pytest

from data_prep import pretrained_weights
from data_prep.backbones import LAYERS, load_backbone
from data_prep.errors import InputError
from data_prep.frames import read_frames, resize
from data_prep.network_features import feature_function
from data_prep.pooling import region_pyramid
from tests.networks import (
    assert_same_map,
    expected_map,
    first_convolution,
    keras_first_convolution,
    random_frames,
    random_resnet50,
)

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


@pytest.fixture(scope="module")
def thin():
    return load_backbone("thin_resnet50")


@pytest.fixture(scope="module")
def resnet50_file(tmp_path_factory):
    """A Keras ResNet-50 and the file of its weights."""
    network = random_resnet50()
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


@pytest.mark.parametrize("layer", ["last", "conv2+conv3"])
@pytest.mark.parametrize("flow", ["", "picture"])
def test_network_in_float16_is_the_float32_one_but_for_rounding(layer, flow):
    """A float32 map and float32 weights, its own name, and not a digit of what was built before or after."""
    options = {"input_size_px": 96, "layer": layer, "flow": flow}
    low = load_backbone("thin_resnet50", **options, compute_dtype="float16")
    full = load_backbone("thin_resnet50", **options)
    assert (low.name, low.requested) == (f"{full.name}-float16", f"{full.requested}-float16")
    assert {weight.dtype for weight in low.model.weights} == {"float32"}
    assert {output.dtype for output in low.model.outputs} == {"float32"}
    frames = random_frames(2, 96)
    inputs = frames if not flow else (frames.astype(np.float16) - 127.5)
    ours, theirs = (feature_function(network)(inputs) for network in (low, full))
    assert ours.dtype == theirs.dtype == np.float32
    # A product's factors are rounded to 2^-12 each; on the way through 50 layers that grows.
    assert 2**-12 < np.linalg.norm(ours - theirs) / np.linalg.norm(theirs) < 0.01


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
    assert_same_map(backbone.model.predict_on_batch(frames), expected_map(network, frames, output))
    assert (backbone.name, backbone.requested, backbone.fallback_reason) == ("resnet50", "resnet50", "")


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


def test_unknown_requests_are_refused():
    with pytest.raises(InputError, match=r"backbone: expected one of .*, got 'resnet18'"):
        load_backbone("resnet18")
    with pytest.raises(InputError, match=r"layer: expected one of .*, got 'conv9'"):
        load_backbone("thin_resnet50", layer="conv9")
    with pytest.raises(InputError, match="input size: expected at least 32 px, got 16"):
        load_backbone("thin_resnet50", input_size_px=16)
