"""From faces in single pictures to people through time."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from fakelens.errors import UsageError
from fakelens.faces.search import search, search_near
from fakelens.faces.tracker import Tracker
from fakelens.media.shots import with_shot_changes
from fakelens.records.arrays import FloatArray
from fakelens.records.faces import Box, Face, FaceDetector
from fakelens.records.media import Frame

_MOST_HELD = 12  # frames that wait for the next search of a whole frame


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
class TrackedFrame:
    """A frame and its faces, ordered by track."""

    frame: Frame
    faces: tuple[TrackedFace, ...]


def track_faces(
    frames: Iterable[Frame], detector: FaceDetector, *, every: int = 3, narrow: float | Fraction = 0
) -> Iterator[TrackedFrame]:
    """Follow every face through a video, detecting on every ``every``-th frame only.

    Between two such key frames the faces seen in both are interpolated linearly in time. Where a
    face appears or vanishes between them, the frames in between are searched too, so a track
    begins and ends on the right frame. Either side of a scene cut is a key frame, and a cut (or
    a change of the frame size) ends all tracks.

    Key frames within ``narrow`` seconds of one searched as a whole are searched near the people
    known only, if there is somebody and the detector can search a part. Where somebody turns out to
    have come or gone since the last whole search, all key frames since are searched as a whole
    after all. Who joins others and leaves again between two whole searches is missed.

    Args:
        frames: in order of presentation, times in seconds; times should increase.
        detector: finds the faces.
        every: distance of the key frames, 1 or more.
        narrow: longest time from one whole search to the next, seconds; 0 searches all key frames
            as a whole. Up to 12 frames are held, or ``every`` if that is more (one more while a
            suspected cut is being confirmed).

    Yields:
        Every frame, in order, exactly once.

    Raises:
        UsageError: ``every`` is below 1, or ``narrow`` is negative.
    """
    if every < 1:
        raise UsageError(f"faces must be detected on every 1st frame or rarer, not {every}")
    if narrow < 0:
        raise UsageError(f"the time between two whole searches must be 0 or more, not {narrow}")
    return _follow(frames, detector, every, narrow)


def _follow(
    frames: Iterable[Frame], detector: FaceDetector, every: int, narrow: float | Fraction
) -> Iterator[TrackedFrame]:
    scene = _Scene(detector, every, narrow, Tracker())
    for frame, new_scene in with_shot_changes(frames):
        if new_scene:
            yield from scene.finish()
            scene = scene.next()
        yield from scene.add(frame)
    yield from scene.finish()


class _Scene:
    """The frames from one cut to the next.

    Args:
        detector: finds the faces.
        every: distance of the key frames.
        narrow: seconds from one searched as a whole to the next.
        tracker: knows the numbers given so far, and nobody.
    """

    def __init__(
        self, detector: FaceDetector, every: int, narrow: float | Fraction, tracker: "Tracker"
    ) -> None:
        self._detector, self._every, self._narrow = detector, every, narrow
        self._tracker = tracker
        self._start: TrackedFrame | None = None  # the last frame searched as a whole
        self._tracker_then = tracker
        self._held: list[TrackedFrame] = []  # since then, right if nobody has come
        self._waiting: list[Frame] = []  # since the last key frame

    def next(self) -> "_Scene":
        """The next scene, once this one is finished."""
        self._tracker.cut()
        return _Scene(self._detector, self._every, self._narrow, self._tracker)

    def add(self, frame: Frame) -> list[TrackedFrame]:
        """One more frame; the frames that are done with it."""
        self._waiting.append(frame)
        if self._start is None:
            return self._conclude(None)
        if len(self._waiting) < self._every:
            return []
        key = self._held[-1] if self._held else self._start
        # The next key frame is expected as long after this one as this one after the last.
        next_time = frame.time + (frame.time - key.frame.time)
        due = (
            next_time - self._start.frame.time > self._narrow
            or len(self._held) + 2 * self._every > _MOST_HELD
        )
        return [] if not due and self._hold(key) else self._conclude(key)

    def finish(self) -> list[TrackedFrame]:
        """No more frames; the rest of them."""
        if not self._held and not self._waiting:
            return []
        return self._conclude(self._held[-1] if self._held else self._start)

    def _hold(self, key: TrackedFrame) -> bool:
        """Search near the people known, and hold the frames back if they are all still there."""
        last = self._waiting[-1]
        expected = [self._tracker.expect(one.track, float(last.time)) for one in key.faces]
        faces = search_near(last, self._detector, expected) if expected else None
        if faces is None or not _has_same_people(key, last, faces, self._tracker):
            return False
        self._held += _interpolated(key, self._waiting, faces, self._tracker)
        self._waiting = []
        return True

    def _conclude(self, key: TrackedFrame | None) -> list[TrackedFrame]:
        """Search the last frame as a whole; then all are done.

        Args:
            key: the key frame before those waiting; at the end it may be the last frame itself.
        """
        frames = [*(followed.frame for followed in self._held), *self._waiting]
        last = frames[-1]
        (faces,) = search([last], self._detector)
        if key is None or self._start is None:
            done = [_detected(last, faces, self._tracker)]
        elif _has_same_people(key, last, faces, self._tracker):
            done = self._held
            if self._waiting:
                done += _interpolated(key, self._waiting, faces, self._tracker)
        else:
            self._tracker = self._tracker_then
            done = self._search_again(self._start, frames, faces)
        self._start, self._tracker_then = done[-1], self._tracker.copy()
        self._held, self._waiting = [], []
        return done

    def _search_again(
        self, key: TrackedFrame, frames: Sequence[Frame], of_last: Sequence[Face]
    ) -> list[TrackedFrame]:
        """Search key frames as a whole, and the frames before one where company has changed."""
        done: list[TrackedFrame] = []
        for begin in range(0, len(frames), self._every):
            part = frames[begin : begin + self._every]
            *between, last = part
            faces = of_last if last is frames[-1] else search([last], self._detector)[0]
            if _has_same_people(key, last, faces, self._tracker):
                done += _interpolated(key, part, faces, self._tracker)
            else:
                searched = [*search(between, self._detector), faces]
                done += [
                    _detected(frame, found, self._tracker)
                    for frame, found in zip(part, searched, strict=True)
                ]
            key = done[-1]
        return done


def _has_same_people(
    key: TrackedFrame, frame: Frame, faces: Sequence[Face], tracker: "Tracker"
) -> bool:
    """Whether the faces of a frame are those of the key frame before it."""
    return set(tracker.match(faces, float(frame.time))) == {one.track for one in key.faces}


def _interpolated(
    key: TrackedFrame, frames: Sequence[Frame], faces: Sequence[Face], tracker: "Tracker"
) -> list[TrackedFrame]:
    """Frames after a key frame, up to the next one with its faces, the same people."""
    *between, last = frames
    before = {tracked.track: tracked.face for tracked in key.faces}
    end = _detected(last, faces, tracker)
    found = []
    for frame in between:
        weight = _progress(key.frame, frame, last)
        tracked = (
            TrackedFace(one.track, _between(before[one.track], one.face, weight), detected=False)
            for one in end.faces
        )
        found.append(TrackedFrame(frame, tuple(tracked)))
    return [*found, end]


def _detected(frame: Frame, faces: Sequence[Face], tracker: "Tracker") -> TrackedFrame:
    numbers = tracker.update(faces, float(frame.time))
    tracked = (TrackedFace(n, face, detected=True) for n, face in zip(numbers, faces, strict=True))
    return TrackedFrame(frame, tuple(sorted(tracked, key=lambda one: one.track)))


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
