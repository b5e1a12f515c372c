"""Soft masks of forged regions, and smooth displacement fields."""

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from training.augment.filters import apply_filter, blur_matrix
from training.augment.geometry import canvas_points
from training.augment.rng import BatchRng

_CELLS = 5
# Distance assigned to a degenerate edge, so that it never limits a region.
_FAR = 9.0


@lru_cache(maxsize=8)
def _field_basis(size: int, device: torch.device) -> Tensor:
    """Return the bicubic interpolation matrix (size, 5) of 5 knots that span the whole size."""
    knots = torch.eye(_CELLS, device=device)[None, None]
    return functional.interpolate(
        knots, size=(size, _CELLS), mode="bicubic", align_corners=True
    ).view(size, _CELLS)


def draw_smooth_field(amplitude: Tensor, size: int, rng: BatchRng) -> Tensor:
    """Draw smooth displacements (n, 2, size, size), x before y, up to about ``amplitude`` (n,)."""
    knots = rng.uniform(len(amplitude), 2, _CELLS, _CELLS) * 2 - 1
    basis = _field_basis(size, amplitude.device)
    return basis @ (knots * amplitude[:, None, None, None]) @ basis.T


def signed_distance(corners: Tensor, points: Tensor) -> Tensor:
    """Compute how deep points lie inside convex polygons.

    Args:
        corners: (n, k, 2) in order, in either direction; neighbours may coincide.
        points: (n, 2, ...) x, y.

    Returns:
        (n, ...) distance from the line through the nearest edge, positive inside. Outside, near
        corners, it is less than the Euclidean distance.
    """
    edges = corners.roll(-1, 1) - corners
    length = edges.norm(dim=2)
    rays = corners - corners[:, :1]
    turn = (rays[..., 0] * edges[..., 1] - rays[..., 1] * edges[..., 0]).sum(1)
    scale = turn.sign()[:, None] / length.clamp(min=1e-6)
    real = length > 1e-5
    normals = torch.stack([-edges[..., 1], edges[..., 0]], 2) * (scale * real)[:, :, None]
    offsets = torch.where(real, -(normals * corners).sum(2), _FAR)
    distances = torch.baddbmm(offsets[:, :, None], normals, points.flatten(2))
    return distances.amin(1).view(len(corners), *points.shape[2:])


def region_mask(corners: Tensor, softness: Tensor, displacement: Tensor, offset: Tensor) -> Tensor:
    """Fill convex polygons and blur their edges.

    Args:
        corners: (n, k, 2) canvas coordinates.
        softness: (n,) about the standard deviation of the blur, canvas units.
        displacement: (n, 2, h, h) canvas units, bends the outline.
        offset: (n,) outward shift of the edge, canvas units.

    Returns:
        (n, 1, h, h), 0 to 1, with a peak of 1.
    """
    count, _, size, _ = displacement.shape
    points = canvas_points(size, corners.device).T.view(1, 2, size, size)
    depth = signed_distance(corners, points + displacement)
    # An edge one pixel wide, so that the outline has no steps.
    mask = ((depth + offset[:, None, None]) * (size / 2) + 0.5).clamp_(0, 1)
    sigma = softness * (size / 2)
    mask = apply_filter(blur_matrix(sigma, torch.full_like(sigma, size), size), mask[:, None])
    mask = mask / mask.amax((2, 3), keepdim=True).clamp(min=0.01)
    # Clip both ends, so that most of a crop is exactly 0.
    return ((mask - 0.02) / 0.96).clamp_(0, 1).view(count, 1, size, size)


def upsample(masks: Tensor) -> Tensor:
    """Double the size of masks (n, 1, h, w) by bilinear interpolation."""
    return functional.interpolate(masks, scale_factor=2, mode="bilinear")


def cell_shares(masks: Tensor, cell: int) -> Tensor:
    """Average masks (n, 1, h, w) over cells of ``cell`` pixels: (n, h / cell, w / cell)."""
    return functional.avg_pool2d(masks, cell)[:, 0]
