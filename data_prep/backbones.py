"""Pretrained residual networks as Keras models from RGB frames, or from optical flow, to a convolutional map.

ResNet-50, ResNet-152 and the thin ResNet-50 (half the filters) are built here from the (kernel, bias) pairs
of `pretrained_weights`, batch normalization folded in, so that inference is one fused operation per
convolution. Paper: Sec. 3.6, Sec. 4.1; flow networks: Sec. 4.7.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import keras
import numpy as np
from keras import layers, ops

from data_prep.errors import InputError
from data_prep.pretrained_weights import (
    N_BLOCKS,
    RGB_CHANNELS,
    STACK_CHANNELS,
    THIN,
    Convolution,
    download,
    packaged_onnx_file,
    read_convolutions,
    sha256_of,
)

# Output of each stage of blocks, the first at a quarter of the input's resolution. Several joined by "+", as
# in "conv3+conv4", give their channels side by side.
LAYERS = ("conv2", "conv3", "conv4", "last")
MIN_INPUT_SIZE_PX = 32  # the last map is at 1/32 of the resolution
FLOW_INPUTS = ("stack", "picture")  # what a flow network takes, see `optical_flow.flow_inputs`

_IMAGENET_BGR = (103.939, 116.779, 123.68)
MEAN_BGR = {"resnet50": _IMAGENET_BGR, "resnet152": _IMAGENET_BGR, THIN: (104.0, 117.0, 123.0)}
# Zeros around the map before the first max pooling; "same": as few as cover the map.
POOL_PADDING = {"resnet50": 1, "resnet152": 1, THIN: "same"}


@dataclass(frozen=True, eq=False)
class Backbone:
    """A pretrained network and where it comes from.

    Attributes:
        name: key in `N_BLOCKS`; a flow network has "-flow" behind it, or "-flow_picture".
        model: (n, s, s, 3) RGB 0..255, uint8 or float32 -> map float32 (n, h, w, channels);
            a flow network takes float16 (n, s, s, 20) or (n, s, s, 3), see `optical_flow.flow_inputs`. A
            list of maps where `layer` names several.
        input_size_px: s.
        layer: which map, one of `LAYERS`, or several joined by "+".
        channels: of the map, or of all maps together.
        weights_sha256: of the weights file.
        requested: the name that was asked for.
        fallback_reason: why `name` is not `requested`, or why its weights are not those of the first source;
            empty when neither is so.
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

    Where a ResNet's ImageNet weights cannot be had from Keras, those of the next of `SOURCES` are taken;
    where there is none, the thin ResNet-50 stands in. A warning says so, `fallback_reason` records it.

    Args:
        name: key in `N_BLOCKS`.
        weights: a local weights file, see `read_convolutions`; None for the usual source. A flow network
            takes weights whose first convolution has 20 channels as they are, those of an RGB network
            through `flow_convolution`.
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
        weights, fallback_reason = download(name)
        if fallback_reason:
            name = name if weights else THIN
            in_its_place = "" if weights else f"; using {THIN} in its place"
            print(f"WARNING: {requested}: {fallback_reason}{in_its_place}", file=sys.stderr)
    path = Path(weights) if weights is not None else packaged_onnx_file()
    stack = flow == "stack"
    convolutions = read_convolutions(name, path, stack)
    convolutions[0] = _first_convolution(path, convolutions[0], stack)
    model = _build(name, convolutions, input_size_px, layer, centered=bool(flow))
    suffix = {"": "", "stack": "-flow", "picture": "-flow_picture"}[flow]
    return Backbone(
        name=name + suffix,
        model=model,
        input_size_px=input_size_px,
        layer=layer,
        channels=sum(feature_map.shape[-1] for feature_map in model.outputs),
        weights_sha256=sha256_of(path),
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
    if name not in N_BLOCKS:
        raise InputError(f"backbone: expected one of {', '.join(N_BLOCKS)}, got {name!r}")
    if layer.split("+") not in [list(several) for n in range(1, 5) for several in combinations(LAYERS, n)]:
        raise InputError(
            f"layer: expected one of {', '.join(LAYERS)}, or several in this order joined by +, got {layer!r}"
        )
    if input_size_px < MIN_INPUT_SIZE_PX:
        raise InputError(f"input size: expected at least {MIN_INPUT_SIZE_PX} px, got {input_size_px}")


def _build(
    name: str, convolutions: list[Convolution], input_size_px: int, layer: str, centered: bool
) -> keras.Model:
    """Return the network up to `layer`, consuming the convolutions in order; `centered` input has mean zero.

    A stage's map is read only at every second row and column by the stage after it (1x1 convolutions of
    stride 2). That stride is therefore taken one block earlier, at the 3x3 convolution of the last block,
    except where the map is an output: the same numbers for 9 % fewer multiplications.
    """
    remaining = iter(convolutions)
    n_channels = convolutions[0][0].shape[2]
    inputs = keras.Input((input_size_px, input_size_px, n_channels), name="frames")
    x = _stem(inputs, next(remaining), name, centered)
    wanted = [LAYERS.index(part) for part in layer.split("+")]
    maps = []
    for stage in range(wanted[-1] + 1):
        n_blocks = N_BLOCKS[name][stage]
        for block in range(n_blocks):
            strides = 2 if block == n_blocks - 1 and stage not in wanted else 1
            x = _residual_block(x, remaining, first=block == 0, strides=strides)
        if stage in wanted:
            maps.append(x)
            x = _every_other(x)
    return keras.Model(inputs, maps if len(maps) > 1 else maps[0], name=name)


def _stem(inputs, convolution: Convolution, name: str, centered: bool):
    """Return what the first stage of blocks takes: the frames at a quarter of their resolution."""
    kernel, bias = convolution
    x = inputs
    if inputs.shape[-1] == RGB_CHANNELS:
        kernel = kernel[:, :, ::-1]  # it expects BGR
    if not centered:
        # Subtracting an image is faster than broadcasting over the innermost axis of length 3.
        mean_image = np.broadcast_to(np.float32(MEAN_BGR[name][::-1]), inputs.shape[1:]).copy()
        x = ops.subtract(x, mean_image)
    x = _convolve(layers.ZeroPadding2D(3)(x), (kernel, bias), strides=2, activation="relu")
    if POOL_PADDING[name] == "same":
        return layers.MaxPooling2D(3, 2, padding="same")(x)
    return layers.MaxPooling2D(3, 2)(layers.ZeroPadding2D(POOL_PADDING[name])(x))


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
