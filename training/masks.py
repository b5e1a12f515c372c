"""Which pixels of a face are forged: drawn at random for a blend.

For a pair of pictures it is measured, see ``fakelens.benchmark.differences``.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from fakelens.data import FloatArray

# Share of blends that replace the whole face, the mouth, the eyes, the nose.
_REGIONS = {"face": 0.6, "mouth": 0.18, "eyes": 0.14, "nose": 0.08}


def blend_mask(
    shape: tuple[int, ...], landmarks: FloatArray, rng: np.random.Generator, region: str = ""
) -> FloatArray:
    """Draw a soft, irregular mask over the face or a part of it.

    Args:
        shape: H, W of the picture, pixels.
        landmarks: (5, 2) eyes, nose tip, mouth corners, pixels.
        rng: the only source of chance.
        region: "face", "mouth", "eyes" or "nose"; by default drawn.

    Returns:
        (H, W) float32 in 0..1, with a maximum of 1 unless it lies outside of the picture.
    """
    height, width = shape[:2]
    eyes, mouth = landmarks[:2].mean(0), landmarks[3:].mean(0)
    down = float(np.linalg.norm(mouth - eyes)) + 1e-3
    between_eyes = float(np.linalg.norm(landmarks[1] - landmarks[0]))
    angle = float(np.degrees(np.arctan2(mouth[1] - eyes[1], mouth[0] - eyes[0]))) - 90
    across = max(between_eyes, 0.6 * down)  # a profile's eyes are close together
    drawn = str(rng.choice(list(_REGIONS), p=list(_REGIONS.values())))
    center, half_axes = {
        "face": (eyes * 0.5 + mouth * 0.5, (across * 0.95, down * 1.15)),
        "mouth": (mouth, (across * 0.62, down * 0.42)),
        "eyes": (eyes, (across * 0.9, down * 0.32)),
        "nose": (landmarks[2], (across * 0.36, down * 0.45)),
    }[region or drawn]
    half_axes = np.array(half_axes) * rng.uniform(0.7, 1.15, 2)

    mask = np.zeros((height, width), np.float32)
    x, y = (float(value) for value in center)
    ellipse = ((x, y), (2 * half_axes[0], 2 * half_axes[1]), angle + rng.uniform(-8, 8))
    cv2.ellipse(mask, ellipse, 1.0, -1)
    mask = warp(mask, smooth_field((height, width), down * 0.18, rng))
    sigma = float(min(half_axes)) * rng.uniform(0.04, 0.22)
    mask = cv2.GaussianBlur(mask, (0, 0), max(sigma, 0.8))
    # A blurred mask has faint, endless tails: cut them so that "outside" means outside.
    return np.clip((mask - 0.02) / 0.96, 0, 1).astype(np.float32)


def smooth_field(shape: tuple[int, int], amplitude: float, rng: np.random.Generator) -> FloatArray:
    """A smooth random displacement, (H, W, 2) float32 x, y in pixels, at most ``amplitude``."""
    coarse = rng.uniform(-amplitude, amplitude, (5, 5, 2)).astype(np.float32)
    return cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)


def warp(image: NDArray, field: FloatArray) -> NDArray:
    """The picture whose pixel at p is that of ``image`` at p + ``field``, (H, W, 2) x, y."""
    height, width = image.shape[:2]
    columns, rows = np.meshgrid(
        np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
    )
    return cv2.remap(
        image,
        columns + field[..., 0],
        rows + field[..., 1],
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT_101,
    )
