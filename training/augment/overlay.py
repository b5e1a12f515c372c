"""Overlays on crops: other surroundings around a face, and rectangles in front of it.

An overlay is a transmittance and a premultiplied colour. All crops of a sample share one overlay.
"""

import torch
from torch import Tensor
from torch.nn import functional

from training.augment.filters import apply_filter, blur_matrix
from training.augment.geometry import canvas_points
from training.augment.rng import BatchRng
from training.augment.settings import SceneSettings

_RECTANGLES = 2


def _compose(top: tuple[Tensor, Tensor], bottom: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Combine two overlays (transmittance, premultiplied colour) into one."""
    return top[0] * bottom[0], top[1] + top[0] * bottom[1]


def draw_occluders(
    count: int, size: int, settings: SceneSettings, rng: BatchRng
) -> tuple[Tensor, Tensor]:
    """Draw opaque or translucent rectangles in front of faces.

    Returns:
        Transmittance (n, 1, size, size) and premultiplied colour (n, 3, size, size).
    """
    number = count * _RECTANGLES
    x, y, length, breadth, angle, opacity = rng.uniform_ranges(
        number, (-1.1, 1.1), (-1.1, 1.1), (-3.2, -0.4), (-3.2, -0.9), (-3.14, 3.14), (0.6, 1)
    )
    shown, turned, upright = rng.bernoulli(number, settings.occluder, 0.5, 0.5)
    half = torch.stack([length, breadth], 1).exp()
    half = torch.where(upright[:, None], half, half.flip(1))
    angle = angle * turned
    axes = torch.stack([angle.cos(), angle.sin(), -angle.sin(), angle.cos()], 1).view(-1, 2, 2)
    centre = axes @ torch.stack([x, y], 1)[:, :, None]
    points = canvas_points(size, rng.device).T
    inside = (axes @ points - centre).abs() < half[:, :, None]
    alpha = (inside.all(1) * (opacity * shown)[:, None]).view(count, _RECTANGLES, 1, size, size)
    colours = rng.uniform(count, _RECTANGLES, 3, 1, 1)
    first, second = zip((1 - alpha).unbind(1), (alpha * colours).unbind(1), strict=True)
    return _compose(first, second)


def draw_surroundings(
    grid: Tensor, others: Tensor, settings: SceneSettings, rng: BatchRng
) -> tuple[Tensor, Tensor]:
    """Draw which tight crops get other surroundings.

    Args:
        grid: (n, R, R, 2) sampling grid of the crops, -1 to 1 inside their pictures.
        others: (m, 3, R, R) other crops, RGB 0 to 1, used as surroundings.
        settings: Probability and blur.
        rng: Random numbers.

    Returns:
        Transmittance (n, 1, R, R) and premultiplied colour (n, 3, R, R).
    """
    count, size = grid.shape[:2]
    (used,) = rng.bernoulli(count, settings.surroundings)
    (sigma,) = rng.uniform_ranges(count, settings.surroundings_blur)
    picture = others[rng.integers(len(others), count)].float()
    picture = apply_filter(blur_matrix(sigma, torch.full_like(sigma, size), size), picture)
    outside = (grid.abs().amax(3) > 1)[:, None] * used[:, None, None, None]
    cover = functional.avg_pool2d(outside.float(), 5, 1, 2, count_include_pad=False)
    return 1 - cover, cover * picture


def draw_overlay(
    grid: Tensor, others: Tensor | None, settings: SceneSettings, rng: BatchRng
) -> tuple[Tensor, Tensor]:
    """Draw the overlay of each crop: other surroundings (if given) and rectangles before them.

    Returns:
        Transmittance (n, 1, R, R) and premultiplied colour (n, 3, R, R).
    """
    count, size = grid.shape[:2]
    layer = draw_occluders(count, size, settings, rng)
    if others is None:
        return layer
    return _compose(layer, draw_surroundings(grid, others, settings, rng))
