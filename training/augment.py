"""What happens to a face between the camera and the network, imitated on a training crop.

The same seed gives the same changes, so that a real crop and the fakes made from it can be
changed alike and differ in the forgery only.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fakelens.data import FloatArray, RGBImage

INPUT_SIZE = 256


@dataclass(frozen=True, slots=True)
class Square:
    """What to cut out of a picture.

    Attributes:
        x: of the middle, pixels.
        y: of the middle, pixels.
        side: pixels.
        angle: degrees.
        mirror: swap left and right.
    """

    x: float
    y: float
    side: float
    angle: float = 0.0
    mirror: bool = False


def jitter(
    center: FloatArray, side: float, scales: tuple[float, float], rng: np.random.Generator
) -> Square:
    """A square around a face, not quite where it should be.

    Args:
        center: (2,) x, y of the face box's middle, pixels.
        side: the face box's longer side, pixels.
        scales: the square's side over ``side`` lies in this range, log-uniformly.
        rng: the only source of chance.
    """
    scale = float(np.exp(rng.uniform(*np.log(scales))))
    x, y = (center + rng.normal(0, 0.04, 2) * side).tolist()
    return Square(x, y, side * scale, float(rng.normal(0, 5)), bool(rng.random() < 0.5))


def cut(image: NDArray[Any], square: Square) -> NDArray[Any]:
    """Cut a square and resize it to 256 x 256; beyond the picture it is mirrored."""
    zoom = INPUT_SIZE / square.side
    matrix = cv2.getRotationMatrix2D((square.x, square.y), square.angle, zoom)
    matrix[:, 2] += (INPUT_SIZE - 1) / 2 - np.array([square.x, square.y])
    if square.mirror:
        matrix[0] = -matrix[0]
        matrix[0, 2] += INPUT_SIZE - 1
    return cv2.warpAffine(
        image, matrix, (INPUT_SIZE, INPUT_SIZE), borderMode=cv2.BORDER_REFLECT_101
    )


def augment(
    image: RGBImage, square: Square, rng: np.random.Generator, often: float = 1.0
) -> RGBImage:
    """Recolour and degrade a picture and cut a square out of it.

    Args:
        image: (H, W, 3) uint8 RGB.
        square: what to cut out.
        rng: the only source of chance.
        often: factor of the chance of each change, 0..1.

    Returns:
        (256, 256, 3) uint8 RGB.
    """
    image = recolour(image, rng, often)
    # Compression happens before the crop is cut, or - a re-upload, a scaled video - after.
    if rng.random() < 0.5:
        return cut(degrade(image, rng, often), square)
    return degrade(cut(image, square), rng, often)


def recolour(image: RGBImage, rng: np.random.Generator, often: float = 1.0) -> RGBImage:
    """Change brightness, contrast, gamma, white balance and saturation; sometimes grey."""
    draw = rng.random(3)
    gain = rng.uniform(0.75, 1.25) * rng.uniform(0.93, 1.07, 3)
    offset, gamma, saturation = rng.uniform(-20, 20), rng.uniform(0.75, 1.3), rng.uniform(0.5, 1.4)
    if draw[0] < 0.6 * often:
        ramp = np.arange(256, dtype=np.float32)[:, None]
        table = 255 * (np.clip((ramp - 128) * gain + 128 + offset, 0, 255) / 255) ** gamma
        image = cv2.LUT(image, np.rint(table).astype(np.uint8)[None])
    if draw[1] < 0.08 * often:
        return cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    if draw[2] < 0.3 * often:
        grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        image = cv2.addWeighted(image, saturation, grey, 1 - saturation, 0)
    return image


def degrade(image: RGBImage, rng: np.random.Generator, often: float = 1.0) -> RGBImage:
    """Lose resolution, blur, add noise, compress: each sometimes, in this order."""
    lose, soften, grain, compress = rng.random(4)
    factor, sigma, noise = rng.uniform(0.4, 0.95), rng.uniform(0.4, 1.4), rng.uniform(1, 6)
    quality = int(rng.integers(35, 96))
    height, width = image.shape[:2]
    if lose < 0.25 * often:
        small = (round(width * factor), round(height * factor))
        image = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    if soften < 0.12 * often:
        image = cv2.GaussianBlur(image, (0, 0), sigma)
    if grain < 0.15 * often:
        field = rng.standard_normal(image.shape, np.float32) * noise
        image = np.clip(np.rint(image + field), 0, 255).astype(np.uint8)
    if compress < 0.6 * often:
        _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        image = np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])
    return image
