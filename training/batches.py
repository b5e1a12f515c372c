"""Training samples: a real crop, a blend of it and its DFDC fake, changed alike, and the real one
once more, changed otherwise: what happens to a face on its way must not make it a fake.

Sample ``i`` depends on the seed and ``i`` only, so training can stop and go on at any step.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from fakelens.benchmark.differences import EVERYWHERE, changed_mask
from fakelens.data import FloatArray, RGBImage
from training.augment import Square, augment, cut, jitter
from training.blends import part_blend, perturb, self_blend, set_apart, swap_blend
from training.data import Pair
from training.masks import blend_mask

KINDS = ("real", "blend", "DFDC fake", "real again")

MASK_SIDE = 56
"""Cells along a side of the masks; each network averages them down to its map."""

# Of the blends: self-blends, swaps with another person's face; the rest takes a part of the fake.
_SELF, _SWAP = 0.55, 0.25
# Of the crops: those in surroundings that are not their own.
_ELSEWHERE = 0.4
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

        A pair without a visible forgery gives a second blend in place of the fake. Where the two
        crops of a pair do not show the same place, the fake counts as forged over its face.

        Returns:
            The crops, (4, size, size, 3) uint8 RGB, and what is forged in them, (4, 56, 56)
            float32, 0 = untouched, 1 = where the forgery is strongest.
        """
        real, fake = pair.real.decode(), pair.fake.decode()
        changed = changed_mask(real, fake) if pair.aligned else None
        aligned = changed is not None and changed.mean() < EVERYWHERE
        (target, forged), change = set_apart((real, fake), rng)
        square = self._square(pair, rng)
        shown = [(target, np.zeros(real.shape[:2], np.float32), square)]
        part = (fake, changed) if aligned else None
        shown.append((*self._blend(target, real, pair, part, change, rng), square))
        if aligned:
            shown.append((forged, changed, square))
        elif pair.aligned and changed is None:
            shown.append((*self._blend(target, real, pair, None, change, rng), square))
        else:
            mask = blend_mask(fake.shape, pair.fake.landmarks, rng, "face")
            shown.append((forged, mask, _likewise(square, pair)))
        alike = int(rng.integers(2**63))
        crops = [
            augment(image, place, self._size, np.random.default_rng(alike))
            for image, _, place in shown
        ]
        masks = [self._cells(mask, place) for _, mask, place in shown]
        again = perturb(real, rng) if rng.random() < 0.5 else real
        crops.append(augment(again, self._square(pair, rng), self._size, rng))
        masks.append(np.zeros_like(masks[0]))
        return np.stack(crops), np.stack(masks)

    def _square(self, pair: Pair, rng: np.random.Generator) -> Square:
        """Where to cut; sometimes with a part of another picture around what the crop shows.

        The crops end at the face. Where all that lies beyond is made of the crop itself, a network
        does not learn that what is behind a face is none of its business.
        """
        square = jitter(pair.real.center, pair.real.side, rng)
        if rng.random() >= _ELSEWHERE:
            return square
        image = self._pairs[int(rng.integers(len(self._pairs)))].real.decode()
        height, width = image.shape[:2]
        side = int(min(height, width) * rng.uniform(0.3, 0.8))
        left, top = int(rng.integers(width - side)), int(rng.integers(height - side))
        part = image[top : top + side, left : left + side]
        if rng.random() < 0.5:  # out of focus
            part = cv2.GaussianBlur(part, (0, 0), rng.uniform(0.5, 4)).astype(np.uint8, copy=False)
        return replace(square, around=part)

    def _cells(self, mask: FloatArray, square: Square) -> FloatArray:
        seen = cut(mask / max(float(mask.max()), 1e-3), square, self._size)
        return cv2.resize(seen, (MASK_SIDE,) * 2, interpolation=cv2.INTER_AREA)

    def _blend(
        self,
        target: RGBImage,
        source: RGBImage,
        pair: Pair,
        forged: tuple[RGBImage, FloatArray] | None,
        change: bool,
        rng: np.random.Generator,
    ) -> tuple[RGBImage, FloatArray]:
        """A blend of one of the three kinds and its mask; see ``blends``."""
        landmarks = pair.real.landmarks
        draw = rng.random()
        if draw < _SWAP:
            donor = self._donor(pair, rng).real
            return swap_blend(target, landmarks, donor.decode(), donor.landmarks, rng, change)
        if draw >= _SWAP + _SELF and forged is not None:
            fake, changed = forged
            mask = blend_mask(target.shape, landmarks, rng)
            # A part where nothing was forged would make a fake that is none.
            if float((mask * changed).sum()) > 0.3 * float(mask.sum()):
                return part_blend(target, fake, changed, mask)
        return self_blend(target, source, landmarks, rng, change)

    def _donor(self, pair: Pair, rng: np.random.Generator) -> Pair:
        """Of some pairs drawn at random the one whose face is posed most alike."""
        drawn = [self._pairs[index] for index in rng.integers(len(self._pairs), size=_CANDIDATES)]
        others = [other for other in drawn if other.group != pair.group] or drawn
        pose = _pose(pair.real.landmarks)
        return min(
            others, key=lambda other: float(np.abs(_pose(other.real.landmarks) - pose).sum())
        )


def _likewise(square: Square, pair: Pair) -> Square:
    """The square around the fake face that ``square`` is around the real one."""
    ratio = pair.fake.side / pair.real.side
    x, y = pair.fake.center + (np.array([square.x, square.y]) - pair.real.center) * ratio
    return replace(square, x=float(x), y=float(y), side=square.side * ratio)


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
