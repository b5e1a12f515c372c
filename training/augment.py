"""What happens to a face between the camera and the network, imitated on a training crop.

The same seed gives the same changes, so that a real crop and the fakes made from it can be
changed alike and differ in the forgery only.
"""

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Literal

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from fakelens.data import FloatArray, RGBImage

# The crop's side over the longer side of YuNet's box, log-uniform within a range; the share is how
# often. The DFDC crops end at about 0.9: what is wider is invented, see ``Square.beyond``.
_SCALES = {(0.72, 1.05): 0.55, (1.05, 1.7): 0.45}


@dataclass(frozen=True, slots=True)
class Square:
    """What to cut out of a picture.

    Attributes:
        x: of the middle, pixels.
        y: of the middle, pixels.
        side: pixels.
        angle: degrees.
        mirror: swap left and right.
        beyond: what to show outside of the picture: its mirror image, its edge repeated, or its
            mirror image blurred beyond recognition.
        around: another picture to show there instead, (H, W, 3) uint8 RGB.
    """

    x: float
    y: float
    side: float
    angle: float = 0.0
    mirror: bool = False
    beyond: Literal["mirror", "repeat", "blur"] = "mirror"
    around: RGBImage | None = None


def jitter(center: FloatArray, side: float, rng: np.random.Generator) -> Square:
    """A square around a face, not quite where it should be.

    Args:
        center: (2,) x, y of the face box's middle, pixels.
        side: the face box's longer side, pixels.
        rng: the only source of chance.
    """
    ranges = list(_SCALES)
    chosen = ranges[int(rng.choice(len(ranges), p=list(_SCALES.values())))]
    scale = float(np.exp(rng.uniform(*np.log(chosen))))
    x, y = (center + rng.normal(0, 0.04, 2) * side).tolist()
    mirror, draw = bool(rng.random() < 0.5), rng.random()
    beyond = "mirror" if draw < 0.4 else "repeat" if draw < 0.7 else "blur"
    return Square(x, y, side * scale, float(rng.normal(0, 5)), mirror, beyond)


