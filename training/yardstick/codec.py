"""Compression and degradation of yardstick pictures."""

from collections.abc import Callable, Sequence
from fractions import Fraction

import av
import cv2
import numpy as np

from fakelens.media.images import decode_image, encode_jpeg
from fakelens.records.arrays import RGBImage


def compress_clip(frames: Sequence[RGBImage], crf: int) -> list[RGBImage]:
    """Encode pictures as one H.264 clip and decode it.

    Args:
        frames: (H, W, 3) uint8 RGB, all of one size, H and W even.
        crf: constant rate factor of x264; 23 is its default, 36 is poor quality.

    Returns:
        The decoded pictures, as many and of the same size.
    """
    encoder = av.CodecContext.create("libx264", "w")
    encoder.height, encoder.width = frames[0].shape[:2]
    encoder.pix_fmt, encoder.time_base = "yuv420p", Fraction(1, 25)
    # One thread: with more, the result depends on the machine.
    options = {"preset": "fast", "crf": str(crf), "x264-params": "threads=1:log-level=none"}
    encoder.options, encoder.thread_count = options, 1
    packets = []
    for index, frame in enumerate(frames):
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), "rgb24")
        picture.pts, picture.time_base = index, Fraction(1, 25)
        packets += encoder.encode(picture)
    packets += encoder.encode(None)
    decoder = av.CodecContext.create("h264", "r")
    decoder.thread_count = 1
    decoded = [frame for packet in packets for frame in decoder.decode(packet)]
    decoded += decoder.decode(None)
    return [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in decoded]


def halve_resolution(image: RGBImage) -> RGBImage:
    """Halve the resolution of a picture but keep its size."""
    small = cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    back = cv2.resize(small, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return back.astype(np.uint8, copy=False)


DEGRADATIONS: dict[str, Callable[[RGBImage], RGBImage]] = {
    "as it is": lambda image: image,
    "JPEG 60": lambda image: decode_image(encode_jpeg(image, 60)),
    "H.264 at 30": lambda image: compress_clip([image, image], 30)[-1],
    "half the resolution": halve_resolution,
}
"""Functions from a picture of even size to one of the same size, used by blends in turn."""
