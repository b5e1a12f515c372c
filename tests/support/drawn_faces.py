"""Drawn faces for tests that need no data."""

import cv2
import numpy as np

from fakelens.records.arrays import RGBImage

LANDMARKS = np.array([(70, 80), (150, 80), (110, 125), (80, 170), (140, 170)], np.float32)
"""(5, 2) landmarks of a drawn face, x, y in pixels."""


def draw_face(seed: int) -> RGBImage:
    """Draw an ellipse with eyes and mouth on a random background, (224, 224, 3) uint8 RGB."""
    rng = np.random.default_rng(seed)
    image = cv2.resize(rng.integers(0, 256, (28, 28, 3), np.uint8), (224, 224))
    skin = tuple(int(value) for value in rng.integers(90, 220, 3))
    cv2.ellipse(image, (110, 115), (80, 100), 0, 0, 360, skin, -1)
    for x, y in LANDMARKS[[0, 1, 3, 4]].astype(int).tolist():
        cv2.circle(image, (x, y), 10, (20, 20, 40), -1)
    grain = cv2.resize(rng.normal(0, 12, (56, 56, 3)), (224, 224))
    return np.clip(image + grain, 0, 255).astype(np.uint8)
