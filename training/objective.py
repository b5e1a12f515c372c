"""Losses of a training step."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from training.augment.batch import Batch
from training.network import Prediction
from training.recipe import LossWeights

REAL, BLEND, FAKE, AGAIN = range(4)
"""Indices of the first axis of a batch."""


class Losses(NamedTuple):
    """Losses of a step, each a scalar; ``total`` is their weighted sum."""

    total: Tensor
    label: Tensor
    map: Tensor
    ranking: Tensor
    agreement: Tensor
    origins: Tensor


def compute_losses(
    prediction: Prediction, batch: Batch, banks: Tensor, loss_weights: LossWeights
) -> Losses:
    """Compute the losses of a batch of n samples.

    * label: binary cross-entropy of the logits;
    * map: binary cross-entropy of the cells against the forged share of each cell;
    * ranking: softplus of the real crop's logit minus the logit of a forged crop of the sample;
    * agreement: absolute difference between the logits of the two views of a real face;
    * origins: squared difference between the mean logit of the real crops of each bank and that
      of all real crops, so that one threshold means the same on every origin.

    Args:
        prediction: output for the 4n crops, in the order of ``batch.crops.flatten(0, 1)``.
        batch: the batch.
        banks: (b, n) float, one row for each bank: 1 for its samples, otherwise 0.
        loss_weights: weights and parameters of the losses.
    """
    logits = prediction.logits.float().view(batch.weights.shape)
    forged = prediction.forged.float().view(batch.masks.shape)
    target = torch.full_like(logits, loss_weights.smoothing)
    target[BLEND : FAKE + 1] = 1 - loss_weights.smoothing
    weights = batch.weights
    by_crop = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    label = (by_crop * weights).sum() / weights.sum()

    by_cell = functional.binary_cross_entropy_with_logits(forged, batch.masks, reduction="none")
    by_cell = by_cell * (1 + loss_weights.emphasis * batch.masks)
    known = weights * batch.mask_weights
    cells = (by_cell.mean((2, 3)) * known).sum() / known.sum()

    real = logits[REAL]
    by_pair = functional.softplus(real - logits[BLEND : FAKE + 1]) * weights[BLEND : FAKE + 1]
    ranking = by_pair.sum() / weights[BLEND : FAKE + 1].sum()
    agreement = (real - logits[AGAIN]).abs().mean()
    genuine = (real + logits[AGAIN]) / 2
    means = (banks @ genuine) / banks.sum(1)
    origins = (means - genuine.mean()).square().mean()
    total = (
        label
        + loss_weights.map * cells
        + loss_weights.ranking * ranking
        + loss_weights.agreement * agreement
        + loss_weights.origins * origins
    )
    return Losses(total, label, cells, ranking, agreement, origins)
