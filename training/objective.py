"""What a batch costs: the losses of a step."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from training.augment.batch import Batch
from training.network import Judgement
from training.recipe import Losses

REAL, BLEND, FAKE, AGAIN = range(4)
"""Rows of a batch's crops."""


class Costs(NamedTuple):
    """Losses of a step, each a scalar; ``total`` is their weighted sum."""

    total: Tensor
    label: Tensor
    map: Tensor
    ranking: Tensor
    agreement: Tensor
    origins: Tensor


def costs(judgement: Judgement, batch: Batch, banks: Tensor, losses: Losses) -> Costs:
    """The losses of a judged batch of n samples.

    * label: binary cross-entropy of the logits;
    * map: binary cross-entropy of the cells against the share of each that is forged;
    * ranking: softplus of the real crop's logit minus a forged one's, of one sample;
    * agreement: how far the logits of two views of one real crop are apart;
    * origins: the squared difference between the mean logits of real crops of each bank and of
      all, so that one threshold means the same on every origin.

    Args:
        judgement: of the 4 n crops, in the order of ``batch.crops.flatten(0, 1)``.
        batch: what was judged.
        banks: (b, n) float, one row for each bank: 1 where the sample comes from it.
        losses: weights.
    """
    logits = judgement.logits.float().view(batch.weights.shape)
    forged = judgement.forged.float().view(batch.masks.shape)
    target = torch.full_like(logits, losses.smoothing)
    target[BLEND : FAKE + 1] = 1 - losses.smoothing
    weights = batch.weights
    by_crop = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    label = (by_crop * weights).sum() / weights.sum()

    by_cell = functional.binary_cross_entropy_with_logits(forged, batch.masks, reduction="none")
    by_cell = by_cell * (1 + losses.emphasis * batch.masks)
    known = weights * batch.mask_weights
    cells = (by_cell.mean((2, 3)) * known).sum() / known.sum()

    real = logits[REAL]
    higher = functional.softplus(real - logits[BLEND : FAKE + 1]) * weights[BLEND : FAKE + 1]
    ranking = higher.sum() / weights[BLEND : FAKE + 1].sum()
    agreement = (real - logits[AGAIN]).abs().mean()
    genuine = (real + logits[AGAIN]) / 2
    means = (banks @ genuine) / banks.sum(1)
    origins = (means - genuine.mean()).square().mean()
    total = (
        label
        + losses.map * cells
        + losses.ranking * ranking
        + losses.agreement * agreement
        + losses.origins * origins
    )
    return Costs(total, label, cells, ranking, agreement, origins)
