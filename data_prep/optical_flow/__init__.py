"""TV-L1 optical flow and its features, through a flow network, one HDF5 shard per clip.
The flow f_t of a clip leads from frame t-1 to frame t: float (h, w, 2), u to the right and v down, in px.
The stack of frame t holds the ten flows f_{t-9} .. f_t, the oldest first: channels u_{t-9}, v_{t-9}, ..,
u_t, v_t. It looks at no later frame, so it can run live; before f_1, the clip's first flow, f_1 itself is
repeated, so that the very first frame takes the stack of the second (live, it is scored with it). A clip of
one frame has no flow: zeros. Or, in place of a stack, the picture of frame t (`flow_input`): u_t, v_t and
|f_t| where an RGB network expects its colors; what moves stands out against a gray that rests.

As in two-stream networks, flow is clipped to +-20 px and scaled linearly to a range of 255, here centered at
zero (what a network sees once the mean is subtracted) and not rounded: slow walkers move by less than one of
the steps that bytes would leave.

Paper: Sec. 4.7, Table 7. Stacks and scaling: Simonyan & Zisserman 2014. TV-L1: Zach, Pock & Bischof 2007.
"""

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, pairwise
from pathlib import Path

import cv2
import numpy as np

from data_prep.backbones import Backbone
from data_prep.datasets import Dataset
from data_prep.errors import InputError
from data_prep.frames import RESIZING, Source, iter_frames, resize
from data_prep.memory import check_fits
from data_prep.network_features import NetworkRecipe
from data_prep.pretrained_weights import FLOWS_PER_STACK, RGB_CHANNELS, STACK_CHANNELS
from data_prep.read_ahead import Map, map_ahead, stack_batches
from data_prep.recipes import Maker

BOUND_PX = 20.0
BYTE_RANGE = 255.0
BYTES_PER_PX = 2 + 2 * 4  # two gray frames, and the flow between them
MIN_FLOW_SIZE_PX = 16  # the coarsest scale that TV-L1 goes down to
WARPS = 5  # OpenCV's default
STACK_DTYPE = np.float16  # exact to 1/1000 of the flow, half the memory of float32
PAIRS_AHEAD_PER_WORKER = 4


@dataclass(frozen=True)
class FlowOptions:
    """How flow is computed.

    Attributes:
        size_px: side of the square gray frames that it is computed on.
        warps: times that TV-L1 warps the second frame at each scale; one will do for motion below a pixel.
        input_size_px: side of the flow as the network takes it; its unit is a pixel of that size.
        picture: the network takes the picture of one flow, not the stack of ten.

    Raises InputError: a size below 16 px, less than one warp.
    """

    size_px: int
    warps: int
    input_size_px: int
    picture: bool = False

    def __post_init__(self) -> None:
        """Check the numbers."""
        if self.size_px < MIN_FLOW_SIZE_PX:
            raise InputError(f"flow size: expected at least {MIN_FLOW_SIZE_PX} px, got {self.size_px}")
        check_fits(f"flow size of {self.size_px} px", BYTES_PER_PX * self.size_px**2)
        if self.warps < 1:
            raise InputError(f"flow warps: expected at least 1, got {self.warps}")

    @property
    def key(self) -> str:
        """Return what tells a folder of features from those of other options."""
        return f"tvl1_{self.size_px}px_{self.warps}warps"

    def __str__(self) -> str:
        """Return the options in words, for the shards."""
        given = "a picture (u, v, |flow|)" if self.picture else f"{FLOWS_PER_STACK} flows a stack"
        return (
            f"gray frames at {self.size_px} px, {RESIZING}; TV-L1, {self.warps} warps, otherwise OpenCV's "
            f"defaults; resized bilinearly, clipped to +-{BOUND_PX:g} px, {given}"
        )

    @property
    def n_channels(self) -> int:
        """Return the channels that the network takes."""
        return RGB_CHANNELS if self.picture else STACK_CHANNELS

    @classmethod
    def of(cls, backbone: Backbone, size_px: int | None = None, warps: int = WARPS) -> "FlowOptions":
        """Return the options under which flow fits a network; `size_px` None is the network's input size."""
        picture = backbone.model.input.shape[-1] == RGB_CHANNELS
        size_px = backbone.input_size_px if size_px is None else size_px
        return cls(size_px, warps, backbone.input_size_px, picture)


