"""The motion vectors of H.264: what an encoder finds of motion, without a network and without optical flow.

A clip is encoded anew by x264, whatever it comes from: what a recorder's own stream holds depends on its
encoder, on references two frames back and on frames to come, and images have no vectors at all. One reference
and no B-frames let every vector lead from the frame before; one intra frame begins the clip. Decoding hands
out the vectors, at quarter pixels.
"""

from collections.abc import Iterable, Iterator
from fractions import Fraction

import av
import cv2
import numpy as np

BLOCK_PX = 16
RATE = 25
# Constant quality 20; no intra frames at scene changes, none after the first one.
ENCODING = {
    "crf": "20",
    "preset": "medium",
    "tune": "zerolatency",
    "x264-params": "bframes=0:ref=1:scenecut=0:keyint=infinite:threads=1",
}


def motion_magnitudes(frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield the mean length of the vectors in each 16 x 16 block, float32 (rows, columns), px a frame.

    Blocks without a vector count 0: those of the first frame, and what the encoder does not find again. An
    odd last row or column of pixels, which H.264's color planes cannot hold, is left out; so is nothing else:
    the last row and column of blocks may be cut.

    Args:
        frames: of one clip, uint8 (H, W, 3) RGB, in order.
    """
    encoder, decoder = None, av.CodecContext.create("h264", "r")
    decoder.options = {"flags2": "+export_mvs"}
    decoder.thread_count = 1
    for frame in frames:
        gray = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        picture = np.ascontiguousarray(gray[: gray.shape[0] // 2 * 2, : gray.shape[1] // 2 * 2])
        encoder = encoder or _encoder(*picture.shape)
        encoded = encoder.encode(av.VideoFrame.from_ndarray(picture, "gray").reformat(format="yuv420p"))
        yield from _decoded(decoder, encoded, picture.shape)
    if encoder is not None:
        yield from _decoded(decoder, [*encoder.encode(None), None], picture.shape)


def _encoder(height: int, width: int) -> av.VideoCodecContext:
    encoder = av.CodecContext.create("libx264", "w")
    encoder.height, encoder.width, encoder.pix_fmt = height, width, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, RATE), Fraction(RATE)
    encoder.options = dict(ENCODING)
    return encoder


def _decoded(
    decoder: av.VideoCodecContext, packets: Iterable, shape: tuple[int, int]
) -> Iterator[np.ndarray]:
    for packet in packets:
        for frame in decoder.decode(packet):
            vectors = frame.side_data.get("MOTION_VECTORS")
            yield block_means(None if vectors is None else vectors.to_ndarray(), shape)


def block_means(vectors: np.ndarray | None, shape: tuple[int, int]) -> np.ndarray:
    """Return the mean length of vectors in each block, float32 (rows, columns), by the area that they move.

    Args:
        vectors: FFmpeg's AVMotionVector, structured (n,): where each block lies, its size, how it moved.
        shape: (H, W) of the frame.
    """
    rows, columns = (-(-side // BLOCK_PX) for side in shape)
    if vectors is None or not len(vectors):
        return np.zeros((rows, columns), np.float32)
    lengths = np.hypot(vectors["motion_x"], vectors["motion_y"]) / vectors["motion_scale"]
    areas = vectors["w"].astype(float) * vectors["h"]
    row = (vectors["dst_y"] // BLOCK_PX).clip(0, rows - 1)
    column = (vectors["dst_x"] // BLOCK_PX).clip(0, columns - 1)
    sums = np.bincount(row * columns + column, areas * lengths, rows * columns)
    return (sums / BLOCK_PX**2).astype(np.float32).reshape(rows, columns)
