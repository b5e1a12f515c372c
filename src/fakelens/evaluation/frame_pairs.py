"""Frame pairs: the forged area as the difference between a fake video and its original."""

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

# If the strongest smoothed difference is below this (grey levels), the face is not forged: only the
# voice is, or another person of the clip. Compression alone causes differences of 1 to 3.
_MIN_DIFFERENCE = 7.0

MAX_CHANGED = 0.8
"""A difference over more than this share of the picture is not a local forgery."""

# Gaps in a mask are closed at this resolution, which is faster.
_CLOSING_SIDE = 56
# The square in which two frames are compared, over the face's box: large enough for the whole
# forgery, and the same for every model.
_COMPARED = CropGeometry("box", 1.3)


def changed_mask(real: RGBImage, fake: RGBImage) -> FloatArray | None:
    """Compute where a fake differs from the real frame it was made from.

    Args:
        real: (H, W, 3) uint8 RGB.
        fake: the same area of the same frame, forged.

    Returns:
        (H, W) float32 in 0..1, 1 where the smoothed difference is clear; ``None`` if there is no
        visible difference, so that the label "fake" is not reliable. A mean above ``MAX_CHANGED``
        means that the two do not show the same area.
    """
    difference = cv2.absdiff(real, fake).mean(axis=2).astype(np.float32)
    difference = cv2.GaussianBlur(difference, (0, 0), real.shape[0] / 50).astype(np.float32)
    strongest = float(np.percentile(difference, 99))
    if strongest < _MIN_DIFFERENCE:
        return None
    noise = float(np.percentile(difference, 10))
    low = noise + 0.12 * (strongest - noise)
    high = noise + 0.3 * (strongest - noise) + 1e-3
    mask = np.clip((difference - low) / (high - low), 0, 1).astype(np.float32)
    # A forged cheek differs little from the real one, unlike the eyes and mouth around it. Close
    # such gaps.
    radius = real.shape[0] // 6 * _CLOSING_SIDE // (2 * real.shape[1])
    small = cv2.resize(mask, (_CLOSING_SIDE,) * 2, interpolation=cv2.INTER_AREA)
    # An even size would shift the mask.
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (1 + 2 * radius,) * 2)
    small = cv2.morphologyEx(small, cv2.MORPH_CLOSE, kernel)
    whole = cv2.resize(small, mask.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return whole.astype(np.float32, copy=False)


def forged_frames(real: Path, fake: Path, detector: FaceDetector, count: int = 20) -> list[Forgery]:
    """Return frames of a fake video whose largest face differs visibly from the original.

    Args:
        real: the original video.
        fake: a video of the same frames, forged.
        detector: finds the face in the real frame.
        count: approximate number of frames compared, evenly spaced.

    Raises:
        MediaError: a video cannot be read, or the two do not show the same frames.
    """
    with open_video(real) as original, open_video(fake) as forged:
        every = max(1, (original.info.frame_estimate or count) // count)
        forgeries: list[Forgery] = []
        following: int | None = None  # index of the frame after the last forgery
        for real_frame, fake_frame in _paired(original.frames(), forged.frames(), real, fake):
            if real_frame.index % every and real_frame.index != following:
                continue
            face = largest_face(detector.detect([real_frame.image])[0])
            if real_frame.index == following and face is not None:
                forgeries[-1] = replace(forgeries[-1], following=(fake_frame.image, face))
            following = None
            if real_frame.index % every or face is None:
                continue
            mask = _difference_mask(real_frame.image, fake_frame.image, crop_area(face, _COMPARED))
            if mask is not None:
                forgeries.append(Forgery(fake_frame.image, mask, face, real.stem))
                following = real_frame.index + 1
    return forgeries


def _paired(
    original: Iterator[Frame], forged: Iterator[Frame], real: Path, fake: Path
) -> Iterator[tuple[Frame, Frame]]:
    for real_frame, fake_frame in zip_longest(original, forged):
        if real_frame is None or fake_frame is None:
            raise MediaError(f"{real} and {fake} are not a pair: they differ in length")
        if real_frame.pixels.shape != fake_frame.pixels.shape:
            raise MediaError(f"{real} and {fake} are not a pair: their frames differ in size")
        yield real_frame, fake_frame


def _difference_mask(real: RGBImage, fake: RGBImage, area: Box) -> NDArray[np.uint8] | None:
    """Return the difference within an area as a ``Forgery.mask``; ``None`` if it is not clear."""
    left, top = (max(0, round(value)) for value in (area.x1, area.y1))
    window = np.s_[top : round(area.y2), left : round(area.x2)]
    changed = changed_mask(real[window], fake[window])
    if changed is None or changed.mean() > MAX_CHANGED:
        return None
    mask = np.zeros(real.shape[:2], np.uint8)
    mask[window] = np.rint(255 * changed)
    return mask
