"""Heatmaps compared with genuine faces, and whole ones, on the report page."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Browser, Page

from fakelens.records.report import Report
from fakelens.records.trust import SpecificityMark
from fakelens.render.style import Style
from fakelens.report.error_rates import error_rate_sentence
from fakelens.report.save import save_report
from support.browser import RecordedPage
from support.comparing import SEALED, compared, specificity, with_records
from support.report_page import (
    changed,
    hide_boxes,
    inside,
    open_report,
    open_settings,
    screenshot,
    seek,
)
from support.toys import FAKE, HEIGHT, WIDTH, analyzed, film

pytestmark = pytest.mark.slow

# Of the heatmap, this share is usual: on the left everything, on the right a half.
USUAL = np.repeat(np.float32([[1, 0.5]]), 4, axis=1).repeat(8, axis=0)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """The report of a red face, whose heatmap is about the same everywhere."""
    path = tmp_path_factory.mktemp("clip") / "one.mp4"
    return with_records(analyzed(film(path, FAKE, frames=60), FAKE), SEALED)


def mean_heatmap(report: Report) -> NDArray[np.float32]:
    return np.mean([report.heatmaps[row] for row in range(len(report.heatmaps))], axis=0)


@pytest.fixture(scope="module")
def left_is_usual(plain: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of that report, if genuine faces have the same heatmap on the left side."""
    found = compared(plain, specificity(USUAL * mean_heatmap(plain)))
    folder = tmp_path_factory.mktemp("compared") / "out"
    save_report(found, folder)
    return folder


