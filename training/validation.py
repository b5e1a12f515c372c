"""How a model in training does on validation faces, forged and degraded as in training."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from fakelens.evaluation.localisation import auc
from training.augment import Chance, make_batch
from training.faces.bank import FaceBank
from training.network import PatchNet
from training.objective import BLEND, FAKE, REAL
from training.recipe import Recipe

_SEED = 7
_AT_ONCE = 50


@torch.no_grad()
def validate(
    model: PatchNet, recipe: Recipe, banks: Sequence[FaceBank], device: torch.device
) -> dict[str, float]:
    """Figures of a model, by name.

    Args:
        model: in evaluation.
        recipe: of the run; its augmentation is what the faces go through, and DFDC fakes are
            shown even where the recipe shows none.
        banks: validation faces, one for each of ``recipe.banks``.
        device: to compute on.

    Returns:
        For each bank the AUC of blends and, where it has them, of fakes against real crops, and
        the median logit of real crops.
    """
    shown = replace(recipe.augment.forgery, fake_weight=1.0)
    settings = replace(recipe.augment, forgery=shown)
    figures: dict[str, float] = {}
    surroundings: Tensor | None = None
    for share, bank in zip(recipe.banks, banks, strict=True):
        logits, weights = [], []
        for start in range(0, len(bank), _AT_ONCE):
            rows = torch.arange(start, min(start + _AT_ONCE, len(bank)), device=device)
            batch = make_batch(bank, rows, settings, Chance(_SEED, device, start), surroundings)
            if bank.surrounded:
                surroundings = batch.crops[REAL]
            crops = batch.crops[: FAKE + 1].flatten(0, 1)
            with torch.autocast(device.type, torch.bfloat16):
                judged = model(crops.contiguous(memory_format=torch.channels_last)).logits
            logits.append(judged.float().view(FAKE + 1, -1))
            weights.append(batch.weights[: FAKE + 1])
        found = torch.cat(logits, 1).cpu().numpy()
        # A forgery that cannot be seen has no weight.
        used = torch.cat(weights, 1).cpu().numpy() > 0
        figures[f"{share.name} blend"] = auc(found[REAL], found[BLEND][used[BLEND]])
        if bank.fakes is not None:
            figures[f"{share.name} fake"] = auc(found[REAL], found[FAKE][used[FAKE]])
        figures[f"{share.name} real median"] = float(torch.tensor(found[REAL]).median())
    return {name: round(float(value), 4) for name, value in figures.items()}
