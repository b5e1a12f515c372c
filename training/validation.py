"""Validation of a network in training on faces that are forged and degraded as in training."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from fakelens.evaluation.localisation import auc
from training.augment import BatchRng, make_batch
from training.faces.bank import FaceBank
from training.network import PatchNet
from training.objective import BLEND, FAKE, REAL
from training.recipe import Recipe

_SEED = 7
_BATCH = 50


@torch.no_grad()
def validate(
    network: PatchNet, recipe: Recipe, banks: Sequence[FaceBank], device: torch.device
) -> dict[str, float]:
    """Validate a network.

    Args:
        network: network in evaluation mode.
        recipe: recipe of the run. Its augmentation is applied to the validation faces; DFDC fakes
            are used even if the recipe trains without them.
        banks: validation faces, one bank for each of ``recipe.banks``.
        device: where the network and the banks live.

    Returns:
        Figures by name. For each bank: the AUC of blends against real crops, the AUC of fakes
        against real crops if the bank has fakes, and the median logit of real crops.
    """
    forgery = replace(recipe.augment.forgery, fake_weight=1.0)
    settings = replace(recipe.augment, forgery=forgery)
    figures: dict[str, float] = {}
    surroundings: Tensor | None = None
    for share, bank in zip(recipe.banks, banks, strict=True):
        logits, weights = [], []
        for start in range(0, len(bank), _BATCH):
            rows = torch.arange(start, min(start + _BATCH, len(bank)), device=device)
            batch = make_batch(bank, rows, settings, BatchRng(_SEED, device, start), surroundings)
            if bank.has_surroundings:
                surroundings = batch.crops[REAL]
            crops = batch.crops[: FAKE + 1].flatten(0, 1)
            with torch.autocast(device.type, torch.bfloat16):
                output = network(crops.contiguous(memory_format=torch.channels_last)).logits
            logits.append(output.float().view(FAKE + 1, -1))
            weights.append(batch.weights[: FAKE + 1])
        scores = torch.cat(logits, 1).cpu().numpy()
        # An invisible forgery has weight 0.
        used = torch.cat(weights, 1).cpu().numpy() > 0
        figures[f"{share.name} blend"] = auc(scores[REAL], scores[BLEND][used[BLEND]])
        if bank.fakes is not None:
            figures[f"{share.name} fake"] = auc(scores[REAL], scores[FAKE][used[FAKE]])
        figures[f"{share.name} real median"] = float(torch.tensor(scores[REAL]).median())
    return {name: round(float(value), 4) for name, value in figures.items()}
