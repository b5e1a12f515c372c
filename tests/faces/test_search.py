"""Searching near the known persons finds the same faces as searching whole frames."""

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
from support.tracking import one_shot

HEIGHT, WIDTH = 320, 960
SIDE = 24
FULL_SEARCH_SECONDS = Fraction(12, 30)  # twelve frames


class WholeSquares:
    """Detects white squares, in whole pictures only."""

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
    """Detects white squares, also in parts of a picture."""

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


def track(
    frames: Sequence[Frame] | Iterator[Frame], detector: WholeSquares, **options: float | Fraction
) -> list[list[tuple[int, Box, bool]]]:
    """Track faces; return number, box and whether it was detected, of each face of each frame."""
    return [
        [(one.track, one.face.box, one.detected) for one in item.faces]
        for item in track_faces(one_shot(frames), detector, **options)
    ]


@st.composite
def scenes(draw: st.DrawFn) -> list[list[tuple[int, int]]]:
    """Up to four people, each in a row, who appear for 12 frames or more, move and leave."""
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
def test_tracks_do_not_depend_on_the_interval_between_full_searches(
    scene: list[list[tuple[int, int]]], every: int, whole: int
) -> None:
    seconds = Fraction(min(every * whole, 12), 30)  # nobody stays for less than 12 frames
    expected = track(frames(scene), Squares(), every=every)
    found = track(frames(scene), Squares(), every=every, full_search_seconds=seconds)
    assert found == expected


def test_known_persons_are_searched_in_parts_of_the_frame() -> None:
    detector = Squares()
    scene = [[(100 + index, 60), (700, 150)] for index in range(36)]
    found = track(frames(scene), detector, full_search_seconds=FULL_SEARCH_SECONDS)
    assert [len(people) for people in found] == [2] * 36
    whole = detector.seen.count((HEIGHT, WIDTH, 3))
    assert whole == 4  # the first frame, then one every 12 frames, and the last
    parts = sum(height * width for height, width, _ in detector.seen) - whole * HEIGHT * WIDTH
    assert 0 < parts < 9 * 0.5 * HEIGHT * WIDTH


def test_a_new_person_begins_on_the_right_frame() -> None:
    scene = [[(100, 60)] + ([(700, 150)] if index >= 14 else []) for index in range(36)]
    found = track(frames(scene), Squares(), every=3, full_search_seconds=FULL_SEARCH_SECONDS)
    assert [len(people) for people in found] == [len(people) for people in scene]


def test_without_known_persons_whole_frames_are_searched() -> None:
    detector = Squares()
    scene: list[list[tuple[int, int]]] = [[(100, 60)] if 4 <= i < 8 else [] for i in range(13)]
    found = track(frames(scene), detector, every=3, full_search_seconds=FULL_SEARCH_SECONDS)
    assert [len(people) for people in found] == [len(people) for people in scene]


def test_a_detector_without_a_grid_gets_whole_frames() -> None:
    detector = WholeSquares()
    scene = [[(100 + index, 60)] for index in range(24)]
    found = track(frames(scene), detector, full_search_seconds=FULL_SEARCH_SECONDS)
    assert [len(people) for people in found] == [1] * 24
    assert set(detector.seen) == {(HEIGHT, WIDTH, 3)}


def test_at_most_12_frames_are_held_back() -> None:
    pulled = 0

    def counted() -> Iterator[Frame]:
        nonlocal pulled
        for one in frames([[(100, 60)]] * 40):
            pulled += 1
            yield one

    tracked = track_faces(one_shot(counted()), Squares(), every=3, full_search_seconds=60)
    for returned, _ in enumerate(tracked):
        assert pulled - returned <= 12


@pytest.mark.parametrize("x", [0, 3, 430, WIDTH - SIDE - 3, WIDTH - SIDE])
def test_a_face_at_the_edge_of_the_picture_is_found(x: int) -> None:
    (one,) = frames([[(x, 0)]])
    (face,) = search_near(one, Squares(), [Box(x + 2, 3, x + 2 + SIDE, 3 + SIDE)]) or []
    assert face.box == Box(x, 0, x + SIDE, SIDE)


