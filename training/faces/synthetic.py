"""Synthetic face banks, for profiling and tests."""

import torch
from torch import Tensor
from torch.nn import functional

from training.faces.bank import FaceBank


def synthetic_bank(
    count: int, device: torch.device, *, fakes: bool, side: int = 208, seed: int = 0
) -> FaceBank:
    """Make a bank of random smooth pictures with random landmarks.

    Args:
        count: number of pictures.
        device: where the tensors live.
        fakes: make tight crops with fakes; otherwise pictures with surroundings, without fakes.
        side: of the pictures, pixels.
        seed: random seed.
    """
    generator = torch.Generator().manual_seed(seed)

    def pictures() -> Tensor:
        small = torch.rand(count, 3, 20, 20, generator=generator)
        large = functional.interpolate(small, size=(side, side), mode="bicubic")
        return (large.clamp(0, 1) * 255).round().byte().to(device)

    face = side * (1.1 if fakes else 0.61)
    middle = (side - 1) / 2
    angle = torch.arange(20) / 20 * 2 * torch.pi
    circle = torch.stack([angle.cos(), angle.sin()], 1)
    sizes = torch.tensor([0.45, 0.4, 0.3, 0.3, 0.15, 0.2])[:, None, None]
    hulls = (circle * sizes * face + middle).expand(count, 6, 20, 2).contiguous()
    landmarks = middle + (torch.rand(count, 68, 2, generator=generator) - 0.5) * face * 0.8
    draws = torch.rand(2, count, generator=generator)
    visible = (draws[0] < 0.9).to(device)
    return FaceBank(
        images=pictures(),
        centers=torch.full((count, 2), middle, device=device),
        sides=torch.full((count,), face, device=device),
        landmarks=landmarks.to(device),
        hulls=hulls.to(device),
        neighbours=torch.randint(count, (count, 8), generator=generator).to(device),
        has_surroundings=not fakes,
        fakes=pictures() if fakes else None,
        fake_masks=torch.rand(count, 28, 28, generator=generator).to(device) if fakes else None,
        visible=visible if fakes else None,
        aligned=visible & (draws[1] < 0.8).to(device) if fakes else None,
        groups=tuple(map(str, range(count))),
        sources=("synthetic",) * count,
    )
