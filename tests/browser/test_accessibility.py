"""``report.html`` for all kinds of clips and readers: phones, paper, screen readers."""

import re
import shutil
from pathlib import Path

import cv2
import pytest
from playwright.sync_api import Browser, expect

from fakelens.report.save import save_report
from support.browser import Watched, accessibility_findings
from support.looking import bare, changed, inside, number_on, screen, seek, seen_by_the_model, show
from support.toys import FAKE, REAL, analyzed, draw_scene, film

pytestmark = pytest.mark.slow


def test_two_people_have_a_lane_and_a_card_each(opened: Watched) -> None:
    page = opened.page
    assert page.locator(".lane").count() == page.locator("article").count() == 2
    for person in (1, 2):
        drawn = page.locator(f"#person-{person} .face img").first
        assert drawn.evaluate("picture => picture.naturalWidth") == 320


def test_a_report_without_a_face_says_so_and_still_plays(chromium: Browser, tmp_path: Path) -> None:
    save_report(analyzed(film(tmp_path / "none.mp4", frames=30)), tmp_path / "out")
    watched = show(chromium, tmp_path / "out")
    assert "No face was found" in watched.page.inner_text("body")
    seek(watched.page, 0.6)
    assert number_on(watched.page) == 15
    assert watched.complaints == []
    assert accessibility_findings(watched.page) == []
    watched.close()


def test_a_picture_has_the_layer_too(chromium: Browser, tmp_path: Path) -> None:
    image = draw_scene(0, (FAKE, REAL))
    assert cv2.imwrite(str(tmp_path / "in.png"), image[:, :, ::-1])
    save_report(analyzed(tmp_path / "in.png", FAKE, REAL), tmp_path / "out")
    watched = show(chromium, tmp_path / "out")
    bare(watched.page)
    heated = screen(watched.page)
    watched.page.locator("#show").uncheck()
    different = changed(screen(watched.page), heated)
    assert different[inside((14, 64, 66, 116), different.shape)].mean() > 0.9
    assert not different[~seen_by_the_model(0)].any()
    assert watched.complaints == []
    watched.close()


def test_the_page_fits_a_phone(chromium: Browser, folder: Path) -> None:
    watched = show(chromium, folder, viewport={"width": 360, "height": 700})
    page = watched.page
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    bare(page)
    heated = screen(page)
    page.locator("#show").uncheck()
    different = changed(screen(page), heated)
    assert different.any()
    assert not different[~seen_by_the_model(0)].any()
    for name in ("Play", "One frame on", "Full screen"):
        box = page.get_by_role("button", name=name, exact=True).bounding_box()
        assert box is not None
        assert box["height"] >= 32
    assert watched.complaints == []
    watched.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("ending", ["", "#blind"])
def test_axe_finds_nothing_serious(
    chromium: Browser, folder: Path, scheme: str, ending: str
) -> None:
    watched = show(chromium, folder, ending, color_scheme=scheme)
    assert accessibility_findings(watched.page) == []
    watched.close()


def test_it_prints_the_findings_and_no_controls(opened: Watched) -> None:
    page = opened.page
    page.emulate_media(media="print")
    for hidden in ("#player", "#tools", "#start-blind", "#your-review"):
        assert not page.locator(hidden).is_visible(), hidden
    for shown in ("#person-1", "#person-2", "#limits", ".lane >> nth=0", "#provenance"):
        assert page.locator(shown).is_visible(), shown
    document = page.pdf(format="A4")
    assert document.startswith(b"%PDF")
    assert 2 <= len(re.findall(rb"/Type /Page\b", document)) <= 8


def test_all_of_a_review_is_printed(opened: Watched) -> None:
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


def test_without_scripts_the_findings_can_be_read(chromium: Browser, folder: Path) -> None:
    watched = Watched(chromium, java_script_enabled=False)
    watched.page.goto((folder / "report.html").as_uri())
    words = watched.page.inner_text("body")
    assert "Without scripts" in words
    assert "Person 2" in words
    assert watched.page.locator(".lane svg path.curve").count() == 2
    assert not watched.page.locator("#tools").is_visible()
    watched.close()


def test_a_page_whose_video_is_gone_says_so(
    chromium: Browser, folder: Path, tmp_path: Path
) -> None:
    shutil.copy(folder / "report.html", tmp_path)
    watched = show(chromium, tmp_path)
    expect(watched.page.locator("#unplayable")).to_contain_text("untouched.mp4")
    assert not watched.page.locator("#screen").is_visible()
    assert watched.page.locator("article").count() == 2
    watched.close()
