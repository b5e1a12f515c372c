"""One training batch: four crops of each sample, with masks and weights."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from training.augment import alter, forgeries, masks
from training.augment.chance import Chance
from training.augment.colour import draw_tone
from training.augment.degrade import degrade
from training.augment.geometry import Affine, place, sample, sampling_grid
from training.augment.scene import draw_scene
from training.augment.settings import AugmentSettings
from training.faces.bank import FaceBank


@dataclass(frozen=True)
class Batch:
    """Crops of n samples; the first axis is: real, blend, fake or second blend, real again.

    Attributes:
        crops: (4, n, 3, R, R) float32 RGB, 0 to 1.
        masks: (4, n, R / 16, R / 16) float32, share of each cell that is forged, 0 to 1.
        weights: (4, n) float32, weight of each crop's label.
        mask_weights: (4, n) float32, weight of each crop's mask; 0 where the mask is unknown.
    """

    crops: Tensor
    masks: Tensor
    weights: Tensor
    mask_weights: Tensor


@dataclass(frozen=True)
class _Fakes:
    """The fakes of n rows of a bank, see `FaceBank`."""

    images: Tensor
    masks: Tensor
    visible: Tensor
    aligned: Tensor


@dataclass(frozen=True)
class Samples:
    """Crops before scene, tone and degradation.

    Attributes:
        crops: (4, n, 3, R, R) as in `Batch`.
        masks: (4, n, 1, R / 2, R / 2) forged share of each pixel, 0 to 1.
        grids: (2n, R, R, 2) sampling grids of the first three crops and of the fourth.
        plan: What was forged; n plans, or 2n with second blends.
        fakes: What the third crops show, or None: second blends.
    """

    crops: Tensor
    masks: Tensor
    grids: Tensor
    plan: forgeries.Plan
    fakes: _Fakes | None


@torch.no_grad()
def make_batch(
    bank: FaceBank,
    rows: Tensor,
    settings: AugmentSettings,
    chance: Chance,
    surroundings: Tensor | None = None,
) -> Batch:
    """Make one training batch on the device of a face bank.

    The first three crops of a sample share geometry, surroundings, occluders, tone and
    degradation; the fourth has draws of its own. Nothing makes the host wait for the device.

    Args:
        bank: Genuine faces, with or without fakes.
        rows: (n,) int64 rows of the bank.
        settings: Shares and ranges.
        chance: Draws of this step, on the bank's device.
        surroundings: (m, 3, R, R) crops of other pictures, 0 to 1; laid around tight crops.
    """
    count, size = len(rows), settings.size
    samples = forge(bank, rows, settings, chance)
    others = None if bank.surrounded else surroundings
    clear, layer = draw_scene(samples.grids, others, settings.scene, chance)
    # Rows 0 to n - 1 of a treatment are for the first three crops, the rest for the fourth.
    pair, again = torch.arange(2 * count, device=chance.device).view(2, count)
    treatment = torch.cat([pair, pair, pair, again])
    crops = torch.addcmul(layer[treatment], samples.crops.flatten(0, 1), clear[treatment])
    crops = draw_tone(2 * count, settings.scene.tone, chance)[treatment](crops)
    crops = degrade(crops, treatment, 2 * count, settings.degrade, chance)
    visible = masks.cell_shares(clear[treatment], 16)
    cells = masks.cell_shares(samples.masks.flatten(0, 1), 8) * visible
    cells = cells.view(4, count, size // 16, size // 16)
    weights, mask_weights = _weights(cells, samples.fakes, settings)
    return Batch(crops.view(4, count, 3, size, size), cells, weights, mask_weights)


def _shown_fakes(bank: FaceBank, rows: Tensor, settings: AugmentSettings) -> _Fakes | None:
    parts = (bank.fakes, bank.fake_masks, bank.visible, bank.aligned)
    if settings.forgery.fake_weight <= 0 or any(part is None for part in parts):
        return None
    return _Fakes(*(part[rows] for part in parts if part is not None))


def _weights(
    cells: Tensor, fakes: _Fakes | None, settings: AugmentSettings
) -> tuple[Tensor, Tensor]:
    """Return the weights of labels and of masks, see `Batch`."""
    weights = torch.ones(cells.shape[:2], device=cells.device)
    mask_weights = torch.ones_like(weights)
    seen = cells.mean((2, 3)) >= settings.masks.minimum
    weights[1] = seen[1]
    if fakes is not None:
        weights[2] = fakes.visible * settings.forgery.fake_weight
        mask_weights[2] = fakes.aligned
    else:
        weights[2] = seen[2] * settings.forgery.second_weight
    return weights, mask_weights


def forge(bank: FaceBank, rows: Tensor, settings: AugmentSettings, chance: Chance) -> Samples:
    """Cut, forge and blend: all of a batch except scene, tone and degradation."""
    count, size, picture_size = len(rows), settings.size, bank.images.shape[-1]
    fakes = _shown_fakes(bank, rows, settings)
    twice = rows.repeat(2)
    both, margins = place(
        bank.centers[twice], bank.sides[twice], bank.surrounded, settings.geometry, chance
    )
    shared, again = both[slice(count)], both[slice(count, None)]
    margin = margins[:count]
    # Without fakes, a second blend of each sample stands in.
    forged, frames = (twice, Affine.cat(shared, shared)) if fakes is None else (rows, shared)
    margin = margin.repeat(2) if fakes is None else margin
    plan = forgeries.draw_plan(bank, forged, frames, settings.forgery, chance)
    region = forgeries.draw_region(bank, forged, (frames, margin), plan, settings, chance)

    # Frames, copies (those of the second blends too, or else fakes), frames again.
    sources = [bank.images[torch.cat([rows, plan.donors])]]
    maps = [shared, plan.to_donor]
    if fakes is not None:
        sources.append(fakes.images)
        maps.append(shared)
    sources.append(bank.images[rows])
    grid = sampling_grid(Affine.cat(*maps, again), picture_size, size)
    pictures = sample(torch.cat(sources).float().mul_(1 / 255), grid)
    frame, others = _mismatch(pictures, plan, fakes is not None, settings, chance)

    fits = _fits(grid[count : count + len(forged)], plan.swapped)
    mask, truth = region.mask * fits, region.full * fits
    alpha = masks.enlarge(mask)
    target = frame.repeat(2, 1, 1, 1) if fakes is None else frame
    copies = forgeries.displace(others[: len(forged)], plan, region, settings.forgery, chance)
    copies = forgeries.fit_colours(copies, target, alpha, plan, settings.forgery, chance)
    crops, truths = [frame, torch.lerp(target, copies, alpha)], [torch.zeros_like(truth), truth]
    if fakes is not None:
        known = sample(
            fakes.masks[:, None], sampling_grid(shared, picture_size, size // 2), "zeros"
        )
        part = _part(known, truth, fakes.aligned, settings, chance)
        crops.append(torch.lerp(frame, others[count : 2 * count], masks.enlarge(part)))
        truths.append(known * part)
    crops.append(others[-count:])
    truths.append(torch.zeros_like(truth[:count]))
    return Samples(
        torch.cat(crops).view(4, count, 3, size, size),
        torch.cat([truths[0][:count], *truths[1:]]).view(4, count, 1, size // 2, size // 2),
        torch.cat([grid[:count], grid[-count:]]),
        plan,
        fakes,
    )


def _mismatch(
    pictures: Tensor,
    plan: forgeries.Plan,
    fakes_shown: bool,
    settings: AugmentSettings,
    chance: Chance,
) -> tuple[Tensor, Tensor]:
    """Change the frame or the copy of each sample.

    Args:
        pictures: (4n, 3, R, R) frames, copies, second copies or fakes, frames again.
        plan: Kinds of n forgeries, or of 2n if no fakes are shown.
        fakes_shown: Whether the third n pictures are fakes.
        settings: Shares and ranges.
        chance: Draws.

    Returns:
        Frames (n, 3, R, R), and the other pictures (3n, 3, R, R). A fake is changed as its frame.
    """
    frame, rest = pictures.tensor_split([len(pictures) // 4])
    count = len(frame)
    uniform = chance.uniform(3 * count, alter.DRAWS)
    frame_changed, again_changed = chance.flags(
        count, settings.forgery.change_frame, settings.alter.again
    )
    bottleneck, warp = plan.is_kind(forgeries.BOTTLENECK), plan.is_kind(forgeries.WARP)
    # These two kinds are made from the frame as it is.
    from_frame = (bottleneck | warp).view(-1, count).any(0)
    frame_changed = frame_changed & ~from_frame
    no = torch.zeros_like(frame_changed)
    if fakes_shown:
        uniform = torch.cat([uniform[:count], uniform[:count], uniform[2 * count :]])
        active = torch.cat([~warp, frame_changed, again_changed])
        bottleneck = torch.cat([bottleneck, no, no])
    else:
        active = torch.cat([~warp, again_changed])
        bottleneck = torch.cat([bottleneck, no])
    swap_in = torch.cat([frame_changed, no, no])[:, None, None, None]
    changed = torch.where(swap_in, frame.repeat(3, 1, 1, 1), rest)
    changed = alter.alter(changed, uniform, active, bottleneck, settings)
    first = frame_changed[:, None, None, None]
    return torch.where(first, changed[:count], frame), torch.where(swap_in, rest, changed)


def _fits(grid: Tensor, swapped: Tensor) -> Tensor:
    """Return where (n, 1, R / 2, R / 2) a donor's picture reaches, with a soft rim."""
    outside = (grid.abs().amax(3) > 1) & swapped[:, None, None]
    wider = functional.max_pool2d(outside[:, None].float(), 8, 2, 3)
    return 1 - functional.avg_pool2d(wider, 5, 1, 2, count_include_pad=False)


def _part(
    known: Tensor, truth: Tensor, aligned: Tensor, settings: AugmentSettings, chance: Chance
) -> Tensor:
    """Draw how much of each fake is laid into its frame: 1, or a region that holds enough of it.

    Args:
        known: (n, 1, h, w) where the fakes are forged.
        truth: (n, 1, h, w) regions.
        aligned: (n,) whether fake and frame show the same place.
        settings: Shares.
        chance: Draws.

    Returns:
        (n, 1, h, w), 0 to 1.
    """
    (drawn,) = chance.flags(len(known), settings.forgery.part_of_fake)
    held, whole = (known * truth).sum((1, 2, 3)), known.sum((1, 2, 3))
    enough = held > settings.forgery.part_minimum * whole.clamp(min=1)
    return torch.where((drawn & aligned & enough)[:, None, None, None], truth, 1.0)
