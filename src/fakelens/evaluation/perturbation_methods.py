"""Perturbation methods: heatmaps from the logits of crops with hidden parts.

They do not use the model's layers (Score-CAM: only the activation) and need tens to hundreds of
forward passes for one face. Each takes a model, a crop (side, side, 3) uint8 RGB and a random
generator, its only source of randomness. It returns a heatmap (h, w) float32 in logits, whose
positive cells are evidence for FAKE: hiding them would lower the logit. Hidden pixels are blurred,
see ``trust.imputation.remove_detail``.
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
_RISE_PROBABILITY = 0.5  # that a cell of a mask is visible


def occlusion(model: Model, crop: NDArray[np.uint8], _rng: np.random.Generator) -> FloatArray:
    """Compute occlusion: the drop of the logit when a square is hidden, (14, 14).

    Each cell is the centre of a hidden square of twice its side, so adjacent squares overlap by
    half. Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014, who
    fill the square with grey.
    """
    side, fill = crop.shape[0], remove_detail(crop)
    centers = (np.arange(_OCCLUSION_CELLS) + 0.5) * side / _OCCLUSION_CELLS
    half = side / _OCCLUSION_CELLS
    spans = [slice(max(0, round(x - half)), round(x + half)) for x in centers.tolist()]

    def occluded() -> Iterator[NDArray[np.uint8]]:
        yield crop
        for rows in spans:
            for columns in spans:
                copy = crop.copy()
                copy[rows, columns] = fill[rows, columns]
                yield copy

    logits = compute_logits(model, occluded())
    return np.asarray(logits[0] - logits[1:]).reshape(len(spans), len(spans))


def rise(
    model: Model, crop: NDArray[np.uint8], rng: np.random.Generator, masks: int = _RISE_MASKS
) -> FloatArray:
    """Compute RISE: the mean logit with a pixel visible less the overall mean, (side, side).

    The random masks have 7 x 7 cells, each visible with probability 1/2, and are enlarged and
    shifted by up to a cell. Petsiuk et al., "RISE: Randomized Input Sampling for Explanation of
    Black-box Models", BMVC 2018, eq. 5. The mean logit is subtracted here, so that a pixel without
    effect gets 0; in the paper the scores are probabilities and never negative. The authors use
    4000 masks or more and hide pixels in black; with 300 masks the heatmaps are noisier.

    Args:
        model: the explained model.
        crop: (side, side, 3) uint8 RGB.
        rng: random generator.
        masks: number of masks.
    """
    side, fill = crop.shape[0], remove_detail(crop)
    drawn = [_rise_mask(side, rng) for _ in range(masks)]
    logits = compute_logits(model, (_mix(crop, fill, mask) for mask in drawn))
    above = logits - logits.mean()
    total = np.zeros((side, side), np.float64)
    for weight, mask in zip(above.tolist(), drawn, strict=True):
        total += weight * mask
    return (total / (masks * _RISE_PROBABILITY)).astype(np.float32)


def scorecam(model: Model, crop: NDArray[np.uint8], _rng: np.random.Generator) -> FloatArray:
    """Compute Score-CAM: the weighted sum of the layer's channels, (h, w).

    A channel's weight is the logit of the crop masked by the channel (scaled to 0..1) less that of
    the fully hidden crop. Only the 32 channels with the largest absolute sum are used. Wang et al.,
    "Score-CAM: Score-Weighted Visual Explanations for Convolutional Neural Models", CVPR
    Workshops 2020, eq. 7 and 8, without the softmax of the authors' code and without the final
    ReLU, because both would remove the evidence for REAL. For a layer with one channel, as in
    fakelens-patch, the heatmap is that channel times one number, which may be negative.
    """
    side, fill = crop.shape[0], remove_detail(crop)
    activation = model.examine(crop[None]).activation[0]
    magnitude = np.abs(activation).sum(axis=(1, 2))
    channels = [
        channel
        for channel in np.argsort(-magnitude, kind="stable")[:_SCORECAM_CHANNELS].tolist()
        if np.ptp(activation[channel]) > 0
    ]

    def masked() -> Iterator[NDArray[np.uint8]]:
        yield fill
        for channel in channels:
            mask = resize_heatmap(activation[channel], (side, side))
            yield _mix(crop, fill, (mask - mask.min()) / np.ptp(mask))

    logits = compute_logits(model, masked())
    weights = logits[1:] - logits[0]
    return np.asarray(np.einsum("c,chw->hw", weights, activation[channels]), np.float32)


def _rise_mask(side: int, rng: np.random.Generator) -> FloatArray:
    """Draw a mask (side, side) in 0..1; 1 is visible."""
    cell = -(-side // _RISE_CELLS)
    coarse = (rng.random((_RISE_CELLS + 1,) * 2) < _RISE_PROBABILITY).astype(np.float32)
    top, left = rng.integers(cell, size=2).tolist()
    return resize_heatmap(coarse, ((_RISE_CELLS + 1) * cell,) * 2)[
        top : top + side, left : left + side
    ]


def _mix(
    crop: NDArray[np.uint8], fill: NDArray[np.uint8], visible: FloatArray
) -> NDArray[np.uint8]:
    """Mix the crop, weighted by ``visible`` (side, side) in 0..1, with the fill."""
    weight = visible[..., None].astype(np.float32)
    return np.rint(weight * crop + (1 - weight) * fill).astype(np.uint8)
