"""Changes of colour and light: an affine map of RGB and a gamma curve."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from training.augment.filters import apply_filter
from training.augment.rng import BatchRng, constant, scale_to_ranges
from training.augment.settings import ColourSettings

DRAWS = 11
"""Uniform values per picture that `make_tone` uses."""


@dataclass(frozen=True)
class Tone:
    """Maps of RGB c to clip(matrix c + offset) ^ gamma: (n, 3, 3), (n, 3), (n,) float32."""

    matrix: Tensor
    offset: Tensor
    gamma: Tensor

    def __call__(self, pictures: Tensor) -> Tensor:
        """Map pictures (n, 3, h, w), RGB 0 to 1."""
        flat = torch.baddbmm(self.offset[:, :, None], self.matrix, pictures.flatten(2))
        return flat.clamp_(1e-4, 1).pow_(self.gamma[:, None, None]).view_as(pictures)

    def __getitem__(self, rows: Tensor) -> "Tone":
        """Return the tones of some rows."""
        return Tone(self.matrix[rows], self.offset[rows], self.gamma[rows])


def make_tone(uniform: Tensor, settings: ColourSettings, amount: Tensor | float = 1.0) -> Tone:
    """Turn uniform values (n, `DRAWS`) into tones.

    ``amount`` (n,) scales the changes; 0 gives no change.
    """
    red, green, blue, contrast, brightness, saturation, gamma = scale_to_ranges(
        uniform[:, :7],
        *[(-settings.channel, settings.channel)] * 3,
        (-settings.contrast, settings.contrast),
        (-settings.brightness, settings.brightness),
        settings.saturation,
        (-settings.gamma, settings.gamma),
    )
    shares = (
        settings.channel_share,
        settings.saturation_share,
        settings.gamma_share,
        settings.grey,
    )
    some = uniform[:, 7:] < constant(shares, uniform.device)
    channel_on, saturation_on, gamma_on, grey = some.unbind(1)
    contrast = 1 + amount * contrast
    saturation = torch.where(grey, 0.0, 1 + amount * saturation * saturation_on)
    channels = torch.stack([red, green, blue], 1) * (amount * channel_on)[:, None]
    matrix = torch.eye(3, device=uniform.device) * saturation[:, None, None]
    matrix = (matrix + ((1 - saturation) / 3)[:, None, None]) * contrast[:, None, None]
    offset = 0.5 * (1 - contrast) + amount * brightness
    offset = (matrix @ channels[:, :, None])[:, :, 0] + offset[:, None]
    return Tone(matrix, offset, (amount * gamma * gamma_on).exp())


def draw_tone(count: int, settings: ColourSettings, rng: BatchRng) -> Tone:
    """Draw ``count`` random tones."""
    return make_tone(rng.uniform(count, DRAWS), settings)


def match_colours(pictures: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Match the weighted mean and deviation of each channel to a target.

    Reinhard et al., "Color transfer between images", 2001.

    Args:
        pictures: (n, 3, h, w), 0 to 1.
        targets: (n, 3, h, w), 0 to 1.
        weights: (n, 1, h, w), not negative, not all 0.

    Returns:
        (n, 3, h, w), 0 to 1; the deviation changes by a factor of 0.5 to 2.
    """
    both = torch.stack([pictures, targets]).flatten(3)
    flat = weights.flatten(2).mT / weights.sum((2, 3))[:, :, None]
    mean = both @ flat
    deviation = ((both * both) @ flat - mean**2).clamp(min=1e-6).sqrt()
    gain = (deviation[1] / deviation[0]).clamp(0.5, 2)
    return torch.addcmul(mean[1], both[0] - mean[0], gain).clamp_(0, 1).view_as(pictures)


def match_low_band(pictures: Tensor, targets: Tensor, matrix: Tensor) -> Tensor:
    """Replace the low frequencies of pictures with those of targets (two-band blending).

    Burt and Adelson, "A multiresolution spline", 1983, with two bands.

    Args:
        pictures: (n, 3, R, R), 0 to 1.
        targets: (n, 3, R, R), 0 to 1.
        matrix: (n, R / 8, R / 8) low-pass filters, applied at an eighth of the size.

    Returns:
        (n, 3, R, R), 0 to 1.
    """
    low = apply_filter(matrix, functional.avg_pool2d(targets - pictures, 8))
    low = functional.interpolate(low, scale_factor=8, mode="bilinear")
    return (pictures + low).clamp_(0, 1)
