"""Fakes made from real faces, with the traces every face swap leaves and of no one generator.

* A *self-blend* (Shiohara & Yamasaki, CVPR 2022): a copy of the face is changed a little (colour,
  brightness, sharpness, resolution, compression), nudged by a few pixels and blended back.
* A *swap* (after Li et al., "Face X-ray", CVPR 2020): another person's real face of a similar pose
  is laid over it, brought to its colours, changed and blended in.
* A *part* of a forged face, blended into the real one it was made from.

Each is blended under a soft mask over the face or a part of it, and the mask is known.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from fakelens.data import FloatArray, RGBImage
from training.augment import as_jpeg
from training.masks import blend_mask, smooth_field, warp

# How strongly the mask covers; the paper (section 3.2) has 0.25, 0.5, 0.75, 1, 1, 1.
_STRENGTHS = (0.4, 0.6, 0.8, 1.0, 1.0, 1.0)


def set_apart(
    pictures: Sequence[RGBImage], rng: np.random.Generator
) -> tuple[list[RGBImage], bool]:
    """Decide which side of a blend is to be changed: what it is pasted into, or what is pasted.

    Changed pixels must be no more frequent in fakes than in real faces, or a network learns to
    find changes instead of mismatches (as the authors of self-blended images do it in their code).

    Args:
        pictures: of one place, (H, W, 3) uint8 RGB; the real one is what will be pasted into.
        rng: the only source of chance.

    Returns:
        The pictures, all changed alike or all as they were; and whether what is pasted is still
        to be changed.
    """
    if rng.random() < 0.5:
        whole = int(rng.integers(2**63))
        return [perturb(picture, np.random.default_rng(whole)) for picture in pictures], False
    return list(pictures), True


def self_blend(
    image: RGBImage, source: RGBImage, landmarks: FloatArray, rng: np.random.Generator, change: bool
) -> tuple[RGBImage, FloatArray]:
    """Make a fake from one real face.

    Args:
        image: (H, W, 3) uint8 RGB, what is pasted into.
        source: the same picture, before ``set_apart`` may have changed it.
        landmarks: (5, 2) eyes, nose tip, mouth corners, pixels.
        rng: the only source of chance.
        change: change the pasted copy, see ``set_apart``.

    Returns:
        The fake, (H, W, 3) uint8 RGB, and its mask, (H, W) float32 in 0..1: how much of each
        pixel comes from the pasted copy. Where the mask is 0 the fake equals ``image``.
    """
    mask = blend_mask(image.shape, landmarks, rng) * float(rng.choice(_STRENGTHS))
    eyes_to_mouth = float(np.linalg.norm(landmarks[3:].mean(0) - landmarks[:2].mean(0)))
    copy = nudge(perturb(source, rng) if change else source, eyes_to_mouth, rng)
    return mix(image, copy, mask), mask


def swap_blend(
    image: RGBImage,
    landmarks: FloatArray,
    donor: RGBImage,
    donor_landmarks: FloatArray,
    rng: np.random.Generator,
    change: bool,
) -> tuple[RGBImage, FloatArray]:
    """Lay another real face over a real face; arguments and result as of ``self_blend``."""
    matrix, _ = cv2.estimateAffinePartial2D(donor_landmarks, landmarks, method=cv2.LMEDS)
    if matrix is None:  # landmarks that coincide
        return self_blend(image, image, landmarks, rng, change)
    height, width = image.shape[:2]
    source = cv2.warpAffine(donor, matrix, (width, height), borderMode=cv2.BORDER_REFLECT_101)
    whole = np.ones(donor.shape[:2], np.float32)
    inside = cv2.warpAffine(whole, matrix, (width, height))
    inside = cv2.GaussianBlur(cv2.erode(inside, np.ones((5, 5))), (0, 0), 3)
    mask = blend_mask(image.shape, landmarks, rng) * np.clip(2 * inside - 1, 0, 1)
    if rng.random() < 0.85:
        source = match_colours(source, image, mask)
    return mix(image, perturb(source, rng, 0.6) if change else source, mask), mask


def part_blend(
    image: RGBImage, fake: RGBImage, changed: FloatArray, mask: FloatArray
) -> tuple[RGBImage, FloatArray]:
    """Blend a part of a forged face into the real frame it was made from.

    Args:
        image: (H, W, 3) uint8 RGB, real.
        fake: the same place of the same frame, forged.
        changed: (H, W) in 0..1, where the two differ.
        mask: (H, W) in 0..1, the part to take; where it is 0 the result equals ``image``.
    """
    return mix(image, fake, mask), mask * changed


def mix(image: RGBImage, source: RGBImage, mask: FloatArray) -> RGBImage:
    """``source`` over ``image`` where ``mask`` is 1, the average in between."""
    weight = mask[..., None]
    return np.rint(source * weight + image * (1 - weight)).astype(np.uint8)


def match_colours(source: RGBImage, target: RGBImage, mask: FloatArray) -> RGBImage:
    """Give ``source`` the mean and spread of ``target``'s colours under the mask (Lab space).

    After Reinhard et al., "Color transfer between images", 2001.
    """
    labs = [cv2.cvtColor(picture, cv2.COLOR_RGB2LAB) for picture in (source, target)]
    inside = (mask > 0.3).astype(np.uint8)
    if inside.sum() < 50:
        return source
    (mean_a, spread_a), (mean_b, spread_b) = (cv2.meanStdDev(lab, mask=inside) for lab in labs)
    gain = np.clip(spread_b / (spread_a + 1e-3), 0.5, 2)
    lab = (labs[0].astype(np.float32) - mean_a.ravel()) * gain.ravel() + mean_b.ravel()
    matched = np.clip(np.rint(lab), 0, 255).astype(np.uint8)
    return cv2.cvtColor(matched, cv2.COLOR_LAB2RGB).astype(np.uint8, copy=False)


def perturb(image: RGBImage, rng: np.random.Generator, most: float = 1.0) -> RGBImage:
    """Change colour, brightness, contrast, and sharpness, resolution or compression a little.

    Args:
        image: (H, W, 3) uint8 RGB.
        rng: the only source of chance.
        most: factor of the changes of colour, 0..1.
    """
    changed = image.astype(np.float32)
    amount = most * rng.uniform(0.2, 1)
    changed += rng.uniform(-16, 16, 3) * amount
    contrast = 1 + rng.uniform(-0.15, 0.15) * amount
    changed = (changed - 128) * contrast + 128 + rng.uniform(-15, 15) * amount
    if rng.random() < 0.5:
        grey = changed.mean(axis=2, keepdims=True)
        changed = grey + (changed - grey) * (1 + rng.uniform(-0.4, 0.4) * amount)
    height, width = image.shape[:2]
    draw = rng.random()
    if draw < 0.45:
        factor = rng.uniform(0.25, 0.9)
        small = (max(8, round(width * factor)), max(8, round(height * factor)))
        way = int(rng.choice([cv2.INTER_NEAREST, cv2.INTER_LINEAR, cv2.INTER_AREA]))
        back = int(rng.choice([cv2.INTER_LINEAR, cv2.INTER_CUBIC]))
        changed = cv2.resize(changed, small, interpolation=way)
        changed = cv2.resize(changed, (width, height), interpolation=back)
    elif draw < 0.7:
        blurred = cv2.GaussianBlur(changed, (0, 0), rng.uniform(0.8, 2.0))
        changed = changed + (changed - blurred) * rng.uniform(0.3, 1.2)
    elif draw < 0.85:
        smooth = np.clip(changed, 0, 255).astype(np.uint8)
        changed = cv2.bilateralFilter(smooth, 5, rng.uniform(15, 60), 3).astype(np.float32)
    result = np.clip(np.rint(changed), 0, 255).astype(np.uint8)
    if rng.random() < 0.25:
        return as_jpeg(result, int(rng.integers(30, 85)))
    return result


def nudge(image: RGBImage, scale: float, rng: np.random.Generator) -> RGBImage:
    """Shift, scale and deform by a few pixels; ``scale`` is the eyes-to-mouth distance."""
    height, width = image.shape[:2]
    field = smooth_field((height, width), scale * 0.03, rng)
    field += rng.uniform(-0.06, 0.06, 2).astype(np.float32) * scale
    zoom = rng.uniform(0.95, 1.05) - 1
    field[..., 0] += np.linspace(-width / 2, width / 2, width, dtype=np.float32) * zoom
    field[..., 1] += np.linspace(-height / 2, height / 2, height, dtype=np.float32)[:, None] * zoom
    return warp(image, field)
