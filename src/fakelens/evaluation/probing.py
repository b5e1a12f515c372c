"""Heatmap methods that watch what becomes of the logit when parts of the crop are hidden.

They know nothing of the model's layers (Score-CAM: nothing but an activation) and need from tens
to hundreds of passes for one face. Each takes a model, a crop (side, side, 3) uint8 and the only
source of chance, and returns a map (h, w) float32 whose positive cells speak for FAKE, of the
logit: hiding them would lower it. What is hidden is shown blurred, see ``passes.blurred``.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from fakelens.explain.heatmaps import resize_heatmap
from fakelens.models.batching import compute_logits
from fakelens.records.arrays import FloatArray
from fakelens.records.models import Model
from fakelens.trust.imputation import remove_detail

_OCCLUSION_CELLS = 14  # along a side
_SCORECAM_CHANNELS = 32
_RISE_MASKS = 300
_RISE_CELLS = 7  # along a side
_RISE_SHOWN = 0.5


def occlusion(model: Model, crop: NDArray[np.uint8], _rng: np.random.Generator) -> FloatArray:
    """Occlusion: by how much the logit falls when a square is hidden, (14, 14).

    Each cell is the middle of a hidden square of twice its side, so that neighbours overlap by
    half. Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014; they
    fill with grey.
    """
    side, fill = crop.shape[0], remove_detail(crop)
    middles = (np.arange(_OCCLUSION_CELLS) + 0.5) * side / _OCCLUSION_CELLS
    half = side / _OCCLUSION_CELLS
    spans = [slice(max(0, round(x - half)), round(x + half)) for x in middles.tolist()]

    def hidden() -> Iterator[NDArray[np.uint8]]:
        yield crop
        for rows in spans:
            for columns in spans:
                copy = crop.copy()
                copy[rows, columns] = fill[rows, columns]
                yield copy

    logits = compute_logits(model, hidden())
    return np.asarray(logits[0] - logits[1:]).reshape(len(spans), len(spans))


def rise(
    model: Model, crop: NDArray[np.uint8], rng: np.random.Generator, masks: int = _RISE_MASKS
) -> FloatArray:
    """RISE: how much higher the logit is where a pixel is shown than on average, (side, side).

    Random masks of 7 x 7 cells, each shown with probability 1/2, enlarged and shifted by up to a
    cell. Petsiuk et al., "RISE: Randomized Input Sampling for Explanation of Black-box Models",
    BMVC 2018, eq. 5, less the mean logit, so that a pixel that makes no difference gets 0 (there,
    scores are probabilities and none is negative). They use 4000 masks and more, black for what is
    hidden; with 300 the maps are grainier.
    """
    side, fill = crop.shape[0], remove_detail(crop)
    drawn = [_rise_mask(side, rng) for _ in range(masks)]
    logits = compute_logits(model, (_mix(crop, fill, mask) for mask in drawn))
    above = logits - logits.mean()
    total = np.zeros((side, side), np.float64)
    for weight, mask in zip(above.tolist(), drawn, strict=True):
        total += weight * mask
    return (total / (masks * _RISE_SHOWN)).astype(np.float32)


def scorecam(model: Model, crop: NDArray[np.uint8], _rng: np.random.Generator) -> FloatArray:
    """Score-CAM: the sum of the layer's channels, each times what it shows of the crop, (h, w).

    A channel's weight is the logit of the crop seen through it (brought to 0..1) less that of the
    crop hidden altogether; at most the 32 channels with the largest mass are asked. Wang et al.,
    "Score-CAM: Score-Weighted Visual Explanations for Convolutional Neural Models", CVPR
    Workshops 2020, eq. 7 and 8, without the softmax of the authors' code and without the final
    ReLU: both would take away what speaks for REAL. Of a layer with one channel, as of
    fakelens-patch, only that channel times one number is left, and the number may be negative.
    """
    side, fill = crop.shape[0], remove_detail(crop)
    activation = model.examine(crop[None]).activation[0]
    mass = np.abs(activation).sum(axis=(1, 2))
    channels = [
        channel
        for channel in np.argsort(-mass, kind="stable")[:_SCORECAM_CHANNELS].tolist()
        if np.ptp(activation[channel]) > 0
    ]

    def seen_through() -> Iterator[NDArray[np.uint8]]:
        yield fill
        for channel in channels:
            mask = resize_heatmap(activation[channel], (side, side))
            yield _mix(crop, fill, (mask - mask.min()) / np.ptp(mask))

    logits = compute_logits(model, seen_through())
    weights = logits[1:] - logits[0]
    return np.asarray(np.einsum("c,chw->hw", weights, activation[channels]), np.float32)


def _rise_mask(side: int, rng: np.random.Generator) -> FloatArray:
    cell = -(-side // _RISE_CELLS)
    coarse = (rng.random((_RISE_CELLS + 1,) * 2) < _RISE_SHOWN).astype(np.float32)
    top, left = rng.integers(cell, size=2).tolist()
    return resize_heatmap(coarse, ((_RISE_CELLS + 1) * cell,) * 2)[
        top : top + side, left : left + side
    ]


def _mix(
    crop: NDArray[np.uint8], fill: NDArray[np.uint8], shown: NDArray[np.bool_] | FloatArray
) -> NDArray[np.uint8]:
    """The crop where ``shown``, (side, side), is 1, the fill where it is 0, a mixture between."""
    if shown.dtype == np.bool_:
        return np.asarray(np.where(shown[..., None], crop, fill))
    weight = shown[..., None].astype(np.float32)
    return np.rint(weight * crop + (1 - weight) * fill).astype(np.uint8)
