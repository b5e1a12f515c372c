"""Reviews in ``report.html``: blind reviews, and what is saved of them."""

import json
import os
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Route, expect

from fakelens.report.review import Review, embed
from support.browser import RecordedPage
from support.report_page import (
    changed,
    inside,
    open_report,
    published,
    screenshot,
    seek,
    wait_for_seek,
)
from support.toys import FAKE, HEIGHT, REAL, WIDTH, draw_scene

pytestmark = pytest.mark.slow

RESULT_WORDS = ("likely", "inconclusive", "0.9", "high score")


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    with published(folder) as where:
        yield where


def test_a_blind_review_shows_no_result_before_it_is_revealed(
    chromium: Browser, folder: Path, tmp_path: Path
) -> None:
    recorded = open_report(chromium, folder, "#blind", accept_downloads=True)
    page = recorded.page
    words = page.inner_text("body")
    assert not [word for word in RESULT_WORDS if word in words]
    seek(page, 1.0)
    seen = screenshot(page)
    untouched = draw_scene(25, (FAKE, REAL))
    for actor in (FAKE, REAL):
        face = actor.box(25)
        assert face is not None
        within = inside(face, seen.shape, margin=-4)
        assert np.abs(seen[within].astype(int) - untouched[within].astype(int)).mean() < 12
        # The label has only a number, and the box is white for every verdict.
        dark = (seen[44:56, int(face.x1) : int(face.x1) + 90] < 70).all(axis=2)
        assert np.flatnonzero(dark.any(axis=0)).max() < 12
        edge = screenshot(page, 4 * WIDTH, 4 * HEIGHT)[240:480, 4 * int(face.x1) - 3 :][:, :6]
        assert edge.min(axis=2).max() > 210
    for key in "12hb":
        page.locator("#screen").focus()
        page.keyboard.press(key)
    wait_for_seek(page)
    assert not changed(screenshot(page), seen).any(), "shortcuts must not show the result"
    page.fill("#reviewer", "Ada </script><b>")
    page.select_option("#mark-person", "1")
    page.locator("#start-now").click()
    page.fill("#mark-end", "2.5")
    page.fill("#mark-note", "the mouth flickers")
    page.get_by_role("button", name="Add mark").click()
    page.check("input[name=opinion][value=manipulated]")
    page.get_by_role("button", name="Reveal the result").click()
    assert page.locator("#person-1").is_visible()
    compared = page.inner_text("#comparison")
    assert "0:01.0 to 0:02.5: the mouth flickers" in compared
    page.fill("#review-notes", "compared afterwards")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save a copy of this page").click()
    copy = tmp_path / "out"
    shutil.copytree(folder, copy)
    download.value.save_as(copy / "report.html")
    recorded.close()

    later = open_report(chromium, copy, accept_downloads=True)
    assert later.page.input_value("#reviewer") == "Ada </script><b>"
    assert later.page.input_value("#review-notes") == "compared afterwards"
    assert "Blind review: " in later.page.inner_text("#blind-done")
    assert later.page.locator("#add-mark").is_disabled()
    assert later.errors == []
    with later.page.expect_download() as download:
        later.page.get_by_role("button", name="Save review as JSON").click()
    review = Review.model_validate_json(Path(download.value.path()).read_text(encoding="utf-8"))
    assert review.blind
    assert review.uncovered
    (suspicion,) = review.suspicions
    assert (suspicion.person, suspicion.start, suspicion.end) == (1, 1.0, 2.5)
    later.close()


def test_marks_made_after_seeing_the_result_are_not_blind(chromium: Browser, address: str) -> None:
    recorded = open_report(chromium, address)
    page = recorded.page
    page.get_by_role("button", name="Add mark").click()
    page.get_by_role("button", name="Start a blind review").click()
    page.wait_for_selector("html.blind[data-ready=yes]")
    page.get_by_role("button", name="Reveal the result").click()
    assert "Not a blind review: " in page.inner_text("#blind-done")
    assert recorded.errors == []
    recorded.close()


def test_the_result_stays_hidden_until_it_is_revealed(chromium: Browser, address: str) -> None:
    recorded = open_report(chromium, address, "#blind")
    page = recorded.page
    page.get_by_role("button", name="Add mark").click()
    page.keyboard.press("Home")
    page.locator(".skip").focus()
    page.keyboard.press("Enter")
    assert page.locator("#suspicions li").count() == 1
    for url in (page.url, f"{address}/report.html"):
        page.evaluate("url => history.replaceState(null, '', url)", url)
        page.reload()
        page.wait_for_selector("html.blind[data-ready=yes]")
        assert page.locator("#suspicions li").count() == 1
    page.get_by_role("button", name="Reveal the result").click()
    assert "Blind review: " in page.inner_text("#blind-done")
    page.reload()
    page.wait_for_selector("html:not(.blind)[data-ready=yes]")
    assert "Blind review: " in page.inner_text("#blind-done")
    page.get_by_role("button", name="New blind review").click()
    page.wait_for_selector("html.blind[data-ready=yes]")
    assert page.locator("#suspicions li").count() == 0
    assert recorded.errors == []
    recorded.close()


def test_a_review_is_not_blind_if_this_browser_has_shown_the_result(
    chromium: Browser, address: str
) -> None:
    recorded = open_report(chromium, address)
    page = recorded.page
    page.evaluate("location.hash = 'blind'")
    page.wait_for_selector("html.blind[data-ready=yes]")
    page.get_by_role("button", name="Add mark").click()
    page.get_by_role("button", name="Reveal the result").click()
    assert "Not a blind review: " in page.inner_text("#blind-done")
    recorded.close()


