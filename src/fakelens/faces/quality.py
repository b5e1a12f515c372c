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


class QualityFlag(Flag):
    """The quality gates that a face fails; ``QualityFlag(0)`` if it passes all."""

    SMALL = auto()
    BLURRED = auto()
    LOW_CONFIDENCE = auto()

    @property
    def descriptions(self) -> tuple[str, ...]:
        """Description of each flag that is set, for the user."""
        return tuple(_DESCRIPTIONS[flag] for flag in self)


_DESCRIPTIONS = {
    QualityFlag.SMALL: "the face is too small",
    QualityFlag.BLURRED: "the face is too blurred",
    QualityFlag.LOW_CONFIDENCE: "the detection may not be a face",
}


@dataclass(frozen=True, slots=True)
class QualityGates:
    """The smallest values at which a face is good enough.

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
    """

    min_confidence: float
    min_size: float = 48
    min_sharpness: float = 0.05


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


def quality_flags(face: Face, crop_sharpness: float, gates: QualityGates) -> QualityFlag:
    """Return the quality gates that a face fails; ``QualityFlag(0)`` if it passes all.

    Args:
        face: as detected.
        crop_sharpness: ``sharpness`` of the crop that the model examines.
        gates: the smallest values.
    """
    flags = QualityFlag(0)
    if min(face.box.width, face.box.height) < gates.min_size:
        flags |= QualityFlag.SMALL
    if crop_sharpness < gates.min_sharpness:
        flags |= QualityFlag.BLURRED
    if face.confidence < gates.min_confidence:
        flags |= QualityFlag.LOW_CONFIDENCE
    return flags
