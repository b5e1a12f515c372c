"""Self-blended images: a fake made from one real face (Shiohara & Yamasaki, CVPR 2022).

A real crop is copied, the copy is changed a little (colour, brightness, sharpness, resolution),
nudged by a few pixels and blended back under a soft mask over the face or a part of it. The result
has the traces every face swap leaves - a seam, a mismatch of colour, noise and sharpness - and
none of any one generator's.
"""

import cv2
import numpy as np

from fakelens.data import FloatArray, RGBImage

# Share of blends that replace the whole face, the mouth, the eyes, the nose.
_REGIONS = {"face": 0.55, "mouth": 0.2, "eyes": 0.15, "nose": 0.1}
# The paper (section 3.2) goes down to 0.25; so small a network learns nothing from that.
_STRENGTHS = (0.5, 0.75, 1.0, 1.0)


def self_blend(
    image: RGBImage, landmarks: FloatArray, rng: np.random.Generator
) -> tuple[RGBImage, FloatArray]:
    """Make a fake from a real face.

    Args:
        image: (H, W, 3) uint8 RGB.
        landmarks: (5, 2) eyes, nose tip, mouth corners, pixels.
        rng: the only source of chance.

    Returns:
        The fake, (H, W, 3) uint8 RGB, and its mask, (H, W) float32 in 0..1: how much of each
        pixel comes from the changed copy. Where the mask is 0 the fake equals ``image``.
    """
    mask = blend_mask(image.shape[:2], landmarks, rng)
    eyes_to_mouth = float(np.linalg.norm(landmarks[3:].mean(0) - landmarks[:2].mean(0)))
    source = nudge(perturb(image, rng), eyes_to_mouth, rng)
    weight = mask[..., None]
    mixed = source * weight + image * (1 - weight)
    return np.rint(mixed).astype(np.uint8), mask


def blend_mask(
    shape: tuple[int, ...], landmarks: FloatArray, rng: np.random.Generator
) -> FloatArray:
    """Draw a soft, irregular mask over the face or a part of it: (H, W) float32 in 0..1."""
    height, width = shape
    eyes, mouth = landmarks[:2].mean(0), landmarks[3:].mean(0)
    down = float(np.linalg.norm(mouth - eyes)) + 1e-3
    between_eyes = float(np.linalg.norm(landmarks[1] - landmarks[0]))
    angle = float(np.degrees(np.arctan2(mouth[1] - eyes[1], mouth[0] - eyes[0]))) - 90
    across = max(between_eyes, 0.6 * down)  # a profile's eyes are close together
    center, half_axes = {
        "face": (eyes * 0.5 + mouth * 0.5, (across * 0.95, down * 1.15)),
        "mouth": (mouth, (across * 0.62, down * 0.42)),
        "eyes": (eyes, (across * 0.9, down * 0.32)),
        "nose": (landmarks[2], (across * 0.36, down * 0.45)),
    }[str(rng.choice(list(_REGIONS), p=list(_REGIONS.values())))]
    half_axes = np.array(half_axes) * rng.uniform(0.8, 1.2, 2)

    mask = np.zeros((height, width), np.float32)
    x, y = (float(value) for value in center)
    ellipse = ((x, y), (2 * half_axes[0], 2 * half_axes[1]), angle + rng.uniform(-8, 8))
    cv2.ellipse(mask, ellipse, 1.0, -1)
    mask = _warp(mask, smooth_field((height, width), down * 0.18, rng))
    sigma = float(min(half_axes)) * rng.uniform(0.04, 0.22)
    mask = cv2.GaussianBlur(mask, (0, 0), max(sigma, 0.8))
    # A blurred mask has faint, endless tails: cut them so that "outside" means outside.
    mask = np.clip((mask - 0.02) / 0.96, 0, 1)
    strength = rng.choice(_STRENGTHS)
    return (mask * strength).astype(np.float32)


def perturb(image: RGBImage, rng: np.random.Generator) -> RGBImage:
    """Change colour, brightness, contrast, and sharpness or resolution a little."""
    changed = image.astype(np.float32)
    amount = rng.uniform(0.2, 1)
    changed += rng.uniform(-16, 16, 3) * amount
    contrast = 1 + rng.uniform(-0.15, 0.15) * amount
    changed = (changed - 128) * contrast + 128 + rng.uniform(-15, 15) * amount
    if rng.random() < 0.5:
        grey = changed.mean(axis=2, keepdims=True)
        changed = grey + (changed - grey) * (1 + rng.uniform(-0.4, 0.4) * amount)
    height, width = image.shape[:2]
    if rng.random() < 0.5:
        factor = rng.uniform(0.3, 0.9)
        small = (max(8, round(width * factor)), max(8, round(height * factor)))
        way = int(rng.choice([cv2.INTER_NEAREST, cv2.INTER_LINEAR, cv2.INTER_AREA]))
        changed = cv2.resize(cv2.resize(changed, small, interpolation=way), (width, height))
    else:
        blurred = cv2.GaussianBlur(changed, (0, 0), rng.uniform(0.8, 2.0))
        changed = changed + (changed - blurred) * rng.uniform(0.3, 1.2)
    return np.clip(np.rint(changed), 0, 255).astype(np.uint8)


def nudge(image: RGBImage, scale: float, rng: np.random.Generator) -> RGBImage:
    """Shift, scale and deform by a few pixels; ``scale`` is the eyes-to-mouth distance."""
    height, width = image.shape[:2]
    field = smooth_field((height, width), scale * 0.03, rng)
    field += rng.uniform(-0.06, 0.06, 2).astype(np.float32) * scale
    zoom = rng.uniform(0.95, 1.05) - 1
    field[..., 0] += np.linspace(-width / 2, width / 2, width, dtype=np.float32) * zoom
    field[..., 1] += np.linspace(-height / 2, height / 2, height, dtype=np.float32)[:, None] * zoom
    return _warp(image, field)


def smooth_field(shape: tuple[int, int], amplitude: float, rng: np.random.Generator) -> FloatArray:
    """A smooth random displacement, (H, W, 2) float32 x, y in pixels, at most ``amplitude``."""
    coarse = rng.uniform(-amplitude, amplitude, (5, 5, 2)).astype(np.float32)
    return cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)


def _warp(image: np.ndarray, field: FloatArray) -> np.ndarray:
    height, width = image.shape[:2]
    columns, rows = np.meshgrid(
        np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
    )
    return cv2.remap(
        image,
        columns + field[..., 0],
        rows + field[..., 1],
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT_101,
    )
