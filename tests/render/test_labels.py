"""Crowds: at most six people in full, and labels that do not cover each other."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakelens.records.faces import Box
from fakelens.render import labels
from fakelens.render.overlay import Overlay
from fakelens.render.placing import Rectangle, find_place
from fakelens.render.stamp import Stamp
from support.builders import make_report, make_track
from support.painting import changed_pixels, grey_picture, make_mark, with_heatmaps, with_marks


def are_apart(one: Rectangle, other: Rectangle) -> bool:
    return one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


RECTANGLES = st.tuples(*[st.integers(-50, 350)] * 2, *[st.integers(1, 120)] * 2).map(
    lambda r: (r[0], r[1], r[0] + r[2], r[1] + r[3])
)


@given(
    st.tuples(st.integers(1, 60), st.integers(1, 200)), RECTANGLES, st.lists(RECTANGLES, max_size=8)
)
def test_a_place_is_free_and_in_the_picture(
    size: tuple[int, int], box: Rectangle, taken: list[Rectangle]
) -> None:
    place = find_place(size, box, (240, 320), np.reshape(taken, (-1, 4)).astype(int))
    if place is None:
        assert taken
        return
    assert (place[3] - place[1], place[2] - place[0]) == size
    assert place[0] >= 0 <= place[1]
    assert place[2] <= 320
    assert place[3] <= 240
    assert all(are_apart(place, other) for other in taken)


def test_the_most_suspicious_people_in_the_picture_are_in_full() -> None:
    """Person 9, the most suspicious, has left; person 1 has too few good faces to be judged."""
    logits = [3.0, -2, -1, 0, 1, 0.5, -1.5, 2, 5]
    tracks = [
        make_track(
            np.full(40, logit),
            person=number,
            quality_flags=np.arange(40) > 1 if number == 1 else 0,
            first=60 if number == 9 else 0,
            heatmaps=np.zeros(40),
        )
        for number, logit in enumerate(logits, 1)
    ]
    marks = Overlay(make_report(*tracks, maps=np.ones((1, 4, 4)))).marks(20)
    assert [mark.person for mark in marks] == list(range(1, 9))
    assert {mark.person for mark in marks if mark.in_full} == {3, 4, 5, 6, 7, 8}
    assert all(mark.strength.size == 0 for mark in marks if not mark.in_full)


def test_others_have_a_thin_box_and_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    draw = labels.draw_lines
    monkeypatch.setattr(
        labels, "draw_lines", lambda lines, *rest: (written.extend(lines), draw(lines, *rest))[1]
    )
    image, box = grey_picture(), Box(100, 90, 200, 190)
    nothing = np.empty((0, 0), dtype=np.float32)
    other = make_mark(box, nothing, person=12, in_full=False)
    np.testing.assert_array_equal(with_heatmaps(image, other), image)
    thin = changed_pixels(image, with_marks(image, other))
    assert written == ["#12"]
    full = changed_pixels(image, with_marks(image, make_mark(box, 0, person=12)))
    assert 0 < thin[120:180].sum() < full[120:180].sum()


def test_in_a_crowd_no_label_covers_another(monkeypatch: pytest.MonkeyPatch) -> None:
    places: list[Rectangle] = []
    paint = Stamp.paint

    def recording(stamp: Stamp, planes: list, x: int, y: int) -> None:
        places.append((x, y, x + stamp.shape[1], y + stamp.shape[0]))
        paint(stamp, planes, x, y)

    monkeypatch.setattr(Stamp, "paint", recording)
    rng = np.random.default_rng(2)
    marks = [
        make_mark(Box(x, y, x + 50, y + 60), 0, person=number, in_full=number < 6)
        for number, (x, y) in enumerate(rng.uniform((150, 100), (420, 260), (30, 2)))
    ]
    with_marks(grey_picture(400, 640), *marks)
    assert len(places) >= 15
    assert all(are_apart(one, other) for one, other in combinations(places, 2))
