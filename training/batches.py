"""Training batches of a recipe, from face banks and prepared samples."""

import torch
from torch import Tensor

from training.augment import Batch, BatchRng, make_batch
from training.faces.bank import FaceBank
from training.objective import REAL
from training.prepared_bank import PreparedBank
from training.recipe import Recipe


class Batches:
    """Batches of a recipe; batch i depends only on the recipe, the data and i.

    Args:
        recipe: samples per bank, and settings of the augmentation.
        banks: training faces, one bank for each of ``recipe.banks``, on the device.
        prepared: samples that were compressed ahead with H.264; required if the recipe uses some.
        device: where the batches are made.

    Attributes:
        owners: (b, n) float32, one row for each bank: 1 for its samples, otherwise 0. Prepared
            samples come from all banks and count as one more bank.
    """

    def __init__(
        self,
        recipe: Recipe,
        banks: list[FaceBank],
        prepared: PreparedBank | None,
        device: torch.device,
    ) -> None:
        self._recipe = recipe
        self._banks = banks
        self._prepared = prepared if recipe.prepared else None
        self._device = device
        counts = [share.samples for share in recipe.banks]
        counts += [recipe.prepared] if self._prepared is not None else []
        owner = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
        self.owners = (owner == torch.arange(len(counts))[:, None]).float().to(device)

    def make(self, step: int) -> Batch:
        """Make batch number ``step``."""
        rng = BatchRng(self._recipe.seed, self._device, step)
        parts: list[Batch] = []
        surroundings: Tensor | None = None
        for share, bank in zip(self._recipe.banks, self._banks, strict=True):
            rows = rng.integers(len(bank), share.samples)
            part = make_batch(bank, rows, self._recipe.augment, rng, surroundings)
            if bank.has_surroundings:
                surroundings = part.crops[REAL]
            parts.append(part)
        if self._prepared is not None:
            parts.append(self._prepared.batch(self._recipe.prepared, rng))
        return join(parts)


def join(parts: list[Batch]) -> Batch:
    """Concatenate the samples of several batches."""
    return Batch(
        torch.cat([part.crops for part in parts], 1),
        torch.cat([part.masks for part in parts], 1),
        torch.cat([part.weights for part in parts], 1),
        torch.cat([part.mask_weights for part in parts], 1),
    )
