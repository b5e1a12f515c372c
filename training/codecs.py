"""H.264 compression of single pictures.

Pictures are RGB uint8. Results are deterministic: one thread, no rate control by time.
"""

from fractions import Fraction

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from fakelens.records.arrays import RGBImage

CRF_RANGE = (17, 40)
"""Range of x264's constant rate factor for training samples, both ends included."""
SCALE_RANGE = (0.25, 1.0)
"""Range of the size of the video relative to the size of the picture, for training samples."""
# H.264 codes blocks of 16 pixels; smaller pictures are not meaningful.
_SMALLEST = 16
# Frames of a still clip: x264 spends most bits on the first frame and refines the second.
_FRAMES = 2


def compress_sample(
    pictures: NDArray[np.uint8],
    crf: int,
    scale: float,
    preset: str = "superfast",
    enlarge: int = cv2.INTER_CUBIC,
) -> NDArray[np.uint8]:
    """Compress the pictures of one sample with H.264, all with the same settings.

    Each picture is reduced, encoded as its own still clip, decoded and enlarged again.

    Args:
        pictures: (K, H, W, 3) uint8 RGB.
        crf: constant rate factor of x264, 0..51.
        scale: size of the video relative to the size of the pictures, above 0 and at most 1.
            Height and width are rounded to even numbers of at least 16 pixels.
        preset: preset of x264.
        enlarge: OpenCV's interpolation that restores the size.

    Returns:
        (K, H, W, 3) uint8 RGB.

    Raises:
        ValueError: ``crf`` or ``scale`` is out of range.
    """
    if not 0 <= crf <= 51:
        raise ValueError(f"crf must be between 0 and 51, not {crf}")
    if not 0 < scale <= 1:
        raise ValueError(f"scale must be above 0 and at most 1, not {scale}")
    height, width = pictures.shape[1:3]
    down, across = (max(_SMALLEST, 2 * round(scale * side / 2)) for side in (height, width))
    decoded = np.empty_like(pictures)
    for number, picture in enumerate(pictures):
        small = cv2.resize(picture, (across, down), interpolation=cv2.INTER_AREA)
        small = compress_h264(small.astype(np.uint8, copy=False), crf, preset)
        decoded[number] = cv2.resize(small, (width, height), interpolation=enlarge)
    return decoded


def compress_h264(image: RGBImage, crf: int, preset: str = "superfast") -> RGBImage:
    """Encode a picture as a still H.264 clip in 4:2:0 and decode its last frame.

    Args:
        image: (H, W, 3) uint8 RGB, H and W even.
        crf: constant rate factor of x264; 23 is its default, 40 is poor quality.
        preset: preset of x264.

    Raises:
        ValueError: H or W is odd.
    """
    height, width = image.shape[:2]
    if height % 2 or width % 2:
        raise ValueError(f"a 4:2:0 video needs an even height and width, not {height} x {width}")
    encoder = av.CodecContext.create("libx264", "w")
    encoder.height, encoder.width = height, width
    encoder.pix_fmt, encoder.time_base = "yuv420p", Fraction(1, 25)
    encoder.options = {
        "preset": preset,
        "crf": str(crf),
        "tune": "zerolatency",
        "x264-params": "threads=1:log-level=none",
    }
    encoder.thread_count = 1
    packets = []
    for _ in range(_FRAMES):
        packets += encoder.encode(av.VideoFrame.from_ndarray(image, "rgb24"))
    packets += encoder.encode(None)
    decoder = av.CodecContext.create("h264", "r")
    decoder.thread_count = 1
    frames = [frame for packet in packets for frame in decoder.decode(packet)]
    frames += decoder.decode(None)
    return frames[-1].to_ndarray(format="rgb24").astype(np.uint8, copy=False)
