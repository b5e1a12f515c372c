"""Synthetic forgeries: a part of a face replaced by an altered copy of itself.

Face-swap programs leave a patch of different sharpness, colour and position, blended with a soft
mask (Li et al., "Face X-ray for More General Face Forgery Detection", CVPR 2020; made from the face
itself: Shiohara and Yamasaki, "Detecting Deepfakes with Self-Blended Images", CVPR 2022). Here each
of these is set by a recipe, so both the alteration and the forged area are known.
"""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from fakelens.records.arrays import FloatArray, RGBImage

Part = Literal["face", "mouth", "eyes"]

# Half axes of the forged ellipse, parallel to the line of the eyes and perpendicular to it. The
# unit is the distance from the midpoint of the eyes to that of the mouth.
_HALF_AXES: dict[Part, tuple[float, float]] = {
    "face": (0.95, 1.15),
    "mouth": (0.62, 0.42),
    "eyes": (0.95, 0.36),
}
_EDGE = 0.06  # standard deviation of the mask's soft edge, in the same unit


@dataclass(frozen=True, slots=True)
class ForgeryRecipe:
    """How the copy differs from what it replaces.

    Attributes:
        part: the part of the face that is replaced.
        detail: resolution of the copy over that of the image, 0..1; it is scaled down and up again.
        contrast: factor, around middle grey.
        tint: grey levels added to red, green and blue.
        zoom: factor, around the centre of the part.
        shift: to the right and down; in distances from the midpoint of the eyes to the mouth's.
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
"""Recipes for whole faces and for parts.

All lower the resolution, as generators do, and change the colour.
"""


def forge(
    image: RGBImage, landmarks: FloatArray, recipe: ForgeryRecipe
) -> tuple[RGBImage, FloatArray]:
    """Forge a part of a face.

    Args:
        image: (H, W, 3) uint8 RGB.
        landmarks: (5, 2) of the face, in pixels, as in ``records.faces.Face``.
        recipe: what to replace, and by what.

    Returns:
        The forged image (H, W, 3) uint8 RGB, and the weight of the forgery in each pixel, (H, W)
        float32 in 0..1; where it is 0 the image is unchanged.
    """
    eyes, mouth = landmarks[:2].mean(axis=0), landmarks[3:].mean(axis=0)
    unit = max(float(np.linalg.norm(mouth - eyes)), 1.0)
    # In profile the eyes are close together, so the distance from eyes to mouth sets the axes.
    angle = float(np.degrees(np.arctan2(mouth[1] - eyes[1], mouth[0] - eyes[0]))) - 90
    center = {"face": (eyes + mouth) / 2, "mouth": mouth, "eyes": eyes}[recipe.part]
    width, height = (2 * unit * half for half in _HALF_AXES[recipe.part])
    x, y = (float(value) for value in center)
    mask = np.zeros(image.shape[:2], np.float32)
    cv2.ellipse(mask, ((x, y), (width, height), angle), 1.0, -1)
    mask = feather_mask(mask, _EDGE * unit)
    source = altered_copy(image, recipe, (x, y), recipe.shift * unit)
    return blend(image, source, mask), mask


def feather_mask(mask: FloatArray, sigma: float) -> FloatArray:
    """Give a mask, (H, W) in 0..1, a soft edge.

    Args:
        mask: the mask.
        sigma: standard deviation of the Gaussian in pixels; at least 0.5 is used.
    """
    return cv2.GaussianBlur(mask, (0, 0), max(sigma, 0.5)).astype(np.float32, copy=False)


def altered_copy(
    image: RGBImage, recipe: ForgeryRecipe, center: tuple[float, float], shift: float
) -> FloatArray:
    """Return an image altered by a recipe, (H, W, 3) float32, not clipped to 0..255.

    Args:
        image: (H, W, 3) uint8 RGB.
        recipe: its ``part`` and ``shift`` are not used.
        center: of the zoom, x and y in pixels.
        shift: to the right and down, in pixels.
    """
    height, width = image.shape[:2]
    zoom = recipe.zoom
    matrix = np.array([[zoom, 0, shift], [0, zoom, shift]])
    matrix[:, 2] += (1 - zoom) * np.array(center)
    copy = cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
    small = (max(4, round(recipe.detail * width)), max(4, round(recipe.detail * height)))
    coarse = cv2.resize(copy, small, interpolation=cv2.INTER_AREA)
    soft = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    tint = np.array(recipe.tint, np.float32)
    return np.asarray(recipe.contrast * (soft - 128) + 128 + tint, np.float32)


def blend(image: RGBImage, source: FloatArray, mask: FloatArray) -> RGBImage:
    """Blend a source over an image, weighted by the mask.

    Args:
        image: (H, W, 3) uint8 RGB.
        source: (H, W, 3) float32 in grey levels.
        mask: (H, W), weight of the source, 0..1.
    """
    weight = mask[..., None]
    return np.clip(np.rint(weight * source + (1 - weight) * image), 0, 255).astype(np.uint8)
