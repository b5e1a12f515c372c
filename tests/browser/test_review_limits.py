"""Reviews at the limits: hints to the next reviewer, two tabs, and strange content."""

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from support.report_page import open_report, published, seek
from support.reviews import input_sha256, make_review, mark, reveal

pytestmark = pytest.mark.slow


def test_the_next_reviewer_sees_nothing_of_the_one_before(chromium: Browser, folder: Path) -> None:
    recorded = open_report(chromium, folder, "#blind")
    page = recorded.page
    fields = ("reviewer", "mark-person", "mark-start", "mark-end", "mark-note", "review-notes")
    fresh = [page.input_value(f"#{field}") for field in fields]
    mark(page, 1, 0.5, 1.5)
    page.fill("#mark-note", "the mouth")
    page.fill("#review-notes", "sure")
    seek(page, 1.2)
    reveal(page)
    page.get_by_role("button", name="New blind review").click()
    assert [page.input_value(f"#{field}") for field in fields] == fresh
    expect(page.locator("#clock")).to_contain_text("0:00.0 /")
    assert page.inner_text("#review-status") == ""
    page.emulate_media(media="print")
    assert page.locator("#your-review").is_hidden(), "an empty review is not printed"
    assert recorded.errors == []
    recorded.close()


def test_a_review_is_not_blind_if_another_tab_shows_the_result(
    chromium: Browser, folder: Path
) -> None:
    with published(folder) as where:
        recorded = open_report(chromium, where, "#blind", accept_downloads=True)
        page = recorded.page
        other = page.context.new_page()
        other.goto(f"{where}/report.html")
        other.wait_for_selector("html:not(.blind)[data-ready=yes]")
        mark(page, 1, 0, 1)
        expect(other.locator("#review-status")).to_contain_text("open in another tab")
        reveal(page)
        assert "Not a blind review: " in page.inner_text("#blind-done")
        recorded.close()


def test_the_focus_stays_on_a_button_when_nothing_is_left_to_undo(
    chromium: Browser, folder: Path
) -> None:
    recorded = open_report(chromium, folder, "#blind")
    page = recorded.page
    mark(page, 1, 0, 1)
    for pressed, focused in (("Undo", "Redo"), ("Redo", "Undo")):
        page.get_by_role("button", name=pressed).press("Enter")
        expect(page.get_by_role("button", name=focused)).to_be_focused()
    assert recorded.errors == []
    recorded.close()


def test_loaded_reviews_cannot_break_the_page(
    chromium: Browser, folder: Path, tmp_path: Path
) -> None:
    sha256 = input_sha256(folder)
    wide, reversing = "<img src=x>" + "W" * 180, "\u202e(dnilb) adA"
    reviews = [
        make_review(sha256, "Far", "genuine", (1, 1, 1e6), notes="n" * 3000),
        make_review(sha256, wide, "genuine", (1, 0, 1e9)),
        make_review(sha256, reversing, "genuine"),
        *(make_review(sha256, name, "genuine") for name in "ABCDEG"),
    ]
    strange = make_review(sha256, "Strange", "genuine", (99, 0, 1))

    def load(*reviews: Any) -> str:
        paths = [tmp_path / f"{number}.json" for number in range(len(reviews))]
        for path, review in zip(paths, reviews, strict=True):
            path.write_text(json.dumps(review), encoding="utf-8")
        page.set_input_files("#load-reviews", paths)
        status = page.locator("#review-status")
        expect(status).not_to_have_text("")
        text: str = status.inner_text()
        page.locator("#review-notes").press("x")
        expect(status).to_have_text("")
        return text

    recorded = open_report(chromium, folder, viewport={"width": 390, "height": 844})
    page = recorded.page
    assert "9 reviews were added." in load(*reviews)
    assert load(*reviews[:2]) == "The page already had 2 reviews."
    assert "0.json: it marks person 99, who is not in this report" in load(strange)
    agreement = page.locator("#agreement")
    expect(agreement).to_contain_text("Person 1: marked by 2 of 10 reviewers; 1.20 of 2.20 s")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    top = page.get_by_label("Verdicts of reviewers")
    expect(top.locator("p")).to_have_count(7)
    expect(top.get_by_role("link", name="All 9 reviews")).to_have_attribute(
        "href", "#agreement-title"
    )
    expect(top.locator("bdi", has_text="adA")).to_have_text(reversing)
    assert recorded.errors == []
    recorded.close()
