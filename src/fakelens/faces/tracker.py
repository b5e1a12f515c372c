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

_MAX_EXTRAPOLATION = 0.5  # seconds; a head's velocity predicts nothing beyond
_MAX_DISTANCE = 1.0  # of a face that matches a person
_BRUTE_FORCE_FACES = 4  # up to which all assignments are tried: 24 at most


class Tracker:
    """Assigns the numbers of persons to detected faces.

    The position of each person is predicted with constant velocity. Then faces and persons are
    matched with the smallest sum of distances (Hungarian assignment, as in SORT, Bewley et al.,
    ICIP 2016). The distance of a face from a prediction is the distance of their centres in face
    sizes, plus the logarithm of the ratio of their sizes; above 1 there is no match. Unlike the
    overlap of boxes, this distance is still informative if a head moves by its own width between
    two detections.

    Args:
        max_gap: longest time in seconds for which a person who is not detected keeps their number.
            A person seen in the last update keeps it, however long ago that was.

    Raises:
        UsageError: ``max_gap`` is negative.
    """

    def __init__(self, max_gap: float = 1.0) -> None:
        if max_gap < 0:
            raise UsageError(f"the longest gap must be 0 seconds or more, not {max_gap}")
        self._max_gap = max_gap
        self._people: list[_Person] = []
        self._last_number = 0
        self._last_update = 0.0

    def match(self, faces: Sequence[Face], time: float) -> list[int | None]:
        """Return the number of each face, ``None`` for a new person; does not change the tracker.

        Args:
            faces: detected in one frame.
            time: of the frame, seconds.
        """
        people = [person for person in self._people if self._is_alive(person, time)]
        numbers: list[int | None] = [None] * len(faces)
        if not people or not faces:
            return numbers
        predicted, detected = [one.predict(time) for one in people], [_position(f) for f in faces]
        distance = _distances(predicted, detected)
        for row, column in _assignment(distance):
            if distance[row, column] < _MAX_DISTANCE:
                numbers[column] = people[row].number
        return numbers

    def update(self, faces: Sequence[Face], time: float) -> list[int]:
        """Return the number of each face, and store the positions of the persons.

        Persons who appear in the same frame are numbered from left to right.

        Args:
            faces: detected in one frame.
            time: of the frame, seconds.
        """
        known = {person.number: person for person in self._people}
        numbers: dict[int, int] = {}
        matches = self.match(faces, time)
        for index in sorted(range(len(faces)), key=lambda one: faces[one].box.x1):
            position, number = _position(faces[index]), matches[index]
            if number is None:
                self._last_number += 1
                number = self._last_number
                known[number] = _Person(number, position, None, time)
            else:
                known[number] = known[number].moved(position, time)
            numbers[index] = number
        self._last_update = time
        self._people = [person for person in known.values() if self._is_alive(person, time)]
        return [numbers[index] for index in range(len(faces))]

    def _is_alive(self, person: "_Person", time: float) -> bool:
        return person.time >= self._last_update or time - person.time <= self._max_gap

    def predict(self, number: int, time: float) -> Box:
        """Predict the face of a known person at a time in seconds, as a square box."""
        (person,) = (person for person in self._people if person.number == number)
        position = person.predict(time)
        half = position.size / 2
        return Box(position.x - half, position.y - half, position.x + half, position.y + half)

    def copy(self) -> "Tracker":
        """Return a copy with the same state."""
        other = Tracker(self._max_gap)
        other._people = self._people.copy()
        other._last_number, other._last_update = self._last_number, self._last_update
        return other

    def reset(self) -> None:
        """Forget all persons, as at a shot change; numbers are not reused."""
        self._people = []


class _Position(NamedTuple):
    """Centre and size of a face, pixels."""

    x: float
    y: float
    size: float


def _position(face: Face) -> _Position:
    return _Position(*face.box.center, (face.box.width * face.box.height) ** 0.5)


def _distances(
    predicted: Sequence[_Position], detected: Sequence[_Position]
) -> NDArray[np.float64]:
    a, b = np.array(predicted)[:, None], np.array(detected)[None]
    size = (a[..., 2] + b[..., 2]) / 2
    apart = np.hypot(a[..., 0] - b[..., 0], a[..., 1] - b[..., 1])
    distance: NDArray[np.float64] = apart / size + np.abs(np.log(a[..., 2] / b[..., 2]))
    return distance


def _assignment(distance: NDArray[np.float64]) -> Iterable[tuple[int, int]]:
    """Pair rows with columns, each at most once, with the smallest sum of distances."""
    if distance.shape[0] > distance.shape[1]:
        return [(row, column) for column, row in _assignment(distance.T)]
    # Clipped, an impossible match costs no more than no match. Otherwise a good match could be
    # given up for two poor ones.
    costs = np.minimum(distance, _MAX_DISTANCE)
    if distance.shape[1] > _BRUTE_FORCE_FACES:
        _, columns, _ = lap.lapjv(costs, extend_cost=True)
        return enumerate(columns.tolist())
    rows = costs.tolist()
    choices = permutations(range(distance.shape[1]), len(rows))
    best = min(choices, key=lambda one: sum(row[i] for row, i in zip(rows, one, strict=True)))
    return enumerate(best)


@dataclass(frozen=True, slots=True)
class _Person:
    """State of a tracked person.

    Attributes:
        number: of the person.
        position: at the last detection.
        velocity: pixels per second; ``None`` before the second detection.
        time: of the last detection, seconds.
    """

    number: int
    position: _Position
    velocity: tuple[float, float] | None
    time: float

    def predict(self, time: float) -> _Position:
        """Predict the position at a time in seconds."""
        # A head sways about its position, so its velocity does not predict the next second.
        ahead = min(max(time - self.time, 0.0), _MAX_EXTRAPOLATION)
        vx, vy = self.velocity or (0.0, 0.0)
        x, y, size = self.position
        return _Position(x + vx * ahead, y + vy * ahead, size)

    def moved(self, position: _Position, time: float) -> "_Person":
        """Return the state after another detection."""
        passed = time - self.time
        if passed <= 0:  # damaged files may repeat a time
            return _Person(self.number, position, self.velocity, self.time)
        vx, vy = (position.x - self.position.x) / passed, (position.y - self.position.y) / passed
        if self.velocity is not None:
            # The mean with the previous velocity, since boxes jitter by a pixel or two.
            vx, vy = (vx + self.velocity[0]) / 2, (vy + self.velocity[1]) / 2
        return _Person(self.number, position, (vx, vy), time)