@pytest.fixture(scope="module")
def without_comparison(plain: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plain") / "out"
    save_report(plain, folder)
    return folder


@pytest.fixture
def page(chromium: Browser, left_is_usual: Path) -> Iterator[Page]:
    recorded = open_report(chromium, left_is_usual)
    hide_boxes(recorded.page)
    open_settings(recorded.page)
    seek(recorded.page, 0.6)
    yield recorded.page
    assert recorded.errors == []
    recorded.close()


def shares(page: Page) -> tuple[float, float]:
    """Return the shares of the left and right half of the face that the heatmap changes."""
    shown = screenshot(page)
    page.locator("#show").uncheck()
    different = changed(screenshot(page), shown)
    page.locator("#show").check()
    box = FAKE.box(15)
    assert box is not None
    middle = (box.x1 + box.x2) / 2
    # Between the cells of the two halves the strength changes gradually.
    halves = [
        inside((int(box.x1) + 4, int(box.y1) + 4, int(middle) - 12, int(box.y2) - 4), shown.shape),
        inside((int(middle) + 12, int(box.y1) + 4, int(box.x2) - 4, int(box.y2) - 4), shown.shape),
    ]
    left, right = (float(different[half].mean()) for half in halves)
    return left, right


def legend(page: Page) -> str:
    return page.inner_text(".stage")


def test_only_what_exceeds_the_baseline_is_shown_and_one_click_shows_the_whole(page: Page) -> None:
    left, right = shares(page)
    assert (left, right) == (0, pytest.approx(1, abs=0.05))
    assert "Shown: the heatmap compared with genuine faces" in legend(page)
    page.get_by_label("Compared with genuine faces").click()
    assert shares(page) == pytest.approx((1, 1), abs=0.05)
    assert "Shown: the whole heatmap" in legend(page)
    assert "compared with genuine faces, that is" not in legend(page)
    page.get_by_label("Compared with genuine faces").click()
    assert shares(page)[0] == 0


def test_the_whole_heatmap_is_that_of_a_page_without_comparison(
    chromium: Browser, page: Page, without_comparison: Path
) -> None:
    """Pixel by pixel: the baseline is added back, and the scale is that of whole heatmaps.

    Without isolines, which amplify the rounding of strengths to 63 levels.
    """
    page.locator("#compare").uncheck()
    recorded = open_report(chromium, without_comparison)
    open_settings(recorded.page)
    assert not recorded.page.locator("#compare").count()
    hide_boxes(recorded.page)
    seek(recorded.page, 0.6)
    for each in (page, recorded.page):
        each.evaluate("CanvasRenderingContext2D.prototype.stroke = () => {}")
    for evidence in ("fake", "both"):
        for each in (page, recorded.page):
            each.check(f"input[name=evidence][value={evidence}]")
            each.locator("#opacity").fill("100")
        difference = screenshot(page).astype(int) - screenshot(recorded.page)
        assert np.abs(difference).max() <= 12
    recorded.close()


def test_the_switch_works_with_the_other_controls(page: Page) -> None:
    page.locator("#compare").uncheck()
    page.check("input[name=evidence][value=real]")
    assert shares(page) == (0, 0)
    page.check("input[name=evidence][value=fake]")
    page.locator("#opacity").fill("0")
    assert shares(page) == (0, 0)
    page.locator("#screen").hover()
    page.keyboard.press("c")
    assert page.locator("#compare").is_checked()
    page.locator("#opacity").fill("100")
    assert shares(page) == (0, pytest.approx(1, abs=0.05))


def test_the_page_starts_as_the_annotated_video_was_drawn(
    chromium: Browser, plain: Report, tmp_path: Path
) -> None:
    found = compared(plain, specificity(USUAL * mean_heatmap(plain)))
    save_report(found, tmp_path / "out", style=Style(baseline="keep"), video=False)
    recorded = open_report(chromium, tmp_path / "out")
    hide_boxes(recorded.page)
    open_settings(recorded.page)
    seek(recorded.page, 0.6)
    assert not recorded.page.locator("#compare").is_checked()
    assert "Shown: the whole heatmap" in legend(recorded.page)
    assert shares(recorded.page) == pytest.approx((1, 1), abs=0.05)
    assert "with heatmap, compared" not in recorded.page.inner_text("#person-1")
    recorded.close()


def face_change(page: Page) -> float:
    """Return how much the heatmap changes the face on the card, grey levels."""
    script = """() => {
      const canvas = document.querySelector("#person-1 .pair canvas");
      const { data } = canvas.getContext("2d").getImageData(100, 100, 120, 120);
      let sum = 0;
      for (let i = 3; i < data.length; i += 4) sum += data[i];
      return sum / (data.length / 4);
    }"""
    return float(page.evaluate(script))


def test_faces_keep_the_initial_view_if_the_browser_restores_the_controls(page: Page) -> None:
    before = face_change(page)
    page.locator("#compare").uncheck()
    page.locator("#opacity").fill("5")
    page.goto("about:blank")
    page.go_back()
    page.wait_for_selector("html[data-ready=yes]")
    assert not page.locator("#compare").is_checked()  # restored
    assert page.locator("#opacity").input_value() == "5"
    assert face_change(page) == pytest.approx(before)


def test_a_heatmap_that_is_not_specific_is_faded_on_the_video_and_on_the_card(
    chromium: Browser, plain: Report, tmp_path: Path
) -> None:
    changes, opacities = [], []
    for mark in SpecificityMark:
        found = compared(plain, specificity(np.zeros((8, 8)), mark))
        save_report(found, tmp_path / mark.name, video=False)
        recorded: RecordedPage = open_report(chromium, tmp_path / mark.name)
        card = recorded.page.inner_text("#person-1")
        assert f"heatmap is {mark}" in card
        assert "with heatmap, compared with genuine faces" in card
        assert ("Faded: not specific to this face" in card) == (mark is SpecificityMark.USUAL)
        opacities.append(face_change(recorded.page))
        hide_boxes(recorded.page)
        seek(recorded.page, 0.6)
        shown = screenshot(recorded.page).astype(int)
        recorded.page.locator("#show").uncheck()
        face = inside((50, 70, 70, 110), (HEIGHT, WIDTH))
        changes.append(float(np.abs(shown - screenshot(recorded.page))[face].mean()))
        recorded.close()
    specific, usual = changes
    assert specific > 25
    assert usual == pytest.approx(0.4 * specific, rel=0.1)
    assert opacities[1] == pytest.approx(0.4 * opacities[0], rel=0.03)


def test_the_error_rates_are_visible_on_screen_and_on_paper_but_not_in_a_blind_review(
    chromium: Browser, left_is_usual: Path, plain: Report
) -> None:
    line = error_rate_sentence(plain.model, plain.thresholds)
    for width in (1440, 390):
        recorded = open_report(chromium, left_is_usual, viewport={"width": width, "height": 900})
        recorded.page.get_by_text("Counts by dataset").click()
        for media in ("screen", "print"):
            recorded.page.emulate_media(media=media)
            shown = recorded.page.get_by_text(line)
            assert [shown.nth(n).is_visible() for n in range(shown.count())] == [True, True]
            short = recorded.page.get_by_text("called 1 of 15 genuine ones fake")
            assert short.filter(visible=True).count() > 0
            heading = recorded.page.locator("#person-1-name").bounding_box()
            beside = recorded.page.locator("#person-1 .rates").bounding_box()
            assert heading
            assert beside
            assert 0 <= beside["y"] - heading["y"] - heading["height"] < 20
            assert recorded.page.locator(".errors").is_visible()
        recorded.page.emulate_media(media="screen")
        assert recorded.page.evaluate("document.documentElement.scrollWidth") <= width
        recorded.close()
    blind = open_report(chromium, left_is_usual, "#blind")
    assert not blind.page.get_by_text(line).first.is_visible()
    blind.close()
