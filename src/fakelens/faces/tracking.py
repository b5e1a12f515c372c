"""Tracks faces: from detections in single frames to persons over time."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from fakelens.errors import UsageError
from fakelens.faces.search import search, search_near
from fakelens.faces.tracker import Tracker
from fakelens.records.arrays import FloatArray
from fakelens.records.faces import Box, Face, FaceDetector
from fakelens.records.media import Frame

_MAX_HELD = 12  # frames that wait for the next search of a whole frame


@dataclass(frozen=True, slots=True)
class TrackedFace:
    """A face in a frame, and the person it belongs to.

    Attributes:
        track: number of the person, from 1 in order of appearance; never reused.
        face: the detected or interpolated face.
        detected: false if the face is interpolated between two detections.
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
    frames: Iterable[tuple[Frame, bool]],
    detector: FaceDetector,
    *,
    every: int = 3,
    full_search_seconds: float | Fraction = 0,
) -> Iterator[TrackedFrame]:
    """Track every face through a video, detecting only on every ``every``-th frame.

    Faces that are seen in two successive key frames are interpolated linearly in time between
    them. If a face appears or disappears between two key frames, the frames in between are
    searched as well, so that tracks begin and end on the right frame. The frames on both sides of
    a shot change are key frames. A shot change ends all tracks.

    For up to ``full_search_seconds`` after a full search, key frames are searched only near the
    known persons, if there are any and the detector can search a part of a picture. If a full
    search shows that a person appeared or disappeared since the previous one, all key frames in
    between are searched in full again. A person who joins others and leaves again between two full
    searches is missed.

    Args:
        frames: in order of presentation, times in seconds; times should increase. Each comes with
            whether a shot begins with it, as from ``media.shots.with_shot_changes``. A frame of
            another size than the one before must begin one.
        detector: face detector.
        every: interval between key frames, 1 or more.
        full_search_seconds: longest time between two full searches, seconds; 0 searches all key
            frames in full. Up to 12 frames are held back, or ``every`` if that is more.

    Yields:
        Every frame, in order, exactly once.

    Raises:
        UsageError: ``every`` is below 1, or ``full_search_seconds`` is negative.
    """
    if every < 1:
        raise UsageError(f"the interval between face detections must be 1 or more, not {every}")
    if full_search_seconds < 0:
        raise UsageError(
            f"the time between two full searches must be 0 or more, not {full_search_seconds}"
        )
    return _track(frames, detector, every, full_search_seconds)


def _track(
    frames: Iterable[tuple[Frame, bool]],
    detector: FaceDetector,
    every: int,
    full_search_seconds: float | Fraction,
) -> Iterator[TrackedFrame]:
    shot = _Shot(detector, every, full_search_seconds, Tracker())
    for frame, begins_shot in frames:
        if begins_shot:
            yield from shot.finish()
            shot = shot.next()
        yield from shot.add(frame)
    yield from shot.finish()


