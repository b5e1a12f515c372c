"""Drawn faces and forgeries of them, to try training without data."""

import cv2
import numpy as np
from training.data import Crop, Pair

from fakelens.data import FloatArray, RGBImage

LANDMARKS = np.array([(70, 80), (150, 80), (110, 125), (80, 170), (140, 170)], np.float32)
FORGED = np.s_[100:180, 75:145]
"""Rows and columns of what ``forge`` changes: mouth and nose."""


def draw_face(seed: int) -> RGBImage:
    """Blotchy ellipse with eyes and a mouth on other blotches, (224, 224, 3) uint8 RGB."""
    rng = np.random.default_rng(seed)
    image = cv2.resize(rng.integers(0, 256, (28, 28, 3), np.uint8), (224, 224))
    skin = tuple(int(value) for value in rng.integers(90, 220, 3))
    cv2.ellipse(image, (110, 115), (80, 100), 0, 0, 360, skin, -1)
    for x, y in LANDMARKS[[0, 1, 3, 4]].astype(int).tolist():
        cv2.circle(image, (x, y), 10, (20, 20, 40), -1)
    grain = cv2.resize(rng.normal(0, 12, (56, 56, 3)), (224, 224))
    return np.clip(image + grain, 0, 255).astype(np.uint8)


def forge(image: RGBImage) -> RGBImage:
    """Change the colours of ``FORGED`` by 40 grey levels and nothing else."""
    fake = image.copy()
    part = fake[FORGED].astype(int)
    fake[FORGED] = np.where(part < 128, part + 40, part - 40)
    return fake


def encode(image: RGBImage, quality: int | None = None, landmarks: FloatArray = LANDMARKS) -> Crop:
    """A crop of the data set, as a JPEG of some quality or without loss."""
    if quality is None:
        _, data = cv2.imencode(".png", image[..., ::-1])
    else:
        _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return Crop(data.tobytes(), np.array([110, 115], np.float32), 200.0, landmarks)


def make_pair(seed: int) -> Pair:
    """A face and a forgery of it, without loss; its group is named after the seed."""
    real = draw_face(seed)
    return Pair(f"g{seed}", encode(real), encode(forge(real)))
