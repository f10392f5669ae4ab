"""Recordings: videos of a codec, times and sizes that a test asks for, and what reads them back."""

from fractions import Fraction
from itertools import pairwise

import av
import numpy as np

from data_prep.frames import count_frames, iter_frames
from data_prep.live_frames import FrameStream
from tests.videos import pictures

RATE, N_FRAMES = 25, 40
HEIGHT, WIDTH = 96, 128


def encode(path, frames=None, codec="libx264", pix_fmt="yuv420p", times=None, key_every=10, **options):
    """Write a video with PyAV; `times` are seconds, every frame's own."""
    frames = list(pictures(N_FRAMES, HEIGHT, WIDTH)) if frames is None else frames
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=RATE, options=options)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt, stream.codec_context.gop_size = pix_fmt, key_every
        for index, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            if times is not None:
                frame.pts, frame.time_base = round(times[index] * 1000), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def frames_of(path):
    """The frames of a file, read in every way that there is, which must agree."""
    frames = np.stack(list(iter_frames(path)))
    assert count_frames(path) == len(frames)
    moments = list(FrameStream(str(path)))
    np.testing.assert_array_equal(np.stack([frame for _, frame in moments]), frames)
    assert all(earlier <= later for (earlier, _), (later, _) in pairwise(moments))
    return frames
