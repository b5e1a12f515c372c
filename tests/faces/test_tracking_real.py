"""Tracking on real videos."""

from collections.abc import Iterable
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from fakelens.faces.tracking import TrackedFrame, track_faces
from fakelens.faces.yunet import YuNet
from fakelens.media.shots import with_shot_changes
from support.tracking import decode_frames, one_shot


def count_side_swaps(tracked: Iterable[TrackedFrame]) -> tuple[int, int]:
    """Count how often two tracks seen together swap sides, and the pairs of faces compared."""
    left_of: dict[tuple[int, int], bool] = {}
    swaps = pairs = 0
    for item in tracked:
        for a, b in combinations(item.faces, 2):
            is_left = a.face.box.center[0] < b.face.box.center[0]
            swaps += left_of.get((a.track, b.track), is_left) != is_left
            left_of[a.track, b.track] = is_left
            pairs += 1
    return swaps, pairs


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.parametrize("clip", ["ghost_2person_real_0034", "dfdctest_0_real_0024"])
def test_two_people_keep_their_numbers(clip: str, shared_data: Path) -> None:
    tracked = list(
        track_faces(
            with_shot_changes(decode_frames(shared_data / "videos" / f"{clip}.mp4", width=640)),
            YuNet(),
        )
    )
    swaps, pairs = count_side_swaps(tracked)
    print(f"{clip}: {swaps} side swaps in {pairs} pairs of faces")
    assert swaps == 0
    always = set.intersection(*({one.track for one in item.faces} for item in tracked))
    assert always == {1, 2}


@pytest.mark.shared
@pytest.mark.slow
def test_nobody_swaps_numbers_in_a_concert_and_cuts_end_tracks(shared_data: Path) -> None:
    tracked = list(
        track_faces(
            with_shot_changes(decode_frames(shared_data / "videos" / "hamilton_real_0058.mp4")),
            YuNet(),
        )
    )
    swaps, pairs = count_side_swaps(tracked)
    print(f"hamilton: {swaps} side swaps in {pairs} pairs of faces")
    assert swaps == 0
    assert pairs > 800
    for cut in (20, 82, 211):  # found by eye
        before, after = ({o.track for o in tracked[i].faces} for i in (cut - 1, cut))
        assert before
        assert after
        assert not before & after
    assert len({one.track for item in tracked for one in item.faces}) <= 25


@pytest.mark.shared
@pytest.mark.slow
def test_interpolated_faces_are_close_to_detected_ones(shared_data: Path) -> None:
    """On a talk-show clip with moving heads and hands."""
    clip = shared_data / "videos" / "celebdf_id60_0003_real_0010.mp4"
    frames = list(decode_frames(clip, limit=151, width=640))
    detector = YuNet(longest_side=480)
    errors = []
    for sparse, dense in zip(
        track_faces(one_shot(frames), detector, every=3),
        track_faces(one_shot(frames), detector, every=1),
        strict=True,
    ):
        (a,), (b,) = sparse.faces, dense.faces
        assert a.track == b.track == 1
        if not a.detected:
            apart = np.hypot(*np.subtract(a.face.box.center, b.face.box.center))
            errors.append(apart / b.face.box.height)
    assert len(errors) == 100
    assert np.median(errors) < 0.02
    assert np.percentile(errors, 95) < 0.06