def cut(image: NDArray[Any], square: Square, size: int) -> NDArray[Any]:
    """Cut a square out of a picture, (H, W, 3) uint8 or (H, W) float32, and bring it to ``size``.

    A mask is 0 beyond its edges, except in the mirror. Another picture ``around`` begins softly.
    """
    zoom = size / square.side
    if zoom < 1:  # averaged, as at run time: a warp alone would pick single pixels
        height, width = image.shape[:2]
        image = cv2.resize(
            image, (round(width * zoom), round(height * zoom)), interpolation=cv2.INTER_AREA
        )
        x, y = (zoom * (value + 0.5) - 0.5 for value in (square.x, square.y))
        square = replace(square, x=x, y=y, side=float(size))
        zoom = 1.0
    matrix = cv2.getRotationMatrix2D((square.x, square.y), square.angle, zoom)
    matrix[:, 2] += (size - 1) / 2 - np.array([square.x, square.y])
    if square.mirror:
        matrix[0] = -matrix[0]
        matrix[0, 2] += size - 1
    if square.around is not None:
        shown = cv2.warpAffine(image, matrix, (size, size), borderMode=cv2.BORDER_REPLICATE)
        inside = np.full(image.shape[:2], 1, np.float32)
        inside = cv2.erode(cv2.warpAffine(inside, matrix, (size, size)), np.ones((5, 5)))
        inside = cv2.GaussianBlur(inside, (0, 0), 1.5)
        if image.ndim == 2:
            return np.asarray(shown * inside)
        around = cv2.resize(square.around, (size, size), interpolation=cv2.INTER_LINEAR)
        inside = inside[..., None]
        return np.rint(shown * inside + around * (1 - inside)).astype(np.uint8)
    if square.beyond == "mirror":
        return cv2.warpAffine(image, matrix, (size, size), borderMode=cv2.BORDER_REFLECT_101)
    if image.ndim == 2:
        return cv2.warpAffine(image, matrix, (size, size))
    if square.beyond == "repeat":
        return cv2.warpAffine(image, matrix, (size, size), borderMode=cv2.BORDER_REPLICATE)
    around = cv2.warpAffine(image, matrix, (size, size), borderMode=cv2.BORDER_REFLECT_101)
    around = cv2.resize(around, (size // 16,) * 2, interpolation=cv2.INTER_AREA)
    around = cv2.resize(around, (size, size), interpolation=cv2.INTER_CUBIC)
    return cv2.warpAffine(image, matrix, (size, size), around, borderMode=cv2.BORDER_TRANSPARENT)


def augment(image: RGBImage, square: Square, size: int, rng: np.random.Generator) -> RGBImage:
    """Recolour and degrade a picture and cut a square out of it.

    Args:
        image: (H, W, 3) uint8 RGB.
        square: what to cut out.
        size: side of the result, pixels.
        rng: the only source of chance.

    Returns:
        (size, size, 3) uint8 RGB.
    """
    image = recolour(image, rng)
    # Compression happens before the crop is cut, or - a re-upload, a scaled video - after, where
    # its surroundings are to suffer alike.
    if rng.random() < 0.6 and square.around is None:
        return cut(degrade(image, rng), square, size)
    return degrade(cut(image, square, size), rng)


def recolour(image: RGBImage, rng: np.random.Generator) -> RGBImage:
    """Change brightness, contrast, gamma, white balance and saturation; sometimes grey."""
    draw = rng.random(3)
    gain = rng.uniform(0.75, 1.25) * rng.uniform(0.93, 1.07, 3)
    offset, gamma, saturation = rng.uniform(-20, 20), rng.uniform(0.75, 1.3), rng.uniform(0.5, 1.4)
    if draw[0] < 0.6:
        ramp = np.arange(256, dtype=np.float32)[:, None]
        table = 255 * (np.clip((ramp - 128) * gain + 128 + offset, 0, 255) / 255) ** gamma
        image = cv2.LUT(image, np.rint(table).astype(np.uint8)[None])
    if draw[1] < 0.08:
        return cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    if draw[2] < 0.3:
        grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        image = cv2.addWeighted(image, saturation, grey, 1 - saturation, 0)
    return image


def degrade(image: RGBImage, rng: np.random.Generator) -> RGBImage:
    """Lose resolution, blur, add noise, compress: each sometimes, in this order."""
    lose, soften, grain, compress = rng.random(4)
    factor, sigma, noise = rng.uniform(0.2, 0.95), rng.uniform(0.4, 1.4), rng.uniform(1, 6)
    back = int(rng.choice([cv2.INTER_LINEAR, cv2.INTER_CUBIC]))
    quality, crf = int(rng.integers(40, 96)), int(rng.integers(18, 37))
    height, width = image.shape[:2]
    if lose < 0.4:
        small = (round(width * factor), round(height * factor))
        image = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
        image = cv2.resize(image, (width, height), interpolation=back).astype(np.uint8)
    if soften < 0.12:
        image = cv2.GaussianBlur(image, (0, 0), sigma).astype(np.uint8)
    if grain < 0.15:
        field = rng.standard_normal(image.shape, np.float32) * noise
        image = np.clip(np.rint(image + field), 0, 255).astype(np.uint8)
    if compress < 0.25:
        return as_jpeg(image, quality)
    if compress < 0.55:
        return as_video(image, crf)
    return image


def as_jpeg(image: RGBImage, quality: int) -> RGBImage:
    """Compress and decode; ``quality`` 0..100."""
    _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return np.ascontiguousarray(decoded[..., ::-1]).astype(np.uint8, copy=False)


def as_video(image: RGBImage, crf: int) -> RGBImage:
    """The second frame of a still H.264 video of the picture, decoded.

    Args:
        image: (H, W, 3) uint8 RGB, H and W even.
        crf: x264's constant rate factor; 23 is its default, 40 is poor.
    """
    encoder = av.CodecContext.create("libx264", "w")
    encoder.height, encoder.width = image.shape[:2]
    encoder.pix_fmt, encoder.time_base = "yuv420p", Fraction(1, 25)
    encoder.options = {
        "preset": "superfast",
        "crf": str(crf),
        "tune": "zerolatency",
        "x264-params": "threads=1:log-level=none",
    }
    encoder.thread_count = 1
    packets = []
    for _ in range(2):
        packets += encoder.encode(av.VideoFrame.from_ndarray(image, "rgb24"))
    packets += encoder.encode(None)
    decoder = av.CodecContext.create("h264", "r")
    decoder.thread_count = 1
    frames = [frame for packet in packets for frame in decoder.decode(packet)]
    frames += decoder.decode(None)
    return frames[-1].to_ndarray(format="rgb24").astype(np.uint8, copy=False)
