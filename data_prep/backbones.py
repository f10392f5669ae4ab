"""Pretrained residual networks as Keras models from RGB frames, or from optical flow, to a convolutional map.

ResNet-50, ResNet-152 and the thin ResNet-50 (half the filters) are built by `resnet` from the (kernel, bias)
pairs of `pretrained_weights`, batch normalization folded in, so that inference is one fused operation per
convolution. Paper: Sec. 3.6, Sec. 4.1; flow networks: Sec. 4.7.
"""

from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

from data_prep.errors import InputError
from data_prep.memory import check_fits
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

if TYPE_CHECKING:
    import keras

# Output of each stage of blocks, the first at a quarter of the input's resolution. Several joined by "+", as
# in "conv3+conv4", give their channels side by side.
LAYERS = ("conv2", "conv3", "conv4", "last")
# Of a batch of 16 frames, the first convolution's 64 float32 maps, at half the resolution.
STEM_BYTES_PER_PX = 16 * 64 * 4 // 4
MIN_INPUT_SIZE_PX = 32  # the last map is at 1/32 of the resolution
FLOW_INPUTS = ("stack", "picture")  # what a flow network takes, see `optical_flow.flow_inputs`


@dataclass(frozen=True, eq=False)
class Backbone:
    """A pretrained network and where it comes from.

    Attributes:
        name: key in `N_BLOCKS`; a flow network has "-flow" behind it, or "-flow_picture"; one that computes
            in float16 then "-float16".
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
    model: "keras.Model"
    input_size_px: int
    layer: str
    channels: int
    weights_sha256: str
    requested: str
    fallback_reason: str = ""
    input_dtype: str = "uint8"

    @property
    def in_words(self) -> str:
        """Return which network gives the features, and why, where it is not the one asked for."""
        words = f"{self.name}, {self.channels} channels (paper: a ResNet trained on UCF101)"
        if not self.fallback_reason:
            return words
        instead = f", in place of {self.requested}" if self.name != self.requested else ""
        return f"{words}{instead}: {self.fallback_reason}"


def load_backbone(
    name: str = "resnet50",
    weights: Path | None = None,
    input_size_px: int = 224,
    layer: str = "last",
    flow: str = "",
    compute_dtype: str = "float32",
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
        compute_dtype: see `resnet.build`.

    Raises InputError: an unknown name, layer or flow input, a size below 32, a weights file that is missing
    or does not match; a given file never falls back.
    """
    _check_request(name, input_size_px, layer, flow)
    requested, fallback_reason = name, ""
    if weights is None and name != THIN:
        weights, fallback_reason = download(name)
        if fallback_reason:
            name = name if weights else THIN
    path = Path(weights) if weights is not None else packaged_onnx_file()
    stack = flow == "stack"
    convolutions = read_convolutions(name, path, stack)
    convolutions[0] = _first_convolution(path, convolutions[0], stack)
    from data_prep.resnet import build  # here: a command's --help needs the names above, and no Keras

    stages = [LAYERS.index(part) for part in layer.split("+")]
    model = build(name, convolutions, input_size_px, stages, bool(flow), compute_dtype)
    suffix = {"": "", "stack": "-flow", "picture": "-flow_picture"}[flow]
    suffix += "" if compute_dtype == "float32" else f"-{compute_dtype}"
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
    check_fits(f"input size of {input_size_px} px", STEM_BYTES_PER_PX * input_size_px**2)
