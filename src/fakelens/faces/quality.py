"""Quality gates: whether a face is good enough to be scored."""

from dataclasses import dataclass
from enum import Flag, auto

import cv2
import numpy as np
from numpy.typing import NDArray

from fakelens.faces.crops import resize_crop
from fakelens.records.faces import Face

# The side sharpness is measured at: the detail that separates a sharp face from one blurred by 2 %
# of its width survives there, compression noise mostly does not.
_SHARPNESS_SIDE = 64


class QualityFlag(Flag):
    """Why a face may be no good ground for a score; any number of reasons, or ``Doubt(0)``."""

    SMALL = auto()
    BLURRED = auto()
    UNSURE = auto()

    @property
    def words(self) -> tuple[str, ...]:
        """Each reason as shown to the user."""
        return tuple(_WORDS[reason] for reason in self)


_WORDS = {
    QualityFlag.SMALL: "the face is too small",
    QualityFlag.BLURRED: "the face is too blurred",
    QualityFlag.UNSURE: "it may not be a face",
}


@dataclass(frozen=True, slots=True)
class QualityGates:
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


def sharpness(crop: NDArray[np.uint8]) -> float:
    """How sharp a face crop is: 0 for none, about 0.1 to 1 for faces of ordinary videos.

    Variance of the Laplacian (Pech-Pacheco et al., ICPR 2000) of the luma at a fixed size, over
    the variance of the luma, so that neither the size of the face nor a dim light counts as blur.

    Args:
        crop: (S, S, 3) uint8 RGB.
    """
    luma = cv2.cvtColor(resize_crop(crop, _SHARPNESS_SIDE), cv2.COLOR_RGB2GRAY)
    detail = float(cv2.Laplacian(luma, cv2.CV_32F).var())
    # One squared grey level more keeps a flat picture from being 0 / 0.
    return detail / (float(luma.var()) + 1)


def quality_flags(face: Face, sharp: float, gates: QualityGates) -> QualityFlag:
    """Why the face may be no good ground for a score; ``Doubt(0)`` if nothing speaks against it.

    Args:
        face: as the detector found it.
        sharp: of the crop that the model sees, by ``sharpness``.
        gates: the thresholds.
    """
    found = QualityFlag(0)
    if min(face.box.width, face.box.height) < gates.min_size:
        found |= QualityFlag.SMALL
    if sharp < gates.min_sharpness:
        found |= QualityFlag.BLURRED
    if face.confidence < gates.min_confidence:
        found |= QualityFlag.UNSURE
    return found
