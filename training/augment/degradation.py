"""Capture and compression of whole crops.

The steps are, in order: reduction, blur, noise, JPEG, deblocking and enlargement.
"""

from functools import lru_cache

import torch
from torch import Tensor

from training.augment import jpeg
from training.augment.filters import blur_matrix, positions, resize_matrix
from training.augment.rng import BatchRng
from training.augment.settings import DegradationSettings

# Smallest size of a compressed crop, pixels.
_SMALLEST = 48
# Standard deviation of luma, and of a chroma plane of half the size, under white noise of RGB.
_LUMA_NOISE, _CHROMA_NOISE = 0.669, 0.31


@lru_cache(maxsize=8)
def _deblocking(size: int, device: torch.device) -> Tensor:
    """Return (size, size): the change that a 3-tap mean makes to both rows at each block edge."""
    change = torch.zeros(size, size)
    for edge in range(8, size, 8):
        for row in (edge - 1, edge):
            change[row, row - 1 : row + 2] += 1 / 3
            change[row, row] -= 1
    return change.to(device)


def draw_degradation(
    count: int, canvas: int, settings: DegradationSettings, rng: BatchRng
) -> jpeg.Codec:
    """Draw ``count`` random degradations for crops of ``canvas`` pixels."""
    untouched, reduced, cubic_down, cubic_up, blurred, noisy, grey, compressed, deblocked = (
        rng.bernoulli(
            count,
            settings.untouched,
            settings.reduce,
            settings.cubic_down,
            settings.cubic_up,
            settings.blur,
            settings.noise,
            settings.grey_noise,
            settings.jpeg,
            settings.deblock,
        )
    )
    log_size, sigma, level, quality, strength = rng.uniform_ranges(
        count,
        (0, 1),
        settings.blur_sigma,
        (0, 1),
        settings.quality,
        settings.deblock_strength,
    )
    touched = ~untouched
    low, high = settings.size
    share = low * (high / low) ** log_size
    full = torch.full_like(share, canvas)
    # Whole blocks of luma and of chroma.
    size = (share * (canvas / 16)).round().clamp(min=_SMALLEST / 16, max=canvas / 16) * 16
    size = torch.where(touched & reduced, size, full)
    before = blur_matrix(sigma * (blurred & touched), size, canvas) @ resize_matrix(
        full, size, cubic_down, canvas, canvas
    )
    after = resize_matrix(size, full, cubic_up, canvas, canvas)
    at = positions(canvas, rng.device)
    smoothed = (strength * (deblocked & compressed & touched))[:, None] * (at != size[:, None] - 1)
    after = after + (after * smoothed[:, None]) @ _deblocking(canvas, rng.device)
    level = level**2 * (settings.noise_level * 255) * (noisy & touched)
    half = canvas // 2
    luma = rng.normal(count, canvas, canvas) * (level * _LUMA_NOISE)[:, None, None]
    chroma = rng.normal(count, 2, half, half)
    chroma = chroma * (level * ~grey * _CHROMA_NOISE)[:, None, None, None]
    steps = jpeg.quantisation_steps(quality, compressed & touched)
    return jpeg.make_codec(before, after, size, steps, noise=(luma, chroma))


def degrade(
    pictures: Tensor, treatment: Tensor, count: int, settings: DegradationSettings, rng: BatchRng
) -> Tensor:
    """Degrade pictures; pictures with the same ``treatment`` are degraded alike.

    Args:
        pictures: (m, 3, R, R) RGB, 0 to 1.
        treatment: (m,) int64, number of each picture's degradation, 0 to ``count`` - 1.
        count: Number of degradations.
        settings: Probabilities and ranges.
        rng: Random numbers.

    Returns:
        (m, 3, R, R), 0 to 1.
    """
    codec = draw_degradation(count, pictures.shape[-1], settings, rng)
    return jpeg.apply_codec(pictures, codec, treatment)
