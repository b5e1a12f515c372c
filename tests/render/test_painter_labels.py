"""Boxes and labels."""

import numpy as np
import pytest
from hypothesis import given

from fakelens.records.faces import Box
from fakelens.records.findings import Verdict
from fakelens.records.trust import TrustMark
from fakelens.render.painter import VERDICT_COLOURS
from support.painting import (
    OUTSIDE,
    SHAPES,
    box_border,
    boxes,
    changed_pixels,
    grey_picture,
    label_area,
    make_mark,
    noise_picture,
    with_heatmaps,
    with_marks,
)


@given(SHAPES, boxes())
def test_box_and_label_stay_in_their_areas(shape: tuple[int, int], box: Box) -> None:
    image = noise_picture(*shape)
    drawn = with_marks(image, make_mark(OUTSIDE, 0, box=box))
    allowed = box_border(box, shape) | label_area(box, shape)
    assert not changed_pixels(image, drawn)[~allowed].any()


@pytest.mark.parametrize(
    "box", [Box(-90, 50, -10, 130), Box(330, 50, 410, 130), Box(100, -90, 180, -5)]
)
def test_of_a_face_outside_the_picture_only_the_label_is_drawn(box: Box) -> None:
    image = noise_picture()
    np.testing.assert_array_equal(with_heatmaps(image, make_mark(box)), image)
    assert not changed_pixels(image, with_marks(image, make_mark(box)))[
        ~label_area(box, image.shape)
    ].any()


@pytest.mark.parametrize("verdict", list(Verdict))
def test_the_box_has_the_colour_of_the_verdict(verdict: Verdict) -> None:
    box = Box(100, 90, 200, 190)
    drawn = with_marks(grey_picture(), make_mark(OUTSIDE, 0, box=box, verdict=verdict))
    for row, column in [(189, 150), (140, 100), (140, 199), (189, 199), (189, 100)]:
        assert tuple(drawn[row, column]) == VERDICT_COLOURS[verdict]
    assert tuple(drawn[140, 150]) == (90, 90, 90)


def test_no_heatmap_covers_a_label() -> None:
    first = make_mark(Box(20, 100, 100, 180), 1, person=1)
    second = make_mark(Box(0, 0, 240, 240), 1, person=2)
    blank = [
        make_mark(mark.area, 0, person=number) for number, mark in enumerate((first, second), 1)
    ]
    drawn = with_marks(noise_picture(), first, second, opacity=1)
    np.testing.assert_array_equal(
        drawn,
        with_marks(with_heatmaps(noise_picture(), first, second, opacity=1), *blank, opacity=1),
    )
    assert changed_pixels(drawn, with_heatmaps(noise_picture(), first, second, opacity=1))[
        75:100, 20:150
    ].any()


def test_the_label_grows_with_the_picture() -> None:
    box = Box(10, 300, 60, 340)
    rows = []
    for height in (400, 1080, 2160):
        difference = changed_pixels(
            grey_picture(height, 900),
            with_marks(grey_picture(height, 900), make_mark(OUTSIDE, 0, box=box)),
        )
        rows.append(300 - int(np.nonzero(difference.any(axis=1))[0][0]))
    assert rows[0] < rows[1] < rows[2]


@pytest.mark.parametrize(("x", "y"), [(100, 2), (290, 100), (-20, 100), (290, -30), (100, 236)])
def test_a_label_is_moved_into_the_picture(x: int, y: int) -> None:
    """The number of dark pixels of the label does not depend on its position."""

    def letters(x: int, y: int) -> int:
        box = Box(x, y, x + 60, y + 60)
        drawn = with_marks(
            grey_picture(), make_mark(OUTSIDE, 0, box=box, verdict=Verdict.INCONCLUSIVE)
        )
        return int((drawn.max(axis=2) < 60).sum())

    # Some pixels of the box are under the label.
    assert letters(x, y) == pytest.approx(letters(60, 100), rel=0.01)


def test_the_label_has_the_verdict_on_the_person_whatever_the_score_of_the_frame() -> None:
    box = Box(100, 90, 200, 190)
    marks = [make_mark(OUTSIDE, 0, box=box, score=score) for score in (0.02, 0.98)]
    first, second = (with_marks(grey_picture(), mark) for mark in marks)
    np.testing.assert_array_equal(first, second)
    unjudged = make_mark(OUTSIDE, 0, box=box, score=None)
    assert changed_pixels(first, with_marks(grey_picture(), unjudged)).any()


@pytest.mark.parametrize("trust", [None, *TrustMark])
def test_the_label_shows_the_trust_mark(trust: TrustMark | None) -> None:
    """The trust mark is a second line above the box."""
    image = grey_picture()
    box = Box(100, 120, 220, 230)
    without = changed_pixels(image, with_marks(image, make_mark(box, 0)))
    drawn = changed_pixels(image, with_marks(image, make_mark(box, 0, trust=trust)))
    height = [int(np.flatnonzero(each[:, 101:].any(axis=1))[0]) for each in (without, drawn)]
    if trust is None:
        assert height[0] == height[1]
    else:
        assert height[1] < height[0] - 8