class _Shot:
    """Tracks faces from one shot change to the next.

    Args:
        detector: face detector.
        every: interval between key frames.
        full_search_seconds: longest time between two full searches.
        tracker: without any person; it continues the numbers of earlier shots.
    """

    def __init__(
        self,
        detector: FaceDetector,
        every: int,
        full_search_seconds: float | Fraction,
        tracker: Tracker,
    ) -> None:
        self._detector, self._every = detector, every
        self._full_search_seconds = full_search_seconds
        self._tracker = tracker
        self._last_full: TrackedFrame | None = None  # the last frame that was searched in full
        self._tracker_at_last_full = tracker
        self._held: list[TrackedFrame] = []  # since then; valid if the next full search agrees
        self._waiting: list[Frame] = []  # since the last key frame

    def next(self) -> "_Shot":
        """Return the tracker of the next shot; call it after ``finish``."""
        self._tracker.reset()
        return _Shot(self._detector, self._every, self._full_search_seconds, self._tracker)

    def add(self, frame: Frame) -> list[TrackedFrame]:
        """Add the next frame, and return the frames that are complete."""
        self._waiting.append(frame)
        if self._last_full is None:
            return self._search_in_full(None)
        if len(self._waiting) < self._every:
            return []
        key = self._held[-1] if self._held else self._last_full
        # The next key frame is expected after the same time as between this and the last one.
        next_time = frame.time + (frame.time - key.frame.time)
        full_search_due = (
            next_time - self._last_full.frame.time > self._full_search_seconds
            or len(self._held) + 2 * self._every > _MAX_HELD
        )
        if not full_search_due and self._search_near_known(key):
            return []
        return self._search_in_full(key)

    def finish(self) -> list[TrackedFrame]:
        """End the shot, and return its remaining frames."""
        if not self._held and not self._waiting:
            return []
        return self._search_in_full(self._held[-1] if self._held else self._last_full)

    def _search_near_known(self, key: TrackedFrame) -> bool:
        """Search near the known persons, and hold the frames back if all are still there."""
        last = self._waiting[-1]
        expected = [self._tracker.predict(one.track, float(last.time)) for one in key.faces]
        faces = search_near(last, self._detector, expected) if expected else None
        if faces is None or not _has_same_people(key, last, faces, self._tracker):
            return False
        self._held += _interpolated(key, self._waiting, faces, self._tracker)
        self._waiting = []
        return True

    def _search_in_full(self, key: TrackedFrame | None) -> list[TrackedFrame]:
        """Search the last frame in full, and return all frames up to it.

        Args:
            key: the key frame before the waiting frames; at the end of a shot it may be the last
                frame itself.
        """
        frames = [*(tracked.frame for tracked in self._held), *self._waiting]
        last = frames[-1]
        (faces,) = search([last], self._detector)
        if key is None or self._last_full is None:
            done = [_detected(last, faces, self._tracker)]
        elif _has_same_people(key, last, faces, self._tracker):
            done = self._held
            if self._waiting:
                done += _interpolated(key, self._waiting, faces, self._tracker)
        else:
            self._tracker = self._tracker_at_last_full
            done = self._search_again(self._last_full, frames, faces)
        self._last_full, self._tracker_at_last_full = done[-1], self._tracker.copy()
        self._held, self._waiting = [], []
        return done

    def _search_again(
        self, key: TrackedFrame, frames: Sequence[Frame], last_faces: Sequence[Face]
    ) -> list[TrackedFrame]:
        """Search all key frames in full, and every frame between two that differ in persons.

        Args:
            key: the last frame that was searched in full.
            frames: the frames after it.
            last_faces: detected in the last of ``frames``.
        """
        done: list[TrackedFrame] = []
        for start in range(0, len(frames), self._every):
            part = frames[start : start + self._every]
            *between, last = part
            faces = last_faces if last is frames[-1] else search([last], self._detector)[0]
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
    key: TrackedFrame, frame: Frame, faces: Sequence[Face], tracker: Tracker
) -> bool:
    """Return whether a frame shows the same persons as the key frame before it."""
    return set(tracker.match(faces, float(frame.time))) == {one.track for one in key.faces}


def _interpolated(
    key: TrackedFrame, frames: Sequence[Frame], faces: Sequence[Face], tracker: Tracker
) -> list[TrackedFrame]:
    """Track the frames from a key frame to the next one, which shows the same persons.

    Args:
        key: the key frame.
        frames: the frames after it; the last one is the next key frame.
        faces: detected in the last frame.
        tracker: updated with these faces.
    """
    *between, last = frames
    before = {tracked.track: tracked.face for tracked in key.faces}
    end = _detected(last, faces, tracker)
    result = []
    for frame in between:
        weight = _time_fraction(key.frame, frame, last)
        tracked = (
            TrackedFace(
                one.track, _interpolate(before[one.track], one.face, weight), detected=False
            )
            for one in end.faces
        )
        result.append(TrackedFrame(frame, tuple(tracked)))
    return [*result, end]


def _detected(frame: Frame, faces: Sequence[Face], tracker: Tracker) -> TrackedFrame:
    """Update the tracker with the faces detected in a frame."""
    numbers = tracker.update(faces, float(frame.time))
    tracked = (TrackedFace(n, face, detected=True) for n, face in zip(numbers, faces, strict=True))
    return TrackedFrame(frame, tuple(sorted(tracked, key=lambda one: one.track)))


def _time_fraction(start: Frame, frame: Frame, end: Frame) -> float:
    """Compute the position of a frame between two others, 0..1."""
    # Damaged files may repeat a time.
    if not start.time <= frame.time <= end.time or start.time == end.time:
        return (frame.index - start.index) / (end.index - start.index)
    return float((frame.time - start.time) / (end.time - start.time))


def _interpolate(start: Face, end: Face, weight: float) -> Face:
    box = (1 - weight) * _corners(start.box) + weight * _corners(end.box)
    landmarks: FloatArray | None = None
    if start.landmarks is not None and end.landmarks is not None:
        landmarks = np.float32(1 - weight) * start.landmarks + np.float32(weight) * end.landmarks
    return Face(Box(*box.tolist()), landmarks, min(start.confidence, end.confidence))


def _corners(box: Box) -> NDArray[np.float64]:
    return np.array([box.x1, box.y1, box.x2, box.y2])
