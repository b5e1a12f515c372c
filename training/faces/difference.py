"""Where a fake crop differs from the real crop that it was made from."""

from dataclasses import dataclass

import cv2
import numpy as np

from fakelens.evaluation.frame_pairs import EVERYWHERE, changed_mask
from fakelens.records.arrays import FloatArray, RGBImage

MASK_SIDE = 28
"""Side of a stored mask, cells."""
# A smoothed difference whose peak is below this shows no forgery: only the voice was swapped, or
# another person of the clip. Euclidean distance in 8-bit Lab.
_VISIBLE = 11.0
# A difference of more than this along the crop's rim: the two do not show the same place.
_SAME_PLACE = 14.0


@dataclass(frozen=True, slots=True)
class Difference:
    """How a real crop and its fake differ.

    Attributes:
        mask: (28, 28) float32 in 0..1, 1 where the difference is clear; zeros if nowhere.
        rim: median of the smoothed difference along the crop's rim, 8-bit Lab.
        peak: 99th percentile of the smoothed difference, 8-bit Lab.
    """

    mask: FloatArray
    rim: float
    peak: float

    @property
    def visible(self) -> bool:
        """Whether there is a forgery to see."""
        return self.peak >= _VISIBLE and bool(self.mask.any())

    @property
    def aligned(self) -> bool:
        """Whether both show the same place, so that the mask tells where the forgery is."""
        return self.visible and self.rim <= _SAME_PLACE and float(self.mask.mean()) <= EVERYWHERE


def measure(real: RGBImage, fake: RGBImage) -> Difference:
    """Compare two crops.

    Args:
        real: (H, W, 3) uint8 RGB.
        fake: the same place, forged; of another size, it is resized.
    """
    height, width = real.shape[:2]
    if fake.shape != real.shape:
        fake = cv2.resize(fake, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8)
    lab = [cv2.cvtColor(image, cv2.COLOR_RGB2LAB).astype(np.float32) for image in (real, fake)]
    smoothed = cv2.GaussianBlur(np.linalg.norm(lab[0] - lab[1], axis=2), (0, 0), height / 50)
    margin = max(1, height // 28)
    inner = np.zeros((height, width), bool)
    inner[margin:-margin, margin:-margin] = True
    mask = changed_mask(real, fake)
    if mask is None:
        small: FloatArray = np.zeros((MASK_SIDE, MASK_SIDE), np.float32)
    else:
        resized = cv2.resize(mask, (MASK_SIDE, MASK_SIDE), interpolation=cv2.INTER_AREA)
        small = resized.astype(np.float32, copy=False)
    return Difference(
        mask=small,
        rim=float(np.median(smoothed[~inner])),
        peak=float(np.percentile(smoothed, 99)),
    )
