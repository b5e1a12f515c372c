"""Random draws on a device, a pure function of seed and step."""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

Range = tuple[float, float]


@lru_cache(maxsize=512)
def constant(values: tuple[float, ...], device: torch.device) -> Tensor:
    """Put float32 values on a device, once: a copy inside a step would make the host wait."""
    return torch.tensor(values, dtype=torch.float32, device=device)


class Chance:
    """All draws of one batch.

    Two objects with equal arguments give the same draws in the same order, so a run that resumes
    at a step continues with the batches it would have had.

    Args:
        seed: Seed of the run, not negative.
        device: Where the draws lie.
        step: Number of the batch, not negative.
    """

    def __init__(self, seed: int, device: torch.device | str, step: int = 0) -> None:
        self.device = torch.device(device)
        self.generator = torch.Generator(self.device)
        state = np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)
        self.generator.manual_seed(int(state[0]) >> 1)

    def uniform(self, *shape: int) -> Tensor:
        """Draw float32 from [0, 1)."""
        return torch.rand(*shape, generator=self.generator, device=self.device)

    def normal(self, *shape: int) -> Tensor:
        """Draw float32 from the standard normal distribution."""
        return torch.randn(*shape, generator=self.generator, device=self.device)

    def integers(self, high: int, count: int) -> Tensor:
        """Draw ``count`` int64 from 0 to ``high`` - 1."""
        return torch.randint(high, (count,), generator=self.generator, device=self.device)

    def ranges(self, count: int, *ranges: Range) -> tuple[Tensor, ...]:
        """Draw one float32 tensor (count,) per range, uniform from low to high."""
        return spread(self.uniform(count, len(ranges)), *ranges)

    def flags(self, count: int, *shares: float) -> tuple[Tensor, ...]:
        """Draw one bool tensor (count,) per share, true with that probability."""
        return (self.uniform(count, len(shares)) < constant(shares, self.device)).unbind(1)

    def choice(self, count: int, shares: tuple[float, ...]) -> Tensor:
        """Draw ``count`` int64 positions in ``shares``, with these relative probabilities."""
        return categories(self.uniform(count), shares)


def spread(uniform: Tensor, *ranges: Range) -> tuple[Tensor, ...]:
    """Stretch the columns of draws (n, k) from [0, 1) to k ranges."""
    low = constant(tuple(low for low, _ in ranges), uniform.device)
    width = constant(tuple(high - low for low, high in ranges), uniform.device)
    return torch.addcmul(low, uniform, width).unbind(1)


def categories(uniform: Tensor, shares: tuple[float, ...]) -> Tensor:
    """Turn draws (n,) from [0, 1) into int64 positions in ``shares`` (relative probabilities)."""
    limits = tuple(float(share) for share in np.cumsum(shares)[:-1] / sum(shares))
    # right=True: a kind whose share is 0 is never drawn.
    places: Tensor = torch.bucketize(
        uniform.contiguous(), constant(limits, uniform.device), right=True
    )
    return places
