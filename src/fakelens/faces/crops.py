"""Extracts square crops out of frames: from a face to the input of a model."""

from math import floor

import cv2
import numpy as np
from numpy.typing import NDArray

from fakelens.records.arrays import RGBImage
from fakelens.records.faces import Box, CropGeometry, Face
from fakelens.records.media import Pixels

DLIB_SIDE = 2.31
"""Side of dlib's square over the distance between the midpoints of the eyes and the mouth."""


def crop_area(face: Face, geometry: CropGeometry) -> Box:
    """Compute the square that a model takes as input; it may extend beyond the picture."""
    if geometry.reference == "dlib" and face.landmarks is not None:
        eyes = face.landmarks[:2].mean(axis=0)
        mouth = face.landmarks[3:].mean(axis=0)
        x, y = ((eyes + mouth) / 2).tolist()
        reference = DLIB_SIDE * float(np.hypot(*(mouth - eyes)))
    else:
        x, y = face.box.center
        reference = max(face.box.width, face.box.height)
    half = geometry.scale * reference / 2
    return Box(x - half, y - half, x + half, y + half)


def extract_crop(image: RGBImage | Pixels, area: Box, size: int) -> NDArray[np.uint8]:
    """Crop a square area of a picture and resize it to ``size``.

    The area is rounded to whole pixels. Outside the picture, the nearest pixel of the picture is
    repeated, so the crop is never cut short, wrapped or stretched.

    Args:
        image: (H, W, 3) uint8. Of ``Pixels``, only the area is converted.
        area: a square anywhere, even completely outside the picture.
        size: side of the result, pixels.

    Returns:
        (size, size, 3) uint8, not sharing memory with ``image``.

    Raises:
        ValueError: the area is not square.
    """
    if abs(area.width - area.height) > 0.5:
        raise ValueError(f"the area of a crop must be a square, not {area}")
    height, width = image.shape[:2]
    side = max(1, _nearest(area.width))
    left, right, before_x, after_x = _span(_nearest(area.x1), side, width)
    top, bottom, before_y, after_y = _span(_nearest(area.y1), side, height)
    crop = image[top:bottom, left:right]
    if before_x or after_x or before_y or after_y:
        # OpenCV does not know the array behind a view, so it repeats the edge of the view.
        crop = cv2.copyMakeBorder(
            crop, before_y, after_y, before_x, after_x, cv2.BORDER_REPLICATE
        ).astype(np.uint8, copy=False)
    if side == size:
        return crop.copy()
    return resize_crop(crop, size)


def resize_crop(crop: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Resize a crop (S, S, 3) to (size, size, 3), averaging pixels where it shrinks."""
    interpolation = cv2.INTER_AREA if crop.shape[0] > size else cv2.INTER_LINEAR
    return cv2.resize(crop, (size, size), interpolation=interpolation).astype(np.uint8, copy=False)


def _nearest(value: float) -> int:
    # Not round(): it rounds ties to even numbers, so a shifted face would not get a shifted crop.
    return floor(value + 0.5)


def _span(start: int, side: int, length: int) -> tuple[int, int, int, int]:
    """Compute one axis of a crop: start and stop within the picture, and padding before and after.

    At least one row or column of the picture is kept: the one that is repeated.
    """
    first = min(max(start, 0), length - 1)
    stop = min(max(start + side, 1), length)
    before = min(max(-start, 0), side - 1)
    return first, stop, before, side - (stop - first) - before
