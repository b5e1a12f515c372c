"""Affine maps between crops and pictures, and sampling.

Canvas coordinates are relative to a crop: x, y from -1 to 1, from one outer edge to the other.
Picture coordinates are pixels; whole numbers are pixel centres (as in OpenCV and dlib).
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, Self

import torch
from torch import Tensor
from torch.nn import functional

from training.augment.rng import BatchRng
from training.augment.settings import GeometrySettings


@dataclass(frozen=True)
class Affine:
    """Maps of points p to ``matrix`` p + ``offset``: (n, 2, 2) and (n, 2) float32."""

    matrix: Tensor
    offset: Tensor

    def __call__(self, points: Tensor) -> Tensor:
        """Map points (n, k, 2)."""
        return torch.baddbmm(self.offset[:, None], points, self.matrix.mT)

    def after(self, first: "Affine") -> "Affine":
        """Return the map that applies ``first``, then this one."""
        return Affine(self.matrix @ first.matrix, self(first.offset[:, None])[:, 0])

    def inverse(self) -> "Affine":
        """Return the inverse map."""
        (a, b), (c, d) = (row.unbind(1) for row in self.matrix.unbind(1))
        adjoint = torch.stack([d, -b, -c, a], 1).view(-1, 2, 2)
        matrix = adjoint / (a * d - b * c)[:, None, None]
        return Affine(matrix, -(matrix @ self.offset[:, :, None])[:, :, 0])

    def __getitem__(self, rows: slice | Tensor) -> "Affine":
        """Return some of the n maps."""
        return Affine(self.matrix[rows], self.offset[rows])

    def where(self, condition: Tensor, other: "Affine") -> "Affine":
        """Return these maps where ``condition`` (n,) holds, ``other``'s elsewhere."""
        return Affine(
            torch.where(condition[:, None, None], self.matrix, other.matrix),
            torch.where(condition[:, None], self.offset, other.offset),
        )

    @classmethod
    def cat(cls, *maps: "Affine") -> Self:
        """Join several batches of maps."""
        return cls(torch.cat([m.matrix for m in maps]), torch.cat([m.offset for m in maps]))


def draw_placement(
    centers: Tensor,
    sides: Tensor,
    has_surroundings: bool,
    settings: GeometrySettings,
    rng: BatchRng,
) -> tuple[Affine, Tensor]:
    """Draw the position, size and orientation of crops around face squares.

    Args:
        centers: (n, 2) middle of each square, pixels.
        sides: (n,) side of each square, pixels.
        has_surroundings: Whether the pictures show the surroundings of the faces; selects the
            range of margins.
        settings: Ranges of the random values.
        rng: Random numbers.

    Returns:
        The map from canvas to picture coordinates, and the margins (n,).
    """
    count = len(sides)
    tail = settings.margin_tail if has_surroundings else settings.margin_tail_tight
    margin, more, aspect = rng.uniform_ranges(
        count, settings.margin, (0, 1), (-settings.aspect, settings.aspect)
    )
    margin = margin + more**2 * tail
    (mirrored,) = rng.bernoulli(count, settings.flip)
    draws = rng.normal(count, 3)
    angle, shift = draws[:, 0] * settings.rotation, draws[:, 1:] * settings.shift
    half = margin * sides / 2
    cos, sin = angle.cos() * half, angle.sin() * half
    sign, stretch = torch.where(mirrored, -1.0, 1.0), aspect.exp()
    matrix = torch.stack([cos * sign * stretch, -sin * stretch, sin * sign, cos], 1)
    return Affine(matrix.view(-1, 2, 2), torch.addcmul(centers, shift, sides[:, None])), margin


def similarity(source: Tensor, target: Tensor) -> Affine:
    """Fit rotation, scale and shift between landmarks, both (n, k, 2), by least squares."""
    middles = source.mean(1), target.mean(1)
    a, b = (
        torch.view_as_complex((points - middle[:, None]).contiguous())
        for points, middle in zip((source, target), middles, strict=True)
    )
    factor = (b * a.conj()).sum(1) / (a * a.conj()).sum(1).real.clamp(min=1e-6)
    matrix = torch.stack([factor.real, -factor.imag, factor.imag, factor.real], 1).view(-1, 2, 2)
    return Affine(matrix, middles[1] - (matrix @ middles[0][:, :, None])[:, :, 0])


@lru_cache(maxsize=32)
def canvas_points(size: int, device: torch.device) -> Tensor:
    """Return the canvas coordinates (size * size, 2) of the pixel centres of a crop."""
    axis = (torch.arange(size, device=device) + 0.5) / size * 2 - 1
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return torch.stack([x, y], -1).view(-1, 2)


def sampling_grid(to_picture: Affine, picture_size: int, size: int) -> Tensor:
    """Return the grid (n, size, size, 2) for `sample`: -1 to 1 inside the picture."""
    scale = 2 / picture_size
    normalised = Affine(to_picture.matrix * scale, to_picture.offset * scale + (scale / 2 - 1))
    points = canvas_points(size, to_picture.offset.device)
    return normalised(points.expand(len(to_picture.offset), -1, -1)).view(-1, size, size, 2)


def sample(
    pictures: Tensor, grid: Tensor, padding: Literal["reflection", "zeros"] = "reflection"
) -> Tensor:
    """Sample float pictures (n, c, s, s) bilinearly on a grid (n, h, w, 2): (n, c, h, w)."""
    return functional.grid_sample(pictures, grid, "bilinear", padding, align_corners=False)