def test_faces_may_be_expected_outside_the_picture() -> None:
    (one,) = frames([[(100, 60)]])
    assert search_near(one, Squares(), [Box(-400, -90, -380, -70), Box(900, 800, 920, 820)]) == []


def test_a_face_cut_off_by_the_area_is_dropped() -> None:
    """The area around (100, 100) ends at x = 200 and shows a part of the second square."""
    (one,) = frames([[(88, 88), (192, 88)]])
    expected = Box(88, 88, 88 + SIDE, 88 + SIDE)
    detector = Squares()
    (face,) = search_near(one, detector, [expected]) or []
    assert face.box == expected
    ((height, width, _),) = detector.seen
    assert width == 200
    assert height < HEIGHT


def test_a_face_in_two_areas_is_found_once() -> None:
    corners = [(100, 100), (140, 110), (180, 100)]
    (one,) = frames([corners])
    expected = [Box(x, y, x + SIDE, y + SIDE) for x, y in (corners[0], corners[2])]
    found = search_near(one, Squares(), expected) or []
    assert sorted(face.box.x1 for face in found) == [100, 140, 180]


def test_areas_that_overlap_only_after_merging_are_merged() -> None:
    corners = [(318, 8), (88, 88), (248, 208)]
    (one,) = frames([corners])
    expected = [Box(x, y, x + SIDE, y + SIDE) for x, y in corners]
    detector = Squares()
    found = search_near(one, detector, expected) or []
    assert sorted(face.box.x1 for face in found) == [88, 248, 318]
    assert len(detector.seen) == 1


def test_areas_that_cover_most_of_the_picture_are_not_searched() -> None:
    (one,) = frames([[(100, 60)]])
    assert search_near(one, Squares(), [Box(300, 20, 690, 320)]) is None


@pytest.mark.parametrize("rate", [1, 5])
def test_nobody_is_missed_at_a_low_frame_rate(rate: int, tmp_path: Path) -> None:
    """At such a rate, ten frames are a long time."""
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


def test_nobody_is_missed_if_the_frame_rate_drops() -> None:
    """From 30 frames per second to 1: times matter, not the number of frames."""
    scene = [[(100, 60)] + ([(700, 150)] if 26 <= index <= 30 else []) for index in range(40)]
    times = [Fraction(index, 30) if index < 20 else Fraction(index - 19) for index in range(40)]
    slowing = [
        Frame(i, time, picture(here))
        for i, (time, here) in enumerate(zip(times, scene, strict=True))
    ]
    found = track(slowing, Squares(), every=3, full_search_seconds=FULL_SEARCH_SECONDS)
    assert [len(people) for people in found] == [len(people) for people in scene]


@pytest.mark.parametrize("longest_side", [480, 640])
def test_yunet_finds_the_same_faces_in_parts(longest_side: int) -> None:
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
def test_real_persons_are_tracked_alike(clip: str, shared_data: Path) -> None:
    def track_clip(seconds: Fraction) -> list[TrackedFrame]:
        with open_video(shared_data / "videos" / f"{clip}.mp4") as reader:
            some = (frame for _, frame in zip(range(120), reader.frames(), strict=False))
            return list(track_faces(one_shot(some), YuNet(), every=3, full_search_seconds=seconds))

    overlaps = []
    near, everywhere = track_clip(FULL_SEARCH_SECONDS), track_clip(Fraction(0))
    seen = Counter(one.track for item in everywhere for one in item.faces)
    staying = {track for track, count in seen.items() if count == 120}
    assert staying
    for here, there in zip(near, everywhere, strict=True):
        found = {one.track: one.face for one in here.faces}
        for one in there.faces:
            if one.track in staying:  # parts of the scenery are sometimes detected as faces
                overlaps.append(found[one.track].box.iou(one.face.box))
    assert len(overlaps) >= 120
    assert np.median(overlaps) > 0.97
    assert np.quantile(overlaps, 0.02) > 0.85
