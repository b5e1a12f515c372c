"""Training samples: a real crop, a blend of it and its DFDC fake, changed alike, and the real one
once more, changed otherwise: what happens to a face on its way must not make it a fake.

Sample ``i`` depends on the seed and ``i`` only, so training can stop and go on at any step.
"""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from fakelens.data import FloatArray, RGBImage
from training.augment import augment, cut, jitter
from training.blends import part_blend, perturb, self_blend, swap_blend
from training.data import Pair
from training.masks import EVERYWHERE, blend_mask, changed_mask

KINDS = ("real", "blend", "DFDC fake", "real again")

MASK_SIDE = 56
"""Cells along a side of the masks; each network averages them down to its map."""

# Share of samples changed as a whole in the way blends are changed in a part: it is the mismatch
# that makes a fake, not the change.
_PERTURBED = 0.3
# Of the blends: self-blends, swaps with another person's face; the rest takes a part of the fake.
_SELF, _SWAP = 0.55, 0.25
# Faces looked through for a donor of a similar pose.
_CANDIDATES = 24


class Samples(Dataset[tuple[Tensor, Tensor]]):
    """Endless: number ``i`` is what ``sample`` gives, as tensors.

    Every pass over the pairs has its own order.

    Args:
        pairs: of the training split.
        size: side of the crops, pixels.
        seed: of everything.
    """

    def __init__(self, pairs: Sequence[Pair], size: int, seed: int) -> None:
        self._pairs = pairs
        self._size = size
        self._seed = seed

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        epoch, position = divmod(index, len(self._pairs))
        order = np.random.default_rng([self._seed, 0, epoch]).permutation(len(self._pairs))
        rng = np.random.default_rng([self._seed, 1, index])
        crops, masks = self.sample(self._pairs[order[position]], rng)
        return torch.from_numpy(crops), torch.from_numpy(masks)

    def sample(self, pair: Pair, rng: np.random.Generator) -> tuple[NDArray[np.uint8], FloatArray]:
        """A real crop, a blend of it, its DFDC fake, the real one again: the order of ``KINDS``.

        The first three are cut and degraded alike, the last one otherwise.

        A pair without a visible forgery - one in twenty has a wrong label - gives a second blend
        in place of the fake.

        Returns:
            The crops, (4, size, size, 3) uint8 RGB, and what is forged in them, (4, 56, 56)
            float32, 0 = untouched, 1 = where the forgery is strongest.
        """
        landmarks = pair.real.landmarks
        real, fake = pair.real.decode(), pair.fake.decode()
        changed = changed_mask(real, fake)
        if changed is not None and changed.mean() > EVERYWHERE:
            changed = blend_mask(real.shape, landmarks, rng, "face")
        if rng.random() < _PERTURBED:
            whole = int(rng.integers(2**63))
            real, fake = (perturb(image, np.random.default_rng(whole)) for image in (real, fake))
        blend, blended = self._blend(real, pair, None if changed is None else (fake, changed), rng)
        if changed is None:
            fake, changed = self._blend(real, pair, None, rng)
        # The two crops of a pair show the same place; the real one's box serves for all three.
        square = jitter(pair.real.center, pair.real.side, rng)
        alike = int(rng.integers(2**63))
        crops = [
            augment(image, square, self._size, np.random.default_rng(alike))
            for image in (real, blend, fake)
        ]
        masks = [np.zeros((MASK_SIDE, MASK_SIDE), np.float32)]
        for mask in (blended, changed):
            seen = cut(mask / max(float(mask.max()), 1e-3), square, self._size)
            masks.append(cv2.resize(seen, (MASK_SIDE,) * 2, interpolation=cv2.INTER_AREA))
        other = jitter(pair.real.center, pair.real.side, rng)
        crops.append(augment(pair.real.decode(), other, self._size, rng))
        masks.append(np.zeros_like(masks[0]))
        return np.stack(crops), np.stack(masks)

    def _blend(
        self,
        real: RGBImage,
        pair: Pair,
        forged: tuple[RGBImage, FloatArray] | None,
        rng: np.random.Generator,
    ) -> tuple[RGBImage, FloatArray]:
        landmarks = pair.real.landmarks
        draw = rng.random()
        if draw < _SWAP:
            donor = self._donor(pair, rng)
            return swap_blend(real, landmarks, donor.real.decode(), donor.real.landmarks, rng)
        if draw >= _SWAP + _SELF and forged is not None:
            fake, changed = forged
            mask = blend_mask(real.shape, landmarks, rng)
            # A part where nothing was forged would make a fake that is none.
            if float((mask * changed).sum()) > 0.3 * float(mask.sum()):
                return part_blend(real, fake, changed, mask)
        return self_blend(real, landmarks, rng)

    def _donor(self, pair: Pair, rng: np.random.Generator) -> Pair:
        """Of some pairs drawn at random the one whose face is posed most alike."""
        drawn = [self._pairs[index] for index in rng.integers(len(self._pairs), size=_CANDIDATES)]
        others = [other for other in drawn if other.group != pair.group] or drawn
        pose = _pose(pair.real.landmarks)
        return min(
            others, key=lambda other: float(np.abs(_pose(other.real.landmarks) - pose).sum())
        )


def _pose(landmarks: FloatArray) -> FloatArray:
    """Landmarks freed from place and size, (5, 2)."""
    centered = landmarks - landmarks.mean(0)
    return centered / (np.abs(centered).max() + 1e-3)


def batches(
    samples: Samples, size: int, start: int, workers: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless batches of ``size`` samples, from batch ``start`` on.

    Yields:
        Crops, (size, 4, side, side, 3) uint8, and masks, (size, 4, 56, 56) float32.
    """

    def indices() -> Iterator[list[int]]:
        first = start * size
        while True:
            yield list(range(first, first + size))
            first += size

    return iter(
        DataLoader(
            samples,
            batch_sampler=indices(),
            num_workers=workers,
            worker_init_fn=_one_thread if workers else None,
        )
    )


def _one_thread(_worker: int) -> None:
    cv2.setNumThreads(0)
