"""Does a heatmap point at the forgery? Asked of faces whose forged area is known:

* *inside*: the share of the positive evidence that lies in the forged area;
* *AUC*: the chance that a forged pixel of the crop has more evidence than an untouched one (ties
  count half), whatever its sign;
* *hits*, the pointing game (Zhang et al., "Top-down Neural Attention by Excitation Backprop", ECCV
  2016): whether the strongest cell lies in it, or no more than 15 of 224 pixels away.

*Uniform* and *chance* are what a map without any knowledge gets: its share is the forged area's,
its chance of a hit that area with the tolerance around it. A map that always lights up the middle
of the face beats this; what only a map that follows the forgery can beat is *another's*: the share
inside of the map of another face.
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from fakelens.explain.heatmaps import resize_heatmap
from fakelens.records.arrays import FloatArray

TOLERANCE = 15 / 224
"""Of the pointing game, over the side of the crop."""


class Localisation(NamedTuple):
    """What the heatmap of one forged face shows; shares and areas are 0..1 of the crop's.

    Attributes:
        group: shared by pictures of one origin.
        share: of the positive evidence, inside the forged area.
        area: the forged area.
        other: share inside the forged area of the positive evidence of the next face of another
            group; NaN if there is none.
        auc: the chance that a forged pixel has more evidence than an untouched one; NaN where all
            are forged.
        hit: 1 if the strongest cell is inside or within the tolerance, else 0.
        chance: the area in which a cell counts as a hit.
    """

    group: str
    share: float
    area: float
    other: float
    auc: float
    hit: float
    chance: float


def compare(
    maps: Sequence[FloatArray], truths: Sequence[NDArray[np.bool_]], groups: Sequence[str]
) -> list[Localisation | None]:
    """Compare heatmaps with forged areas.

    Args:
        maps: N of (h, w), any unit, positive = speaks for FAKE.
        truths: N of (side, side), the forged pixels of the crop; at least one.
        groups: N names.

    Returns:
        Of each face; ``None`` where the heatmap has no positive evidence.
    """
    pointing = [index for index, cells in enumerate(maps) if cells.max() > 0]
    found: list[Localisation | None] = [None] * len(maps)
    for turn, index in enumerate(pointing):
        truth, group = truths[index], groups[index]
        others = pointing[turn + 1 :] + pointing[:turn]
        other = next((other for other in others if groups[other] != group), None)
        near = _within_tolerance(truth)
        found[index] = Localisation(
            group,
            _share_inside(maps[index], truth),
            float(truth.mean()),
            np.nan if other is None else _share_inside(maps[other], truth),
            _pixel_auc(maps[index], truth),
            float(near[_strongest_cell(maps[index], truth.shape[0])]),
            float(near.mean()),
        )
    return found


def auc(real: NDArray[np.floating], fake: NDArray[np.floating]) -> float:
    """The chance that a fake scores higher than a real one, ties counted half.

    By the rank sum (Mann-Whitney); scikit-learn's takes twenty times as long, which a bootstrap
    feels.
    """
    from scipy.stats import rankdata  # noqa: PLC0415 - slow to load

    ranks = rankdata(np.concatenate([real, fake]))
    least = len(fake) * (len(fake) + 1) / 2
    return float((ranks[len(real) :].sum() - least) / (len(real) * len(fake)))


def bootstrap_mean(
    values: NDArray[np.floating], groups: Sequence[str], draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """95 % interval of the mean of (N,) values under resampling of whole groups (N names)."""
    _, member = np.unique(groups, return_inverse=True)
    sums, sizes = np.bincount(member, values), np.bincount(member)
    drawn = np.random.default_rng(seed).integers(len(sums), size=(draws, len(sums)))
    low, high = np.percentile(sums[drawn].sum(1) / sizes[drawn].sum(1), [2.5, 97.5])
    return float(low), float(high)


def _share_inside(cells: FloatArray, truth: NDArray[np.bool_]) -> float:
    # Negative cells first: between cells they would take from the evidence of their neighbours.
    fine = resize_heatmap(np.maximum(cells, 0), truth.shape)
    return float(fine[truth].sum(dtype=np.float64) / fine.sum(dtype=np.float64))


def _pixel_auc(cells: FloatArray, truth: NDArray[np.bool_]) -> float:
    if truth.all():
        return np.nan
    fine = resize_heatmap(cells, truth.shape)
    return auc(fine[~truth], fine[truth])


def _within_tolerance(truth: NDArray[np.bool_]) -> NDArray[np.bool_]:
    away = cv2.distanceTransform((~truth).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(away <= TOLERANCE * truth.shape[0])


def _strongest_cell(cells: FloatArray, side: int) -> tuple[int, int]:
    """Row and column of the pixel in the middle of the strongest cell."""
    row, column = np.unravel_index(np.argmax(cells), cells.shape)
    height, width = cells.shape
    return int((row + 0.5) * side / height), int((column + 0.5) * side / width)
