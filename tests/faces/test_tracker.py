"""The tracker: who gets which number."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from fakelens.faces.tracker import Tracker
from fakelens.faces.tracking import track_faces
from fakelens.records.faces import Face
from support.tracking import ScriptedDetector, face_at, faces_by_track, one_shot, still_frames


@pytest.mark.parametrize("every", [1, 2, 3, 4])
@pytest.mark.parametrize("hidden", [0, 5, 12])
def test_people_who_cross_keep_their_numbers(every: int, hidden: int) -> None:
    """Two people pass each other; the one behind is not detected around the meeting."""

    def truth(index: int) -> list[Face]:
        front, behind = face_at(20 + 2 * index, 50), face_at(140 - 2 * index, 54)
        if abs(index - 30) <= hidden / 2 and hidden:
            return [front]
        return [behind, front] if index % 2 else [front, behind]

    tracked = faces_by_track(
        track_faces(one_shot(still_frames(60)), ScriptedDetector(truth), every=every)
    )
    numbers = {number for item in tracked for number in item}
    assert numbers == {1, 2}
    front = next(n for n, face in tracked[0].items() if face.box.center[0] < 80)
    for index, item in enumerate(tracked):
        assert item[front].box.center[0] == pytest.approx(20 + 2 * index)


@settings(deadline=None)
@given(st.integers(1, 5), st.data())
def test_neighbours_never_swap_whatever_detections_are_missed(
    every: int, draw: st.DataObject
) -> None:
    """Four people side by side, swaying, sometimes missed, in any order of detection."""
    missed = draw.draw(st.sets(st.tuples(st.integers(0, 29), st.integers(0, 3)), max_size=25))
    order = draw.draw(st.permutations(range(4)))

    def truth(index: int) -> list[Face]:
        sway = 4 * np.sin(index / 5)
        faces = [face_at(20 + 30 * person + sway) for person in range(4)]
        return [faces[p] for p in order if (index, p) not in missed]

    side: dict[int, int] = {}
    for item in faces_by_track(
        track_faces(one_shot(still_frames(30)), ScriptedDetector(truth), every=every)
    ):
        for number, face in item.items():
            person = round((face.box.center[0] - 20) / 30)
            assert side.setdefault(number, person) == person
    assert len(set(side.values())) == len(side)  # nobody has two numbers


def test_numbers_start_at_1_in_order_of_appearance_and_are_not_reused() -> None:
    tracker = Tracker(max_gap=1.0)
    assert tracker.update([face_at(20), face_at(80)], 0.0) == [1, 2]
    assert tracker.update([face_at(140), face_at(20)], 0.5) == [3, 1]
    assert tracker.update([face_at(80)], 1.0) == [2]
    assert tracker.update([face_at(20)], 1.51) == [4]
    tracker.reset()
    assert tracker.update([face_at(20)], 1.55) == [5]


def test_people_keep_their_numbers_however_rarely_faces_are_detected() -> None:
    tracker = Tracker(max_gap=1.0)
    for time in (0.0, 1.2, 2.4, 12.0):
        assert tracker.update([face_at(20), face_at(80)], time) == [1, 2]


def test_a_good_match_is_not_given_up_for_two_poor_ones() -> None:
    """The left person is gone and someone new stands on the right."""
    tracker = Tracker()
    tracker.update([face_at(20), face_at(34)], 0.0)
    # Left -> middle and middle -> right would both be possible.
    assert tracker.update([face_at(35), face_at(53)], 0.1) == [2, 3]


@given(
    before=st.lists(st.integers(0, 30), min_size=1, max_size=7),
    after=st.lists(st.integers(0, 30), min_size=1, max_size=7),
)
@settings(deadline=None)
def test_the_sum_of_distances_is_minimal(before: list[int], after: list[int]) -> None:
    """The reference is scipy's solver, on a row of faces 20 pixels wide, in steps of 4 pixels."""
    tracker = Tracker()
    tracker.update([face_at(4 * x) for x in before], 0)
    found = [face_at(4 * x) for x in after]
    known = [face_at(4 * x) for x in before]
    distance = np.array(
        [[np.hypot(*np.subtract(a.box.center, b.box.center)) / 20 for b in found] for a in known]
    ).clip(0, 1)
    smallest = distance[linear_sum_assignment(distance)].sum()
    order = np.argsort([face.box.x1 for face in known], kind="stable")
    person = {number: order[number - 1] for number in range(1, len(known) + 1)}
    matches = [(person[n], i) for i, n in enumerate(tracker.match(found, 0.1)) if n is not None]
    unmatched = min(len(known), len(found)) - len(matches)
    assert sum(distance[pair] for pair in matches) + unmatched == pytest.approx(smallest)


def test_a_face_far_away_or_of_another_size_is_another_person() -> None:
    tracker = Tracker()
    tracker.update([face_at(40)], 0.0)
    assert tracker.match([face_at(65)], 0.03) == [None]
    assert tracker.match([face_at(40, size=60)], 0.03) == [None]
    assert tracker.match([face_at(44, size=22)], 0.03) == [1]
    assert tracker.match([], 0.03) == []