def test_an_invalid_draft_is_ignored(chromium: Browser, address: str) -> None:
    recorded = open_report(chromium, address)
    recorded.page.evaluate(
        "localStorage.setItem('fakelens-review-' + document.documentElement.dataset.report,"
        ' \'{"version": 1, "blind": 3}\')'
    )
    recorded.page.reload()
    recorded.page.wait_for_selector("html[data-ready=yes]")
    assert recorded.errors == []
    recorded.close()


def write_page(folder: Path, page: str, revision: int) -> None:
    """Replace a page, with a time that lets the browser notice it within the same second."""
    path = folder / "report.html"
    path.write_text(page, encoding="utf-8")
    os.utime(path, (1_700_000_000 + revision,) * 2)


def test_notes_that_were_not_saved_survive_the_review_of_another_browser(
    chromium: Browser, folder: Path, tmp_path: Path
) -> None:
    """On a server, whose page has the saved review in it."""
    copy = Path(shutil.copytree(folder, tmp_path / "out"))
    original = (copy / "report.html").read_text(encoding="utf-8")
    sha256 = json.loads((copy / "report.json").read_text())["provenance"]["input_sha256"]

    def save(revision: int, notes: str) -> None:
        moment = "2026-11-23T12:00:00Z"
        known: Any = {"video_sha256": sha256, "blind": False, "saved": moment, "uncovered": moment}
        review = Review(revision=revision, notes=notes, **known)
        write_page(copy, embed(original, [review], save_to="review"), revision)

    def reload() -> None:
        page.reload()
        page.wait_for_selector("html[data-ready=yes]")

    save(1, "first")
    with published(copy) as where:
        recorded = open_report(chromium, where, accept_downloads=True)
        page = recorded.page
        notes, status = page.locator("#review-notes"), page.locator("#review-status")
        notes.fill("first, and more of mine")
        save(2, "of the other")
        for _ in range(2):
            reload()
            expect(notes).to_have_value("of the other")
            expect(status).to_contain_text("What you had not saved is kept in this browser")
        with page.expect_download() as download:
            page.get_by_role("button", name="Save it as JSON").click()
        kept = Review.model_validate_json(Path(download.value.path()).read_text(encoding="utf-8"))
        assert (kept.revision, kept.notes) == (1, "first, and more of mine")

        notes.fill("of the other, and a second draft")
        save(3, "third")
        reload()
        page.get_by_role("button", name="Add it to the notes").click()
        expect(notes).to_have_value("third\n\nNotes: first, and more of mine")
        expect(status).to_contain_text("What you had not saved is kept in this browser")
        page.get_by_role("button", name="Discard it").click()
        expect(page.locator("#kept-draft")).to_have_count(0)
        reload()
        expect(notes).to_have_value("third\n\nNotes: first, and more of mine")
        expect(status).to_be_empty()

        save(4, "x" * 20_000)
        reload()
        page.get_by_role("button", name="Add it to the notes").click()
        expect(status).to_contain_text("Not added: the notes would become too long.")
        expect(page.get_by_role("button", name="Save it as JSON")).to_be_visible()
        assert recorded.errors == []
        recorded.close()


def test_what_was_saved_is_no_draft(chromium: Browser, folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "out"))
    original = (copy / "report.html").read_text(encoding="utf-8")
    page_of = partial(embed, original, save_to="review")
    write_page(copy, page_of([]), 0)
    with published(copy) as where:
        recorded = open_report(chromium, where)
        page = recorded.page

        def store(route: Route) -> None:
            sent = Review.model_validate_json(route.request.post_data or "")
            review = sent.model_copy(update={"revision": 1})
            later = review.model_copy(update={"revision": 2, "notes": "by another browser"})
            write_page(copy, page_of([later]), later.revision)
            route.fulfill(json=review.model_dump())

        page.route("**/review", store)
        page.fill("#review-notes", "mine")
        page.get_by_role("button", name="Save review", exact=True).click()
        expect(page.locator("#review-status")).to_have_text("Saved.")
        page.reload()
        page.wait_for_selector("html[data-ready=yes]")
        expect(page.locator("#review-notes")).to_have_value("by another browser")
        expect(page.locator("#review-status")).to_be_empty()
        assert recorded.errors == []
        recorded.close()


def test_a_mark_that_ends_before_it_starts_is_refused(opened: RecordedPage) -> None:
    page = opened.page
    page.fill("#mark-start", "2")
    page.fill("#mark-end", "1")
    page.get_by_role("button", name="Add mark").click()
    assert "must end after it starts" in page.inner_text("#mark-problem")
    assert page.locator("#suspicions li").count() == 0


def test_a_review_embedded_in_the_page_is_shown(
    chromium: Browser, folder: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "out"))
    page = (copy / "report.html").read_text(encoding="utf-8")
    sha256 = json.loads((copy / "report.json").read_text())["provenance"]["input_sha256"]
    notes, moment = "<b>&\u2028", "2026-11-23T12:00:00Z"
    review = Review(video_sha256=sha256, blind=False, notes=notes, saved=moment)
    (copy / "report.html").write_text(embed(page, [review]), encoding="utf-8")
    recorded = open_report(chromium, copy)
    assert recorded.page.input_value("#review-notes") == "<b>&\u2028"
    assert recorded.errors == []
    recorded.close()
