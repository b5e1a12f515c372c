"""Does what a heatmap points at matter to the model? Its cells are hidden, strongest first.

Every measure is a difference to random maps on the same face, of the same power spectrum as the map
in question (``ablation.surrogates``): any smooth blob does better than scattered cells. Where the
model reacts to anything that is done to a face, as MesoNet does to blurred or grey pixels, both
change alike and nothing is left of it.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from fakelens.explain.heatmaps import resize_heatmap
from fakelens.models.batching import compute_logits
from fakelens.records.arrays import FloatArray
from fakelens.records.models import Model
from fakelens.trust.ablation import Answer, ablate_cells, surrogates
from fakelens.trust.imputation import remove_detail

CELLS = 14
"""Along a side of the crop: what deletion and insertion hide and show."""
STEPS = 10
"""Of deletion and insertion; the last, when all is hidden or shown, is the same for every map."""
TOP = 0.2
"""Part of the explained layer's cells that feature ablation takes out."""
PIXEL_DRAWS = 1
"""Random maps beside each map and face, in pixels; the mean over faces makes up for it."""
FEATURE_DRAWS = 20
"""The same in features, where a pass costs next to nothing."""


def deletion_insertion(
    model: Model,
    crop: NDArray[np.uint8],
    maps: Sequence[FloatArray],
    rng: np.random.Generator,
) -> list[tuple[float, float]]:
    """What hiding and showing what heatmaps point at does to the logit, less the same at random.

    Petsiuk et al., BMVC 2018 ("RISE"), on the logit and in ten steps; hidden is blurred.

    Args:
        model: to be asked.
        crop: (side, side, 3) uint8 RGB.
        maps: of any shape.
        rng: the only source of chance.

    Returns:
        Of each map: how much lower the logit is than with random maps while the cells are hidden
        one after another (deletion), and how much higher while they are shown in a hidden crop
        (insertion); both as the mean over the steps.
    """
    noise = rng.normal(size=(PIXEL_DRAWS, CELLS, CELLS))
    fill, side = remove_detail(crop), crop.shape[0]
    pictures = []
    for cells in maps:
        own = on_grid(cells, (CELLS, CELLS))
        for tried in (own, *surrogates(own, noise)):
            for first in _steps(order_of(tried, rng), side):
                pictures.append(np.where(first[..., None], fill, crop))
                pictures.append(np.where(first[..., None], crop, fill))
    logits = compute_logits(model, pictures).astype(np.float64)
    hidden, shown = np.moveaxis(
        logits.reshape(len(maps), 1 + PIXEL_DRAWS, -1, 2).mean(axis=2), 2, 0
    )
    return list(zip(_beyond_random(-hidden), _beyond_random(shown), strict=True))


def feature_ablation(
    head: Answer,
    activation: FloatArray,
    maps: Sequence[FloatArray],
    rng: np.random.Generator,
) -> list[float]:
    """By how much the logit falls without the fifth of the layer's cells that a heatmap points at.

    Args:
        head: of the model.
        activation: (C, h, w) of one crop; cells that are taken out become 0 in every channel.
        maps: of any shape.
        rng: the only source of chance.

    Returns:
        Of each map, less the mean of random maps.
    """
    shape = (activation.shape[1], activation.shape[2])
    noise = rng.normal(size=(FEATURE_DRAWS, *shape))
    count = max(1, round(TOP * activation[0].size))
    marked = np.zeros((len(maps), 1 + FEATURE_DRAWS, activation[0].size), np.bool_)
    for row, cells in zip(marked, maps, strict=True):
        own = on_grid(cells, shape)
        for tried, mark in zip((own, *surrogates(own, noise)), row, strict=True):
            mark[order_of(tried, rng)[:count]] = True
    left = ablate_cells(head, activation, marked.reshape(-1, *shape)).astype(np.float64)
    return _beyond_random(-left.reshape(len(maps), -1))


def on_grid(cells: FloatArray, shape: tuple[int, int]) -> FloatArray:
    """A map (h, w) brought to the rows and columns of a grid."""
    if cells.shape == shape:
        return cells
    # First to a size of which each cell has as many pixels, or cells of unequal reach result.
    fine = resize_heatmap(cells, (16 * max(shape),) * 2)
    grid = cv2.resize(fine, shape[::-1], interpolation=cv2.INTER_AREA)
    return grid.astype(np.float32, copy=False)


def order_of(cells: FloatArray, rng: np.random.Generator) -> NDArray[np.intp]:
    """The cells of a map by flat index, strongest first; equal ones in random order."""
    chance = rng.permutation(cells.size)
    return chance[np.argsort(-cells.ravel()[chance], kind="stable")]


def agreement(one: FloatArray, other: FloatArray) -> float:
    """Spearman's rank correlation of two maps of one shape; NaN if one of them is flat."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return float("nan")
    from scipy.stats import spearmanr  # noqa: PLC0415 - slow to load

    return float(spearmanr(one.ravel(), other.ravel()).statistic)


def _steps(order: NDArray[np.intp], side: int) -> list[NDArray[np.bool_]]:
    """The pixels (side, side) of the first tenth of the cells, of the first two tenths, and so on.

    The whole, which is the same for all orders, is left out.
    """
    line = np.arange(side) * CELLS // side
    cell_of = line[:, None] * CELLS + line[None, :]
    rank = np.empty(order.size, np.intp)
    rank[order] = np.arange(order.size)
    return [rank[cell_of] < order.size * step // STEPS for step in range(1, STEPS)]


def _beyond_random(values: NDArray[np.float64]) -> list[float]:
    """The first column of (N, 1 + draws) less the mean of the others."""
    excess: list[float] = (values[:, 0] - values[:, 1:].mean(axis=1)).tolist()
    return excess
