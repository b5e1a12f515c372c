"""Isolines on heatmaps: where they are, where there are none, and what they leave visible."""

import numpy as np
import pytest
from numpy.typing import NDArray

from fakelens.records.faces import Box
from fakelens.records.trust import TrustMark
from support.isolines import crossings, farthest
from support.painting import changed_pixels, make_mark, with_heatmaps

AREA = Box(60, 20, 260, 220)
SIDE = 200
STRENGTHS = np.random.default_rng(5).uniform(-1, 1, (6, 6))


@pytest.mark.parametrize(
    ("evidence", "counted"),
    [("fake", STRENGTHS), ("real", -STRENGTHS)],
)
def test_isolines_are_where_the_strength_crosses_a_third_and_two_thirds(
    evidence: str, counted: NDArray
) -> None:
    image = np.zeros((240, 320, 3), np.uint8)
    drawn = with_heatmaps(
        image, make_mark(AREA, STRENGTHS), evidence=evidence, contour=True, opacity=1
    )
    pixels = np.argwhere(drawn[20:220, 60:260].min(axis=2) > 200)
    expected = crossings(counted, SIDE)
    assert farthest(pixels, expected) < 1.5
    assert farthest(expected, pixels) < 1.5


def test_the_colours_between_isolines_are_those_without() -> None:
    """The lines add up to less than a tenth of the face, so the skin stays visible."""
    image = np.full((240, 320, 3), 90, np.uint8)
    mark = make_mark(AREA, STRENGTHS)
    lines = changed_pixels(image, with_heatmaps(image, mark, contour=True))
    whole = with_heatmaps(image, mark)
    assert 0.005 < lines[20:220, 60:260].mean() < 0.1
    near = np.abs(np.diff(whole[20:220, 60:260].astype(int), axis=1)).max(axis=2)
    apart = ~(lines[20:220, 61:260] | lines[20:220, 60:259])
    assert near[apart].max() < 25, "no other edges"


@pytest.mark.parametrize("skin", [(66, 42, 33), (236, 203, 180)])
def test_isolines_can_be_seen_on_dark_and_on_light_skin(skin: tuple[int, int, int]) -> None:
    image = np.broadcast_to(np.uint8(skin), (240, 320, 3)).copy()
    rows, columns = np.indices((40, 40)) - 19.5
    cone = np.clip(1 - np.hypot(rows, columns) / 15, 0, 1)
    mark = make_mark(AREA, cone)
    line = changed_pixels(image, with_heatmaps(image, mark, contour=True))
    light = with_heatmaps(image, mark) @ (0.299, 0.587, 0.114)
    beside = np.roll(light, 2, axis=0)[line & ~np.roll(line, 2, axis=0)]
    assert np.abs(light[line & ~np.roll(line, 2, axis=0)] - beside).mean() > 25


def test_a_hatched_heatmap_has_no_isolines() -> None:
    image = np.full((240, 320, 3), 60, np.uint8)
    hatched = with_heatmaps(image, make_mark(AREA, STRENGTHS, trust=TrustMark.CHANCE), opacity=1)
    assert changed_pixels(image, hatched).any()
    assert hatched.max() <= 190, "the grey of the stripes, not white"


def test_a_heatmap_below_a_third_has_no_isolines() -> None:
    image = np.full((240, 320, 3), 60, np.uint8)
    drawn = with_heatmaps(image, make_mark(AREA, STRENGTHS * 0.3), contour=True)
    np.testing.assert_array_equal(drawn, image)
