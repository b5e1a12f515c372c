"""Training batches: four crops of each sample, with masks and weights."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from training.augment import forgeries, masks, mismatch
from training.augment.colour import draw_tone
from training.augment.degradation import degrade
from training.augment.geometry import Affine, draw_placement, sample, sampling_grid
from training.augment.overlay import draw_overlay
from training.augment.rng import BatchRng
from training.augment.settings import AugmentSettings
from training.faces.bank import FaceBank


@dataclass(frozen=True)
class Batch:
    """Crops of n samples.

    The first axis is: real, blend, fake (or second blend), second real crop.

    Attributes:
        crops: (4, n, 3, R, R) float32 RGB, 0 to 1.
        masks: (4, n, R / 16, R / 16) float32, forged share of each cell, 0 to 1.
        weights: (4, n) float32, weight of each crop's label in the loss.
        mask_weights: (4, n) float32, weight of each crop's mask; 0 where the mask is unknown.
    """

    crops: Tensor
    masks: Tensor
    weights: Tensor
    mask_weights: Tensor


@dataclass(frozen=True)
class _Fakes:
    """Fakes of n rows of a bank, see `FaceBank`."""

    images: Tensor
    masks: Tensor
    visible: Tensor
    aligned: Tensor


@dataclass(frozen=True)
class ForgedSamples:
    """Crops before overlay, tone and degradation.

    Attributes:
        crops: (4, n, 3, R, R) as in `Batch`.
        masks: (4, n, 1, R / 2, R / 2) forged share of each pixel, 0 to 1.
        grids: (2n, R, R, 2) sampling grids of the first three crops and of the fourth.
        plan: Kinds of forgery of n samples, or of 2n with second blends.
        fakes: Fakes of the third crops; None if these are second blends.
    """

    crops: Tensor
    masks: Tensor
    grids: Tensor
    plan: forgeries.ForgeryPlan
    fakes: _Fakes | None


@torch.no_grad()
def make_batch(
    bank: FaceBank,
    rows: Tensor,
    settings: AugmentSettings,
    rng: BatchRng,
    surroundings: Tensor | None = None,
) -> Batch:
    """Make one training batch on the device of a face bank.

    The first three crops of a sample share geometry, surroundings, occluders, tone and
    degradation; the fourth is drawn independently. Nothing makes the host wait for the device.

    Args:
        bank: Genuine faces, with or without fakes.
        rows: (n,) int64 rows of the bank.
        settings: Probabilities and ranges.
        rng: Random numbers of this step, on the bank's device.
        surroundings: (m, 3, R, R) crops of other pictures, 0 to 1, used as surroundings of
            tight crops.
    """
    count, size = len(rows), settings.size
    samples = forge(bank, rows, settings, rng)
    others = None if bank.has_surroundings else surroundings
    clear, layer = draw_overlay(samples.grids, others, settings.scene, rng)
    # Treatments 0 to n - 1 are for the first three crops, n to 2n - 1 for the fourth.
    shared, again = torch.arange(2 * count, device=rng.device).view(2, count)
    treatment = torch.cat([shared, shared, shared, again])
    crops = torch.addcmul(layer[treatment], samples.crops.flatten(0, 1), clear[treatment])
    crops = draw_tone(2 * count, settings.scene.tone, rng)[treatment](crops)
    crops = degrade(crops, treatment, 2 * count, settings.degradation, rng)
    visible = masks.cell_shares(clear[treatment], 16)
    cells = masks.cell_shares(samples.masks.flatten(0, 1), 8) * visible
    cells = cells.view(4, count, size // 16, size // 16)
    weights, mask_weights = _weights(cells, samples.fakes, settings)
    return Batch(crops.view(4, count, 3, size, size), cells, weights, mask_weights)


def _select_fakes(bank: FaceBank, rows: Tensor, settings: AugmentSettings) -> _Fakes | None:
    parts = (bank.fakes, bank.fake_masks, bank.visible, bank.aligned)
    if settings.forgery.fake_weight <= 0 or any(part is None for part in parts):
        return None
    return _Fakes(*(part[rows] for part in parts if part is not None))


def _weights(
    cells: Tensor, fakes: _Fakes | None, settings: AugmentSettings
) -> tuple[Tensor, Tensor]:
    """Compute the weights of labels and masks, see `Batch`."""
    weights = torch.ones(cells.shape[:2], device=cells.device)
    mask_weights = torch.ones_like(weights)
    is_visible = cells.mean((2, 3)) >= settings.masks.minimum
    weights[1] = is_visible[1]
    if fakes is not None:
        weights[2] = fakes.visible * settings.forgery.fake_weight
        mask_weights[2] = fakes.aligned
    else:
        weights[2] = is_visible[2] * settings.forgery.second_weight
    return weights, mask_weights


def forge(bank: FaceBank, rows: Tensor, settings: AugmentSettings, rng: BatchRng) -> ForgedSamples:
    """Crop and forge faces: everything of a batch except overlay, tone and degradation."""
    count, size, picture_size = len(rows), settings.size, bank.images.shape[-1]
    fakes = _select_fakes(bank, rows, settings)
    twice = rows.repeat(2)
    both, margins = draw_placement(
        bank.centers[twice], bank.sides[twice], bank.has_surroundings, settings.geometry, rng
    )
    shared, again = both[slice(count)], both[slice(count, None)]
    margin = margins[:count]
    # Without fakes, each sample has a second blend instead.
    forged, frames = (twice, Affine.cat(shared, shared)) if fakes is None else (rows, shared)
    margin = margin.repeat(2) if fakes is None else margin
    plan = forgeries.draw_plan(bank, forged, frames, settings.forgery, rng)
    region = forgeries.draw_region(bank, forged, (frames, margin), plan, settings, rng)

    # Frames, copies (also those of second blends), fakes if any, frames of the fourth crops.
    sources = [bank.images[torch.cat([rows, plan.donors])]]
    maps = [shared, plan.to_donor]
    if fakes is not None:
        sources.append(fakes.images)
        maps.append(shared)
    sources.append(bank.images[rows])
    grid = sampling_grid(Affine.cat(*maps, again), picture_size, size)
    pictures = sample(torch.cat(sources).float().mul_(1 / 255), grid)
    frame, others = _apply_mismatch(pictures, plan, fakes is not None, settings, rng)

    coverage = _donor_coverage(grid[count : count + len(forged)], plan.swapped)
    mask, truth = region.mask * coverage, region.full * coverage
    alpha = masks.upsample(mask)
    target = frame.repeat(2, 1, 1, 1) if fakes is None else frame
    copies = forgeries.displace(others[: len(forged)], plan, region, settings.forgery, rng)
    copies = forgeries.match_copies(copies, target, alpha, plan, settings.forgery, rng)
    crops, truths = [frame, torch.lerp(target, copies, alpha)], [torch.zeros_like(truth), truth]
    if fakes is not None:
        known = sample(
            fakes.masks[:, None], sampling_grid(shared, picture_size, size // 2), "zeros"
        )
        part = _draw_fake_part(known, truth, fakes.aligned, settings, rng)
        crops.append(torch.lerp(frame, others[count : 2 * count], masks.upsample(part)))
        truths.append(known * part)
    crops.append(others[-count:])
    truths.append(torch.zeros_like(truth[:count]))
    return ForgedSamples(
        torch.cat(crops).view(4, count, 3, size, size),
        torch.cat([truths[0][:count], *truths[1:]]).view(4, count, 1, size // 2, size // 2),
        torch.cat([grid[:count], grid[-count:]]),
        plan,
        fakes,
    )


def _apply_mismatch(
    pictures: Tensor,
    plan: forgeries.ForgeryPlan,
    has_fakes: bool,
    settings: AugmentSettings,
    rng: BatchRng,
) -> tuple[Tensor, Tensor]:
    """Add a mismatch to the frame or to the copy of each sample.

    Args:
        pictures: (4n, 3, R, R) frames, copies, second copies or fakes, frames of fourth crops.
        plan: Kinds of n forgeries, or of 2n without fakes.
        has_fakes: Whether the third n pictures are fakes.
        settings: Probabilities and ranges.
        rng: Random numbers.

    Returns:
        Frames (n, 3, R, R), and the other pictures (3n, 3, R, R). A fake is changed like its
        frame.
    """
    frame, rest = pictures.tensor_split([len(pictures) // 4])
    count = len(frame)
    uniform = rng.uniform(3 * count, mismatch.DRAWS)
    frame_changed, again_changed = rng.bernoulli(
        count, settings.forgery.change_frame, settings.mismatch.again
    )
    bottleneck, warp = plan.is_kind(forgeries.BOTTLENECK), plan.is_kind(forgeries.WARP)
    # Bottlenecks and warps are made from the unchanged frame.
    needs_frame = (bottleneck | warp).view(-1, count).any(0)
    frame_changed = frame_changed & ~needs_frame
    no = torch.zeros_like(frame_changed)
    if has_fakes:
        uniform = torch.cat([uniform[:count], uniform[:count], uniform[2 * count :]])
        active = torch.cat([~warp, frame_changed, again_changed])
        bottleneck = torch.cat([bottleneck, no, no])
    else:
        active = torch.cat([~warp, again_changed])
        bottleneck = torch.cat([bottleneck, no])
    use_frame = torch.cat([frame_changed, no, no])[:, None, None, None]
    changed = torch.where(use_frame, frame.repeat(3, 1, 1, 1), rest)
    changed = mismatch.add_mismatch(changed, uniform, active, bottleneck, settings)
    first = frame_changed[:, None, None, None]
    return torch.where(first, changed[:count], frame), torch.where(use_frame, rest, changed)


def _donor_coverage(grid: Tensor, swapped: Tensor) -> Tensor:
    """Compute where a donor's picture has pixels: (n, 1, R / 2, R / 2), with a soft border."""
    outside = (grid.abs().amax(3) > 1) & swapped[:, None, None]
    wider = functional.max_pool2d(outside[:, None].float(), 8, 2, 3)
    return 1 - functional.avg_pool2d(wider, 5, 1, 2, count_include_pad=False)


def _draw_fake_part(
    known: Tensor, truth: Tensor, aligned: Tensor, settings: AugmentSettings, rng: BatchRng
) -> Tensor:
    """Draw which part of each fake is blended into its frame.

    Args:
        known: (n, 1, h, w) forged share of each pixel of the fakes.
        truth: (n, 1, h, w) regions.
        aligned: (n,) bool, whether fake and frame show the same place.
        settings: Probabilities.
        rng: Random numbers.

    Returns:
        (n, 1, h, w), 0 to 1: a region that holds enough of the fake's mask, or 1 everywhere.
    """
    (drawn,) = rng.bernoulli(len(known), settings.forgery.part_of_fake)
    covered, whole = (known * truth).sum((1, 2, 3)), known.sum((1, 2, 3))
    enough = covered > settings.forgery.part_minimum * whole.clamp(min=1)
    return torch.where((drawn & aligned & enough)[:, None, None, None], truth, 1.0)
