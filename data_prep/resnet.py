"""The graph of a residual network, from the convolutions of `pretrained_weights`. Paper: Sec. 3.6."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import keras
import numpy as np
from keras import layers, ops

from data_prep.pretrained_weights import N_BLOCKS, RGB_CHANNELS, THIN, Convolution

_IMAGENET_BGR = (103.939, 116.779, 123.68)
MEAN_BGR = {"resnet50": _IMAGENET_BGR, "resnet152": _IMAGENET_BGR, THIN: (104.0, 117.0, 123.0)}
# Zeros around the map before the first max pooling; "same": as few as cover the map.
POOL_PADDING = {"resnet50": 1, "resnet152": 1, THIN: "same"}


def build(
    name: str,
    convolutions: Sequence[Convolution],
    input_size_px: int,
    stages: Sequence[int],
    centered: bool,
    compute_dtype: str = "float32",
) -> keras.Model:
    """Return the network up to the last of `stages`, whose maps it gives in float32.

    `centered` input has mean zero. With `compute_dtype` "float16" the factors of a convolution, and what
    goes from layer to layer, are rounded to float16.

    A stage's map is read only at every second row and column by the stage after it (1x1 convolutions of
    stride 2). That stride is therefore taken one block earlier, at the 3x3 convolution of the last block,
    except where the map is an output: the same numbers for 9 % fewer multiplications.
    """
    remaining = iter(convolutions)
    n_channels = convolutions[0][0].shape[2]
    inputs = keras.Input((input_size_px, input_size_px, n_channels), name="frames")
    maps = []
    with _computing_in(compute_dtype):
        x = _stem(inputs, next(remaining), name, centered)
        for stage in range(stages[-1] + 1):
            n_blocks = N_BLOCKS[name][stage]
            for block in range(n_blocks):
                strides = 2 if block == n_blocks - 1 and stage not in stages else 1
                x = _residual_block(x, remaining, first=block == 0, strides=strides)
            if stage in stages:
                maps.append(x if compute_dtype == "float32" else ops.cast(x, "float32"))
                x = _every_other(x)
    return keras.Model(inputs, maps if len(maps) > 1 else maps[0], name=name)


@contextmanager
def _computing_in(compute_dtype: str) -> Iterator[None]:
    """Make layers that are created meanwhile, in this thread, compute in a dtype; weights stay float32."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16" if compute_dtype == "float16" else policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)


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
