"""Heatmaps that are not specific to a face look less assertive, and the label says so."""

import numpy as np
import pytest

from fakelens.records.faces import Box
from fakelens.records.findings import Verdict
from fakelens.records.trust import SpecificityMark, TrustMark
from fakelens.render import labels
from support.painting import (
    changed_pixels,
    grey_picture,
    make_mark,
    noise_picture,
    with_heatmaps,
    with_marks,
)

AREA = Box(100, 60, 180, 140)
USUAL, SPECIFIC = SpecificityMark.USUAL, SpecificityMark.SPECIFIC
STRENGTHS = np.random.default_rng(2).uniform(-1, 1, (8, 8))


@pytest.mark.parametrize("opacity", [1, 0.6])
def test_a_heatmap_that_is_not_specific_or_inconclusive_is_faded(opacity: float) -> None:
    """Everywhere it changes the picture 0.4 times as much."""
    image = grey_picture()

    def change(mark: SpecificityMark | None, verdict: Verdict = Verdict.FAKE) -> np.ndarray:
        drawn = with_heatmaps(
            image,
            make_mark(AREA, STRENGTHS, specificity=mark, verdict=verdict),
            opacity=opacity,
            evidence="both",
        )
        return drawn.astype(int) - image

    np.testing.assert_array_equal(change(SPECIFIC), change(None))
    assert np.abs(change(None)).max() > 50
    np.testing.assert_allclose(change(USUAL), 0.4 * change(None), atol=2)
    for mark in (None, SPECIFIC, USUAL):
        np.testing.assert_array_equal(change(mark, Verdict.INCONCLUSIVE), change(USUAL))


def test_a_heatmap_not_better_than_chance_stays_hatched() -> None:
    image = noise_picture()
    hatched = [
        with_heatmaps(image, make_mark(AREA, 1, trust=TrustMark.CHANCE, specificity=mark))
        for mark in (None, SPECIFIC, USUAL)
    ]
    assert changed_pixels(image, hatched[0]).any()
    np.testing.assert_array_equal(hatched[1], hatched[0])
    np.testing.assert_array_equal(hatched[2], hatched[0])


def test_an_outline_that_is_not_specific_is_faded() -> None:
    image = np.zeros((240, 320, 3), np.uint8)
    spot = np.zeros((8, 8))
    spot[3:5, 3:5] = 1
    drawn = [
        with_heatmaps(image, make_mark(AREA, spot, specificity=mark), contour=True)
        for mark in (None, USUAL)
    ]
    assert drawn[0].max() > 180
    np.testing.assert_allclose(drawn[1], 0.4 * drawn[0], atol=2)


@pytest.mark.parametrize(
    ("trust", "specificity", "words"),
    [
        (None, None, None),
        (TrustMark.SUPPORTED, None, "heatmap: supported"),
        (TrustMark.SUPPORTED, SPECIFIC, "heatmap: supported, specific"),
        (TrustMark.WEAK, USUAL, "heatmap: weak, not specific"),
        (None, USUAL, "heatmap: not specific"),
        (TrustMark.CHANCE, SPECIFIC, "heatmap: not better than chance"),
    ],
)
def test_the_label_has_both_answers(
    trust: TrustMark | None,
    specificity: SpecificityMark | None,
    words: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written: list[str] = []
    draw = labels.draw_lines
    monkeypatch.setattr(
        labels, "draw_lines", lambda lines, *rest: (written.extend(lines), draw(lines, *rest))[1]
    )
    with_marks(grey_picture(), make_mark(AREA, 0, trust=trust, specificity=specificity))
    assert written == ["#1 likely fake", *([words] if words else [])]
