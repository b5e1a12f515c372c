"""What a model shows on genuine faces is subtracted from the heatmaps that are drawn."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fakelens.explain.heatmaps import smooth_heatmap
from fakelens.records.report import Report
from fakelens.render.overlay import Mark, Overlay, heatmap_scale
from fakelens.render.painter import Canvas, Painter
from fakelens.render.style import Style
from support.builders import make_report, make_track
from support.comparing import compared, specificity

CERTAIN = 8.0  # a logit far beyond every threshold
SIDE = 8
RNG = np.random.default_rng(5)
BASELINE = RNG.normal(0, 1, (SIDE, SIDE)).astype(np.float32)
MOUTH = np.zeros((SIDE, SIDE), np.float32)
MOUTH[5:7, 2:6] = 1


def peaks_of(maps: NDArray) -> NDArray:
    """Return the peaks of heatmaps as drawn, as the analysis stores them."""
    stored = maps.astype(np.float16).astype(np.float32)
    return np.array([np.abs(smooth_heatmap(one)).max() for one in stored])


def report_of(*people: NDArray) -> Report:
    """Return a report of certainly fake people with these heatmaps, (rows, SIDE, SIDE) each."""
    tracks, first = [], 0
    for person, maps in enumerate(people, 1):
        rows = np.arange(first, first + len(maps))
        first += len(maps)
        tracks.append(
            make_track(
                np.full(len(maps), CERTAIN), person=person, heatmaps=rows, peaks=peaks_of(maps)
            )
        )
    return make_report(*tracks, maps=np.concatenate(people))


def repeated(values: NDArray, rows: int = 40) -> NDArray:
    return np.tile(np.float32(values), (rows, 1, 1))


def only(marks: list[Mark]) -> Mark:
    (mark,) = marks
    return mark


def painted(report: Report, frame: int = 3, **style) -> NDArray[np.uint8]:
    image = np.full((100, 200, 3), 90, np.uint8)
    canvas = Canvas.from_rgb(image)
    chosen = Style(**style)
    marks = Overlay(report, baseline=chosen.baseline).marks(frame)
    Painter(chosen, canvas.encode, 100).paint_heatmaps(canvas, marks)
    return image


def test_a_heatmap_equal_to_the_baseline_is_not_drawn() -> None:
    """Also not the noise of the half floats in which heatmaps are stored."""
    report = compared(report_of(repeated(BASELINE)), specificity(BASELINE))
    assert np.abs(only(Overlay(report).marks(3)).strength).max() < 0.06
    untouched = np.full((100, 200, 3), 90, np.uint8)
    np.testing.assert_array_equal(painted(report, evidence="both"), untouched)
    assert (painted(report, evidence="both", baseline="keep") != untouched).any()


@pytest.mark.parametrize("smooth", [True, False])
def test_a_baseline_of_zero_changes_nothing(smooth: bool) -> None:
    report = report_of(RNG.normal(0, 1, (40, SIDE, SIDE)))
    zero = compared(report, specificity(np.zeros((SIDE, SIDE))))
    for frame in (0, 17, 39):
        before = only(Overlay(report, smooth=smooth).marks(frame))
        after = only(Overlay(zero, smooth=smooth).marks(frame))
        np.testing.assert_allclose(after.strength, before.strength, atol=1e-6)
        assert (after.box, after.area, after.score) == (before.box, before.area, before.score)


def test_what_exceeds_the_baseline_is_drawn_at_full_strength_in_its_place() -> None:
    report = compared(report_of(repeated(BASELINE + MOUTH)), specificity(BASELINE))
    strength = only(Overlay(report, smooth=False).marks(3)).strength
    blurred = cv2.GaussianBlur(MOUTH, (0, 0), SIDE / 20, borderType=cv2.BORDER_REFLECT)
    np.testing.assert_allclose(strength, blurred / blurred.max(), atol=5e-3)


def test_the_whole_heatmap_is_drawn_on_request_as_without_a_comparison() -> None:
    plain = report_of(repeated(BASELINE + MOUTH))
    report = compared(plain, specificity(BASELINE))
    kept = only(Overlay(report, baseline="keep").marks(3))
    np.testing.assert_array_equal(kept.strength, only(Overlay(plain).marks(3)).strength)
    assert heatmap_scale(report, "keep") == heatmap_scale(plain)
    np.testing.assert_array_equal(painted(report, baseline="keep"), painted(plain))


def test_only_people_with_a_baseline_are_compared() -> None:
    same = repeated(BASELINE + MOUTH)
    report = compared(report_of(same, same), specificity(BASELINE), None)
    first, second = Overlay(report, smooth=False).marks(3)
    scale = heatmap_scale(report)
    smoothed = smooth_heatmap(BASELINE + MOUTH)
    np.testing.assert_allclose(
        first.strength * scale, smooth_heatmap(MOUTH), atol=2e-3 * np.abs(smoothed).max()
    )
    np.testing.assert_allclose(second.strength * scale, smoothed.clip(-scale, scale), rtol=2e-3)


def test_the_scale_is_that_of_the_differences() -> None:
    report = report_of(repeated(BASELINE + MOUTH))
    peak = smooth_heatmap(MOUTH).max()
    assert heatmap_scale(compared(report, specificity(BASELINE))) == pytest.approx(peak, rel=5e-3)
    assert heatmap_scale(report) == pytest.approx(smooth_heatmap(BASELINE + MOUTH).max(), rel=5e-3)


@pytest.mark.parametrize("weak", [0.3, 1e-1, 1e-2, 1e-3])
def test_a_tiny_difference_is_drawn_faintly(weak: float) -> None:
    """A person who differs by noise only would glow otherwise, as nobody else defines the scale."""
    noise = np.zeros((SIDE, SIDE), np.float32)
    noise[4, 4] = weak
    report = compared(report_of(repeated(4 * MOUTH + noise)), specificity(4 * MOUTH))
    whole = smooth_heatmap(4 * MOUTH).max()
    strength = only(Overlay(report, smooth=False).marks(3)).strength.max()
    expected = smooth_heatmap(noise).max() / (0.25 * whole)
    assert strength == pytest.approx(expected, rel=0.1, abs=0.02)


def test_outliers_do_not_define_the_scale_of_differences() -> None:
    maps = repeated(BASELINE + MOUTH)
    maps[7] = BASELINE + 100 * MOUTH
    report = compared(report_of(maps), specificity(BASELINE))
    overlay = Overlay(report, smooth=False)
    assert only(overlay.marks(20)).strength.max() == pytest.approx(1, rel=5e-3)
    assert only(overlay.marks(7)).strength.max() == 1
    twice = Overlay(report, smooth=False, limit=2)
    assert only(twice.marks(7)).strength.max() == 2
    assert only(twice.marks(20)).strength.max() == pytest.approx(1, rel=5e-3)


def test_the_scale_of_a_long_track_is_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading all heatmaps of a long video several times would take longer than drawing it."""
    ramp = np.linspace(0.5, 1.5, 5000)[:, None, None].astype(np.float32)
    report = compared(report_of(BASELINE + ramp * MOUTH), specificity(BASELINE))
    read: list[int] = []

    class Counting:
        shape = (SIDE, SIDE)

        def __getitem__(self, row: int) -> NDArray:
            read.append(row)
            return report.heatmaps[row]

    scale = heatmap_scale(replace(report, heatmaps=Counting()))  # type: ignore[arg-type]
    assert len(read) <= 120
    assert (min(read), max(read)) == (0, 4999)
    exact = np.quantile(smooth_heatmap(MOUTH).max() * ramp, 0.9)
    assert scale == pytest.approx(float(exact), rel=0.01)


def test_a_mark_has_the_answer_on_specificity() -> None:
    report = report_of(repeated(BASELINE))
    assert only(Overlay(report).marks(3)).specificity is None
    found = specificity(BASELINE)
    assert only(Overlay(compared(report, found)).marks(3)).specificity is found.mark
