"""Kinds of forgery: what is pasted, where, and how it is displaced."""

from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn import functional

from training.augment import masks
from training.augment.colour import match_colours, match_low_band
from training.augment.filters import MIN_EXPONENT, blur_matrix
from training.augment.geometry import Affine, canvas_points, similarity
from training.augment.rng import BatchRng, constant
from training.augment.settings import AugmentSettings, ForgerySettings, ForgeryShares, MaskSettings
from training.faces.bank import FaceBank

KINDS = tuple(field.name for field in fields(ForgeryShares))
SELF_BLEND, SWAP, MATCHED, BOTTLENECK, WARP, WINDOW = range(6)


@dataclass(frozen=True)
class ForgeryPlan:
    """Kind of forgery and donor of each of n samples.

    Attributes:
        kind: (n,) int64, index in `KINDS`.
        swapped: (n,) bool, whether the donor is another face.
        donors: (n,) int64, row of the face bank that is pasted.
        to_donor: Map from canvas coordinates to those of the donor's picture.
    """

    kind: Tensor
    swapped: Tensor
    donors: Tensor
    to_donor: Affine

    def is_kind(self, kind: int) -> Tensor:
        """Return (n,) bool, true where a kind was drawn."""
        return self.kind == kind


def draw_plan(
    bank: FaceBank, rows: Tensor, to_picture: Affine, settings: ForgerySettings, rng: BatchRng
) -> ForgeryPlan:
    """Draw kinds of forgery and donors for rows (n,) of a bank."""
    count = len(rows)
    shares = settings.shares
    kind = rng.categorical(count, tuple(getattr(shares, name) for name in KINDS))
    (matched_swap,) = rng.bernoulli(count, settings.matched_swap)
    swapped = (kind == SWAP) | (kind == WINDOW) | ((kind == MATCHED) & matched_swap)
    others = bank.neighbours[rows, rng.integers(bank.neighbours.shape[1], count)]
    fit = similarity(bank.landmarks[rows], bank.landmarks[others])
    to_donor = fit.after(to_picture).where(swapped, to_picture)
    return ForgeryPlan(kind, swapped, torch.where(swapped, others, rows), to_donor)


@dataclass(frozen=True)
class Region:
    """Forged region of each of n samples, at half the size of a crop.

    Attributes:
        full: (n, 1, R / 2, R / 2) mask with a peak of 1.
        mask: (n, 1, R / 2, R / 2) the same mask times the opacity.
        warp: (n, 2, R, R) displacement of the copy by kind WARP, canvas units; 0 for other kinds.
    """

    full: Tensor
    mask: Tensor
    warp: Tensor


def draw_region(
    bank: FaceBank,
    rows: Tensor,
    placement: tuple[Affine, Tensor],
    plan: ForgeryPlan,
    settings: AugmentSettings,
    rng: BatchRng,
) -> Region:
    """Draw masks for rows (n,) of a bank; see `geometry.draw_placement` for ``placement``."""
    ranges, size = settings.masks, settings.size
    to_picture, margin = placement
    to_canvas = to_picture.inverse()
    count, half = len(rows), size // 2
    shares = tuple(getattr(ranges.hulls, field.name) for field in fields(ranges.hulls))
    hull = bank.hulls[rows, rng.categorical(count, shares)]
    corners = to_canvas(hull)
    middle = corners.mean(1, keepdim=True)
    scale, amplitude, shift_x, shift_y, soft, very_soft, offset = rng.uniform_ranges(
        count,
        ranges.scale,
        (0, ranges.deformation),
        *[(-ranges.shift, ranges.shift)] * 2,
        (0, 1),
        ranges.matched_softness,
        (-0.5, 0.5),
    )
    low, high = ranges.softness
    unbounded = plan.is_kind(MATCHED) | plan.is_kind(BOTTLENECK)
    softness = torch.where(unbounded, very_soft, low + soft**2 * (high - low)) / margin
    corners = middle + (corners - middle) * scale[:, None, None]
    window = plan.is_kind(WINDOW)
    corners = torch.where(window[:, None, None], _draw_windows(middle, ranges, rng), corners)
    amplitude = torch.where(window, 0.0, amplitude / margin)
    displacement = masks.draw_smooth_field(amplitude, half, rng)
    displacement = displacement + torch.stack([shift_x, shift_y], 1)[:, :, None, None]
    # Very soft edges move by less than their width: otherwise a mouth would vanish.
    offset = offset * softness.clamp(max=0.06)
    full = masks.region_mask(corners, 0.6 * softness, displacement, offset)
    strength = constant(ranges.strengths, rng.device)[rng.integers(len(ranges.strengths), count)]
    warp = plan.is_kind(WARP)
    moved = _draw_expression_warp(
        to_canvas(bank.landmarks[rows]), margin, size, settings.forgery, rng
    )
    moved = moved * warp[:, None, None, None]
    length = functional.avg_pool2d(moved, 2).norm(dim=1, keepdim=True) * margin[:, None, None, None]
    # From 0 to 1 where the displacement is 0.5 to 2 % of the face's side.
    full = torch.where(warp[:, None, None, None], ((length - 0.01) / 0.03).clamp(0, 1), full)
    strength = torch.where(warp, 1.0, strength)
    return Region(full, full * strength[:, None, None, None], moved)


