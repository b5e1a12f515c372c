"""Difference between a fake crop and the real crop that it was made from."""

from dataclasses import dataclass

import cv2
import numpy as np

from fakelens.evaluation.frame_pairs import MAX_CHANGED, changed_mask
from fakelens.records.arrays import FloatArray, RGBImage

MASK_SIDE = 28
"""Side of a stored mask, cells."""
# If the peak of the smoothed difference is below this, the crop shows no forgery: only the voice or
# another person in the clip was changed. Euclidean distance in 8-bit Lab.
_VISIBLE = 11.0
# If the difference along the border of the crops is above this, they do not show the same place.
_SAME_PLACE = 14.0


@dataclass(frozen=True, slots=True)
class Difference:
    """Difference between a real crop and its fake.

    Attributes:
        mask: (28, 28) float32 in 0..1, 1 where the difference is clear; zeros if it is nowhere.
        rim: median of the smoothed difference along the border of the crop, 8-bit Lab.
        peak: 99th percentile of the smoothed difference, 8-bit Lab.
    """

    mask: FloatArray
    rim: float
    peak: float

    @property
    def visible(self) -> bool:
        """Whether the forgery is visible."""
        return self.peak >= _VISIBLE and bool(self.mask.any())

    @property
    def aligned(self) -> bool:
        """Whether both crops show the same place, so that the mask locates the forgery."""
        return self.visible and self.rim <= _SAME_PLACE and float(self.mask.mean()) <= MAX_CHANGED


def measure_difference(real: RGBImage, fake: RGBImage) -> Difference:
    """Compare a real crop with its fake.

    Args:
        real: (H, W, 3) uint8 RGB.
        fake: forged crop of the same place, uint8 RGB; resized if its size differs.
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
