"""How far a score depends on how the face was cut out and how the picture was stored.

None of the ways below makes a face more or less genuine; a score that moves under them is no
firmer than the band it moves in.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import cv2
import numpy as np

from fakelens.faces.crops import crop_area, extract_crop
from fakelens.faces.sampler import FaceSample
from fakelens.media.images import decode_image, encode_jpeg
from fakelens.records.arrays import FloatArray, RGBImage, sigmoid
from fakelens.records.faces import Box
from fakelens.records.models import ModelCard
from fakelens.records.trust import Robustness

MAX_FACES = 3
"""Samples of a person that are tried."""

_MARGIN = 1.1  # factor of the crop's side, either way
_SHIFT = 0.05  # of the crop's side
_QUALITY = 40  # of a JPEG
_RESOLUTION = 0.5

RECOMPRESSED = "recompressed"

Perturbation = Callable[[FaceSample, ModelCard], RGBImage]
"""Another crop of a sample."""


def _moved(scale: float, x: float, y: float) -> Perturbation:
    def make(sample: FaceSample, card: ModelCard) -> RGBImage:
        geometry = replace(card.crop, scale=card.crop.scale * scale)
        area = crop_area(sample.face, geometry)
        right, down = x * area.width, y * area.width
        area = Box(area.x1 + right, area.y1 + down, area.x2 + right, area.y2 + down)
        return extract_crop(sample.image, area, card.input_size)

    return make


def _flipped(sample: FaceSample, card: ModelCard) -> RGBImage:
    return np.ascontiguousarray(sample.crop(card)[:, ::-1])


def _squeezed(sample: FaceSample, card: ModelCard) -> RGBImage:
    """Compressed at the resolution that was kept, as whoever passes a video on does.

    Of a face larger than the model's crop that is less than the frame's, so this is harder.
    """
    return replace(sample, image=decode_image(encode_jpeg(sample.image, _QUALITY))).crop(card)


def _halved(sample: FaceSample, card: ModelCard) -> RGBImage:
    height, width = sample.image.shape[:2]
    factor = min(1.0, _RESOLUTION / sample.shrunk)  # of the frame's resolution
    size = (max(1, round(factor * width)), max(1, round(factor * height)))
    small = cv2.resize(sample.image, size, interpolation=cv2.INTER_AREA)
    back = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    return replace(sample, image=back.astype(np.uint8, copy=False)).crop(card)


PERTURBATIONS: dict[str, Perturbation] = {
    "a tenth more margin": _moved(_MARGIN, 0, 0),
    "a tenth less margin": _moved(1 / _MARGIN, 0, 0),
    "moved up and left": _moved(1, -_SHIFT, -_SHIFT),
    "moved down and right": _moved(1, _SHIFT, _SHIFT),
    "mirrored": _flipped,
    RECOMPRESSED: _squeezed,
    "half the resolution": _halved,
}
"""Other ways to prepare the same face, by name."""


def variants(samples: Sequence[FaceSample], card: ModelCard) -> Iterator[RGBImage]:
    """Every sample in each of the ``WAYS``: the first way of all samples, then the next."""
    return (way(sample, card) for way in PERTURBATIONS.values() for sample in samples)


def measure_robustness(person: float, logits: FloatArray, moved: FloatArray) -> Robustness:
    """How far a score moves.

    Args:
        person: logit of the person over the whole track, which the moves are added to.
        logits: (N,), of some samples as they are.
        moved: (ways * N,), of their ``variants``.
    """
    moves = (moved.reshape(len(PERTURBATIONS), len(logits)) - logits).mean(axis=1)
    scores = {
        way: float(sigmoid(person + float(move)))
        for way, move in zip(PERTURBATIONS, moves, strict=True)
    }
    all_scores = [float(sigmoid(person)), *scores.values()]
    return Robustness((min(all_scores), max(all_scores)), scores, len(logits))
