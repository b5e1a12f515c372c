"""Assigns detections to persons from frame to frame."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import NamedTuple

import lap
import numpy as np
from numpy.typing import NDArray

from fakelens.errors import UsageError
from fakelens.records.faces import Box, Face

# Seconds ahead for which a head's velocity is worth anything.
_TRUSTED_AHEAD = 0.5


_FEW = 4  # faces, whose assignments are all tried: 24 at most


class Tracker:
    """Gives faces the numbers of the people they belong to.

    Each person's face is predicted with constant velocity, then faces and people are matched so
    that the sum of their distances is least (Hungarian assignment, as in SORT, Bewley et al.,
    ICIP 2016). The distance of a face from a prediction is that of their centres in face sizes
    plus the logarithm of the ratio of their sizes; above 1 there is no match. Unlike the overlap
    of boxes, it still tells near from far when a head moves by its own width between detections.

    Args:
        max_gap: seconds for which a face may stay undetected and keep its number; a face that was
            there at the last detection keeps it however long ago that was.

    Raises:
        UsageError: ``max_gap`` is negative.
    """

    def __init__(self, max_gap: float = 1.0) -> None:
        if max_gap < 0:
            raise UsageError(f"a face's longest gap must be 0 seconds or more, not {max_gap}")
        self._max_gap = max_gap
        self._people: list[_Person] = []
        self._numbers = 0
        self._updated = 0.0

    def match(self, faces: Sequence[Face], time: float) -> list[int | None]:
        """The number of each face at a time in seconds, ``None`` for a new one; notes nothing."""
        people = [person for person in self._people if self._is_alive(person, time)]
        numbers: list[int | None] = [None] * len(faces)
        if not people or not faces:
            return numbers
        distance = _distances([person.at(time) for person in people], [_place(f) for f in faces])
        for row, column in _assignment(distance):
            if distance[row, column] < 1:
                numbers[column] = people[row].number
        return numbers

    def update(self, faces: Sequence[Face], time: float) -> list[int]:
        """The number of each face at a time in seconds, and remember where they are.

        People who appear together are numbered from left to right.
        """
        known = {person.number: person for person in self._people}
        numbers: dict[int, int] = {}
        matches = self.match(faces, time)
        for index in sorted(range(len(faces)), key=lambda one: faces[one].box.x1):
            place, number = _place(faces[index]), matches[index]
            if number is None:
                self._numbers += 1
                number = self._numbers
                known[number] = _Person(number, place, None, time)
            else:
                known[number] = known[number].moved(place, time)
            numbers[index] = number
        self._updated = time
        self._people = [person for person in known.values() if self._is_alive(person, time)]
        return [numbers[index] for index in range(len(faces))]

    def _is_alive(self, person: "_Person", time: float) -> bool:
        return person.time >= self._updated or time - person.time <= self._max_gap

    def expect(self, number: int, time: float) -> Box:
        """A square about where the face of a person known should be at a time in seconds."""
        (person,) = (person for person in self._people if person.number == number)
        place = person.at(time)
        half = place.size / 2
        return Box(place.x - half, place.y - half, place.x + half, place.y + half)

    def copy(self) -> "Tracker":
        """Another one that knows the same."""
        other = Tracker(self._max_gap)
        other._people = self._people.copy()
        other._numbers, other._updated = self._numbers, self._updated
        return other

    def cut(self) -> None:
        """A new scene begins: nobody keeps their number."""
        self._people = []


class _Place(NamedTuple):
    x: float
    y: float
    size: float


def _place(face: Face) -> _Place:
    return _Place(*face.box.center, (face.box.width * face.box.height) ** 0.5)


def _distances(predicted: Sequence[_Place], found: Sequence[_Place]) -> NDArray[np.float64]:
    a, b = np.array(predicted)[:, None], np.array(found)[None]
    size = (a[..., 2] + b[..., 2]) / 2
    apart = np.hypot(a[..., 0] - b[..., 0], a[..., 1] - b[..., 1])
    distance: NDArray[np.float64] = apart / size + np.abs(np.log(a[..., 2] / b[..., 2]))
    return distance


def _assignment(distance: NDArray[np.float64]) -> Iterable[tuple[int, int]]:
    """Pairs of a row and a column, each in one pair at most, with the least sum of distances."""
    if distance.shape[0] > distance.shape[1]:
        return [(row, column) for column, row in _assignment(distance.T)]
    # Clipped at the limit, an impossible match costs no more than none at all: otherwise the
    # assignment would shift a good match to its neighbour to make one more poor one.
    costs = np.minimum(distance, 1.0)
    if distance.shape[1] > _FEW:
        _, columns, _ = lap.lapjv(costs, extend_cost=True)
        return enumerate(columns.tolist())
    rows = costs.tolist()
    choices = permutations(range(distance.shape[1]), len(rows))
    best = min(choices, key=lambda one: sum(row[i] for row, i in zip(rows, one, strict=True)))
    return enumerate(best)


@dataclass(frozen=True, slots=True)
class _Person:
    """Where a face was last seen and how fast it went, in pixels a second."""

    number: int
    place: _Place
    velocity: tuple[float, float] | None  # after the second detection
    time: float

    def at(self, time: float) -> _Place:
        """The place to expect."""
        # A head's velocity tells nothing about the next second: it sways about its place.
        ahead = min(max(time - self.time, 0.0), _TRUSTED_AHEAD)
        vx, vy = self.velocity or (0.0, 0.0)
        return _Place(self.place.x + vx * ahead, self.place.y + vy * ahead, self.place.size)

    def moved(self, place: _Place, time: float) -> "_Person":
        """The same person, seen again."""
        passed = time - self.time
        if passed <= 0:  # damaged files may repeat a time
            return _Person(self.number, place, self.velocity, self.time)
        vx, vy = (place.x - self.place.x) / passed, (place.y - self.place.y) / passed
        if self.velocity is not None:
            # Halfway from the old velocity: boxes jitter by a pixel or two.
            vx, vy = (vx + self.velocity[0]) / 2, (vy + self.velocity[1]) / 2
        return _Person(self.number, place, (vx, vy), time)
