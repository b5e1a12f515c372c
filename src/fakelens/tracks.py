"""From faces in single pictures to people through time, and where the scene changes."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from .data import Box, Face, FaceDetector, FloatArray, Frame, Pixels, RGBImage
from .errors import UsageError
from .pixels import luma, shrunk

# Seconds ahead for which a head's velocity is worth anything.
_TRUSTED_AHEAD = 0.5

# Scene cuts. On 16,300 frames of real clips with 7 cuts, in a film and a concert, the change was
# 0.6 or more at each cut and 0.38 or less elsewhere; at the cuts it was at least 7 times the mean
# of the ten changes before.
_CUT = 0.48
_CUT_RATIO = 3.0
_NEIGHBOURS = 10
_BLOCKS = 4
_BLACK = 4  # luma up to which a cell may belong to the bars of a letterbox
_FLAT = 4.0  # grey levels of deviation, below which a block has nothing to compare


@dataclass(frozen=True, slots=True)
class TrackedFace:
    """One face of one frame and whose it is.

    Attributes:
        track: the person's number, 1 and up in order of appearance; never used twice.
        face: where it is.
        detected: by the detector; otherwise interpolated between two detections.
    """

    track: int
    face: Face
    detected: bool


@dataclass(frozen=True, slots=True)
class Followed:
    """A frame and its faces, ordered by track."""

    frame: Frame
    faces: tuple[TrackedFace, ...]


def follow(
    frames: Iterable[Frame], detector: FaceDetector, *, every: int = 3
) -> Iterator[Followed]:
    """Follow every face through a video, detecting on every ``every``-th frame only.

    Between two such key frames the faces seen in both are interpolated linearly in time. Where a
    face appears or vanishes between them, the frames in between are searched too, so a track
    begins and ends on the right frame. Either side of a scene cut is a key frame, and a cut (or
    a change of the frame size) ends all tracks.

    Args:
        frames: in order of presentation, times in seconds; times should increase.
        detector: finds the faces.
        every: distance of the key frames, 1 or more. No more than this many frames are held (one
            more while a suspected cut is being confirmed).

    Yields:
        Every frame, in order, exactly once.

    Raises:
        UsageError: ``every`` is below 1.
    """
    if every < 1:
        raise UsageError(f"faces must be detected on every 1st frame or rarer, not {every}")
    return _follow(frames, detector, every, Tracker())


def _follow(
    frames: Iterable[Frame], detector: FaceDetector, every: int, tracker: "Tracker"
) -> Iterator[Followed]:
    key: Followed | None = None  # the last key frame of this scene
    waiting: list[Frame] = []  # since then
    for frame, new_scene in _with_cuts(frames):
        if new_scene:
            if key and waiting:
                yield from _segment(key, waiting, detector, tracker)
            tracker.cut()
            key, waiting = None, []
        waiting.append(frame)
        if key is None or len(waiting) == every:
            for followed in _segment(key, waiting, detector, tracker):
                key = followed
                yield followed
            waiting = []
    if key and waiting:
        yield from _segment(key, waiting, detector, tracker)


def _segment(
    key: Followed | None, waiting: Sequence[Frame], detector: FaceDetector, tracker: "Tracker"
) -> Iterator[Followed]:
    """The frames after a key frame up to the next one, which is the last of them."""
    *between, last = waiting
    (faces,) = _searched([last], detector)
    if key and between:
        before = {tracked.track: tracked.face for tracked in key.faces}
        if set(tracker.match(faces, float(last.time))) != set(before):
            searched = _searched(between, detector)
            for frame, found in zip(between, searched, strict=True):
                yield _detected(frame, found, tracker)
        else:
            end = _detected(last, faces, tracker)
            for frame in between:
                weight = _progress(key.frame, frame, last)
                yield Followed(
                    frame,
                    tuple(
                        TrackedFace(
                            tracked.track,
                            _between(before[tracked.track], tracked.face, weight),
                            detected=False,
                        )
                        for tracked in end.faces
                    ),
                )
            yield end
            return
    yield _detected(last, faces, tracker)


def _searched(frames: Sequence[Frame], detector: FaceDetector) -> list[list[Face]]:
    """The faces in each of some frames of one size, in pixels of the frame."""
    side: int | None = getattr(detector, "longest_side", None)
    pictures = [frame.image if side is None else shrunk(frame.pixels, side) for frame in frames]
    found = []
    for frame, picture, faces in zip(frames, pictures, detector.detect(pictures), strict=True):
        (height, width), (rows, columns) = frame.pixels.shape[:2], picture.shape[:2]
        found.append([face.scaled(width / columns, height / rows) for face in faces])
    return found


def _detected(frame: Frame, faces: Sequence[Face], tracker: "Tracker") -> Followed:
    numbers = tracker.update(faces, float(frame.time))
    tracked = (TrackedFace(n, face, detected=True) for n, face in zip(numbers, faces, strict=True))
    return Followed(frame, tuple(sorted(tracked, key=lambda one: one.track)))


def _progress(start: Frame, frame: Frame, end: Frame) -> float:
    """How far a frame is from start to end, 0..1; damaged files may repeat a time."""
    if not start.time <= frame.time <= end.time or start.time == end.time:
        return (frame.index - start.index) / (end.index - start.index)
    return float((frame.time - start.time) / (end.time - start.time))


def _between(start: Face, end: Face, weight: float) -> Face:
    box = (1 - weight) * _corners(start.box) + weight * _corners(end.box)
    landmarks: FloatArray | None = None
    if start.landmarks is not None and end.landmarks is not None:
        landmarks = np.float32(1 - weight) * start.landmarks + np.float32(weight) * end.landmarks
    return Face(Box(*box.tolist()), landmarks, min(start.confidence, end.confidence))


def _corners(box: Box) -> NDArray[np.float64]:
    return np.array([box.x1, box.y1, box.x2, box.y2])


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


def _assignment(distance: NDArray[np.float64]) -> Iterator[tuple[int, int]]:
    """Pairs of a row and a column, each in one pair at most, with the least sum of distances."""
    if 1 in distance.shape:
        row, column = np.unravel_index(distance.argmin(), distance.shape)
        yield int(row), int(column)
        return
    # Its import takes longer than all others together, and one face at a time needs no solver.
    from scipy.optimize import linear_sum_assignment  # noqa: PLC0415 - slow to load

    # Clipped at the limit, an impossible match costs no more than none at all: otherwise the
    # assignment would shift a good match to its neighbour to make one more poor one.
    yield from zip(*linear_sum_assignment(np.minimum(distance, 1.0)), strict=True)


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


def _with_cuts(frames: Iterable[Frame]) -> Iterator[tuple[Frame, bool]]:
    """Each frame, and whether a scene begins with it.

    A cut is a change (see ``_change``) that is large, stands out from the changes just before it
    (the idea of PySceneDetect's AdaptiveDetector) and lasts: a suspected frame is held until the
    next one has shown that it was no flash. A new frame size is a cut, too.
    """
    recent: deque[float] = deque(maxlen=_NEIGHBOURS)
    last: _Look | None = None
    suspect: tuple[Frame, _Look] | None = None
    for frame in frames:
        look = _look(frame.pixels)
        if suspect is not None and last is not None:
            lasts = look.shape != last.shape or _change(last, look) > _limit(recent)
            yield suspect[0], lasts
            if lasts:
                last = suspect[1]
                recent.clear()
            suspect = None
        if last is None or look.shape != last.shape:
            yield frame, True
            recent.clear()
        else:
            change = _change(last, look)
            if change > _limit(recent):
                suspect = frame, look
                continue
            recent.append(change)
            yield frame, False
        last = look
    if suspect is not None:
        yield suspect[0], True


def _limit(recent: Sequence[float] | deque[float]) -> float:
    usual = sum(recent) / len(recent) if recent else 0.0
    return max(_CUT, _CUT_RATIO * usual)


class _Look(NamedTuple):
    """What is kept of a picture to compare it with the next."""

    blocks: NDArray[np.float32]  # (_BLOCKS ** 2, cells), mean luma of each cell, 0..255
    lit: NDArray[np.bool_]  # (_BLOCKS ** 2, cells), no part of the cell is black
    shape: tuple[int, ...]  # of the picture


def _look(image: RGBImage | Pixels) -> _Look:
    height, width = image.shape[:2]
    down, across = max(1, height // 72), max(1, width // 128)
    sample = luma(image, down, across)
    # A cell across the border of a letterbox bar would look alike in all pictures.
    lit = _cells((sample > _BLACK).astype(np.float32)) > 0.9
    return _Look(_cells(sample).astype(np.float32), lit, image.shape)


def _cells(plane: cv2.typing.MatLike) -> cv2.typing.MatLike:
    """The means of 12 x 8 cells in each block, (_BLOCKS ** 2, 96)."""
    cells = cv2.resize(plane, (_BLOCKS * 12, _BLOCKS * 8), interpolation=cv2.INTER_AREA)
    return cells.reshape(_BLOCKS, 8, _BLOCKS, 12).swapaxes(1, 2).reshape(_BLOCKS**2, -1)


def _change(before: _Look, after: _Look) -> float:
    """How much two pictures differ: 0 alike, about 1 unrelated.

    One minus the correlation of a block with the same block of the other picture; the median of
    all blocks. Fades, flashes and changes of exposure leave the correlation as it is; an inset, a
    hand or a passer-by changes fewer than half of the blocks. What is black in both (the bars of
    a letterbox) and blocks that are flat in both do not count.
    """
    lit = before.lit | after.lit
    count = np.maximum(lit.sum(axis=1), 1)
    a, texture_a = _standardized(before.blocks, lit, count)
    b, texture_b = _standardized(after.blocks, lit, count)
    telling = (4 * count >= lit.shape[1]) & (np.maximum(texture_a, texture_b) >= _FLAT)
    if not telling.any():
        return 0.0
    difference = ((a - b) ** 2).sum(axis=1) / count / 2
    return float(np.median(difference[telling]))


def _standardized(
    blocks: NDArray[np.float32], lit: NDArray[np.bool_], count: NDArray[np.int_]
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """The lit cells of each block with mean 0 and deviation 1 (less where flat); the deviation."""
    mean = (blocks * lit).sum(axis=1) / count
    centred = (blocks - mean[:, None]) * lit
    deviation = np.sqrt((centred**2).sum(axis=1) / count)
    return centred / np.maximum(deviation, _FLAT)[:, None], deviation
