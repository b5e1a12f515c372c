"""Tracking: every frame, interpolation, errors and closing."""

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakelens.errors import UsageError
from fakelens.faces.tracking import track_faces
from fakelens.records.faces import Face
from fakelens.records.media import Frame
from support.tracking import ScriptedDetector, face_at, frame, one_shot, still_frames, texture


def assert_same_place(face: Face, truth: Face) -> None:
    assert np.allclose(
        [face.box.x1, face.box.y1, face.box.x2, face.box.y2],
        [truth.box.x1, truth.box.y1, truth.box.x2, truth.box.y2],
    )
    assert np.allclose(face.landmarks, truth.landmarks, atol=1e-4)


@settings(deadline=None)
@given(st.lists(st.booleans(), max_size=25), st.integers(1, 7))
def test_every_frame_is_returned_once_and_in_order(present: list[bool], every: int) -> None:
    detector = ScriptedDetector(lambda i: [face_at(60)] if present[i] else [])
    frames = still_frames(len(present))
    tracked = list(track_faces(one_shot(frames), detector, every=every))
    assert [item.frame for item in tracked] == frames
    assert len(detector.seen) == len(set(detector.seen))


@settings(deadline=None)
@given(st.lists(st.integers(6, 15), max_size=6), st.integers(1, 6))
def test_tracks_begin_and_end_on_the_right_frame(lengths: list[int], every: int) -> None:
    """A face is absent and present in turn, each at least for the interval of key frames."""
    present = [turn % 2 == 1 for turn, length in enumerate(lengths) for _ in range(length)]
    detector = ScriptedDetector(lambda i: [face_at(60)] if present[i] else [])
    tracked = track_faces(one_shot(still_frames(len(present))), detector, every=every)
    assert [bool(item.faces) for item in tracked] == present


@pytest.mark.parametrize("every", [1, 2, 3, 5])
def test_a_face_that_stays_is_detected_only_on_key_frames(every: int) -> None:
    detector = ScriptedDetector(lambda i: [face_at(60)])
    tracked = list(track_faces(one_shot(still_frames(24)), detector, every=every))
    assert detector.seen == sorted({*range(0, 24, every), 23})
    detected = [item.frame.index for item in tracked if item.faces[0].detected]
    assert detected == detector.seen


def test_interpolation_is_linear_in_time() -> None:
    times = [Fraction(t, 100) for t in (0, 1, 7, 9, 10, 30, 31)]
    frames = [frame(i, texture(0), time) for i, time in enumerate(times)]

    def truth(index: int) -> list[Face]:
        t = float(times[index])
        return [face_at(40 + 60 * t, 50 + 20 * t, 20 + 10 * t, confidence=0.6 + 0.05 * index)]

    tracked = list(track_faces(one_shot(frames), ScriptedDetector(truth), every=3))
    for item in tracked:
        assert_same_place(item.faces[0].face, truth(item.frame.index)[0])
    assert [one.detected for item in tracked for one in item.faces] == [1, 0, 0, 1, 0, 0, 1]
    confidences = [one.face.confidence for item in tracked for one in item.faces]
    assert confidences == pytest.approx([0.6, 0.6, 0.6, 0.75, 0.75, 0.75, 0.9])


def test_faces_without_landmarks_are_tracked() -> None:
    detector = ScriptedDetector(lambda i: [Face(face_at(60 + i).box, None, 1.0)])
    tracked = track_faces(one_shot(still_frames(7)), detector, every=3)
    assert {item.faces[0].face.landmarks for item in tracked} == {None}


@pytest.mark.parametrize("times", [[0] * 7, [0, 5, 4, 3, 3, 1, 9]])
def test_wrong_timestamps_do_not_break_tracks(times: list[int]) -> None:
    frames = [frame(i, texture(0), Fraction(t, 10)) for i, t in enumerate(times)]
    tracked = list(
        track_faces(one_shot(frames), ScriptedDetector(lambda i: [face_at(60 + 3 * i)]), every=3)
    )
    assert {one.track for item in tracked for one in item.faces} == {1}
    centers = [item.faces[0].face.box.center[0] for item in tracked]
    assert centers == sorted(centers)


@pytest.mark.parametrize("every", [1, 3, 8])
def test_at_most_every_frames_are_held_back(every: int) -> None:
    pulled = 0

    def counted() -> Iterator[Frame]:
        nonlocal pulled
        for item in still_frames(40):
            pulled += 1
            yield item

    held = []
    tracked = track_faces(
        one_shot(counted()), ScriptedDetector(lambda i: [face_at(60)]), every=every
    )
    for returned, _ in enumerate(tracked):
        held.append(pulled - returned)
    assert max(held) <= every


def test_no_frames_give_no_result() -> None:
    assert list(track_faces([], ScriptedDetector(lambda i: []))) == []


def test_an_error_of_the_detector_is_raised() -> None:
    def truth(index: int) -> list[Face]:
        if index == 6:
            raise RuntimeError("out of memory")
        return [face_at(60)]

    tracked = track_faces(one_shot(still_frames(20)), ScriptedDetector(truth), every=3)
    with pytest.raises(RuntimeError, match="out of memory"):
        list(tracked)
    assert list(tracked) == []


def test_an_error_of_the_video_is_raised() -> None:
    def broken() -> Iterator[Frame]:
        yield from still_frames(4)
        raise OSError("disk gone")

    seen = []
    with pytest.raises(OSError, match="disk gone"):
        seen.extend(
            track_faces(one_shot(broken()), ScriptedDetector(lambda i: [face_at(60)]), every=3)
        )


def test_closing_early_closes_the_source() -> None:
    closed = False

    def source() -> Iterator[Frame]:
        nonlocal closed
        try:
            yield from still_frames(20)
        finally:
            closed = True

    tracked = track_faces(one_shot(source()), ScriptedDetector(lambda i: [face_at(60)]))
    next(iter(tracked))
    tracked.close()
    del tracked
    assert closed


@pytest.mark.parametrize("arguments", [{"every": 0}, {"every": -3}, {"full_search_seconds": -0.1}])
def test_settings_out_of_range_are_refused_at_once(arguments: dict) -> None:
    with pytest.raises(UsageError):
        track_faces([], ScriptedDetector(lambda i: []), **arguments)
