"""Searching near the people known finds what a search of the whole picture would have found."""

from collections import Counter
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data

from fakelens.analysis.pipeline import analyze
from fakelens.faces.search import search, search_near
from fakelens.faces.tracking import TrackedFrame, track_faces
from fakelens.faces.yunet import YuNet
from fakelens.media.reader import open_video
from fakelens.records.arrays import RGBImage
from fakelens.records.faces import Box, Face
from fakelens.records.media import Frame
from fakelens.records.settings import Settings
from support.toys import RedModel

HEIGHT, WIDTH = 320, 960
SIDE = 24
NARROW = Fraction(12, 30)  # seconds, twelve frames


class WholeSquares:
    """A detector of white squares."""

    name = "squares"
    sure_confidence = 0.5

    def __init__(self) -> None:
        self.seen: list[tuple[int, ...]] = []

    def detect(self, images: Sequence[RGBImage]) -> list[list[Face]]:
        self.seen += [image.shape for image in images]
        return [list(self._squares(image)) for image in images]

    @staticmethod
    def _squares(image: RGBImage) -> Iterator[Face]:
        white = (image[:, :, 0] == 255).astype(np.uint8)
        _, _, stats, _ = cv2.connectedComponentsWithStats(white)
        for x, y, width, height, _ in stats[1:].tolist():
            yield Face(Box(x, y, x + width, y + height), None, 1.0)


class Squares(WholeSquares):
    """It can be given parts: it finds what is white in them."""

    grid = 8


_SPOTS = np.random.default_rng(1).integers(40, 200, (6, 12, 3)).astype(np.uint8)
BACKGROUND = cv2.resize(_SPOTS, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)


def picture(corners: Sequence[tuple[int, int]]) -> RGBImage:
    image = BACKGROUND.copy()
    for x, y in corners:
        image[y : y + SIDE, x : x + SIDE] = 255
    return image


def frames(corners: Sequence[Sequence[tuple[int, int]]]) -> list[Frame]:
    return [Frame(i, Fraction(i, 30), picture(here)) for i, here in enumerate(corners)]


def result(followed: Iterator[TrackedFrame]) -> list[list[tuple[int, Box, bool]]]:
    return [[(one.track, one.face.box, one.detected) for one in item.faces] for item in followed]


@st.composite
def scenes(draw: st.DrawFn) -> list[list[tuple[int, int]]]:
    """Up to four people in rows of their own, who come, go, move and stay for 12 frames or more."""
    length = draw(st.integers(1, 45))
    scene: list[list[tuple[int, int]]] = [[] for _ in range(length)]
    for row in range(draw(st.integers(0, 4))):
        begin = draw(st.integers(-30, length))
        end = begin + draw(st.integers(12, 60))
        x, speed = draw(st.integers(330, 600)), draw(st.integers(-5, 5))
        for index in range(max(begin, 0), min(end, length)):
            scene[index].append((x + speed * (index - begin), 10 + 80 * row))
    return scene


@given(scene=scenes(), every=st.integers(1, 4), whole=st.integers(2, 4))
@settings(max_examples=40, deadline=None)
def test_who_is_followed_does_not_depend_on_how_they_are_searched(
    scene: list[list[tuple[int, int]]], every: int, whole: int
) -> None:
    narrow = Fraction(min(every * whole, 12), 30)  # nobody stays for less
    expected = result(track_faces(frames(scene), Squares(), every=every))
    assert result(track_faces(frames(scene), Squares(), every=every, narrow=narrow)) == expected


def test_people_known_are_searched_in_parts() -> None:
    detector = Squares()
    scene = [[(100 + index, 60), (700, 150)] for index in range(36)]
    assert all(
        len(found) == 2 for found in result(track_faces(frames(scene), detector, narrow=NARROW))
    )
    whole = detector.seen.count((HEIGHT, WIDTH, 3))
    assert whole == 4  # the first, after every 12th, and the last
    parts = sum(height * width for height, width, _ in detector.seen) - whole * HEIGHT * WIDTH
    assert 0 < parts < 9 * 0.5 * HEIGHT * WIDTH


def test_a_newcomer_begins_on_the_right_frame() -> None:
    scene = [[(100, 60)] + ([(700, 150)] if index >= 14 else []) for index in range(36)]
    found = result(track_faces(frames(scene), Squares(), every=3, narrow=NARROW))
    assert [len(people) for people in found] == [len(people) for people in scene]


def test_with_nobody_there_everything_is_searched() -> None:
    detector = Squares()
    scene: list[list[tuple[int, int]]] = [[(100, 60)] if 4 <= i < 8 else [] for i in range(13)]
    found = result(track_faces(frames(scene), detector, every=3, narrow=NARROW))
    assert [len(people) for people in found] == [len(people) for people in scene]


def test_a_detector_that_does_not_say_it_can_is_given_no_parts() -> None:
    detector = WholeSquares()
    scene = [[(100 + index, 60)] for index in range(24)]
    assert all(
        len(found) == 1 for found in result(track_faces(frames(scene), detector, narrow=NARROW))
    )
    assert set(detector.seen) == {(HEIGHT, WIDTH, 3)}


def test_no_more_frames_are_held_than_said() -> None:
    pulled = 0

    def counted() -> Iterator[Frame]:
        nonlocal pulled
        for one in frames([[(100, 60)]] * 40):
            pulled += 1
            yield one

    for given_out, _ in enumerate(track_faces(counted(), Squares(), every=3, narrow=60)):
        assert pulled - given_out <= 12 + 1


