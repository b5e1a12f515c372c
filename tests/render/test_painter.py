"""Heatmaps on a picture: the right colours in the right place, and nothing else changes."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fakelens.records.faces import Box
from fakelens.records.trust import TrustMark
from fakelens.render.style import COLORMAPS
from support.painting import (
    SHAPES,
    STRENGTHS,
    changed_pixels,
    grey_picture,
    make_mark,
    noise_picture,
    pixels_inside,
    squares,
    with_heatmaps,
    with_marks,
)


@given(SHAPES, squares(), STRENGTHS, st.booleans())
def test_a_heatmap_stays_in_its_area(
    shape: tuple[int, int], area: Box, strength: NDArray, contour: bool
) -> None:
    image = noise_picture(*shape)
    drawn = with_heatmaps(image, make_mark(area, strength), evidence="both", contour=contour)
    # The corners of the area are rounded to even pixels.
    assert not changed_pixels(image, drawn)[~pixels_inside(area, shape, margin=2)].any()


@pytest.mark.parametrize(
    ("x", "y"), [(-40, 80), (280, 80), (120, -40), (120, 200), (-40, -40), (280, 200)]
)
def test_at_an_edge_the_visible_part_is_drawn(x: int, y: int) -> None:
    """The result equals that part of a larger picture."""
    big = noise_picture(400, 480)
    small = big[80:320, 80:400]
    strength = np.random.default_rng(3).uniform(-1, 1, (8, 8))
    area = Box(x, y, x + 80, y + 80)
    shifted = Box(x + 80, y + 80, x + 160, y + 160)
    on_small = with_heatmaps(small, make_mark(area, strength), evidence="both")
    on_big = with_heatmaps(big, make_mark(shifted, strength), evidence="both")
    assert changed_pixels(small, on_small).any()
    np.testing.assert_array_equal(on_small, on_big[80:320, 80:400])


@pytest.mark.parametrize("side", [0.01, 1, 3, 4000])
def test_tiny_and_huge_faces_are_drawn(side: float) -> None:
    area = Box(160 - side / 2, 120 - side / 2, 160 + side / 2, 120 + side / 2)
    difference = changed_pixels(grey_picture(), with_marks(grey_picture(), make_mark(area)))
    assert difference[118:123, 158:163].any()


def fake_left_real_right() -> NDArray[np.float32]:
    """Return strengths with evidence for fake on the left, for real on the right."""
    return np.repeat(np.float32([[1, -1]]), 4, axis=1).repeat(8, axis=0)


AREA = Box(100, 60, 180, 140)


LEFT, RIGHT = (slice(62, 138), slice(102, 134)), (slice(62, 138), slice(146, 178))


@pytest.mark.parametrize(
    ("evidence", "left", "right"),
    [("fake", True, False), ("real", False, True), ("both", True, True)],
)
def test_only_the_selected_evidence_is_drawn(evidence: str, left: bool, right: bool) -> None:
    difference = changed_pixels(
        grey_picture(),
        with_heatmaps(grey_picture(), make_mark(AREA, fake_left_real_right()), evidence=evidence),
    )
    assert (difference[LEFT].all(), difference[RIGHT].all()) == (left, right)
    assert (difference[LEFT].any(), difference[RIGHT].any()) == (left, right)


def test_evidence_for_real_is_blue_and_evidence_for_fake_is_warm() -> None:
    drawn = with_heatmaps(
        grey_picture(), make_mark(AREA, 0.5 * fake_left_real_right()), evidence="both"
    ).astype(int)
    fake, real = drawn[LEFT].mean(axis=(0, 1)), drawn[RIGHT].mean(axis=(0, 1))
    assert fake[0] > fake[2] + 20
    assert real[2] > real[0] + 20


@pytest.mark.parametrize("colormap", COLORMAPS)
def test_the_strongest_evidence_has_the_last_colour_of_the_map_at_full_opacity(
    colormap: str,
) -> None:
    drawn = with_heatmaps(noise_picture(), make_mark(AREA, 1), opacity=1, colormap=colormap)
    last = cv2.applyColorMap(np.uint8([[255]]), getattr(cv2, f"COLORMAP_{colormap.upper()}"))[
        0, 0, ::-1
    ]
    np.testing.assert_array_equal(drawn[LEFT], np.broadcast_to(last, drawn[LEFT].shape))


def test_opacity_is_the_weight_of_the_colour() -> None:
    full = with_heatmaps(grey_picture(), make_mark(AREA, 1), opacity=1)[100, 120].astype(float)
    quarter = with_heatmaps(grey_picture(), make_mark(AREA, 1), opacity=0.25)[100, 120]
    np.testing.assert_allclose(quarter, 90 + 0.25 * (full - 90), atol=1)


def test_opacity_0_draws_no_heatmap() -> None:
    image = noise_picture()
    drawn = with_heatmaps(
        image, make_mark(AREA, fake_left_real_right()), opacity=0, evidence="both"
    )
    np.testing.assert_array_equal(drawn, image)


def test_stronger_evidence_is_more_opaque_and_weak_evidence_is_invisible() -> None:
    image = noise_picture()
    differences = [
        np.abs(
            with_heatmaps(image, make_mark(AREA, s), opacity=0.5)[LEFT].astype(int) - image[LEFT]
        )
        for s in (0, 0.05, 0.2, 0.5, 1)
    ]
    means = [float(difference.mean()) for difference in differences]
    assert means[0] == means[1] == 0
    assert 0 < means[2] < means[3] < means[4]


def test_heatmap_cells_are_drawn_at_their_position() -> None:
    """The only strong cell is drawn around its centre."""
    strength = np.zeros((8, 8), dtype=np.float32)
    strength[2, 5] = 1
    drawn = with_heatmaps(grey_picture(), make_mark(AREA, strength), opacity=1).astype(int)
    rows, columns = np.nonzero(changed_pixels(grey_picture(), drawn))
    assert rows.mean() + 0.5 == pytest.approx(60 + 2.5 * 10, abs=0.5)
    assert columns.mean() + 0.5 == pytest.approx(100 + 5.5 * 10, abs=0.5)


@pytest.mark.parametrize(
    ("evidence", "left", "right"),
    [("fake", True, False), ("real", False, True), ("both", True, True)],
)
def test_a_contour_outlines_the_selected_evidence(evidence: str, left: bool, right: bool) -> None:
    strength = np.zeros((8, 8))
    strength[3:5, 1:3], strength[3:5, 5:7] = 1, -1
    mark = make_mark(AREA, strength)
    difference = changed_pixels(
        grey_picture(), with_heatmaps(grey_picture(), mark, evidence=evidence, contour=True)
    )
    assert (difference[:, 100:140].any(), difference[:, 140:180].any()) == (left, right)


def test_a_heatmap_not_better_than_chance_is_hatched_in_grey() -> None:
    image = np.full((240, 320, 3), 60, np.uint8)
    mark = make_mark(Box(100, 60, 220, 180), trust=TrustMark.CHANCE)
    drawn = with_heatmaps(image, mark)
    different = changed_pixels(image, drawn)
    inner = np.s_[70:170, 110:210]
    assert 0.3 < different[inner].mean() < 0.7, "stripes"
    hues = np.ptp(drawn[different].astype(int), axis=1)
    assert hues.max() <= 1, "grey"
    # The stripes are diagonal: each diagonal has only one kind of pixels.
    stripes = different[inner]
    flipped = stripes[:, ::-1]
    kinds = [np.ptp(np.diagonal(flipped, offset).astype(int)) for offset in range(-60, 60)]
    assert max(kinds) == 0
    coloured = with_heatmaps(image, make_mark(Box(100, 60, 220, 180), trust=TrustMark.WEAK))
    assert np.ptp(coloured[120, 160].astype(int)) > 30
    assert changed_pixels(image, coloured)[inner].all()
