"""Reviews in ``report.html``: blind first, kept, and honest about it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser

from fakelens.report.review import Review, embed
from support.browser import Watched
from support.looking import changed, inside, screen, seek, settle, show
from support.toys import FAKE, HEIGHT, REAL, WIDTH, draw_scene

pytestmark = pytest.mark.slow

ANSWERS = ("likely", "inconclusive", "0.9", "high from")


def test_a_blind_reviewer_sees_no_answer_before_uncovering_it(
    chromium: Browser, folder: Path, tmp_path: Path
) -> None:
    watched = show(chromium, folder, "#blind", accept_downloads=True)
    page = watched.page
    words = page.inner_text("body")
    assert not [word for word in ANSWERS if word in words]
    seek(page, 1.0)
    seen = screen(page)
    untouched = draw_scene(25, (FAKE, REAL))
    for actor in (FAKE, REAL):
        face = actor.box(25)
        assert face is not None
        within = inside(face, seen.shape, margin=-4)
        assert np.abs(seen[within].astype(int) - untouched[within].astype(int)).mean() < 12
        # The label has a number alone, and the box is white whatever the verdict.
        dark = (seen[44:56, int(face.x1) : int(face.x1) + 90] < 70).all(axis=2)
        assert np.flatnonzero(dark.any(axis=0)).max() < 12
        edge = screen(page, 4 * WIDTH, 4 * HEIGHT)[240:480, 4 * int(face.x1) - 3 :][:, :6]
        assert edge.min(axis=2).max() > 210
    for key in "12hb":
        page.locator("#screen").focus()
        page.keyboard.press(key)
    settle(page)
    assert not changed(screen(page), seen).any(), "keys lead to no answer"
    page.fill("#reviewer", "Ada </script><b>")
    page.select_option("#mark-person", "1")
    page.locator("#start-now").click()
    page.fill("#mark-end", "2.5")
    page.fill("#mark-note", "the mouth flickers")
    page.get_by_role("button", name="Mark", exact=True).click()
    page.check("input[name=opinion][value=manipulated]")
    page.get_by_role("button", name="Uncover").click()
    assert page.locator("#person-1").is_visible()
    compared = page.inner_text("#comparison")
    assert "person 1, 0:01.0 to 0:02.5: the mouth flickers" in compared
    page.fill("#review-notes", "compared afterwards")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save a copy of this page").click()
    copy = tmp_path / "out"
    shutil.copytree(folder, copy)
    download.value.save_as(copy / "report.html")
    watched.close()

    later = show(chromium, copy, accept_downloads=True)
    assert later.page.input_value("#reviewer") == "Ada </script><b>"
    assert later.page.input_value("#review-notes") == "compared afterwards"
    assert "Reviewed blind" in later.page.inner_text("#blind-done")
    assert later.page.locator("#add-mark").is_disabled()
    assert later.complaints == []
    with later.page.expect_download() as download:
        later.page.get_by_role("button", name="Save the review as JSON").click()
    review = Review.model_validate_json(Path(download.value.path()).read_text(encoding="utf-8"))
    assert review.blind
    assert review.uncovered
    (suspicion,) = review.suspicions
    assert (suspicion.person, suspicion.start, suspicion.end) == (1, 1.0, 2.5)
    later.close()


def test_marks_made_with_the_answer_in_sight_are_not_called_blind(
    opened: Watched,
) -> None:
    page = opened.page
    page.get_by_role("button", name="Mark", exact=True).click()
    page.get_by_role("button", name="Review blind first").click()
    page.wait_for_selector("html.blind[data-ready=yes]")
    page.get_by_role("button", name="Uncover").click()
    assert "after this page had shown" in page.inner_text("#blind-done")


def test_a_blind_review_stays_covered_until_it_is_uncovered(
    chromium: Browser, folder: Path
) -> None:
    watched = show(chromium, folder, "#blind")
    page = watched.page
    page.get_by_role("button", name="Mark", exact=True).click()
    page.keyboard.press("Home")
    page.locator(".skip").focus()
    page.keyboard.press("Enter")
    for address in (page.url, (folder / "report.html").as_uri()):
        page.goto("about:blank")
        page.goto(address)
        page.wait_for_selector("html.blind[data-ready=yes]")
        assert page.locator("#suspicions li").count() == 1
    page.get_by_role("button", name="Uncover").click()
    assert "Reviewed blind" in page.inner_text("#blind-done")
    page.reload()
    page.wait_for_selector("html:not(.blind)[data-ready=yes]")
    assert "Reviewed blind" in page.inner_text("#blind-done")
    page.get_by_role("button", name="New blind review").click()
    page.wait_for_selector("html.blind[data-ready=yes]")
    assert page.locator("#suspicions li").count() == 0
    assert watched.complaints == []
    watched.close()


def test_a_page_that_has_shown_its_answer_calls_no_later_review_blind(
    chromium: Browser, folder: Path
) -> None:
    watched = show(chromium, folder)
    page = watched.page
    page.evaluate("location.hash = 'blind'")
    page.wait_for_selector("html.blind[data-ready=yes]")
    page.get_by_role("button", name="Mark", exact=True).click()
    page.get_by_role("button", name="Uncover").click()
    assert "after this page had shown" in page.inner_text("#blind-done")
    watched.close()


def test_a_draft_that_makes_no_sense_is_passed_over(chromium: Browser, folder: Path) -> None:
    watched = show(chromium, folder)
    watched.page.evaluate(
        "localStorage.setItem('fakelens-review-' + document.documentElement.dataset.report,"
        ' \'{"version": 1, "blind": 3}\')'
    )
    watched.page.reload()
    watched.page.wait_for_selector("html[data-ready=yes]")
    assert watched.complaints == []
    watched.close()


def test_a_stretch_that_ends_before_it_starts_is_refused_in_words(opened: Watched) -> None:
    page = opened.page
    page.fill("#mark-start", "2")
    page.fill("#mark-end", "1")
    page.get_by_role("button", name="Mark", exact=True).click()
    assert "must end after it starts" in page.inner_text("#mark-problem")
    assert page.locator("#suspicions li").count() == 0


def test_a_review_that_a_server_put_in_is_shown(
    chromium: Browser, folder: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "out"))
    page = (copy / "report.html").read_text(encoding="utf-8")
    sha256 = json.loads((copy / "report.json").read_text())["provenance"]["input_sha256"]
    notes, moment = "<b>&\u2028", "2026-11-23T12:00:00Z"
    review = Review(video_sha256=sha256, blind=False, notes=notes, saved=moment)
    (copy / "report.html").write_text(embed(page, review), encoding="utf-8")
    watched = show(chromium, copy)
    assert watched.page.input_value("#review-notes") == "<b>&\u2028"
    assert watched.complaints == []
    watched.close()
