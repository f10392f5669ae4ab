"""Gray frames as features, for the systems that read raw frames: Conv-AE and ConvLSTM-AE.

Shards of them hold R = 1 region and C = size_px ** 2 intensities in [0, 1], rows of pixels one after another.
"""

import keras
from keras import layers, ops

from data_prep.backbones import Backbone

LUMINANCE = (0.299, 0.587, 0.114)  # of R, G, B: ITU-R BT.601


def gray_frames(size_px: int) -> Backbone:
    """Return the "network" that turns frames into gray ones; extract with `pooling="none"`.

    Its model: uint8 RGB (n, s, s, 3) -> intensities float32 (n, s, s, 1) in [0, 1].
    """
    frames = layers.Input((size_px, size_px, 3), dtype="uint8")
    weights = ops.reshape(ops.convert_to_tensor(LUMINANCE, "float32") / 255, (3, 1))
    gray = ops.matmul(ops.cast(frames, "float32"), weights)
    return Backbone(
        name="gray",
        model=keras.Model(frames, gray),
        input_size_px=size_px,
        layer="pixels",
        channels=1,
        weights_sha256="",
        requested="gray",
        fallback_reason="",
    )
