"""Face swaps: another person's face, aligned and with matched colours."""

from collections.abc import Sequence

import cv2
import numpy as np

from fakelens.records.arrays import FloatArray, RGBImage
from training.yardstick.geometry import Placement, alignment


def warp_donor(
    donor: RGBImage, source: Placement, shape: tuple[int, ...], target: Placement
) -> tuple[RGBImage, FloatArray]:
    """Align a donor's face with the face that it replaces.

    Args:
        donor: (H, W, 3) uint8 RGB.
        source: placement of the donor's face.
        shape: shape of the target picture.
        target: placement of the face to replace.

    Returns:
        The aligned picture of the donor, (H, W, 3) uint8 RGB in the size of the target, and a mask
        of the donor's picture, (H, W) float32 in 0..1, which falls off softly to 0 at its edge.
    """
    factor = target.unit / source.unit
    if factor < 1:  # average pixels first: a warp alone samples single pixels
        size = (max(1, round(donor.shape[1] * factor)), max(1, round(donor.shape[0] * factor)))
        source = source.scaled(size[0] / donor.shape[1])
        donor = cv2.resize(donor, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    matrix, size = alignment(source, target), (shape[1], shape[0])
    moved = cv2.warpAffine(
        donor, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
    )
    inside = cv2.warpAffine(np.ones(donor.shape[:2], np.float32), matrix, size)
    # Eroded as far as it is blurred, so that nothing beyond the edge is visible.
    reach = max(1, round(0.08 * target.unit))
    padded = cv2.copyMakeBorder(inside, *(reach,) * 4, cv2.BORDER_REPLICATE)
    kernel = np.ones((2 * reach + 1,) * 2)
    soft = cv2.GaussianBlur(cv2.erode(padded, kernel), (0, 0), reach / 3)
    soft = soft[reach:-reach, reach:-reach]
    return moved.astype(np.uint8, copy=False), np.clip(1.02 * soft - 0.02, 0, 1).astype(np.float32)


def match_colours(
    donors: Sequence[RGBImage], targets: Sequence[RGBImage], masks: Sequence[FloatArray]
) -> list[RGBImage]:
    """Match mean and standard deviation of the donor's colours to those of the target, in Lab.

    All frames share one transfer (Reinhard et al., IEEE CG&A 21(5), 2001), computed from the pixels
    under all masks. With fewer than 30 such pixels, the donor's frames are returned unchanged.
    """
    labs = [
        [cv2.cvtColor(picture, cv2.COLOR_RGB2LAB).astype(np.float32) for picture in pictures]
        for pictures in (donors, targets)
    ]
    inside = [mask > 0.3 for mask in masks]
    if sum(int(area.sum()) for area in inside) < 30:
        return list(donors)
    (mean, spread), (wanted_mean, wanted_spread) = (
        (values.mean(axis=0), values.std(axis=0))
        for values in (
            np.concatenate([lab[area] for lab, area in zip(side, inside, strict=True)])
            for side in labs
        )
    )
    gain = np.clip(wanted_spread / (spread + 1e-3), 0.5, 2)
    matched = []
    for lab in labs[0]:
        changed = np.clip(np.rint((lab - mean) * gain + wanted_mean), 0, 255).astype(np.uint8)
        matched.append(np.asarray(cv2.cvtColor(changed, cv2.COLOR_LAB2RGB), np.uint8))
    return matched
