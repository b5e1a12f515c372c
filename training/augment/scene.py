"""What lies around and in front of a face: the same layer over all crops of a sample."""

import torch
from torch import Tensor
from torch.nn import functional

from training.augment.chance import Chance
from training.augment.geometry import canvas_points
from training.augment.linear import apply, blur_matrix
from training.augment.settings import SceneSettings

_RECTANGLES = 2


def _over(top: tuple[Tensor, Tensor], bottom: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Put a layer (transmittance, premultiplied colour) over another one."""
    return top[0] * bottom[0], top[1] + top[0] * bottom[1]


def occluders(
    count: int, size: int, settings: SceneSettings, chance: Chance
) -> tuple[Tensor, Tensor]:
    """Draw rectangles in front of faces.

    Returns:
        Transmittance (n, 1, size, size) and premultiplied colour (n, 3, size, size).
    """
    number = count * _RECTANGLES
    x, y, length, breadth, angle, opacity = chance.ranges(
        number, (-1.1, 1.1), (-1.1, 1.1), (-3.2, -0.4), (-3.2, -0.9), (-3.14, 3.14), (0.6, 1)
    )
    shown, turned, upright = chance.flags(number, settings.occluder, 0.5, 0.5)
    half = torch.stack([length, breadth], 1).exp()
    half = torch.where(upright[:, None], half, half.flip(1))
    angle = angle * turned
    axes = torch.stack([angle.cos(), angle.sin(), -angle.sin(), angle.cos()], 1).view(-1, 2, 2)
    centre = axes @ torch.stack([x, y], 1)[:, :, None]
    points = canvas_points(size, chance.device).T
    inside = (axes @ points - centre).abs() < half[:, :, None]
    alpha = (inside.all(1) * (opacity * shown)[:, None]).view(count, _RECTANGLES, 1, size, size)
    colours = chance.uniform(count, _RECTANGLES, 3, 1, 1)
    first, second = zip((1 - alpha).unbind(1), (alpha * colours).unbind(1), strict=True)
    return _over(first, second)


def surround(
    grid: Tensor, others: Tensor, settings: SceneSettings, chance: Chance
) -> tuple[Tensor, Tensor]:
    """Lay other pictures around tight crops.

    Args:
        grid: (n, R, R, 2) sampling grid of the crops, -1 to 1 within their pictures.
        others: (m, 3, R, R) other crops, RGB 0 to 1.
        settings: Share and blur.
        chance: Draws.

    Returns:
        Transmittance (n, 1, R, R) and premultiplied colour (n, 3, R, R).
    """
    count, size = grid.shape[:2]
    (used,) = chance.flags(count, settings.surroundings)
    (sigma,) = chance.ranges(count, settings.surroundings_blur)
    picture = others[chance.integers(len(others), count)].float()
    picture = apply(blur_matrix(sigma, torch.full_like(sigma, size), size), picture)
    outside = (grid.abs().amax(3) > 1)[:, None] * used[:, None, None, None]
    cover = functional.avg_pool2d(outside.float(), 5, 1, 2, count_include_pad=False)
    return 1 - cover, cover * picture


def draw_scene(
    grid: Tensor, others: Tensor | None, settings: SceneSettings, chance: Chance
) -> tuple[Tensor, Tensor]:
    """Draw the layer of each crop: other surroundings (if ``others``), rectangles before them.

    Returns:
        Transmittance (n, 1, R, R) and premultiplied colour (n, 3, R, R).
    """
    count, size = grid.shape[:2]
    layer = occluders(count, size, settings, chance)
    return layer if others is None else _over(layer, surround(grid, others, settings, chance))
