"""Training samples: a real crop, a self-blend of it and its DFDC fake, all changed alike.

Sample ``i`` depends on the seed and ``i`` only, so training can stop and go on at any step.
"""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from fakelens.data import FloatArray
from training.augment import augment, cut, jitter
from training.blends import perturb, self_blend
from training.data import Pair

KINDS = ("real", "self-blend", "DFDC fake")

# The side of a training crop over the longer side of YuNet's box. The DFDC crops end at about
# 0.9 of it; what lies beyond is mirrored.
SCALES = (0.78, 1.18)
# Share of triples changed as a whole in the way self-blends are changed in a part: it is the
# mismatch that makes a fake, not the change.
_PERTURBED = 0.3
# Colour changes, degradation and the changes above become more frequent over so many triples.
# Without that start MesoInception4 stays at chance for thousands of pictures.
_EASY = 8000
# Side of the map of blended cells: that of the explained layer.
_MAP_SIDE = 32


class Triples(Dataset[tuple[Tensor, Tensor]]):
    """Endless: sample ``i`` is what :func:`make_triple` gives, as tensors.

    Every pass over the pairs has its own order.
    """

    def __init__(self, pairs: Sequence[Pair], seed: int) -> None:
        self._pairs = pairs
        self._seed = seed

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        epoch, position = divmod(index, len(self._pairs))
        order = np.random.default_rng([self._seed, 0, epoch]).permutation(len(self._pairs))
        rng = np.random.default_rng([self._seed, 1, index])
        often = min(1.0, index / _EASY)
        crops, blended = make_triple(self._pairs[order[position]], rng, often)
        return torch.from_numpy(crops), torch.from_numpy(blended)


def make_triple(
    pair: Pair, rng: np.random.Generator, often: float = 1.0
) -> tuple[NDArray[np.uint8], FloatArray]:
    """A real crop, a self-blend of it, its DFDC fake, in the order of ``KINDS``.

    Args:
        pair: to be shown.
        rng: the only source of chance.
        often: factor of the chance of each change that is no forgery, 0..1.

    Returns:
        The crops, (3, 256, 256, 3) uint8 RGB, and the share of blended pixels in each cell of the
        self-blend, (32, 32) float32, 1 where the blend is strongest.
    """
    real, fake = pair.real.decode(), pair.fake.decode()
    if rng.random() < _PERTURBED * often:
        whole = int(rng.integers(2**63))
        real, fake = (perturb(image, np.random.default_rng(whole)) for image in (real, fake))
    blend, mask = self_blend(real, pair.real.landmarks, rng)
    # The two crops of a pair show the same place; the real one's box serves for all three.
    square = jitter(pair.real.center, pair.real.side, SCALES, rng)
    alike = int(rng.integers(2**63))
    crops = [
        augment(image, square, np.random.default_rng(alike), often) for image in (real, blend, fake)
    ]
    cells = cut(mask / mask.max(), square)
    return np.stack(crops), cv2.resize(cells, (_MAP_SIDE,) * 2, interpolation=cv2.INTER_AREA)


def batches(
    triples: Triples, size: int, start: int, workers: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless batches of ``size`` triples, from batch ``start`` on.

    Yields:
        Crops, (size, 3, 256, 256, 3) uint8, and maps, (size, 32, 32) float32.
    """

    def indices() -> Iterator[list[int]]:
        first = start * size
        while True:
            yield list(range(first, first + size))
            first += size

    return iter(
        DataLoader(
            triples,
            batch_sampler=indices(),
            num_workers=workers,
            worker_init_fn=_one_thread if workers else None,
        )
    )


def _one_thread(_worker: int) -> None:
    cv2.setNumThreads(0)
