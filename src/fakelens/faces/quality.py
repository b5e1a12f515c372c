"""Quality gates: whether a face is good enough to count towards a score."""

from dataclasses import dataclass
from enum import Flag, auto

import cv2
import numpy as np
from numpy.typing import NDArray

from fakelens.faces.crops import resize_crop
from fakelens.records.faces import Face

# Sharpness is measured at this side, in pixels: it keeps the detail that distinguishes a sharp face
# from one blurred by 2 % of its width, and removes most compression noise.
_SHARPNESS_SIDE = 64

# Areas that were not decoded are searched in cells of this side, pixels of the crop, and in the
# middle of the crop: the background at its corners can be of one colour as well.
_CELL = 8
_MIDDLE = 0.6  # of the crop's side


class QualityFlag(Flag):
    """The quality gates that a face fails; ``QualityFlag(0)`` if it passes all."""

    SMALL = auto()
    BLURRED = auto()
    LOW_CONFIDENCE = auto()
    DAMAGED = auto()

    @property
    def descriptions(self) -> tuple[str, ...]:
        """Description of each flag that is set, for the user."""
        return tuple(_DESCRIPTIONS[flag] for flag in self)


_DESCRIPTIONS = {
    QualityFlag.SMALL: "the face is too small",
    QualityFlag.BLURRED: "the face is too blurred",
    QualityFlag.LOW_CONFIDENCE: "the detection may not be a face",
    QualityFlag.DAMAGED: "a part of the face could not be decoded",
}


@dataclass(frozen=True, slots=True)
class QualityGates:
    """The limits within which a face is good enough.

    The defaults were measured on 50 clips of talking people, stage and film, on crops of 1.0, 1.3
    and 1.7 times YuNet's box.

    Attributes:
        min_confidence: of the detector, on its own scale; see ``FaceDetector.sure_confidence``.
        min_size: shorter side of the face's box, pixels. Below 48 pixels, YuNet becomes less
            reliable (88 % of the faces reach its ``sure_confidence`` at 48 pixels, 55 % at 32),
            and little detail is left to examine.
        min_sharpness: see ``sharpness``. 99 % of the detected faces are above it; 99 % of them
            fall below it if blurred by a Gaussian of 4 % of their width (80 % for crops of 1.7
            times the box).
        max_undecoded: see ``undecoded_share``; only for frames with damage.
    """

    min_confidence: float
    min_size: float = 48
    min_sharpness: float = 0.05
    max_undecoded: float = 0.05


def sharpness(crop: NDArray[np.uint8]) -> float:
    """Measure the sharpness of a face crop: 0 for a flat crop, about 0.1 to 1 for ordinary videos.

    It is the variance of the Laplacian (Pech-Pacheco et al., ICPR 2000) of the luma at a fixed
    size, divided by the variance of the luma: neither the size of the face nor dim light counts
    as blur.

    Args:
        crop: (S, S, 3) uint8 RGB.
    """
    luma = cv2.cvtColor(resize_crop(crop, _SHARPNESS_SIDE), cv2.COLOR_RGB2GRAY)
    detail = float(cv2.Laplacian(luma, cv2.CV_32F).var())
    # One squared grey level is added to avoid 0 / 0 for a flat picture.
    return detail / (float(luma.var()) + 1)


def undecoded_share(crop: NDArray[np.uint8]) -> float:
    """Return the share of the middle of a face crop that is of one flat colour.

    Decoders leave areas without data grey, black or green. Faces have few such areas, so it is to
    be used for frames with damage.

    Args:
        crop: (S, S, 3) uint8 RGB.
    """
    side = len(crop)
    margin = round(side * (1 - _MIDDLE) / 2)
    count = (side - 2 * margin) // _CELL
    if count < 1:
        return 0.0
    stop = margin + count * _CELL
    cells = crop[margin:stop, margin:stop].reshape(count, _CELL, count, _CELL, 3)
    flat = cells.min(axis=(1, 3)) == cells.max(axis=(1, 3))
    colours = cells[:, 0, :, 0][flat.all(axis=2)]
    if not len(colours):
        return 0.0
    _, cells_of_colour = np.unique(colours, axis=0, return_counts=True)
    return float(cells_of_colour.max()) / count**2


def quality_flags(
    face: Face, crop_sharpness: float, gates: QualityGates, undecoded: float = 0.0
) -> QualityFlag:
    """Return the quality gates that a face fails; ``QualityFlag(0)`` if it passes all.

    Args:
        face: as detected.
        crop_sharpness: ``sharpness`` of the crop that the model examines.
        gates: the limits.
        undecoded: ``undecoded_share`` of the crop if its frame is damaged.
    """
    flags = QualityFlag(0)
    if min(face.box.width, face.box.height) < gates.min_size:
        flags |= QualityFlag.SMALL
    if crop_sharpness < gates.min_sharpness:
        flags |= QualityFlag.BLURRED
    if face.confidence < gates.min_confidence:
        flags |= QualityFlag.LOW_CONFIDENCE
    if undecoded > gates.max_undecoded:
        flags |= QualityFlag.DAMAGED
    return flags
