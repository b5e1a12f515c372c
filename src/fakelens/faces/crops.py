"""From a face to the square picture a model sees, and whether that picture is good enough."""

from math import floor

import cv2
import numpy as np
from numpy.typing import NDArray

from fakelens.records.arrays import RGBImage
from fakelens.records.faces import Box, CropGeometry, Face
from fakelens.records.media import Pixels

# dlib's square over the distance from the midpoint of the eyes to that of the mouth corners.
DLIB_SIDE = 2.31


def crop_area(face: Face, geometry: CropGeometry) -> Box:
    """The square of the picture that a model wants to see; it may reach over the edges."""
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
    """Cut a square area out of a picture and bring it to ``size``.

    The area is rounded to whole pixels. Where it leaves the picture, the picture's nearest pixel
    is repeated, so the crop is never cut short, wrapped or stretched.

    Args:
        image: (H, W, 3) uint8; of pixels not yet converted, only the area is.
        area: a square; of any place, even wholly outside.
        size: side of the result, pixels.

    Returns:
        (size, size, 3) uint8, in its own memory.

    Raises:
        ValueError: the area is not square.
    """
    if abs(area.width - area.height) > 0.5:
        raise ValueError(f"only a square can be cut without stretching it, not {area}")
    height, width = image.shape[:2]
    side = max(1, _nearest(area.width))
    left, right, before_x, after_x = _span(_nearest(area.x1), side, width)
    top, bottom, before_y, after_y = _span(_nearest(area.y1), side, height)
    crop = image[top:bottom, left:right]
    if before_x or after_x or before_y or after_y:
        # numpy views carry no parent, so OpenCV repeats the view's own edge.
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
    # Not round(): its ties go to even numbers, so a shifted face would not get a shifted crop.
    return floor(value + 0.5)


def _span(start: int, side: int, length: int) -> tuple[int, int, int, int]:
    """One axis of a crop: begin and end within the picture, and pixels to repeat on either side.

    At least one row or column of the picture is kept: the one to be repeated.
    """
    begin = min(max(start, 0), length - 1)
    end = min(max(start + side, 1), length)
    before = min(max(-start, 0), side - 1)
    return begin, end, before, side - (end - begin) - before
