"""From a face to the square picture a network sees, and whether that picture is good enough."""

from dataclasses import dataclass
from enum import Flag, auto
from math import floor

import cv2
import numpy as np
from numpy.typing import NDArray

from fakelens.records.models import Box, CropGeometry, Face, Pixels, RGBImage

# dlib's square over the distance from the midpoint of the eyes to that of the mouth corners.
DLIB_SIDE = 2.31

# The side sharpness is measured at: the detail that separates a sharp face from one blurred by 2 %
# of its width survives there, compression noise mostly does not.
_SHARPNESS_SIDE = 64


class Doubt(Flag):
    """Why a face may be no good ground for a score; any number of reasons, or ``Doubt(0)``."""

    SMALL = auto()
    BLURRED = auto()
    UNSURE = auto()

    @property
    def words(self) -> tuple[str, ...]:
        """Each reason as shown to the user."""
        return tuple(_WORDS[reason] for reason in self)


_WORDS = {
    Doubt.SMALL: "the face is too small",
    Doubt.BLURRED: "the face is too blurred",
    Doubt.UNSURE: "it may not be a face",
}


@dataclass(frozen=True, slots=True)
class Gates:
    """From where on a face is good enough.

    The defaults were measured on 50 clips of talking people, stage and film, on crops of 1.0, 1.3
    and 1.7 times YuNet's box.

    Attributes:
        min_size: shorter side of the face's box, pixels. Below 48 YuNet grows unsure of faces
            (88 % reach its ``sure_confidence`` at 48 pixels, 55 % at 32), and little is left to
            examine.
        min_sharpness: as ``sharpness`` measures it. 99 % of the faces found are above it; 99 % of
            them fall below once blurred by a Gaussian of 4 % of their width (at 1.7 times the
            box: 80 %).
        min_confidence: of the detector, on its own scale; see ``FaceDetector.sure_confidence``.
    """

    min_confidence: float
    min_size: float = 48
    min_sharpness: float = 0.05


def crop_area(face: Face, geometry: CropGeometry) -> Box:
    """The square of the picture that a network wants to see; it may reach over the edges."""
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


def cut(image: RGBImage | Pixels, area: Box, size: int) -> NDArray[np.uint8]:
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
    return _resized(crop, size)


def sharpness(crop: NDArray[np.uint8]) -> float:
    """How sharp a face crop is: 0 for none, about 0.1 to 1 for faces of ordinary videos.

    Variance of the Laplacian (Pech-Pacheco et al., ICPR 2000) of the luma at a fixed size, over
    the variance of the luma, so that neither the size of the face nor a dim light counts as blur.

    Args:
        crop: (S, S, 3) uint8 RGB.
    """
    luma = cv2.cvtColor(_resized(crop, _SHARPNESS_SIDE), cv2.COLOR_RGB2GRAY)
    detail = float(cv2.Laplacian(luma, cv2.CV_32F).var())
    # One squared grey level more keeps a flat picture from being 0 / 0.
    return detail / (float(luma.var()) + 1)


def doubts(face: Face, sharp: float, gates: Gates) -> Doubt:
    """Why the face may be no good ground for a score; ``Doubt(0)`` if nothing speaks against it.

    Args:
        face: as the detector found it.
        sharp: of the crop that the network sees, by ``sharpness``.
        gates: the thresholds.
    """
    found = Doubt(0)
    if min(face.box.width, face.box.height) < gates.min_size:
        found |= Doubt.SMALL
    if sharp < gates.min_sharpness:
        found |= Doubt.BLURRED
    if face.confidence < gates.min_confidence:
        found |= Doubt.UNSURE
    return found


def to_jpeg(image: RGBImage, quality: int = 90) -> bytes:
    """The picture (H, W, 3) RGB as a JPEG of a quality, 0..100."""
    done, data = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError(f"a picture {image.shape} cannot be compressed")
    return data.tobytes()


def of_file(data: bytes) -> RGBImage:
    """What a JPEG of ``to_jpeg``, or a PNG, shows: (H, W, 3) uint8 RGB."""
    decoded = np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR))
    return np.ascontiguousarray(decoded[:, :, ::-1]).astype(np.uint8, copy=False)


def _resized(crop: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
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
