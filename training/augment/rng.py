"""Random numbers on a device, as a pure function of seed and step."""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

Range = tuple[float, float]
"""Lower and upper bound of a uniform distribution."""


@lru_cache(maxsize=512)
def constant(values: tuple[float, ...], device: torch.device) -> Tensor:
    """Return float32 values on a device, copied once: a copy would make the host wait."""
    return torch.tensor(values, dtype=torch.float32, device=device)


class BatchRng:
    """Random number generator of one batch.

    Two generators with equal arguments return the same numbers in the same order. A resumed run
    therefore continues with the batches that it would have had.

    Args:
        seed: Seed of the run, not negative.
        device: Device of the returned tensors.
        step: Number of the batch, not negative.
    """

    def __init__(self, seed: int, device: torch.device | str, step: int = 0) -> None:
        self.device = torch.device(device)
        self.generator = torch.Generator(self.device)
        state = np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)
        self.generator.manual_seed(int(state[0]) >> 1)

    def uniform(self, *shape: int) -> Tensor:
        """Draw float32 values from [0, 1)."""
        return torch.rand(*shape, generator=self.generator, device=self.device)

    def normal(self, *shape: int) -> Tensor:
        """Draw float32 values from the standard normal distribution."""
        return torch.randn(*shape, generator=self.generator, device=self.device)

    def integers(self, high: int, count: int) -> Tensor:
        """Draw ``count`` int64 values from 0 to ``high`` - 1."""
        return torch.randint(high, (count,), generator=self.generator, device=self.device)

    def uniform_ranges(self, count: int, *ranges: Range) -> tuple[Tensor, ...]:
        """Draw one float32 tensor (count,) per range, uniform from its low to its high end."""
        return scale_to_ranges(self.uniform(count, len(ranges)), *ranges)

    def bernoulli(self, count: int, *probabilities: float) -> tuple[Tensor, ...]:
        """Draw one bool tensor (count,) per probability, true with that probability."""
        threshold = constant(probabilities, self.device)
        return (self.uniform(count, len(probabilities)) < threshold).unbind(1)

    def categorical(self, count: int, weights: tuple[float, ...]) -> Tensor:
        """Draw ``count`` int64 indices of ``weights``, with these relative probabilities."""
        return to_categories(self.uniform(count), weights)


def scale_to_ranges(uniform: Tensor, *ranges: Range) -> tuple[Tensor, ...]:
    """Scale the k columns of uniform values (n, k) from [0, 1) to k ranges."""
    low = constant(tuple(low for low, _ in ranges), uniform.device)
    width = constant(tuple(high - low for low, high in ranges), uniform.device)
    return torch.addcmul(low, uniform, width).unbind(1)


def to_categories(uniform: Tensor, weights: tuple[float, ...]) -> Tensor:
    """Map uniform values (n,) from [0, 1) to int64 indices of ``weights`` (relative)."""
    limits = tuple(float(share) for share in np.cumsum(weights)[:-1] / sum(weights))
    # right=True: an index whose weight is 0 is never drawn.
    indices: Tensor = torch.bucketize(
        uniform.contiguous(), constant(limits, uniform.device), right=True
    )
    return indices
