"""``report.html`` on phones, on paper, without scripts, and checked with axe-core."""

import re
import shutil
from pathlib import Path

import cv2
import pytest
from playwright.sync_api import Browser, expect

from fakelens.report.save import save_report
from support.browser import RecordedPage, accessibility_findings
from support.report_page import (
    changed,
    face_crop_areas,
    hide_boxes,
    inside,
    number_on,
    open_report,
    screenshot,
    seek,
)
from support.toys import FAKE, REAL, analyzed, draw_scene, film

pytestmark = pytest.mark.slow


def test_each_person_has_a_lane_and_a_card(opened: RecordedPage) -> None:
    page = opened.page
    assert page.locator(".lane").count() == page.locator("article").count() == 2
    for person in (1, 2):
        drawn = page.locator(f"#person-{person} .face img").first
        assert drawn.evaluate("picture => picture.naturalWidth") == 320


def test_a_report_without_faces_plays_the_video(chromium: Browser, tmp_path: Path) -> None:
    save_report(analyzed(film(tmp_path / "none.mp4", frames=30)), tmp_path / "out")
    recorded = open_report(chromium, tmp_path / "out")
    assert "No face was found" in recorded.page.inner_text("body")
    seek(recorded.page, 0.6)
    assert number_on(recorded.page) == 15
    assert recorded.errors == []
    assert accessibility_findings(recorded.page) == []
    recorded.close()


def test_a_still_picture_has_the_layer(chromium: Browser, tmp_path: Path) -> None:
    image = draw_scene(0, (FAKE, REAL))
    assert cv2.imwrite(str(tmp_path / "in.png"), image[:, :, ::-1])
    save_report(analyzed(tmp_path / "in.png", FAKE, REAL), tmp_path / "out")
    recorded = open_report(chromium, tmp_path / "out")
    hide_boxes(recorded.page)
    heated = screenshot(recorded.page)
    recorded.page.locator("#show").uncheck()
    different = changed(screenshot(recorded.page), heated)
    assert different[inside((14, 64, 66, 116), different.shape)].mean() > 0.9
    assert not different[~face_crop_areas(0)].any()
    assert recorded.errors == []
    recorded.close()


def test_the_page_fits_a_phone(chromium: Browser, folder: Path) -> None:
    recorded = open_report(chromium, folder, viewport={"width": 360, "height": 700})
    page = recorded.page
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    hide_boxes(page)
    heated = screenshot(page)
    page.locator("#show").uncheck()
    different = changed(screenshot(page), heated)
    assert different.any()
    assert not different[~face_crop_areas(0)].any()
    for name in ("Play", "One frame forward", "Full screen"):
        box = page.get_by_role("button", name=name, exact=True).bounding_box()
        assert box is not None
        assert box["height"] >= 32
    assert recorded.errors == []
    recorded.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("fragment", ["", "#blind"])
def test_axe_finds_no_serious_problems(
    chromium: Browser, folder: Path, scheme: str, fragment: str
) -> None:
    recorded = open_report(chromium, folder, fragment, color_scheme=scheme)
    assert accessibility_findings(recorded.page) == []
    recorded.close()


def test_the_printed_page_has_the_findings_and_no_controls(opened: RecordedPage) -> None:
    page = opened.page
    page.emulate_media(media="print")
    for hidden in ("#player", "#tools", "#start-blind", "#your-review"):
        assert not page.locator(hidden).is_visible(), hidden
    for shown in ("#person-1", "#person-2", "#limits", ".lane >> nth=0", "#provenance"):
        assert page.locator(shown).is_visible(), shown
    document = page.pdf(format="A4")
    assert document.startswith(b"%PDF")
    assert 2 <= len(re.findall(rb"/Type /Page\b", document)) <= 8


def test_a_review_is_printed_in_full(opened: RecordedPage) -> None:
    page = opened.page
    notes = [f"line {number}" for number in range(40)]
    page.fill("#review-notes", "\n".join(notes))
    page.emulate_media(media="print")
    assert not page.locator("#review-notes").is_visible()
    printed = page.locator("#review-print")
    assert printed.inner_text().splitlines()[-40:] == ["Notes: line 0", *notes[1:]]
    box = printed.bounding_box()
    assert box is not None
    assert box["height"] > 40 * 14


def test_the_findings_are_shown_without_scripts(chromium: Browser, folder: Path) -> None:
    recorded = RecordedPage(chromium, java_script_enabled=False)
    recorded.page.goto((folder / "report.html").as_uri())
    words = recorded.page.inner_text("body")
    assert "Scripts are disabled" in words
    assert "Person 2" in words
    assert recorded.page.locator(".lane svg path.curve").count() == 2
    assert not recorded.page.locator("#tools").is_visible()
    recorded.close()


def test_a_page_without_its_video_says_so(chromium: Browser, folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "report.html", tmp_path)
    recorded = open_report(chromium, tmp_path)
    expect(recorded.page.locator("#unplayable")).to_contain_text("untouched.mp4")
    assert not recorded.page.locator("#screen").is_visible()
    assert recorded.page.locator("article").count() == 2
    recorded.close()
