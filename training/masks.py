"""Which pixels of a face are forged: drawn at random for a blend, measured for a pair."""

import cv2
import numpy as np
from numpy.typing import NDArray

from fakelens.data import FloatArray, RGBImage

# Share of blends that replace the whole face, the mouth, the eyes, the nose.
_REGIONS = {"face": 0.6, "mouth": 0.18, "eyes": 0.14, "nose": 0.08}
# A pair whose strongest smoothed difference is below this (grey levels) shows no forgery: only the
# voice was swapped, or another person of the clip. Compression alone makes 1 to 3.
_VISIBLE = 7.0
EVERYWHERE = 0.8
"""A difference over more than this share of the picture is no local forgery."""
# Gaps in a measured mask are closed at this resolution, which is quicker.
_CLOSING_SIDE = 56


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


def changed_mask(real: RGBImage, fake: RGBImage) -> FloatArray | None:
    """Where a fake differs from the real frame it was made from.

    Args:
        real: (H, W, 3) uint8 RGB.
        fake: the same place of the same frame, forged.

    Returns:
        (H, W) float32 in 0..1, 1 where the smoothed difference is clear; ``None`` where there is
        none to see, so that the label "fake" is not to be believed. A mean above ``EVERYWHERE``
        says that the two do not show the same place.
    """
    difference = cv2.absdiff(real, fake).mean(axis=2).astype(np.float32)
    difference = cv2.GaussianBlur(difference, (0, 0), real.shape[0] / 50)
    strongest = float(np.percentile(difference, 99))
    if strongest < _VISIBLE:
        return None
    noise = float(np.percentile(difference, 10))
    low = noise + 0.12 * (strongest - noise)
    high = noise + 0.3 * (strongest - noise) + 1e-3
    mask = np.clip((difference - low) / (high - low), 0, 1).astype(np.float32)
    # A forged cheek looks much like the real one between forged eyes and mouth: close such gaps.
    radius = real.shape[0] // 6 * _CLOSING_SIDE // (2 * real.shape[1])
    small = cv2.resize(mask, (_CLOSING_SIDE,) * 2, interpolation=cv2.INTER_AREA)
    # Of odd size, or the closing would move the mask.
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (1 + 2 * radius,) * 2)
    small = cv2.morphologyEx(small, cv2.MORPH_CLOSE, kernel)
    return cv2.resize(small, mask.shape[::-1], interpolation=cv2.INTER_LINEAR)


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
