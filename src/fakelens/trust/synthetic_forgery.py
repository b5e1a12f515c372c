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

Part = Literal["face", "mouth", "eyes", "nose", "jaw and cheeks"]


@dataclass(frozen=True, slots=True)
class _Ellipse:
    """An ellipse on the face.

    The unit is the distance from the midpoint of the eyes to that of the mouth.

    Attributes:
        down: position of the centre on the line from the eyes (0) to the mouth (1).
        half_width: half axis parallel to the line of the eyes.
        half_height: half axis perpendicular to it.
    """

    down: float
    half_width: float
    half_height: float


_ELLIPSES: dict[Part, _Ellipse] = {
    "face": _Ellipse(0.5, 0.95, 1.15),
    "mouth": _Ellipse(1.0, 0.62, 0.42),
    "eyes": _Ellipse(0.0, 0.95, 0.36),
    "nose": _Ellipse(0.45, 0.32, 0.38),
    # The outline of the lower face, without what lies inside.
    "jaw and cheeks": _Ellipse(0.5, 1.0, 1.25),
}
PART_NAMES: dict[Part, str] = {part: part for part in _ELLIPSES} | {"face": "whole face"}
"""Names of the parts in ``explain.baseline.PARTS``."""
_INSIDE: tuple[Part, ...] = ("eyes", "nose", "mouth")
_EDGE = 0.06  # standard deviation of a mask's soft edge, in the same unit


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
    ForgeryRecipe("jaw and cheeks", 0.45, 1.07, (8, 2, -6), 1.02, 0.05),
    ForgeryRecipe("nose", 0.55, 0.93, (-7, 1, 6), 1.02, -0.05),
)
"""Recipes for whole faces and for each part.

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
    mask = np.zeros(image.shape[:2], np.float32)

    def fill(ellipse: _Ellipse, value: float) -> tuple[float, float]:
        x, y = (float(value) for value in eyes + ellipse.down * (mouth - eyes))
        size = (2 * unit * ellipse.half_width, 2 * unit * ellipse.half_height)
        cv2.ellipse(mask, ((x, y), size, angle), value, -1)
        return x, y

    center = fill(_ELLIPSES[recipe.part], 1.0)
    if recipe.part == "jaw and cheeks":
        for part in _INSIDE:
            fill(_ELLIPSES[part], 0.0)
        _erase_above_eyes(mask, eyes, angle, unit)
    mask = feather_mask(mask, _EDGE * unit)
    source = altered_copy(image, recipe, center, recipe.shift * unit)
    return blend(image, source, mask), mask


def _erase_above_eyes(mask: FloatArray, eyes: FloatArray, angle: float, unit: float) -> None:
    """Set the mask to 0 above the line of the eyes.

    Args:
        mask: (H, W), changed in place.
        eyes: (2,) midpoint of the eyes, pixels.
        angle: of the face, degrees clockwise.
        unit: see ``_Ellipse``, pixels.
    """
    center = eyes + 2 * unit * np.array([np.sin(np.radians(angle)), -np.cos(np.radians(angle))])
    corners = cv2.boxPoints(((float(center[0]), float(center[1])), (4 * unit, 4 * unit), angle))
    cv2.fillConvexPoly(mask, np.rint(corners).astype(np.int32), 0.0)


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
