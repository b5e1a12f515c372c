"""Localisation: whether a heatmap points at the forged area of a face.

The measures are:

* *inside*: the share of the positive evidence that lies in the forged area;
* *AUC*: the probability that a forged pixel of the crop has more evidence than an unforged one
  (ties count half), whatever its sign;
* *hits*, the pointing game (Zhang et al., "Top-down Neural Attention by Excitation Backprop", ECCV
  2016): whether the strongest cell lies in the forged area, or no more than 15 of 224 pixels away.

There are two baselines. The first is an uninformative heatmap: its share inside is the forged area,
and its probability of a hit is that area with the tolerance around it. A heatmap that always marks
the middle of the face exceeds this. The second is the share inside of another face's heatmap, which
only a heatmap that follows the forgery can exceed.
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from fakelens.explain.heatmaps import resize_heatmap
from fakelens.records.arrays import FloatArray

TOLERANCE = 15 / 224
"""Tolerance of the pointing game, over the side of the crop."""


class Localisation(NamedTuple):
    """How well the heatmap of one face locates the forged area; areas are 0..1 of the crop.

    Attributes:
        group: shared by pictures of the same origin.
        inside: share of the positive evidence inside the forged area, 0..1.
        area: the forged area.
        other_inside: ``inside`` for the heatmap of the next face of another group; NaN if there is
            none.
        auc: probability that a forged pixel has more evidence than an unforged one; NaN if all are
            forged.
        hit: 1 if the strongest cell is inside or within the tolerance, else 0.
        hit_area: the area in which a cell counts as a hit.
    """

    group: str
    inside: float
    area: float
    other_inside: float
    auc: float
    hit: float
    hit_area: float


def measure_localisation(
    maps: Sequence[FloatArray], masks: Sequence[NDArray[np.bool_]], groups: Sequence[str]
) -> list[Localisation | None]:
    """Compare heatmaps with forged areas.

    Args:
        maps: N heatmaps (h, w) in any unit; positive cells are evidence for FAKE.
        masks: N masks (side, side) of the crop's forged pixels, at least one each.
        groups: N names.

    Returns:
        One item for each face; ``None`` if its heatmap has no positive evidence.
    """
    with_evidence = [index for index, cells in enumerate(maps) if cells.max() > 0]
    found: list[Localisation | None] = [None] * len(maps)
    for position, index in enumerate(with_evidence):
        mask, group = masks[index], groups[index]
        others = with_evidence[position + 1 :] + with_evidence[:position]
        other = next((other for other in others if groups[other] != group), None)
        hit_area = _with_tolerance(mask)
        found[index] = Localisation(
            group,
            inside=_share_inside(maps[index], mask),
            area=float(mask.mean()),
            other_inside=np.nan if other is None else _share_inside(maps[other], mask),
            auc=_pixel_auc(maps[index], mask),
            hit=float(hit_area[_strongest_pixel(maps[index], mask.shape[0])]),
            hit_area=float(hit_area.mean()),
        )
    return found


def auc(real: NDArray[np.floating], fake: NDArray[np.floating]) -> float:
    """Return the probability that a fake scores higher than a real one; ties count half.

    Computed from the rank sum (Mann-Whitney). The function of scikit-learn takes twenty times as
    long, which matters in a bootstrap.

    Args:
        real: scores of the real ones, (N,).
        fake: scores of the fake ones, (M,).
    """
    from scipy.stats import rankdata  # noqa: PLC0415 - optional, see check_packages

    ranks = rankdata(np.concatenate([real, fake]))
    smallest_sum = len(fake) * (len(fake) + 1) / 2
    return float((ranks[len(real) :].sum() - smallest_sum) / (len(real) * len(fake)))


def bootstrap_mean(
    values: NDArray[np.floating], groups: Sequence[str], draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of a mean, resampling whole groups.

    Args:
        values: (N,).
        groups: N names of groups.
        draws: number of resamples.
        seed: random seed.

    Returns:
        The 2.5 and 97.5 percentiles.
    """
    _, member = np.unique(groups, return_inverse=True)
    sums, sizes = np.bincount(member, values), np.bincount(member)
    drawn = np.random.default_rng(seed).integers(len(sums), size=(draws, len(sums)))
    low, high = np.percentile(sums[drawn].sum(1) / sizes[drawn].sum(1), [2.5, 97.5])
    return float(low), float(high)


def _share_inside(cells: FloatArray, mask: NDArray[np.bool_]) -> float:
    # Clip before interpolating, or negative cells would reduce the evidence of their neighbours.
    fine = resize_heatmap(np.maximum(cells, 0), mask.shape)
    return float(fine[mask].sum(dtype=np.float64) / fine.sum(dtype=np.float64))


def _pixel_auc(cells: FloatArray, mask: NDArray[np.bool_]) -> float:
    if mask.all():
        return np.nan
    fine = resize_heatmap(cells, mask.shape)
    return auc(fine[~mask], fine[mask])


def _with_tolerance(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Dilate a mask by the tolerance of the pointing game."""
    distance = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(distance <= TOLERANCE * mask.shape[0])


def _strongest_pixel(cells: FloatArray, side: int) -> tuple[int, int]:
    """Return row and column of the pixel at the centre of the strongest cell."""
    row, column = np.unravel_index(np.argmax(cells), cells.shape)
    height, width = cells.shape
    return int((row + 0.5) * side / height), int((column + 0.5) * side / width)
