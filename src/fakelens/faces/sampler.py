"""A few faces of each person, kept with their surroundings while the frames stream past.

What is measured of an explanation needs other crops than the one that the model saw: shifted,
wider, forged. A sample is the picture around a face, at its own resolution, from which any of
them can be cut.
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
"""Samples kept of one person."""

_SPACING = 1.0  # seconds between two samples, at first
_SURROUNDINGS = 1.5  # side of what is kept, over that of the crop
_LARGEST = 1.6  # side of what is kept, over that of the model's crop
_PATIENCE = (
    2.0  # seconds after which somebody who is not seen any more has gone; tracks end earlier
)


@dataclass(frozen=True, slots=True)
class FaceSample:
    """A face with its surroundings.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        face: in the pixels of ``image``.
        shrunk: side of ``image`` over that of what was cut out of the frame, 0..1.
    """

    image: RGBImage
    face: Face
    shrunk: float = 1.0

    def crop(self, card: ModelCard) -> RGBImage:
        """What a model wants to see of it, (S, S, 3) uint8 RGB."""
        return extract_crop(self.image, crop_area(self.face, card.crop), card.input_size)


def take_sample(image: RGBImage | Pixels, face: Face, card: ModelCard) -> FaceSample:
    """Cut a sample out of a frame, with enough around it for the model's crop and more.

    Where the crop leaves the frame, so does the sample, which ends there. Crops cut from it are
    the same as from the frame, to the pixel, unless the face is so large that the sample is
    shrunk.
    """
    area = crop_area(face, CropGeometry(card.crop.reference, card.crop.scale * _SURROUNDINGS))
    height, width = image.shape[:2]
    left, top = (min(max(int(v), 0), size - 1) for v, size in ((area.x1, width), (area.y1, height)))
    right = max(left + 1, min(int(np.ceil(area.x2)), width))
    bottom = max(top + 1, min(int(np.ceil(area.y2)), height))
    part = np.array(image[top:bottom, left:right])
    moved = face.moved(-left, -top)
    factor = _LARGEST * card.input_size / max(part.shape[:2])
    if factor >= 1:
        return FaceSample(part, moved)
    size = (max(1, round(part.shape[1] * factor)), max(1, round(part.shape[0] * factor)))
    small = cv2.resize(part, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    return FaceSample(small, moved.scaled(size[0] / part.shape[1], size[1] / part.shape[0]), factor)


class FaceSampler:
    """Chooses samples spread over each person's time, and gives them out when the person goes.

    At first one a second is kept; when there are ``MOST``, every other one goes and the
    distance doubles. So it knows neither how long a video is nor how long somebody stays, and
    memory is bounded by the persons in sight.
    """

    def __init__(self, card: ModelCard) -> None:
        self._card = card
        self._kept: defaultdict[int, list[FaceSample]] = defaultdict(list)
        self._spacing: defaultdict[int, float] = defaultdict(lambda: _SPACING)
        self._next: dict[int, float] = {}
        self._seen: dict[int, float] = {}

    def add(
        self, person: int, time: float, image: RGBImage | Pixels, face: Face, *, usable: bool
    ) -> None:
        """Offer one face; ``time`` in seconds, of one person never earlier than before."""
        self._seen[person] = time
        if not usable or time < self._next.get(person, time):
            return
        self._kept[person].append(take_sample(image, face, self._card))
        if len(self._kept[person]) > MAX_SAMPLES:
            self._kept[person] = self._kept[person][::2]
            self._spacing[person] *= 2
        self._next[person] = time + self._spacing[person]

    def finished(self, time: float) -> list[tuple[int, list[FaceSample]]]:
        """Persons who are not seen any more, and what was kept of them; they are forgotten."""
        return [self._forget(p) for p, seen in list(self._seen.items()) if time - seen > _PATIENCE]

    def finish(self) -> list[tuple[int, list[FaceSample]]]:
        """The rest, when the video is over."""
        return [self._forget(person) for person in list(self._seen)]

    def _forget(self, person: int) -> tuple[int, list[FaceSample]]:
        del self._seen[person]
        self._next.pop(person, None)
        self._spacing.pop(person, None)
        return person, self._kept.pop(person, [])


def cell_transform(box: Box, shape: Sequence[int]) -> FloatArray:
    """The 2x3 affine map from pixels to the cells of a map (h, w) over a square."""
    down, across = shape[0] / box.height, shape[1] / box.width
    return np.array([[across, 0, -box.x1 * across], [0, down, -box.y1 * down]], np.float32)
