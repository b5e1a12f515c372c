"""Separable linear filters, as one matrix per sample.

A picture X (rows, columns) becomes ``A @ X @ A.mT``. Reduction, blur, enlargement and the blocked
DCT all have this form. A chain of filters is therefore one matrix, and samples of different sizes
share one batched product. A picture smaller than its canvas fills the canvas's top left corner.
"""

from functools import lru_cache

import torch
from torch import Tensor

MIN_EXPONENT = -30.0
"""Lower bound of a Gaussian's exponent: CPUs compute with subnormal numbers very slowly."""


@lru_cache(maxsize=64)
def positions(count: int, device: torch.device) -> Tensor:
    """Return 0, 1, ... count - 1 as float32."""
    return torch.arange(count, dtype=torch.float32, device=device)


def _cubic(x: Tensor) -> Tensor:
    """Return Keys' cubic kernel at ``x`` >= 0, with a = -0.5 as in Pillow."""
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((2.5 - 0.5 * x) * x - 4) * x + 2
    return torch.where(x < 1, near, torch.where(x < 2, far, 0))


def resize_matrix(
    before: Tensor, after: Tensor, cubic: Tensor | None, columns: int, rows: int
) -> Tensor:
    """Return matrices that resize with antialiasing, like Pillow's BILINEAR and BICUBIC.

    Args:
        before: (n,) float32 size of the input, at most ``columns``.
        after: (n,) float32 size of the output, at most ``rows``.
        cubic: (n,) bool, true for bicubic and false for bilinear; None: all are bilinear.
        columns: Size of the input's canvas.
        rows: Size of the output's canvas.

    Returns:
        (n, rows, columns) float32; rows and columns beyond the sizes are 0.
    """
    before, after = before[:, None, None], after[:, None, None]
    row = positions(rows, before.device)[:, None]
    column = positions(columns, before.device)
    ratio = before / after
    distance = (((row + 0.5) * ratio - 0.5 - column) / ratio.clamp(min=1)).abs_()
    weights = (1 - distance).clamp_(min=0)
    if cubic is not None:
        weights = torch.where(cubic[:, None, None], _cubic(distance), weights)
    weights = weights * (column < before)
    return weights * ((row < after) / weights.sum(2, keepdim=True).clamp(min=1e-6))


def blur_matrix(sigma: Tensor, size: Tensor, canvas: int) -> Tensor:
    """Return Gaussian filters (n, canvas, canvas) for pictures of ``size`` (n,) pixels.

    ``sigma`` (n,) is in pixels; 0 gives the identity. Near the border, the weights inside the
    picture are normalised to a sum of 1.
    """
    at = positions(canvas, sigma.device)
    squared = (at[:, None] - at) ** 2
    exponents = squared * (-0.5 / sigma.clamp(min=0.05) ** 2)[:, None, None]
    weights = exponents.clamp_(min=MIN_EXPONENT).exp_() * (at < size[:, None])[:, None]
    return weights / weights.sum(2, keepdim=True).clamp(min=1e-6)


def apply_filter(matrix: Tensor, pictures: Tensor) -> Tensor:
    """Filter pictures (n, c, h, w) with matrices (n, k, h = w), along rows and columns."""
    count, channels, height, width = pictures.shape
    rows = torch.bmm(pictures.reshape(count, channels * height, width), matrix.mT)
    return matrix[:, None] @ rows.view(count, channels, height, -1)
