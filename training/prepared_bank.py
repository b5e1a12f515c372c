"""Prepared samples, made by ``training.prepare``, as tensors on the device."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from training.augment import Batch, BatchRng
from training.faces.index import CropDataError, decode_picture
from training.faces.shards import read_shard

PICTURES = ("real", "blend", "fake", "again")
"""Names of the four crops of a sample, in the order of a batch."""
SHARD_NAMES = "prepared-{:03}.npz"
"""Format of the names of the shards."""


@dataclass(frozen=True, slots=True)
class PreparedBank:
    """Samples of four crops each; R is the side of a crop, C that of its mask.

    Attributes:
        images: (M, 4, 3, R, R) uint8 RGB: real, blend, fake, second real crop.
        masks: (M, 4, C, C) float32 in 0..1, 1 = forged.
        weights: (M, 4) float32, weights in the label loss.
        mask_weights: (M, 4) float32, weights in the map loss.
    """

    images: Tensor
    masks: Tensor
    weights: Tensor
    mask_weights: Tensor

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.images)

    def batch(self, count: int, rng: BatchRng) -> Batch:
        """Draw ``count`` samples with replacement; mirror half of them, all four crops alike."""
        rows = rng.integers(len(self), count)
        (mirrored,) = rng.bernoulli(count, 0.5)
        crops = self.images[rows].transpose(0, 1).float() / 255
        masks = self.masks[rows].transpose(0, 1)
        return Batch(
            crops=torch.where(mirrored[:, None, None, None], crops.flip(-1), crops),
            masks=torch.where(mirrored[:, None, None], masks.flip(-1), masks),
            weights=self.weights[rows].T,
            mask_weights=self.mask_weights[rows].T,
        )


def load_prepared(
    folder: Path, device: torch.device | str, limit: int | None = None
) -> PreparedBank:
    """Load prepared samples.

    Args:
        folder: output folder of ``training.prepare``.
        device: where the tensors live.
        limit: load only the first ``limit`` samples.

    Raises:
        CropDataError: there are no shards, one is damaged, or their settings differ.
    """
    paths = sorted(folder.glob(SHARD_NAMES.replace("{:03}", "[0-9][0-9][0-9]")))
    if not paths:
        raise CropDataError(f"{folder} holds no prepared samples: run python -m training.prepare")
    shards = [read_shard(path) for path in paths]
    if len({str(shard.arrays.get("plan")) for shard in shards}) > 1:
        raise CropDataError(
            f"the shards in {folder} were made with different settings: delete them and run "
            "python -m training.prepare again"
        )
    arrays = {
        name: np.concatenate([shard.arrays[name] for shard in shards])[:limit]
        for name in ("masks", "weights", "mask_weights")
    }
    pictures = [
        picture
        for shard in shards
        for sample in zip(*(shard.pictures[name] for name in PICTURES), strict=True)
        for picture in sample
    ][: None if limit is None else len(PICTURES) * limit]
    side = len(decode_picture(pictures[0]))
    images = np.empty((len(pictures), 3, side, side), np.uint8)

    def decode(number: int) -> None:
        images[number] = decode_picture(pictures[number]).transpose(2, 0, 1)

    # OpenCV releases the interpreter lock while it decodes.
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as executor:
        list(executor.map(decode, range(len(pictures))))
    return PreparedBank(
        images=torch.from_numpy(images.reshape(-1, len(PICTURES), 3, side, side)).to(device),
        masks=torch.from_numpy(arrays["masks"]).to(device).float() / 255,
        weights=torch.from_numpy(arrays["weights"]).to(device),
        mask_weights=torch.from_numpy(arrays["mask_weights"]).to(device),
    )
