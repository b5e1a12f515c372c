"""Forgeries of known place: a part of a face replaced by a changed copy of itself.

Face-swap programs leave a patch of other sharpness, colour and position under a soft mask (Li et
al., "Face X-ray for More General Face Forgery Detection", CVPR 2020; made from the face itself:
Shiohara and Yamasaki, "Detecting Deepfakes with Self-Blended Images", CVPR 2022). Here every one of
these is given, so that it is known what was done and where.
"""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from fakelens.records.arrays import FloatArray, RGBImage

Part = Literal["face", "mouth", "eyes"]

# Half axes of the replaced ellipse, along the line of the eyes and across it, in distances from
# the middle of the eyes to that of the mouth.
_HALF_AXES: dict[Part, tuple[float, float]] = {
    "face": (0.95, 1.15),
    "mouth": (0.62, 0.42),
    "eyes": (0.95, 0.36),
}
_EDGE = 0.06  # softness of the mask's edge, in the same distances


@dataclass(frozen=True, slots=True)
class ForgeryRecipe:
    """How the copy differs from what it replaces.

    Attributes:
        part: of the face, that is replaced.
        detail: the copy is brought to this part of its resolution and back, 0..1.
        contrast: factor, around middle grey.
        tint: grey levels added to red, green and blue.
        zoom: factor, around the part's middle.
        shift: to the right and down, in distances from the middle of the eyes to the mouth's.
    """

    part: Part
    detail: float
    contrast: float
    tint: tuple[float, float, float]
    zoom: float
    shift: float


FORGERY_RECIPES = (
    ForgeryRecipe("face", 0.4, 1.08, (9, 1, -7), 1.02, 0.05),
    ForgeryRecipe("mouth", 0.6, 0.94, (-6, 2, 6), 1.03, 0.06),
    ForgeryRecipe("face", 0.7, 0.93, (-5, -2, 8), 0.98, -0.05),
    ForgeryRecipe("eyes", 0.5, 1.06, (7, 0, -6), 1.02, 0.05),
)
"""Whole faces and parts, in turn; less resolution, as of a generator, and another colour."""


def forge(
    image: RGBImage, landmarks: FloatArray, recipe: ForgeryRecipe
) -> tuple[RGBImage, FloatArray]:
    """Forge a part of a face.

    Args:
        image: (H, W, 3) uint8 RGB.
        landmarks: (5, 2) of the face, as in ``data.Face``.
        recipe: what to do.

    Returns:
        The forged picture, and how much of each pixel is forged, (H, W) float32 in 0..1; where it
        is 0 the picture is untouched.
    """
    eyes, mouth = landmarks[:2].mean(axis=0), landmarks[3:].mean(axis=0)
    down = max(float(np.linalg.norm(mouth - eyes)), 1.0)
    # A profile's eyes are close together, so the axes go by the distance down the face.
    angle = float(np.degrees(np.arctan2(mouth[1] - eyes[1], mouth[0] - eyes[0]))) - 90
    middle = {"face": (eyes + mouth) / 2, "mouth": mouth, "eyes": eyes}[recipe.part]
    across, along = (2 * down * half for half in _HALF_AXES[recipe.part])
    x, y = (float(value) for value in middle)
    mask = np.zeros(image.shape[:2], np.float32)
    cv2.ellipse(mask, ((x, y), (across, along), angle), 1.0, -1)
    mask = soften(mask, _EDGE * down)
    copy = changed_copy(image, recipe, (x, y), recipe.shift * down)
    return blend(image, copy, mask), mask


def soften(mask: FloatArray, sigma: float) -> FloatArray:
    """Give a mask, (H, W) in 0..1, a soft edge; ``sigma`` in pixels."""
    return cv2.GaussianBlur(mask, (0, 0), max(sigma, 0.5)).astype(np.float32, copy=False)


def changed_copy(
    image: RGBImage, recipe: ForgeryRecipe, center: tuple[float, float], shift: float
) -> FloatArray:
    """The copy that a recipe makes of a picture, (H, W, 3) float32, possibly out of 0..255.

    Args:
        image: (H, W, 3) uint8 RGB.
        recipe: its ``part`` and ``shift`` are not looked at.
        center: of the zoom, x and y in pixels.
        shift: to the right and down, pixels.
    """
    height, width = image.shape[:2]
    zoom = recipe.zoom
    placed = np.array([[zoom, 0, shift], [0, zoom, shift]])
    placed[:, 2] += (1 - zoom) * np.array(center)
    copy = cv2.warpAffine(image, placed, (width, height), borderMode=cv2.BORDER_REPLICATE)
    small = (max(4, round(recipe.detail * width)), max(4, round(recipe.detail * height)))
    coarse = cv2.resize(copy, small, interpolation=cv2.INTER_AREA)
    soft = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    tint = np.array(recipe.tint, np.float32)
    return np.asarray(recipe.contrast * (soft - 128) + 128 + tint, np.float32)


def blend(image: RGBImage, copy: FloatArray, mask: FloatArray) -> RGBImage:
    """The copy over the picture, as much as the mask says."""
    weight = mask[..., None]
    return np.clip(np.rint(weight * copy + (1 - weight) * image), 0, 255).astype(np.uint8)
