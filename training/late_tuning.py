"""Tune the later layers of a network: ``python -m training.late_tuning STATE --data PACKED``.

Samples that went through H.264 cannot be made inside a training step, and most of a step's time on
a CPU goes into layers that need no tuning. So the features after the last block of stride 16 are
computed once for a fixed set of samples: half of each batch went through H.264 (see
``training.prepare``), a quarter each through the augmentation of two face banks. Only the blocks
after it and the head are trained, with the batch statistics of the state.
"""

from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from torch import Tensor, nn
from tqdm import tqdm

from fakelens.errors import FakelensError
from training.augment import Batch
from training.batches import Batches
from training.faces.bank import load_bank
from training.network import PatchNet, Prediction, load_state, save_state
from training.objective import compute_losses
from training.prepared_bank import PreparedBank, load_prepared
from training.recipe import LossWeights, Recipe

_COUNTS = (8, 4, 4)  # samples of a batch: H.264, then of the two banks of the recipe
_CHUNK = 8  # samples whose features are computed at a time


@dataclass(frozen=True, slots=True)
class CachedSamples:
    """Features of n samples of four crops each, on the CPU.

    Attributes:
        features: (n, 4, C, h, w) float16, after the last block of stride 16.
        masks: (n, 4, h, w) float32, forged share of each cell.
        weights: (n, 4) float32, weights in the label loss.
        mask_weights: (n, 4) float32, weights in the map loss.
        source: (n,) int64: 0 for H.264, 1 and 2 for the banks of the recipe.
    """

    features: Tensor
    masks: Tensor
    weights: Tensor
    mask_weights: Tensor
    source: Tensor

    def batch(self, rows: Tensor, *, mirrored: bool) -> tuple[Tensor, Batch, Tensor]:
        """Return the features (4n, C, h, w), the labels and the sources of some samples.

        Args:
            rows: (n,) samples.
            mirrored: mirror all features and masks.

        Returns:
            The crops of the batch are empty.
        """
        features = self.features[rows].float().transpose(0, 1).flatten(0, 1)
        masks = self.masks[rows].transpose(0, 1)
        if mirrored:
            features, masks = features.flip(-1), masks.flip(-1)
        labels = Batch(
            torch.empty(4, len(rows), 0), masks, self.weights[rows].T, self.mask_weights[rows].T
        )
        owners = (self.source[rows] == torch.arange(len(_COUNTS))[:, None]).float()
        return features, labels, owners


@torch.no_grad()
def cache_samples(
    network: PatchNet, prepared: PreparedBank, batches: Batches, steps: int
) -> CachedSamples:
    """Compute the features of all prepared samples and of some batches.

    Args:
        network: in evaluation mode.
        prepared: samples that went through H.264.
        batches: of two banks with equal numbers of samples.
        steps: number of batches.
    """
    parts: list[CachedSamples] = []
    for start in tqdm(range(0, len(prepared), _CHUNK), desc="H.264", disable=None):
        rows = slice(start, start + _CHUNK)
        crops = prepared.images[rows].float() / 255
        parts.append(
            CachedSamples(
                _features(network, crops),
                prepared.masks[rows],
                prepared.weights[rows],
                prepared.mask_weights[rows],
                torch.zeros(len(crops), dtype=torch.int64),
            )
        )
    for step in tqdm(range(steps), desc="augmented", disable=None):
        batch = batches.make(step)
        count = batch.crops.shape[1]
        parts.append(
            CachedSamples(
                _features(network, batch.crops.transpose(0, 1)),
                batch.masks.transpose(0, 1),
                batch.weights.T,
                batch.mask_weights.T,
                torch.arange(count) // (count // 2) + 1,
            )
        )
    names = CachedSamples.__slots__
    return CachedSamples(*(torch.cat([getattr(part, name) for part in parts]) for name in names))


def _features(network: PatchNet, crops: Tensor) -> Tensor:
    """Return the features (n, 4, C, h, w) float16 of crops (n, 4, 3, R, R)."""
    with torch.autocast("cpu", torch.bfloat16):
        found = network.early(crops.flatten(0, 1).contiguous(memory_format=torch.channels_last))
    return found.half().view(len(crops), 4, *found.shape[1:])


