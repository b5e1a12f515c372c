"""Training batches of a recipe, from face banks and prepared samples."""

from dataclasses import replace

import torch
from torch import Tensor

from training.augment import AugmentSettings, Batch, BatchRng, make_batch
from training.faces.bank import FaceBank
from training.live_codec import LiveCodec
from training.objective import REAL
from training.prepared_bank import PreparedBank
from training.recipe import Recipe

_SEED_OFFSET = 1_000_003


class Batches:
    """Batches of a recipe; batch i depends only on the recipe, the data and i.

    Args:
        recipe: samples per bank, and settings of the augmentation.
        banks: training faces, one bank for each of ``recipe.banks``, on the device.
        prepared: samples that were compressed ahead with H.264; required if the recipe uses some.
        device: where the batches are made.
        processes: number of processes that compress samples, if the recipe wants some.

    Attributes:
        owners: (b, n) float32, one row for each bank: 1 for its samples, otherwise 0. Prepared
            samples come from all banks and count as one more bank, and so do those that are
            compressed during the run.
    """

    def __init__(
        self,
        recipe: Recipe,
        banks: list[FaceBank],
        prepared: PreparedBank | None,
        device: torch.device,
        processes: int = 1,
    ) -> None:
        self._recipe = recipe
        self._banks = banks
        self._prepared = prepared if recipe.prepared else None
        self._device = device
        counts = [share.samples for share in recipe.banks]
        counts += [recipe.prepared] if self._prepared is not None else []
        counts += [recipe.compressed] if recipe.compressed else []
        owner = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
        self.owners = (owner == torch.arange(len(counts))[:, None]).float().to(device)

        self._codec = (
            LiveCodec(
                self._uncompressed, recipe.compressed, recipe.augment.size, recipe.seed, processes
            )
            if recipe.compressed
            else None
        )

    def make(self, step: int) -> Batch:
        """Make batch number ``step``."""
        rng = BatchRng(self._recipe.seed, self._device, step)
        counts = [share.samples for share in self._recipe.banks]
        parts = self._draw(counts, self._recipe.augment, rng)
        if self._prepared is not None:
            parts.append(self._prepared.batch(self._recipe.prepared, rng))
        if self._codec is not None:
            parts.append(self._codec.batch(step))
        return join(parts)

    def _draw(self, counts: list[int], settings: AugmentSettings, rng: BatchRng) -> list[Batch]:
        """Make samples of each bank."""
        parts: list[Batch] = []
        surroundings: Tensor | None = None
        for count, bank in zip(counts, self._banks, strict=True):
            rows = rng.integers(len(bank), count)
            part = make_batch(bank, rows, settings, rng, surroundings)
            if bank.has_surroundings:
                surroundings = part.crops[REAL]
            parts.append(part)
        return parts

    def _uncompressed(self, step: int) -> Batch:
        """Make the samples of batch ``step`` that are then compressed with H.264."""
        # Another seed than that of the other samples of the step.
        rng = BatchRng(self._recipe.seed + _SEED_OFFSET, self._device, step)
        count = self._recipe.compressed // len(self._banks)
        settings = self._recipe.augment
        # The codec replaces the simulated one; blur and noise of the camera remain.
        degradation = replace(settings.degradation, reduce=0.0, jpeg=0.0)
        settings = replace(settings, degradation=degradation)
        return join(self._draw([count] * len(self._banks), settings, rng))


def join(parts: list[Batch]) -> Batch:
    """Concatenate the samples of several batches."""
    return Batch(
        torch.cat([part.crops for part in parts], 1),
        torch.cat([part.masks for part in parts], 1),
        torch.cat([part.weights for part in parts], 1),
        torch.cat([part.mask_weights for part in parts], 1),
    )
