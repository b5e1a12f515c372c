"""Faithfulness measures of the benchmark: deletion, insertion and feature ablation.

A heatmap is faithful if hiding its strongest cells changes the logit. Every measure is a difference
from random heatmaps on the same face, with the power spectrum of the tested heatmap
(``trust.ablation.surrogates``), because any smooth blob does better than scattered cells. Some
models react to any change of a face, as MesoNet does to blurred or grey pixels. Such a reaction is
the same for the random heatmaps, so it cancels out.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from fakelens.explain.heatmaps import resize_heatmap
from fakelens.models.batching import compute_logits
from fakelens.records.arrays import FloatArray
from fakelens.records.models import Model
from fakelens.trust.ablation import LogitHead, ablate_cells, surrogates
from fakelens.trust.imputation import remove_detail

CELLS = 14
"""Cells along a side of the crop in deletion and insertion."""

STEPS = 10
"""Steps of deletion and insertion; the last one is not measured, as all heatmaps agree there."""

TOP = 0.2
"""Share of the explained layer's cells that feature ablation removes."""

PIXEL_DRAWS = 1
"""Random heatmaps for each heatmap and face in deletion and insertion; the mean is over faces."""

FEATURE_DRAWS = 20
"""Random heatmaps in feature ablation, where a forward pass of the head is cheap."""


def deletion_insertion(
    model: Model,
    crop: NDArray[np.uint8],
    maps: Sequence[FloatArray],
    rng: np.random.Generator,
) -> list[tuple[float, float]]:
    """Measure deletion and insertion of heatmaps on one face.

    After Petsiuk et al., "RISE", BMVC 2018, with the logit and in ten steps. Hidden pixels are
    blurred.

    Args:
        model: the explained model.
        crop: (side, side, 3) uint8 RGB.
        maps: heatmaps (h, w) of any shape.
        rng: random generator.

    Returns:
        For each heatmap, as means over the steps and in logits: how much lower the logit is than
        with random heatmaps while cells are hidden, strongest first (deletion), and how much higher
        while they are revealed in a hidden crop (insertion).
    """
    noise = rng.normal(size=(PIXEL_DRAWS, CELLS, CELLS))
    fill, side = remove_detail(crop), crop.shape[0]
    crops = []
    for cells in maps:
        own = resample(cells, (CELLS, CELLS))
        for tested in (own, *surrogates(own, noise)):
            for strongest in _steps(rank_cells(tested, rng), side):
                crops.append(np.where(strongest[..., None], fill, crop))
                crops.append(np.where(strongest[..., None], crop, fill))
    logits = compute_logits(model, crops).astype(np.float64)
    deletion, insertion = np.moveaxis(
        logits.reshape(len(maps), 1 + PIXEL_DRAWS, -1, 2).mean(axis=2), 2, 0
    )
    return list(zip(_beyond_random(-deletion), _beyond_random(insertion), strict=True))


def feature_ablation(
    head: LogitHead,
    activation: FloatArray,
    maps: Sequence[FloatArray],
    rng: np.random.Generator,
) -> list[float]:
    """Measure the drop of the logit without the top fifth of the explained layer's cells.

    Args:
        head: of the model.
        activation: (C, h, w) of one crop; removed cells become 0 in every channel.
        maps: heatmaps (h, w) of any shape.
        rng: random generator.

    Returns:
        For each heatmap, the drop less the mean drop for random heatmaps, in logits.

    Raises:
        ModelError: the head does not return finite logits.
    """
    shape = (activation.shape[1], activation.shape[2])
    noise = rng.normal(size=(FEATURE_DRAWS, *shape))
    count = max(1, round(TOP * activation[0].size))
    masks = np.zeros((len(maps), 1 + FEATURE_DRAWS, activation[0].size), np.bool_)
    for row, cells in zip(masks, maps, strict=True):
        own = resample(cells, shape)
        for tested, mask in zip((own, *surrogates(own, noise)), row, strict=True):
            mask[rank_cells(tested, rng)[:count]] = True
    logits = ablate_cells(head, activation, masks.reshape(-1, *shape)).astype(np.float64)
    return _beyond_random(-logits.reshape(len(maps), -1))


def resample(cells: FloatArray, shape: tuple[int, int]) -> FloatArray:
    """Resample a heatmap (h, w) to another number of rows and columns."""
    if cells.shape == shape:
        return cells
    # Upsample first, so that every new cell averages the same number of pixels.
    fine = resize_heatmap(cells, (16 * max(shape),) * 2)
    grid = cv2.resize(fine, shape[::-1], interpolation=cv2.INTER_AREA)
    return grid.astype(np.float32, copy=False)


def rank_cells(cells: FloatArray, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return the flat indices of a heatmap's cells, strongest first; ties in random order."""
    shuffled = rng.permutation(cells.size)
    return shuffled[np.argsort(-cells.ravel()[shuffled], kind="stable")]


def agreement(one: FloatArray, other: FloatArray) -> float:
    """Return Spearman's rank correlation of two heatmaps; NaN if one of them is constant."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return float("nan")
    from scipy.stats import spearmanr  # noqa: PLC0415 - optional, see check_packages

    return float(spearmanr(one.ravel(), other.ravel()).statistic)


def _steps(order: NDArray[np.intp], side: int) -> list[NDArray[np.bool_]]:
    """Return the pixels (side, side) of the first tenth of the cells, of two tenths, up to nine."""
    cell_of_row = np.arange(side) * CELLS // side
    cell_of = cell_of_row[:, None] * CELLS + cell_of_row[None, :]
    rank = np.empty(order.size, np.intp)
    rank[order] = np.arange(order.size)
    return [rank[cell_of] < order.size * step // STEPS for step in range(1, STEPS)]


def _beyond_random(values: NDArray[np.float64]) -> list[float]:
    """Return the first column of (N, 1 + draws) less the mean of the other columns."""
    excess: list[float] = (values[:, 0] - values[:, 1:].mean(axis=1)).tolist()
    return excess