def _draw_windows(middle: Tensor, ranges: MaskSettings, rng: BatchRng) -> Tensor:
    """Draw rectangles centred near ``middle`` (n, 1, 2), as 20 corners each: (n, 20, 2)."""
    count = len(middle)
    width, height, x, y = rng.uniform_ranges(count, *[ranges.window] * 2, *[(-0.2, 0.2)] * 2)
    centre = middle + torch.stack([x, y], 1)[:, None]
    half = torch.stack([width, height], 1)[:, None]
    signs = constant((-1.0, -1.0, 1.0, -1.0, 1.0, 1.0, -1.0, 1.0), rng.device).view(4, 2)
    return (centre + half * signs).repeat_interleave(5, 1)


def _draw_expression_warp(
    landmarks: Tensor, margin: Tensor, size: int, settings: ForgerySettings, rng: BatchRng
) -> Tensor:
    """Draw warps that move the mouth and the eyes and change their height.

    Args:
        landmarks: (n, 68, 2) canvas coordinates.
        margin: (n,) margins of the crops.
        size: Side of a crop, pixels.
        settings: Ranges of the random values.
        rng: Random numbers.

    Returns:
        Displacements (n, 2, size, size), x before y, canvas units.
    """
    count = len(landmarks)
    centres = torch.stack(
        [landmarks[:, 48:].mean(1), landmarks[:, 36:42].mean(1), landmarks[:, 42:48].mean(1)], 1
    )
    unit = (2 / margin)[:, None, None, None]
    draws = rng.uniform_ranges(
        count,
        (0, 1),
        *[(-3.14, 3.14), settings.warp] * 2,
        *[(-settings.warp_scale, settings.warp_scale)] * 2,
        (0.13, 0.2),
        (0.1, 0.16),
        (0.06, 0.1),
    )
    which, angle, length, eye_angle, eye_length, gain, eye_gain, width, height, eye = draws
    mouth, eyes = which < 0.75, which > 0.5
    length, eye_length = length * mouth, eye_length * eyes
    gain, eye_gain = gain * mouth, eye_gain * eyes
    parts = [
        [length * angle.cos(), *[eye_length * eye_angle.cos()] * 2],
        [length * angle.sin(), *[eye_length * eye_angle.sin()] * 2],
        [width, eye, eye],
        [height, eye, eye],
    ]
    shift, radius = (
        torch.stack([torch.stack(row, 1) for row in rows], 1)[:, :, None] * unit
        for rows in (parts[:2], parts[2:])
    )
    stretch = torch.stack([gain, eye_gain, eye_gain], 1)[:, None]
    axis = canvas_points(size, rng.device)[:size, 0]
    # Axes: (n, x or y, pixel, centre). A Gaussian is a function of x times a function of y, so a
    # sum of three Gaussians is a product of two (size, 3) matrices.
    away = axis[:, None] - centres.mT.contiguous()[:, :, None]
    across, down = torch.exp((-0.5 * (away / radius) ** 2).clamp(min=MIN_EXPONENT)).unbind(1)
    x = down @ (across * shift[:, 0]).mT
    y = (down * (shift[:, 1] + stretch * away[:, 1])) @ across.mT
    return torch.stack([x, y], 1)


def displace(
    copies: Tensor, plan: ForgeryPlan, region: Region, settings: ForgerySettings, rng: BatchRng
) -> Tensor:
    """Resample copies (n, 3, R, R): shift self-blends slightly, warp those of kind WARP."""
    count, _, size, _ = copies.shape
    moved = ~plan.swapped & (plan.is_kind(SELF_BLEND) | plan.is_kind(MATCHED))
    zoom, x, y, amplitude = rng.uniform_ranges(
        count,
        settings.zoom,
        *[(-settings.nudge, settings.nudge)] * 2,
        (0, settings.nudge_field),
    )
    zoom = torch.where(moved, zoom, 1.0)[:, None, None, None]
    shift = (torch.stack([x, y], 1) * moved[:, None])[:, :, None, None]
    field = masks.draw_smooth_field(amplitude * moved, size, rng) + region.warp
    points = canvas_points(size, rng.device).T.view(1, 2, size, size)
    grid = (points * zoom + (field + shift)).permute(0, 2, 3, 1)
    return functional.grid_sample(copies, grid, "bilinear", "reflection", align_corners=False)


def match_copies(
    copies: Tensor,
    targets: Tensor,
    mask: Tensor,
    plan: ForgeryPlan,
    settings: ForgerySettings,
    rng: BatchRng,
) -> Tensor:
    """Match the colours of swaps and the low frequencies of matched forgeries to their frames.

    Args:
        copies: (n, 3, R, R) pictures to paste.
        targets: (n, 3, R, R) frames.
        mask: (n, 1, R, R) opacity of the copies.
        plan: Kinds of forgery.
        settings: Probabilities and filter widths.
        rng: Random numbers.
    """
    count, _, size, _ = copies.shape
    (matched,) = rng.bernoulli(count, settings.colour_match)
    (band,) = rng.uniform_ranges(count, settings.low_band)
    matched = (plan.swapped & matched)[:, None, None, None]
    copies = torch.where(matched, match_colours(copies, targets, mask + 1e-3), copies)
    small = size // 8
    low_pass = blur_matrix(band * small, torch.full_like(band, small), small)
    banded = plan.is_kind(MATCHED)[:, None, None, None]
    return torch.where(banded, match_low_band(copies, targets, low_pass), copies)
