"""Robustness of a score against small perturbations of the crop and the compression.

None of the perturbations makes a face more or less genuine. A score is no more precise than the
range it covers under them.
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
"""Largest number of face samples that are perturbed for one person."""

_ZOOM = 1.1  # factor of the crop's side, and its inverse
_SHIFT = 0.05  # over the crop's side
_QUALITY = 40  # of the JPEG
_RESOLUTION = 0.5  # over that of the frame

RECOMPRESSED = f"JPEG quality {_QUALITY}"
"""Name of the perturbation that recompresses the face."""

Perturbation = Callable[[FaceSample, ModelCard], RGBImage]
"""From a sample to a perturbed crop (S, S, 3) uint8 RGB."""


def _recropped(scale: float, shift: float) -> Perturbation:
    """Scale the crop around its centre; shift it to the right and down, over its side."""

    def perturb(sample: FaceSample, card: ModelCard) -> RGBImage:
        geometry = replace(card.crop, scale=card.crop.scale * scale)
        area = crop_area(sample.face, geometry)
        offset = shift * area.width
        area = Box(area.x1 + offset, area.y1 + offset, area.x2 + offset, area.y2 + offset)
        return extract_crop(sample.image, area, card.input_size)

    return perturb


def _mirrored(sample: FaceSample, card: ModelCard) -> RGBImage:
    return np.ascontiguousarray(sample.crop(card)[:, ::-1])


def _recompressed(sample: FaceSample, card: ModelCard) -> RGBImage:
    """Compress at the resolution of the sample, as a video is recompressed when it is shared.

    A face larger than the model's crop is stored at less than the frame's resolution, so for such a
    face this is a stronger compression than that of the frame.
    """
    return replace(sample, image=decode_image(encode_jpeg(sample.image, _QUALITY))).crop(card)


def _downscaled(sample: FaceSample, card: ModelCard) -> RGBImage:
    """Scale down to half the resolution of the frame, and up again."""
    height, width = sample.image.shape[:2]
    factor = min(1.0, _RESOLUTION / sample.scale)
    size = (max(1, round(factor * width)), max(1, round(factor * height)))
    small = cv2.resize(sample.image, size, interpolation=cv2.INTER_AREA)
    back = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    return replace(sample, image=back.astype(np.uint8, copy=False)).crop(card)


PERTURBATIONS: dict[str, Perturbation] = {
    "10 % wider crop": _recropped(_ZOOM, 0),
    "9 % narrower crop": _recropped(1 / _ZOOM, 0),
    "shifted 5 % up and left": _recropped(1, -_SHIFT),
    "shifted 5 % down and right": _recropped(1, _SHIFT),
    "mirrored": _mirrored,
    RECOMPRESSED: _recompressed,
    "half resolution": _downscaled,
}
"""Perturbations by name, as reports show it."""


def variants(samples: Sequence[FaceSample], card: ModelCard) -> Iterator[RGBImage]:
    """Yield the perturbed crops: the first perturbation of all samples, then the next one."""
    return (perturb(sample, card) for perturb in PERTURBATIONS.values() for sample in samples)


def measure_robustness(person: float, logits: FloatArray, perturbed: FloatArray) -> Robustness:
    """Compute the range of a person's score under the perturbations.

    Each perturbation changes the person's logit by its mean effect on the samples.

    Args:
        person: logit of the person over the whole track.
        logits: (N,), of some samples without perturbation.
        perturbed: (perturbations * N,), of their ``variants``.
    """
    changes = (perturbed.reshape(len(PERTURBATIONS), len(logits)) - logits).mean(axis=1)
    scores = {
        name: float(sigmoid(person + float(change)))
        for name, change in zip(PERTURBATIONS, changes, strict=True)
    }
    all_scores = [float(sigmoid(person)), *scores.values()]
    return Robustness((min(all_scores), max(all_scores)), scores, len(logits))
