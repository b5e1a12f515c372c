"""Keeps a few face samples of each person while the frames of a video stream past.

The trust measures need crops other than the one the model examined: shifted, wider or forged. A
sample is the picture around a face, at its own resolution, from which these crops can be made.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from fakelens.faces.crops import crop_area, extract_crop
from fakelens.records.arrays import FloatArray, RGBImage
from fakelens.records.faces import Box, CropGeometry, Face
from fakelens.records.media import Pixels
from fakelens.records.models import ModelCard

MAX_SAMPLES = 6
"""Largest number of samples kept of one person."""

_SPACING = 1.0  # initial time between two samples, seconds
_CONTEXT = 1.5  # side of a sample over the side of the crop area
_MAX_SCALE = 1.6  # longest side of a sample over the model's input size
# Seconds without an observation after which a person has left; tracks end earlier.
_GONE_AFTER = 2.0


@dataclass(frozen=True, slots=True)
class FaceSample:
    """A face with its surroundings.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        face: in pixels of ``image``.
        scale: size of ``image`` relative to the frame, above 0 and up to 1.
    """

    image: RGBImage
    face: Face
    scale: float = 1.0

    def crop(self, card: ModelCard) -> RGBImage:
        """Crop the square that a model takes as input, (S, S, 3) uint8 RGB."""
        return extract_crop(self.image, crop_area(self.face, card.crop), card.input_size)


def take_sample(image: RGBImage | Pixels, face: Face, card: ModelCard) -> FaceSample:
    """Copy a face and its surroundings out of a frame, with a margin around the model's crop.

    A sample ends at the edge of the frame. Its crops are identical to crops of the frame, unless
    the face is so large that the sample is shrunk.
    """
    area = crop_area(face, CropGeometry(card.crop.reference, card.crop.scale * _CONTEXT))
    height, width = image.shape[:2]
    left, top = (min(max(int(v), 0), size - 1) for v, size in ((area.x1, width), (area.y1, height)))
    right = max(left + 1, min(int(np.ceil(area.x2)), width))
    bottom = max(top + 1, min(int(np.ceil(area.y2)), height))
    part = np.array(image[top:bottom, left:right])
    moved = face.moved(-left, -top)
    factor = _MAX_SCALE * card.input_size / max(part.shape[:2])
    if factor >= 1:
        return FaceSample(part, moved)
    size = (max(1, round(part.shape[1] * factor)), max(1, round(part.shape[0] * factor)))
    small = cv2.resize(part, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    return FaceSample(small, moved.scaled(size[0] / part.shape[1], size[1] / part.shape[0]), factor)


class FaceSampler:
    """Selects samples spread over the time each person is visible.

    At first, one sample per second is kept. Once there are more than ``MAX_SAMPLES``, every other
    one is dropped and the spacing doubles. The length of the video and of each track need not be
    known, and memory is limited by the number of persons visible at a time.

    Args:
        card: of the model that the samples are cropped for.
    """

    def __init__(self, card: ModelCard) -> None:
        self._card = card
        self._samples: defaultdict[int, list[FaceSample]] = defaultdict(list)
        self._spacing: defaultdict[int, float] = defaultdict(lambda: _SPACING)
        self._next_time: dict[int, float] = {}
        self._last_seen: dict[int, float] = {}

    def add(
        self, person: int, time: float, image: RGBImage | Pixels, face: Face, *, usable: bool
    ) -> None:
        """Offer a face; ``time`` in seconds must not decrease for one person."""
        self._last_seen[person] = time
        if not usable or time < self._next_time.get(person, time):
            return
        self._samples[person].append(take_sample(image, face, self._card))
        if len(self._samples[person]) > MAX_SAMPLES:
            self._samples[person] = self._samples[person][::2]
            self._spacing[person] *= 2
        self._next_time[person] = time + self._spacing[person]

    def pop_gone(self, time: float) -> list[tuple[int, list[FaceSample]]]:
        """Remove and return the persons who have left by ``time``, with the samples of each."""
        gone = [p for p, seen in self._last_seen.items() if time - seen > _GONE_AFTER]
        return [self._pop(person) for person in gone]

    def pop_all(self) -> list[tuple[int, list[FaceSample]]]:
        """Remove and return all remaining persons, with the samples of each."""
        return [self._pop(person) for person in list(self._last_seen)]

    def _pop(self, person: int) -> tuple[int, list[FaceSample]]:
        del self._last_seen[person]
        self._next_time.pop(person, None)
        self._spacing.pop(person, None)
        return person, self._samples.pop(person, [])


def cell_transform(box: Box, shape: Sequence[int]) -> FloatArray:
    """Compute the 2x3 affine transform from pixels to the cells of a map (h, w) over a square."""
    down, across = shape[0] / box.height, shape[1] / box.width
    return np.array([[across, 0, -box.x1 * across], [0, down, -box.y1 * down]], np.float32)