@pytest.mark.parametrize("x", [0, 3, 430, WIDTH - SIDE - 3, WIDTH - SIDE])
def test_a_face_at_the_edge_of_the_picture_is_found(x: int) -> None:
    (one,) = frames([[(x, 0)]])
    (face,) = search_near(one, Squares(), [Box(x + 2, 3, x + 2 + SIDE, 3 + SIDE)]) or []
    assert face.box == Box(x, 0, x + SIDE, SIDE)


def test_a_face_that_was_expected_outside_of_the_picture_does_no_harm() -> None:
    (one,) = frames([[(100, 60)]])
    assert search_near(one, Squares(), [Box(-400, -90, -380, -70), Box(900, 800, 920, 820)]) == []


def test_half_a_face_is_none() -> None:
    """The area about (100, 100) ends at 200: it shows a part of the second square."""
    (one,) = frames([[(88, 88), (192, 88)]])
    expected = Box(88, 88, 88 + SIDE, 88 + SIDE)
    detector = Squares()
    (face,) = search_near(one, detector, [expected]) or []
    assert face.box == expected
    ((height, width, _),) = detector.seen
    assert width == 200
    assert height < HEIGHT


def test_a_face_near_two_others_is_found_once() -> None:
    corners = [(100, 100), (140, 110), (180, 100)]
    (one,) = frames([corners])
    expected = [Box(x, y, x + SIDE, y + SIDE) for x, y in (corners[0], corners[2])]
    found = search_near(one, Squares(), expected) or []
    assert sorted(face.box.x1 for face in found) == [100, 140, 180]


def test_areas_that_only_meet_when_others_are_joined_are_one() -> None:
    corners = [(318, 8), (88, 88), (248, 208)]
    (one,) = frames([corners])
    expected = [Box(x, y, x + SIDE, y + SIDE) for x, y in corners]
    detector = Squares()
    found = search_near(one, detector, expected) or []
    assert sorted(face.box.x1 for face in found) == [88, 248, 318]
    assert len(detector.seen) == 1


def test_where_parts_would_be_most_of_the_picture_they_are_not_worth_it() -> None:
    (one,) = frames([[(100, 60)]])
    assert search_near(one, Squares(), [Box(300, 20, 690, 320)]) is None


@pytest.mark.parametrize("rate", [1, 5])
def test_in_a_slow_video_nobody_is_passed_over(rate: int, tmp_path: Path) -> None:
    """Ten frames are a long time there."""
    path = tmp_path / "slow.mkv"
    scene = [[(100, 60)] + ([(700, 150)] if 1 <= index <= 10 else []) for index in range(24)]
    with av.open(str(path), "w") as output:
        stream = output.add_stream("ffv1", rate=rate)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "bgr0"
        for here in scene:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture(here), format="rgb24")))
        output.mux(stream.encode(None))
    report = analyze(path, model=RedModel(), detector=Squares(), settings=Settings(every=1))
    assert [len(track) for track in report.tracks] == [24, 10]


def test_where_a_video_becomes_slow_nobody_is_passed_over() -> None:
    """Thirty frames a second, then one: the times count, not the frames."""
    scene = [[(100, 60)] + ([(700, 150)] if 26 <= index <= 30 else []) for index in range(40)]
    times = [Fraction(index, 30) if index < 20 else Fraction(index - 19) for index in range(40)]
    slowing = [
        Frame(i, time, picture(here))
        for i, (time, here) in enumerate(zip(times, scene, strict=True))
    ]
    found = result(track_faces(slowing, Squares(), every=3, narrow=NARROW))
    assert [len(people) for people in found] == [len(people) for people in scene]


@pytest.mark.parametrize("longest_side", [480, 640])
def test_yunet_sees_the_same_in_a_part(longest_side: int) -> None:
    image = np.full((720, 1280, 3), 90, np.uint8)
    image[100:612, 60:572], image[60:572, 700:1212] = data.astronaut(), data.astronaut()[:, ::-1]
    one, detector = Frame(0, Fraction(0), image), YuNet(longest_side)
    (whole,) = search([one], detector)
    assert len(whole) == 2
    shifted = [face.moved(12, -9).box for face in whole]
    near = search_near(one, detector, shifted)
    assert near is not None
    assert len(near) == 2
    for face in near:
        best = max(whole, key=lambda other: other.box.iou(face.box))
        assert best.box.iou(face.box) > 0.97
        assert abs(best.confidence - face.confidence) < 0.02
        side = best.box.height
        assert np.abs(best.landmarks - face.landmarks).max() < 0.05 * side


@pytest.mark.shared
@pytest.mark.parametrize("clip", ["ghost_2person_real_0034", "dfdc_ybqmttnept_fake_0014"])
def test_real_people_are_followed_alike(clip: str, shared_data: Path) -> None:
    def followed(narrow: Fraction) -> list[TrackedFrame]:
        with open_video(shared_data / "videos" / f"{clip}.mp4") as reader:
            some = (frame for _, frame in zip(range(120), reader.frames(), strict=False))
            return list(track_faces(some, YuNet(), every=3, narrow=narrow))

    overlaps = []
    near, everywhere = followed(NARROW), followed(Fraction(0))
    seen = Counter(one.track for item in everywhere for one in item.faces)
    staying = {track for track, count in seen.items() if count == 120}
    assert staying
    for here, there in zip(near, everywhere, strict=True):
        found = {one.track: one.face for one in here.faces}
        for one in there.faces:
            if one.track in staying:  # something in the scenery is taken for a face now and then
                overlaps.append(found[one.track].box.iou(one.face.box))
    assert len(overlaps) >= 120
    assert np.median(overlaps) > 0.97
    assert np.quantile(overlaps, 0.02) > 0.85
