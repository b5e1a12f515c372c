"""Where a forged video differs from the real one that shows the same frames."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fakelens.errors import MediaError
from fakelens.evaluation.forgeries import Forgery, largest_face
from fakelens.faces.crops import crop_area
from fakelens.media.reader import open_video
from fakelens.records.arrays import FloatArray, RGBImage
from fakelens.records.faces import Box, CropGeometry, FaceDetector
from fakelens.records.media import Frame

# A pair whose strongest smoothed difference is below this (grey levels) shows no forgery: only the
# voice was swapped, or another person of the clip. Compression alone makes 1 to 3.
_VISIBLE = 7.0
EVERYWHERE = 0.8
"""A difference over more than this share of the picture is no local forgery."""
# Gaps in a measured mask are closed at this resolution, which is quicker.
_CLOSING_SIDE = 56
# Where a pair of frames is compared: a square of this times the face's box. Wide enough for the
# whole forgery, and the same for every model.
_COMPARED = CropGeometry("box", 1.3)


def changed_mask(real: RGBImage, fake: RGBImage) -> FloatArray | None:
    """Where a fake differs from the real frame it was made from.

    Args:
        real: (H, W, 3) uint8 RGB.
        fake: the same place of the same frame, forged.

    Returns:
        (H, W) float32 in 0..1, 1 where the smoothed difference is clear; ``None`` where there is
        none to see, so that the label "fake" is not to be believed. A mean above ``EVERYWHERE``
        says that the two do not show the same place.
    """
    difference = cv2.absdiff(real, fake).mean(axis=2).astype(np.float32)
    difference = cv2.GaussianBlur(difference, (0, 0), real.shape[0] / 50).astype(np.float32)
    strongest = float(np.percentile(difference, 99))
    if strongest < _VISIBLE:
        return None
    noise = float(np.percentile(difference, 10))
    low = noise + 0.12 * (strongest - noise)
    high = noise + 0.3 * (strongest - noise) + 1e-3
    mask = np.clip((difference - low) / (high - low), 0, 1).astype(np.float32)
    # A forged cheek looks much like the real one between forged eyes and mouth: close such gaps.
    radius = real.shape[0] // 6 * _CLOSING_SIDE // (2 * real.shape[1])
    small = cv2.resize(mask, (_CLOSING_SIDE,) * 2, interpolation=cv2.INTER_AREA)
    # Of odd size, or the closing would move the mask.
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (1 + 2 * radius,) * 2)
    small = cv2.morphologyEx(small, cv2.MORPH_CLOSE, kernel)
    whole = cv2.resize(small, mask.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return whole.astype(np.float32, copy=False)


def forged_frames(real: Path, fake: Path, detector: FaceDetector, count: int = 20) -> list[Forgery]:
    """Frames of a fake video whose largest face differs visibly from the real video's.

    Args:
        real: the original.
        fake: shows the same frames.
        detector: finds the face, in the real frame.
        count: about as many frames, spread evenly.

    Raises:
        MediaError: one of the two cannot be read, or they do not show the same frames.
    """
    with open_video(real) as original, open_video(fake) as forged:
        every = max(1, (original.info.frame_estimate or count) // count)
        forgeries: list[Forgery] = []
        following: int | None = None  # the frame after one with a measured forgery
        for before, after in _aligned(original.frames(), forged.frames(), real, fake):
            if before.index % every and before.index != following:
                continue
            face = largest_face(detector.detect([before.image])[0])
            if before.index == following and face is not None:
                forgeries[-1] = replace(forgeries[-1], following=(after.image, face))
            following = None
            if before.index % every or face is None:
                continue
            mask = _measure(before.image, after.image, crop_area(face, _COMPARED))
            if mask is not None:
                forgeries.append(Forgery(after.image, mask, face, real.stem))
                following = before.index + 1
    return forgeries


def _aligned(
    original: Iterator[Frame], forged: Iterator[Frame], real: Path, fake: Path
) -> Iterator[tuple[Frame, Frame]]:
    for before, after in zip_longest(original, forged):
        if before is None or after is None:
            raise MediaError(f"{real} and {fake} are no pair: they have not as many frames")
        if before.pixels.shape != after.pixels.shape:
            raise MediaError(f"{real} and {fake} are no pair: their frames differ in size")
        yield before, after


def _measure(real: RGBImage, fake: RGBImage, area: Box) -> NDArray[np.uint8] | None:
    """Where two frames differ within an area, as ``Forgery.mask``; ``None`` if unclear."""
    left, top = (max(0, round(value)) for value in (area.x1, area.y1))
    window = np.s_[top : round(area.y2), left : round(area.x2)]
    changed = changed_mask(real[window], fake[window])
    if changed is None or changed.mean() > EVERYWHERE:
        return None
    mask = np.zeros(real.shape[:2], np.uint8)
    mask[window] = np.rint(255 * changed)
    return mask
