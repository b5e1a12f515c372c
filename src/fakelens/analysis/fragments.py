"""Finds people who may be the same person: fragments of one face, split by a cut or a gap.

Tracking gives a face that was away, or hidden for more than a moment, a new number. Here a later
person is *possibly the same* as an earlier one if they are never seen at the same time, the later
one appears soon after the earlier one left, at a similar place and size, and looks alike. Faces are
compared as small pictures; no network describes or identifies a face. So this is a hint, and
verdicts are never merged. ``benchmarks/fragments.py`` measures the limits below.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fakelens.explain.regions import REGION_NAMES, align_face, region_of_grid
from fakelens.faces.sampler import FaceSample
from fakelens.records.tracks import Track

Look = NDArray[np.uint8]
"""(n, 16, 16, 3) RGB: a person in n samples, aligned by the landmarks, with some surroundings."""

MAX_GAP = 30.0
"""Longest time between two fragments, seconds."""

MAX_DISTANCE = 1.5
"""Largest distance between the end of one fragment and the begin of the next, see ``distances``."""

MIN_PICTURE, MIN_FACE = 0.8, 0.7
"""Least correlation of the colours of the whole pictures, and of the luma of the faces alone."""

MAX_COLOUR = 15.0
"""Largest mean difference in colour: Euclidean distance in CIE L*a*b*, 0..about 100."""

_SIDE = 16  # cells along a side of a look
_ALIGNED_SIDE = 64  # pixels; averaged down to the cells

FACE = region_of_grid(_SIDE) != REGION_NAMES.index("surroundings")
"""(16, 16) bool, cells of a look that lie on the face."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """How alike two pictures of faces are.

    Attributes:
        picture: correlation of the colours of the whole pictures, -1..1.
        face: correlation of the luma of the faces alone, -1..1.
        colour: mean difference in colour, L*a*b* units.
    """

    picture: float
    face: float
    colour: float

    @property
    def is_close(self) -> bool:
        """Whether the two may show the same person."""
        return self.picture >= MIN_PICTURE and self.face >= MIN_FACE and self.colour <= MAX_COLOUR


def make_look(samples: Sequence[FaceSample]) -> Look | None:
    """Return the look of a person; ``None`` without any sample that has landmarks."""
    cells = [
        cv2.resize(
            align_face(sample.image, sample.face.landmarks, _ALIGNED_SIDE),
            (_SIDE, _SIDE),
            interpolation=cv2.INTER_AREA,
        )
        for sample in samples
        if sample.face.landmarks is not None
    ]
    return np.stack(cells).astype(np.uint8) if cells else None


def compare(one: Look, other: Look) -> Likeness:
    """Compare the two most similar samples of two people."""
    correlations = _unit(one) @ _unit(other).T
    pair = np.unravel_index(int(correlations.argmax()), correlations.shape)
    a, b = (
        cv2.cvtColor(look[at].astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
        for look, at in zip((one, other), pair, strict=True)
    )
    face = _unit(a[None, FACE, 0]) @ _unit(b[None, FACE, 0]).T
    difference = np.linalg.norm(a - b, axis=-1).mean()
    return Likeness(float(correlations[pair]), float(face[0, 0]), float(difference))


def distances(box: NDArray[np.floating], others: NDArray[np.floating]) -> NDArray[np.float64]:
    """Measure the distance of a box (4,) from boxes (n, 4): (n,), in face sizes.

    It is the distance of the centres over the mean size, plus the logarithm of the ratio of sizes,
    as in ``faces.tracker``.
    """
    (x, y, size), (xs, ys, sizes) = _placed(box), _placed(others)
    apart = np.hypot(xs - x, ys - y) / ((sizes + size) / 2)
    return np.asarray(apart + np.abs(np.log(sizes / size)))


def find_fragments(tracks: Sequence[Track], looks: Mapping[int, Look]) -> dict[int, int]:
    """Return who is possibly the same as whom: the later person, and the first one of the chain.

    Each person continues at most one earlier person, and is continued by at most one later person;
    the most similar pairs come first. So people who are seen at the same time are never linked,
    also not through others.

    Args:
        tracks: one per person, each with at least one observation.
        looks: by number of the person; people without a look are not compared.
    """
    known = [track for track in tracks if track.person in looks]
    if len(known) < 2:
        return {}
    ends = np.array([track.times[-1] for track in known])
    last_boxes = np.stack([track.boxes[-1] for track in known])
    pairs = []
    for later in known:
        gaps = later.times[0] - ends
        is_near = distances(later.boxes[0], last_boxes) <= MAX_DISTANCE
        for index in np.flatnonzero((gaps > 0) & (gaps <= MAX_GAP) & is_near):
            earlier = known[int(index)].person
            likeness = compare(looks[earlier], looks[later.person])
            if likeness.is_close:
                pairs.append((likeness.picture, earlier, later.person))
    before: dict[int, int] = {}
    for _, earlier, person in sorted(pairs, reverse=True):
        if person not in before and earlier not in before.values():
            before[person] = earlier
    return {person: _first_of(person, before) for person in before}


def _first_of(person: int, before: Mapping[int, int]) -> int:
    while person in before:
        person = before[person]
    return person


def _unit(values: NDArray[np.floating] | Look) -> NDArray[np.float64]:
    """Flatten each picture to a vector of mean 0 and length 1; to 0 if it is uniform."""
    flat = values.reshape(len(values), -1).astype(np.float64)
    flat = flat - flat.mean(axis=1, keepdims=True)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    result: NDArray[np.float64] = np.divide(flat, length, out=np.zeros_like(flat), where=length > 0)
    return result


def _placed(boxes: NDArray[np.floating]) -> tuple[NDArray[np.float64], ...]:
    """Return x and y of the centre, and the size, of boxes (..., 4)."""
    x1, y1, x2, y2 = np.moveaxis(boxes.astype(np.float64), -1, 0)
    return (x1 + x2) / 2, (y1 + y2) / 2, np.sqrt((x2 - x1) * (y2 - y1))
