from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import combinations, pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from skimage import data

from fakelens.errors import UsageError
from fakelens.faces.tracker import Tracker
from fakelens.faces.tracking import TrackedFrame, track_faces
from fakelens.faces.yunet import YuNet
from fakelens.records.arrays import RGBImage
from fakelens.records.faces import Box, Face
from fakelens.records.media import Frame

FPS = 30


def face_at(x: float, y: float = 50, size: float = 20, confidence: float = 0.9) -> Face:
    half = size / 2
    box = Box(x - half, y - half, x + half, y + half)
    landmarks = np.array([(x - 4, y - 4), (x + 4, y - 4), (x, y), (x - 3, y + 4), (x + 3, y + 4)])
    return Face(box, landmarks.astype(np.float32), confidence)


def frame(index: int, picture: RGBImage, time: Fraction | None = None) -> Frame:
    """A frame that carries its index in its first pixel, where ``Script`` reads it."""
    image = picture.copy()
    image[0, 0] = index // 65536, index // 256 % 256, index % 256
    return Frame(index, Fraction(index, FPS) if time is None else time, image)


def still(count: int) -> list[Frame]:
    picture = texture(0)
    return [frame(i, picture) for i in range(count)]


def texture(seed: int, height: int = 90, width: int = 160) -> RGBImage:
    """A picture unlike that of any other seed: soft coloured spots."""
    small = np.random.default_rng(seed).integers(0, 256, (9, 16, 3), np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


class Script:
    """A detector that knows the truth: the faces of each frame."""

    name = "script"

    def __init__(self, truth: Callable[[int], Sequence[Face]]) -> None:
        self.truth = truth
        self.seen: list[int] = []

    def detect(self, images: Sequence[RGBImage]) -> list[list[Face]]:
        indices = [int(i[0, 0] @ np.array([65536, 256, 1])) for i in images]
        self.seen += indices
        return [list(self.truth(index)) for index in indices]


def tracks(followed: Iterable[TrackedFrame]) -> list[dict[int, Face]]:
    return [{one.track: one.face for one in item.faces} for item in followed]


def assert_same_place(face: Face, truth: Face) -> None:
    assert np.allclose(
        [face.box.x1, face.box.y1, face.box.x2, face.box.y2],
        [truth.box.x1, truth.box.y1, truth.box.x2, truth.box.y2],
    )
    assert np.allclose(face.landmarks, truth.landmarks, atol=1e-4)


# --- follow ---------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.lists(st.booleans(), max_size=25), st.integers(1, 7))
def test_every_frame_comes_once_and_in_order(present: list[bool], every: int) -> None:
    detector = Script(lambda i: [face_at(60)] if present[i] else [])
    frames = still(len(present))
    followed = list(track_faces(frames, detector, every=every))
    assert [item.frame for item in followed] == frames
    assert len(detector.seen) == len(set(detector.seen))


@settings(deadline=None)
@given(st.lists(st.integers(6, 15), max_size=6), st.integers(1, 6))
def test_tracks_begin_and_end_on_the_right_frame(lengths: list[int], every: int) -> None:
    """Absent and present in turn, each for no shorter than the distance of the key frames."""
    present = [turn % 2 == 1 for turn, length in enumerate(lengths) for _ in range(length)]
    detector = Script(lambda i: [face_at(60)] if present[i] else [])
    followed = track_faces(still(len(present)), detector, every=every)
    assert [bool(item.faces) for item in followed] == present


@pytest.mark.parametrize("every", [1, 2, 3, 5])
def test_a_steady_face_is_detected_on_key_frames_only(every: int) -> None:
    detector = Script(lambda i: [face_at(60)])
    followed = list(track_faces(still(24), detector, every=every))
    assert detector.seen == sorted({*range(0, 24, every), 23})
    detected = [item.frame.index for item in followed if item.faces[0].detected]
    assert detected == detector.seen


def test_interpolation_is_linear_in_time() -> None:
    times = [Fraction(t, 100) for t in (0, 1, 7, 9, 10, 30, 31)]
    frames = [frame(i, texture(0), time) for i, time in enumerate(times)]

    def truth(index: int) -> list[Face]:
        t = float(times[index])
        return [face_at(40 + 60 * t, 50 + 20 * t, 20 + 10 * t, confidence=0.6 + 0.05 * index)]

    followed = list(track_faces(frames, Script(truth), every=3))
    for item in followed:
        assert_same_place(item.faces[0].face, truth(item.frame.index)[0])
    assert [one.detected for item in followed for one in item.faces] == [1, 0, 0, 1, 0, 0, 1]
    confidences = [one.face.confidence for item in followed for one in item.faces]
    assert confidences == pytest.approx([0.6, 0.6, 0.6, 0.75, 0.75, 0.75, 0.9])


def test_detectors_without_landmarks_can_be_followed() -> None:
    detector = Script(lambda i: [Face(face_at(60 + i).box, None, 1.0)])
    assert {i.faces[0].face.landmarks for i in track_faces(still(7), detector, every=3)} == {None}


@pytest.mark.parametrize("times", [[0] * 7, [0, 5, 4, 3, 3, 1, 9]])
def test_damaged_times_do_no_harm(times: list[int]) -> None:
    frames = [frame(i, texture(0), Fraction(t, 10)) for i, t in enumerate(times)]
    followed = list(track_faces(frames, Script(lambda i: [face_at(60 + 3 * i)]), every=3))
    assert {one.track for item in followed for one in item.faces} == {1}
    centers = [item.faces[0].face.box.center[0] for item in followed]
    assert centers == sorted(centers)


@pytest.mark.parametrize("every", [1, 3, 8])
def test_look_ahead_is_bounded(every: int) -> None:
    pulled = 0

    def counted() -> Iterator[Frame]:
        nonlocal pulled
        for item in still(40):
            pulled += 1
            yield item

    held = []
    for given_back, _ in enumerate(
        track_faces(counted(), Script(lambda i: [face_at(60)]), every=every)
    ):
        held.append(pulled - given_back)
    assert max(held) <= every


def test_no_frames_no_answer() -> None:
    assert list(track_faces([], Script(lambda i: []))) == []


def test_a_failing_detector_is_heard() -> None:
    def truth(index: int) -> list[Face]:
        if index == 6:
            raise RuntimeError("out of memory")
        return [face_at(60)]

    followed = track_faces(still(20), Script(truth), every=3)
    with pytest.raises(RuntimeError, match="out of memory"):
        list(followed)
    assert list(followed) == []


def test_a_failing_video_is_heard() -> None:
    def broken() -> Iterator[Frame]:
        yield from still(4)
        raise OSError("disk gone")

    seen = []
    with pytest.raises(OSError, match="disk gone"):
        seen.extend(track_faces(broken(), Script(lambda i: [face_at(60)]), every=3))


def test_closing_early_closes_the_source() -> None:
    closed = False

    def source() -> Iterator[Frame]:
        nonlocal closed
        try:
            yield from still(20)
        finally:
            closed = True

    followed = track_faces(source(), Script(lambda i: [face_at(60)]))
    next(iter(followed))
    followed.close()
    del followed
    assert closed


@pytest.mark.parametrize("arguments", [{"every": 0}, {"every": -3}, {"narrow": -0.1}])
def test_impossible_settings_are_refused_at_once(arguments: dict) -> None:
    with pytest.raises(UsageError):
        track_faces([], Script(lambda i: []), **arguments)


# --- whose face it is ------------------------------------------------------------------------


@pytest.mark.parametrize("every", [1, 2, 3, 4])
@pytest.mark.parametrize("hidden", [0, 5, 12])
def test_people_who_cross_keep_their_numbers(every: int, hidden: int) -> None:
    """Two people pass each other; the one behind is not detected around the meeting."""

    def truth(index: int) -> list[Face]:
        front, behind = face_at(20 + 2 * index, 50), face_at(140 - 2 * index, 54)
        if abs(index - 30) <= hidden / 2 and hidden:
            return [front]
        return [behind, front] if index % 2 else [front, behind]

    followed = tracks(track_faces(still(60), Script(truth), every=every))
    numbers = {number for item in followed for number in item}
    assert numbers == {1, 2}
    front = next(n for n, face in followed[0].items() if face.box.center[0] < 80)
    for index, item in enumerate(followed):
        assert item[front].box.center[0] == pytest.approx(20 + 2 * index)


@settings(deadline=None)
@given(st.integers(1, 5), st.data())
def test_neighbours_never_swap_whatever_is_missed(every: int, draw: st.DataObject) -> None:
    """Four people side by side, swaying, each missed now and then, in any order of detection."""
    missed = draw.draw(st.sets(st.tuples(st.integers(0, 29), st.integers(0, 3)), max_size=25))
    order = draw.draw(st.permutations(range(4)))

    def truth(index: int) -> list[Face]:
        sway = 4 * np.sin(index / 5)
        faces = [face_at(20 + 30 * person + sway) for person in range(4)]
        return [faces[p] for p in order if (index, p) not in missed]

    side: dict[int, int] = {}
    for item in tracks(track_faces(still(30), Script(truth), every=every)):
        for number, face in item.items():
            person = round((face.box.center[0] - 20) / 30)
            assert side.setdefault(number, person) == person
    assert len(set(side.values())) == len(side)  # nobody has two numbers


def test_numbers_begin_at_one_in_order_of_appearance_and_are_not_reused() -> None:
    tracker = Tracker(max_gap=1.0)
    assert tracker.update([face_at(20), face_at(80)], 0.0) == [1, 2]
    assert tracker.update([face_at(140), face_at(20)], 0.5) == [3, 1]
    assert tracker.update([face_at(80)], 1.0) == [2]
    assert tracker.update([face_at(20)], 1.51) == [4]
    tracker.cut()
    assert tracker.update([face_at(20)], 1.55) == [5]


def test_people_keep_their_numbers_however_rarely_they_are_looked_at() -> None:
    tracker = Tracker(max_gap=1.0)
    for time in (0.0, 1.2, 2.4, 12.0):
        assert tracker.update([face_at(20), face_at(80)], time) == [1, 2]


def test_one_poor_match_more_does_not_shift_a_good_one() -> None:
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
def test_the_sum_of_distances_is_least(before: list[int], after: list[int]) -> None:
    """By scipy's solver, on faces in a row that are 20 pixels wide and 4 apart at least."""
    tracker = Tracker()
    tracker.update([face_at(4 * x) for x in before], 0)
    places = [face_at(4 * x) for x in after]
    known = [face_at(4 * x) for x in before]
    distance = np.array(
        [[np.hypot(*np.subtract(a.box.center, b.box.center)) / 20 for b in places] for a in known]
    ).clip(0, 1)
    least = distance[linear_sum_assignment(distance)].sum()
    order = np.argsort([face.box.x1 for face in known], kind="stable")
    person = {number: order[number - 1] for number in range(1, len(known) + 1)}
    matches = [(person[n], i) for i, n in enumerate(tracker.match(places, 0.1)) if n is not None]
    unmatched = min(len(known), len(places)) - len(matches)
    assert sum(distance[pair] for pair in matches) + unmatched == pytest.approx(least)


def test_a_face_far_off_or_of_another_size_is_someone_else() -> None:
    tracker = Tracker()
    tracker.update([face_at(40)], 0.0)
    assert tracker.match([face_at(65)], 0.03) == [None]
    assert tracker.match([face_at(40, size=60)], 0.03) == [None]
    assert tracker.match([face_at(44, size=22)], 0.03) == [1]
    assert tracker.match([], 0.03) == []


# --- scene cuts ------------------------------------------------------------------------------


def scenes(pictures: Sequence[RGBImage]) -> tuple[list[int], list[int]]:
    """The frames a new number begins with, and the frames that were searched."""
    detector = Script(lambda i: [face_at(60)])
    frames = [frame(i, picture) for i, picture in enumerate(pictures)]
    followed = tracks(track_faces(frames, detector, every=5))
    assert len(followed) == len(frames)
    begins = [i for i, (a, b) in enumerate(pairwise(followed), 1) if set(a) != set(b)]
    return begins, detector.seen


def shot(seed: int, count: int, speed: float = 0.01) -> list[RGBImage]:
    """A camera pans over a photograph-like scene by a fraction of its width per frame."""
    wide = texture(seed, 90, 320)
    return [wide[:, int(i * speed * 160) % 160 :][:, :160] for i in range(count)]


def test_a_cut_ends_all_tracks_and_both_sides_are_searched() -> None:
    begins, searched = scenes([*shot(1, 13), *shot(2, 17), *shot(3, 9)])
    assert begins == [13, 30]
    assert {12, 13, 29, 30, 38} <= set(searched)
    assert len(searched) < 20


def test_a_cut_on_the_last_frame_and_shots_of_one_frame() -> None:
    assert scenes([*shot(1, 8), *shot(2, 1)])[0] == [8]
    assert scenes([*shot(1, 8), *shot(2, 1), *shot(3, 8)])[0] == [8, 9]


def test_a_cut_inside_a_letterbox_is_seen() -> None:
    def framed(picture: RGBImage) -> RGBImage:
        canvas = np.random.default_rng(0).integers(0, 4, (200, 400, 3), np.uint8)
        canvas[55:145, 120:280] = picture
        return canvas

    assert scenes([framed(p) for p in [*shot(1, 10), *shot(2, 10)]])[0] == [10]


def test_a_new_frame_size_is_a_cut() -> None:
    assert scenes([texture(1)] * 7 + [texture(1, 180, 320)] * 7)[0] == [7]


def brightness(values: Iterable[float]) -> list[RGBImage]:
    return [cv2.convertScaleAbs(texture(1), alpha=v) for v in values]


def with_patch(picture: RGBImage, patch: RGBImage) -> RGBImage:
    out = picture.copy()
    out[5:40, 5:70] = cv2.resize(patch, (65, 35))
    return out


@pytest.mark.parametrize(
    "pictures",
    [
        shot(1, 30, speed=0.03),
        brightness(np.linspace(1, 0.3, 30)),
        brightness([*np.linspace(1, 0, 20), *np.zeros(5), *np.linspace(0, 1, 20)]),
        [*brightness([1] * 8), np.full((90, 160, 3), 255, np.uint8), *brightness([1] * 8)],
        [*brightness([1] * 8), texture(9), *brightness([1] * 8)],
        [with_patch(texture(1), texture(2 + i // 6)) for i in range(24)],
        [np.random.default_rng(i).integers(90, 93, (90, 160, 3), np.uint8) for i in range(20)],
        [texture(i) for i in range(1)] * 12,
    ],
    ids=["pan", "drift", "fade", "flash", "one frame", "inset", "dark noise", "still"],
)
def test_what_is_no_cut(pictures: list[RGBImage]) -> None:
    assert scenes(pictures)[0] == []


def test_a_turning_head_of_a_portrait_is_no_cut() -> None:
    portrait = data.astronaut()
    turned = [
        cv2.warpAffine(
            portrait,
            cv2.getRotationMatrix2D((256, 256), 10 * np.sin(i / 3), 1 + 0.05 * np.sin(i / 4)),
            (512, 512),
            borderMode=cv2.BORDER_REFLECT,
        )
        for i in range(40)
    ]
    assert scenes(turned)[0] == []


# --- real videos -----------------------------------------------------------------------------


def decoded(file: Path, limit: int = 10_000, width: int = 10_000) -> Iterator[Frame]:
    with av.open(file) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        for index, picture in enumerate(container.decode(stream)):
            if index == limit:
                return
            shrink = min(1.0, width / picture.width)
            size = {"width": int(picture.width * shrink), "height": int(picture.height * shrink)}
            image = picture.to_ndarray(format="rgb24", **size)
            yield Frame(index, picture.pts * picture.time_base, image)


def side_swaps(followed: Iterable[TrackedFrame]) -> tuple[int, int]:
    """How often two tracks seen together change sides, and the pairs of faces looked at."""
    left_of: dict[tuple[int, int], bool] = {}
    swaps = pairs = 0
    for item in followed:
        for a, b in combinations(item.faces, 2):
            is_left = a.face.box.center[0] < b.face.box.center[0]
            swaps += left_of.get((a.track, b.track), is_left) != is_left
            left_of[a.track, b.track] = is_left
            pairs += 1
    return swaps, pairs


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.parametrize("clip", ["ghost_2person_real_0034", "dfdctest_0_real_0024"])
def test_two_people_keep_one_number_each(clip: str, shared_data: Path) -> None:
    followed = list(
        track_faces(decoded(shared_data / "videos" / f"{clip}.mp4", width=640), YuNet())
    )
    swaps, pairs = side_swaps(followed)
    print(f"{clip}: {swaps} changes of sides in {pairs} pairs of faces")
    assert swaps == 0
    always = set.intersection(*({one.track for one in item.faces} for item in followed))
    assert always == {1, 2}


@pytest.mark.shared
@pytest.mark.slow
def test_nobody_in_the_concert_swaps_and_its_cuts_end_tracks(shared_data: Path) -> None:
    followed = list(
        track_faces(decoded(shared_data / "videos" / "hamilton_real_0058.mp4"), YuNet())
    )
    swaps, pairs = side_swaps(followed)
    print(f"hamilton: {swaps} changes of sides in {pairs} pairs of faces")
    assert swaps == 0
    assert pairs > 800
    for cut in (20, 82, 211):  # by eye
        before, after = ({o.track for o in followed[i].faces} for i in (cut - 1, cut))
        assert before
        assert after
        assert not before & after
    assert len({one.track for item in followed for one in item.faces}) <= 25


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.parametrize(
    ("clip", "cuts"),
    [
        ("ghost_dirtydancing_real_0035", [82, 131, 194, 226]),  # by eye; hand-held, dancing
        ("hamilton_real_0058", [20, 82, 211]),  # by eye
        ("ffpp_004_real_0018", []),  # the inset picture changes three times
        ("dfdctest_4_real_0027", []),  # coloured shapes flash
        ("lp_s13_real_0055", []),  # a head thrown about, hand-held
        ("dfdctest_5_real_0028", []),
    ],
)
def test_cuts_of_real_videos(clip: str, cuts: list[int], shared_data: Path) -> None:
    frames = decoded(shared_data / "videos" / f"{clip}.mp4", width=480)
    everywhere = Script(lambda i: [face_at(60)])
    indexed = (frame(item.index, item.image, item.time) for item in frames)
    followed = tracks(track_faces(indexed, everywhere, every=5))
    begins = [i for i, (a, b) in enumerate(pairwise(followed), 1) if set(a) != set(b)]
    assert begins == cuts


@pytest.mark.shared
@pytest.mark.slow
def test_every_third_frame_is_as_good_as_every_frame(shared_data: Path) -> None:
    """On a talk-show clip with moving heads and hands."""
    clip = shared_data / "videos" / "celebdf_id60_0003_real_0010.mp4"
    frames = list(decoded(clip, limit=151, width=640))
    detector = YuNet(longest_side=480)
    errors = []
    for sparse, dense in zip(
        track_faces(frames, detector, every=3), track_faces(frames, detector, every=1), strict=True
    ):
        (a,), (b,) = sparse.faces, dense.faces
        assert a.track == b.track == 1
        if not a.detected:
            apart = np.hypot(*np.subtract(a.face.box.center, b.face.box.center))
            errors.append(apart / b.face.box.height)
    assert len(errors) == 100
    assert np.median(errors) < 0.02
    assert np.percentile(errors, 95) < 0.06