@dataclass(frozen=True)
class FlowRecipe(NetworkRecipe):
    """Optical flow through a flow network, computed on all cores ahead of it; see `recipes.Recipe`.

    n frames of a clip give n features.

    Attributes:
        options: how flow is computed.
    """

    options: FlowOptions = field(kw_only=True)

    @property
    def key(self) -> str:
        """Return the name of the folder of its shards."""
        return f"{super().key}-{self.options.key}"

    @property
    def resizing(self) -> str:
        """Return how frames become what the network takes, in words."""
        return str(self.options)

    @contextmanager
    def at_work(self, dataset: Dataset, folder: Path) -> Iterator[Maker]:
        """Give the maker, the same for every dataset."""
        n_workers = os.cpu_count()
        with ThreadPoolExecutor(n_workers) as pool:
            flow_map = partial(map_ahead, pool, PAIRS_AHEAD_PER_WORKER * n_workers)

            def read(source: Source) -> Iterator[np.ndarray]:
                inputs = flow_inputs(iter_frames(source), self.options, flow_map)
                return stack_batches(inputs, self.batch_frames)

            yield Maker(self.attributes, read, self.function)


def flow_inputs(
    frames: Iterable[np.ndarray], options: FlowOptions, flow_map: Map = map
) -> Iterator[np.ndarray]:
    """Yield the stack of each frame of a clip, or its picture, as the network takes it.

    Stacks are float16 (s, s, 20), pictures (s, s, 3), -127.5..127.5, s = `input_size_px`.

    Args:
        frames: uint8 (H, W, 3) RGB, in order, at least one.
        options: see `FlowOptions`.
        flow_map: computes the flows, in order; the builtin `map` one after another, as they are asked for.
    """
    grays = (resize(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), options.size_px) for frame in frames)
    flows = flow_map(partial(scaled_flow, options=options), pairwise(grays))
    first = next(flows, None)
    if first is None:
        yield np.zeros((options.input_size_px, options.input_size_px, options.n_channels), STACK_DTYPE)
        return
    window = deque([first] * FLOWS_PER_STACK, maxlen=FLOWS_PER_STACK)
    for flow in chain((first, first), flows):  # the first frame takes what the second does
        window.append(flow)
        yield flow_picture(flow) if options.picture else np.concatenate(window, axis=-1)


def flow_picture(flow: np.ndarray) -> np.ndarray:
    """Return u, v and |flow|, clipped as they are, of a scaled flow: float16 (s, s, 3)."""
    length = np.linalg.norm(flow.astype(np.float32), axis=-1, keepdims=True).clip(max=BYTE_RANGE / 2)
    return np.concatenate([flow, length.astype(STACK_DTYPE)], axis=-1)


def scaled_flow(grays: tuple[np.ndarray, np.ndarray], options: FlowOptions) -> np.ndarray:
    """Return the flow between two gray frames as the network takes it: float16 (s, s, 2), -127.5..127.5."""
    flow = tvl1_flow(*grays, options.warps)
    size_px = options.input_size_px
    flow = cv2.resize(flow, (size_px, size_px), interpolation=cv2.INTER_LINEAR) * (size_px / options.size_px)
    return (flow.clip(-BOUND_PX, BOUND_PX) * (BYTE_RANGE / (2 * BOUND_PX))).astype(STACK_DTYPE)


def tvl1_flow(before: np.ndarray, after: np.ndarray, warps: int = WARPS) -> np.ndarray:
    """Return the flow from one gray frame to the next, uint8 (h, w) each: float32 (h, w, 2), (u, v) in px."""
    # One object a call: it keeps buffers of its own, which threads must not share.
    return cv2.optflow.DualTVL1OpticalFlow_create(warps=warps).calc(before, after, None)