def tune(
    network: PatchNet,
    samples: CachedSamples,
    steps: int,
    rate: float,
    losses: LossWeights,
    seed: int = 0,
) -> PatchNet:
    """Train the later layers, and return a network with the running average of their weights.

    Args:
        network: in evaluation mode; it is trained in place.
        samples: with features of this network.
        steps: number of optimizer steps, with one cycle of the learning rate.
        rate: peak learning rate.
        losses: weights of the losses.
        seed: random seed of batches and dropout.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    rows_of = [torch.where(samples.source == number)[0] for number in range(len(_COUNTS))]
    for parameter in network.parameters():
        parameter.requires_grad_(requires_grad=False)
    trained = [parameter for layer in network.late_layers() for parameter in layer.parameters()]
    trained += [network.scale, network.offset]
    for parameter in trained:
        parameter.requires_grad_(requires_grad=True)
    network.dropout.train()
    optimizer = torch.optim.AdamW(
        [
            {"params": [t for t in trained if t.ndim > 1]},
            {"params": [t for t in trained if t.ndim <= 1], "weight_decay": 0.0},
        ],
        lr=rate,
        weight_decay=0.02,
        betas=(0.9, 0.99),
    )
    averaged = deepcopy(network).eval().requires_grad_(requires_grad=False)
    for step in tqdm(range(steps), desc="tuning", unit="step", disable=None):
        warm, cosine = min(1.0, step / (0.05 * steps)), 1 + np.cos(np.pi * step / steps)
        for group in optimizer.param_groups:
            group["lr"] = rate * warm * (0.02 + 0.49 * cosine)
        rows = torch.cat(
            [
                known[torch.from_numpy(rng.integers(len(known), size=count))]
                for known, count in zip(rows_of, _COUNTS, strict=True)
            ]
        )
        features, labels, owners = samples.batch(rows, mirrored=bool(torch.rand(1) < 0.5))
        with torch.autocast("cpu", torch.bfloat16):
            prediction: Prediction = network.late(
                features.contiguous(memory_format=torch.channels_last)
            )
        compute_losses(prediction, labels, owners, losses).total.backward()
        nn.utils.clip_grad_norm_(trained, 2.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        _update_average(averaged, network, min(0.995, (step + 1) / (step + 20)))
    return averaged


@torch.no_grad()
def _update_average(averaged: PatchNet, network: PatchNet, decay: float) -> None:
    for mean, value in zip(averaged.parameters(), network.parameters(), strict=True):
        mean.lerp_(value, 1 - decay)


def main(  # noqa: PLR0913, PLR0917 - one parameter per option
    state: Annotated[Path, typer.Argument(help="State file of the network.")],
    data: Annotated[Path, typer.Option(help="Folder of packed faces and prepared samples.")],
    recipe: Annotated[Path, typer.Option(help="Recipe of the augmented samples; two banks.")],
    output: Annotated[Path, typer.Option(help="State file to write, .pt.")],
    samples: Annotated[int, typer.Option(help="Number of augmented samples.")] = 3000,
    steps: Annotated[int, typer.Option(help="Number of optimizer steps.")] = 600,
    rate: Annotated[float, typer.Option(help="Peak learning rate.")] = 3e-4,
    origins: Annotated[float, typer.Option(help="Weight of the origins loss.")] = 0.5,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="Number of CPU threads.")] = 1,
) -> None:
    """Tune the later layers of a network on the CPU."""
    torch.set_num_threads(threads)
    try:
        network = load_state(state)
        settings = Recipe.read(recipe)
        shares = tuple(replace(share, samples=_CHUNK) for share in settings.banks)
        settings = replace(settings, banks=shares, prepared=0)
        banks = [load_bank(data, share.name, "train", "cpu") for share in shares]
        batches = Batches(settings, banks, None, torch.device("cpu"))
        prepared = load_prepared(data / "prepared", "cpu")
        cached = cache_samples(network, prepared, batches, samples // (2 * _CHUNK))
        del prepared, batches, banks  # several gigabytes
        save_state(tune(network, cached, steps, rate, LossWeights(origins=origins), seed), output)
    except (FakelensError, OSError, ValueError) as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from error


if __name__ == "__main__":
    typer.run(main)
