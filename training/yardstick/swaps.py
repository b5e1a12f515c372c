"""Another person's face over a face, with its colours."""

from collections.abc import Sequence

import cv2
import numpy as np

from fakelens.records.arrays import FloatArray, RGBImage
from training.yardstick.geometry import Placement, onto


def lay_over(
    donor: RGBImage, source: Placement, shape: tuple[int, ...], target: Placement
) -> tuple[RGBImage, FloatArray]:
    """Bring a donor's face to the place of a face.

    Args:
        donor: (H, W, 3) uint8 RGB.
        source: of the donor's face.
        shape: of the target picture.
        target: of the face to be covered.

    Returns:
        The donor's picture, moved, (H, W, 3) of the target; and how far inside of the donor's
        picture each pixel lies, (H, W) float32 in 0..1, softly 0 at its edge.
    """
    factor = target.unit / source.unit
    if factor < 1:  # averaged, since a warp alone picks single pixels
        size = (max(1, round(donor.shape[1] * factor)), max(1, round(donor.shape[0] * factor)))
        source = source.scaled(size[0] / donor.shape[1])
        donor = cv2.resize(donor, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    matrix, size = onto(source, target), (shape[1], shape[0])
    moved = cv2.warpAffine(
        donor, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
    )
    inside = cv2.warpAffine(np.ones(donor.shape[:2], np.float32), matrix, size)
    # Eroded by as much as it is blurred, so that nothing beyond the edge is shown.
    reach = max(1, round(0.08 * target.unit))
    padded = cv2.copyMakeBorder(inside, *(reach,) * 4, cv2.BORDER_REPLICATE)
    kernel = np.ones((2 * reach + 1,) * 2)
    soft = cv2.GaussianBlur(cv2.erode(padded, kernel), (0, 0), reach / 3)
    soft = soft[reach:-reach, reach:-reach]
    return moved.astype(np.uint8, copy=False), np.clip(1.02 * soft - 0.02, 0, 1).astype(np.float32)


def match_colours(
    donors: Sequence[RGBImage], targets: Sequence[RGBImage], masks: Sequence[FloatArray]
) -> list[RGBImage]:
    """Give the donor's frames the mean and spread of the target's colours (Lab space).

    One transfer for all frames (Reinhard et al., IEEE CG&A 21(5), 2001), from the pixels under the
    masks of all of them.
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
